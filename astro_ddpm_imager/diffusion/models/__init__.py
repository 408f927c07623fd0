"""The trained models: each an ONNX file and, beside it, its card."""

from .card import ModelCard, list_models, load_card

__all__ = ["ModelCard", "list_models", "load_card"]
