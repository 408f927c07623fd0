"""Simulated fields: sources, dirty images and noise with the spectrum of the PSF."""

from .fields import Field, FieldSimulator
from .noise import noise_amplitude
from .sky import Population, Sources, sky_pixels, sky_spectrum

__all__ = ["Field", "FieldSimulator", "Population", "Sources", "noise_amplitude", "sky_pixels", "sky_spectrum"]
