"""Simulated observations: arrays, images, sources and noise."""

from .array import Array, list_arrays, read_array
from .casa import simulate_with_casa
from .fields import DrawnSky, Field, FieldSimulator
from .files import simulate_fields, truth_table
from .gains import GainErrors
from .imaging import fit_beam, image_visibilities, imaging_weights, primary_beam
from .instruments import OBSERVATORIES, Instrument, draw_instrument
from .noise import noise_amplitude
from .observation import Observation
from .population import Population
from .recipe import SourceRecipe
from .shapes import SHAPES
from .sky import Sources, sky_pixels, sky_spectrum
from .thermal import thermal_rms

__all__ = [
    "Array",
    "DrawnSky",
    "Field",
    "FieldSimulator",
    "GainErrors",
    "Instrument",
    "OBSERVATORIES",
    "Observation",
    "Population",
    "SHAPES",
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
