"""Models that know one observation by heart, its noise too: what they may be shown, and how."""

import logging
from dataclasses import replace

import astropy.units as u
import numpy as np
from astropy.stats import mad_std
from astropy.wcs.utils import proj_plane_pixel_area

from ..errors import DirtyImageError

__all__ = ["admit", "in_its_units", "window"]

log = logging.getLogger(__name__)

BEAM, CELL, NOISE = 0.02, 0.005, 0.1  # relative differences: of the same observation, measured again
UNKNOWN_NOISE = 0.5  # of the noise: left without the noise by heart; of another realisation 1.4 is left


def in_its_units(observation, protocol):
    """An observation whose noise is that of the protocol and known: the model knows sources by their flux.

    Parameters
    ----------
    observation : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    protocol : dict
        Of a `~astro_ddpm_imager.ModelCard`.

    Returns
    -------
    `~astro_ddpm_imager.observation.dirty.DirtyImage`
    """
    return replace(observation, rms=protocol["rms"], noise_known=True)


def window(shape, protocol):
    """The part of the model's pixels that such a model is shown.

    Parameters
    ----------
    shape : tuple of int, (my, mx)
        Of the model's grid.
    protocol : dict

    Returns
    -------
    tuple of slice
        Of the protocol's grid as it was in training, of another one the middle.

    Raises
    ------
    DirtyImageError
        The image is smaller than what the model knows.
    """
    side, starts = protocol["side"], protocol["window"]
    if tuple(shape) != tuple(protocol["grid"]):
        starts = [(n - side) // 2 for n in shape]
    if min(starts) < 0:
        raise DirtyImageError(
            f"dirty: is too small, {shape[1]} x {shape[0]} pixels of the model, which was trained on {side} x {side}; "
            "take model='default'"
        )
    return tuple(slice(start, start + side) for start in starts)


def admit(observation, gridded, denoiser, insist):
    """Refuse what is not of a model's protocol, unless the user insists.

    Parameters
    ----------
    observation : `~astro_ddpm_imager.observation.dirty.DirtyImage`
        As it was measured.
    gridded : `~astro_ddpm_imager.observation.gridded.GriddedObservation`
        `in_its_units`.
    denoiser : `~astro_ddpm_imager.diffusion.denoiser.Denoiser`
        Of a model with a protocol.
    insist : bool

    Returns
    -------
    str
        A note for the provenance of every product.

    Raises
    ------
    DirtyImageError
        The image is of another protocol; the message says in what.
    """
    name, protocol = denoiser.card.name, denoiser.card.protocol
    reason = _difference(observation, protocol) or _other_noise(gridded, denoiser)
    if reason is None:
        return "as trained, noise shared with the training fields"
    if not insist:
        raise DirtyImageError(
            f"dirty: {reason}; model {name!r} has learnt one noise realisation by heart and is of use on fields with "
            f"that one only, which {protocol['command']!r} makes; take model='default', or insist=True (--insist)"
        )
    log.warning("dirty: %s; model %r is not made for it, and its results mean nothing on the sky", reason, name)
    return f"violated: {reason}"


def _difference(observation, protocol):
    """In what an image differs from those of a protocol, or None."""
    beam = [getattr(observation.beam, axis).to_value(u.arcsec) for axis in ("major", "minor")]
    cell = 3600 * proj_plane_pixel_area(observation.wcs) ** 0.5
    if observation.shape != tuple(protocol["shape"]):
        ny, nx = observation.shape
        return f"has {nx} x {ny} pixels instead of {protocol['shape'][1]} x {protocol['shape'][0]}"
    if abs(cell / protocol["cell_arcsec"] - 1) > CELL:
        return f"has pixels of {cell:.4g} arcsec instead of {protocol['cell_arcsec']:g} arcsec"
    if np.any(np.abs(np.divide(beam, protocol["beam_arcsec"]) - 1) > BEAM):
        return "has a beam of {:.3g} x {:.3g} arcsec instead of {:.3g} x {:.3g} arcsec".format(
            *beam, *protocol["beam_arcsec"]
        )
    if abs(observation.rms / protocol["rms"] - 1) > NOISE:
        return f"has a noise of {observation.rms:.3g} Jy/beam instead of {protocol['rms']:.3g} Jy/beam"
    return None


def _other_noise(gridded, denoiser):
    """What speaks against an image having the noise that a model knows, or None."""
    dirty = gridded.dirty[window(gridded.dirty.shape, denoiser.card.protocol)]
    left = mad_std(denoiser.without_noise(dirty))
    if left > UNKNOWN_NOISE:
        return f"has another noise: without the one that the model has learnt, {left:.2f} of it is left"
    return None
