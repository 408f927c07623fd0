"""Simulated observations: arrays, images, sources and noise."""

from .array import Array, list_arrays, read_array
from .casa import simulate_with_casa
from .fields import Field, FieldSimulator
from .files import simulate_fields, truth_table
from .imaging import fit_beam, image_visibilities, imaging_weights, primary_beam
from .instruments import Instrument, draw_instrument
from .noise import noise_amplitude
from .observation import Observation
from .recipe import SourceRecipe
from .sky import Population, Sources, sky_pixels, sky_spectrum
from .thermal import thermal_rms

__all__ = [
    "Array",
    "Field",
    "FieldSimulator",
    "Instrument",
    "Observation",
    "Population",
    "SourceRecipe",
    "Sources",
    "draw_instrument",
    "fit_beam",
    "image_visibilities",
    "imaging_weights",
    "list_arrays",
    "noise_amplitude",
    "primary_beam",
    "read_array",
    "simulate_fields",
    "simulate_with_casa",
    "sky_pixels",
    "sky_spectrum",
    "thermal_rms",
    "truth_table",
]
