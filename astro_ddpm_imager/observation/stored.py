"""A large dirty image and what belongs to it: checked, cut into tiles, and on disk, where parts of it are read."""

import logging
from functools import cached_property

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData

from ..errors import DirtyImageError, SettingError
from ..log_records import collected_records
from .beam import beam_covariance, beam_pixels, check_sampling
from .brightness import as_jy_per_beam
from .ellipses import area
from .far_sidelobes import PlacedPSF, nearest_place, nearest_psf
from .grid import tiles
from .inputs import Origin, are_several, as_companion, joined_digest, origin
from .mixed_up import check_mixed_up
from .mosaic import is_flat_sky, mosaic_psf
from .noise_map import measure_noise, noise_of, warn_inverted
from .offset import fit_pedestal, share_beside
from .pixels import blank_infinite
from .planes import Plane
from .preparation import beam_explained, beam_of, brightness_of, warn_polarised, without_faults
from .primary_beam import check_pb, check_uncorrected, within_limit
from .psf import checked_psf, middle_of, peak_on_pixel
from .restored import warn_restored
from .whole import Part, check_whole

__all__ = ["StoredObservation"]

log = logging.getLogger(__name__)

SIDE = 1024  # pixels of a tile
SMALLEST = 4  # overlaps: side of a tile, unless another one is asked for
OVERLAP_BEAMS = 10.0  # at the edge of a tile: the reach of what is beside it
COARSE = 2048  # pixels on a side of what is looked at of a primary beam
PSF_REACH = 2  # sides of a tile


class StoredObservation:
    """A large dirty image, and what belongs to it, in a folder.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        One plane; its pixels are let go once they are on disk.
    companions : dict
        ``"psf"``, ``"pb"``, ``"mask"`` and ``"noise"`` as of `~astro_ddpm_imager.DiffusionImager`, or None, or
        functions that read them.
    beam : `~radio_beam.Beam` or None
    folder : `~pathlib.Path`
    pblimit : float
        Primary beam below which the image is blanked.
    tile : int or None
        Side of the tiles, as of `~astro_ddpm_imager.DiffusionImager`.

    Attributes
    ----------
    tiles : list of `~astro_ddpm_imager.observation.grid.Tile`
    flat_sky : bool
        Whether the image was divided by the primary beam, by which it and its noise are multiplied.
    planes : dict of `~astro_ddpm_imager.observation.planes.Plane`
        ``"dirty"``, and ``"pb"``, ``"mask"`` and ``"noise"`` where they are given.
    psfs : list of `~astro_ddpm_imager.observation.far_sidelobes.PlacedPSF`
    inputs : dict
        As of `~astro_ddpm_imager.observation.dirty.DirtyImage`.

    Raises
    ------
    DirtyImageError
        As of `~astro_ddpm_imager.observation.preparation.prepare`.
    SettingError
        Tiles are smaller than three times what they overlap by.
    """

    def __init__(self, image, companions, beam, folder, pblimit, tile):
        self.folder, self.shape, self.pblimit = folder, image.shape, pblimit
        self.wcs, self.meta = image.wcs, image.meta
        given = {name: each for name, each in companions.items() if each is not None}
        self.inputs = {"dirty": origin(image)}
        check_uncorrected(self.inputs["dirty"][0], given)
        psfs = self._read_psfs(given.pop("psf"), image) if "psf" in given else []
        self.beam_given = beam is not None
        self.beam = beam_of(image, psfs[0][2] if psfs else None, beam)
        check_sampling(self.beam, image)
        for psf in [{"psf": psf.data} for *_, psf in psfs] or [{}]:
            check_mixed_up(image.data, psf, self._beam_area)
        image = as_jy_per_beam(image, "dirty", self.beam)
        warn_polarised(self.meta)
        if psfs:
            warn_restored(image)
        self.beam_pixels = beam_pixels(self.beam, self.wcs, self.shape)
        self.overlap = int(np.ceil(OVERLAP_BEAMS * self.beam_pixels))
        self.side = _side(tile, self.overlap, self.beam_pixels, max(self.shape))
        places = [self._place_of(*each) for each in psfs]
        if tile is None:
            self.side = _side_for_all(places, self.shape, self.side, self.overlap)
        self.tiles = tiles(self.shape, self.side, self.overlap)
        self.planes = {name: self._store(name, each, image) for name, each in given.items()}
        self.flat_sky = "pb" in self.planes and is_flat_sky(self.meta)
        if self.flat_sky and "noise" in self.planes:
            noise, pb = self.planes["noise"], self.planes["pb"]
            for tile in self.tiles:
                noise.write(tile.core, noise.read(tile.core) * pb.read(tile.core))
        self.psfs = [
            self._placed(number, image, *place, psf)
            for number, (place, (*_, psf)) in enumerate(zip(places, psfs, strict=True))
        ]
        self.planes["dirty"] = self._store_dirty(image)
        self._check_as_a_whole()
        self._warn_of_unused_psfs()

    @cached_property
    def quietest(self):
        """Lowest noise of a map of it, in its unit, or None without one."""
        if "noise" not in self.planes:
            return None
        noise = self.planes["noise"]
        return min(float(np.nanmin(noise.read(tile.core), initial=np.inf)) for tile in self.tiles)

    def relative_noise(self, window):
        """Noise of the map that was given, in units of its lowest.

        Parameters
        ----------
        window : tuple of slice

        Returns
        -------
        2D array; 1 where there is none
        """
        noise = self.planes["noise"].read(window) / self.quietest
        return np.where(np.isfinite(noise), noise, 1)

    def divided(self):
        """The dirty image, divided by its noise where that varies, so that sidelobes are those of the PSF.

        Returns
        -------
        `~astro_ddpm_imager.observation.planes.Plane`
            The image itself, or a plane of its own.
        """
        dirty = self.planes["dirty"]
        if self.quietest is None:
            return dirty
        return Plane.of(
            self.folder / "dirty-flat.npy",
            self.shape,
            lambda rows: dirty.read((rows, slice(None))) / self.relative_noise((rows, slice(None))),
        )

    @property
    def _beam_covariance(self):
        return beam_covariance(self.beam, self.wcs, self.shape)

    @property
    def _beam_area(self):
        return area(self._beam_covariance)

    @property
    def _coarse_step(self):
        """Rows and columns from one that is looked at to the next, where all would be too many."""
        return -(-max(self.shape) // COARSE)

    def measured_noise(self, plane):
        """The noise of a plane of the same pixels.

        Parameters
        ----------
        plane : `~astro_ddpm_imager.observation.planes.Plane`

        Returns
        -------
        `~astro_ddpm_imager.observation.noise_map.NoiseMap`
        """
        return measure_noise(plane.read, self.shape, self._beam_area)

    def is_imaged(self, pixels):
        """Whether the primary beam of pixels is not below ``pblimit``.

        Parameters
        ----------
        pixels : tuple
            Index of the image.

        Returns
        -------
        array of bool
        """
        return within_limit(self.planes["pb"].read(pixels), self.pblimit) if "pb" in self.planes else np.True_

    def _read_psfs(self, given, image):
        """A list of position (SkyCoord or None), name and PSF."""
        several = are_several(given)
        if several and not given:
            raise DirtyImageError("psf=[]: must hold one PSF at least; leave psf out if there is none")
        found = []
        for each in given if several else [given]:
            pair = each if are_several(each) else (None, each)
            if len(pair) != 2 or isinstance(each, SkyCoord):
                raise TypeError(
                    "psf: each of several is an image with a WCS, or a pair of the SkyCoord of its place and an image, "
                    f"as in psf=[(SkyCoord(...), psf), ...]; got {type(each).__name__}"
                )
            position, psf = pair
            psf = as_companion(psf() if callable(psf) else psf, "psf", image, np.float32)
            found.append((position, several, psf))
        self.inputs["psf"] = origin(found[0][2])
        if len(found) > 1:
            origins = [origin(psf) for *_, psf in found]
            sha256 = joined_digest([each[:2] for each in origins])
            self.inputs["psf"] = Origin(
                f"{len(found)} PSFs", sha256, tuple(path for each in origins for path in each.paths)
            )
        return found

    def _place_of(self, position, several, psf):
        """Where a PSF was made for, 0-based pixel (x, y)."""
        if not several:
            return tuple(n // 2 for n in reversed(self.shape))
        if position is None and psf.wcs is None:
            raise DirtyImageError("psf: one of several has no WCS; give (SkyCoord, psf), so that its place is known")
        if position is None:
            position = psf.wcs.pixel_to_world(*(n // 2 for n in reversed(psf.shape)))
        if not isinstance(position, SkyCoord):
            raise TypeError(f"psf: the place of a PSF must be a SkyCoord, not a {type(position).__name__}")
        return tuple(map(float, self.wcs.world_to_pixel(position)))

    def _placed(self, number, image, x, y, psf):
        peak = tuple(n // 2 for n in psf.shape)
        if "pb" in self.planes:
            psf.data = mosaic_psf(psf, self.planes["pb"].opened(), image, (y, x))
        window = [PSF_REACH * min(self.side, n) for n in self.shape]
        psf.data = peak_on_pixel(psf.data, middle_of(psf.data, window))
        near = middle_of(psf.data, window)
        middle = tuple(n // 2 for n in near.shape)
        highest = np.unravel_index(np.nanargmax(np.nan_to_num(near)), near.shape)
        peak = tuple(p + int(h) - m for p, h, m in zip(peak, highest, middle, strict=True))
        height = near[highest]
        belongs = not self.beam_given and beam_explained(psf, image)
        near = checked_psf(near.astype(float), self._beam_covariance, belongs).astype(np.float32)
        plane = Plane.of(
            self.folder / f"psf-{number}.npy", psf.shape, lambda rows: np.nan_to_num(psf.data[rows] / height)
        )
        return PlacedPSF(x, y, plane, peak, near)

    def _warn_of_unused_psfs(self):
        places = [(psf.x, psf.y) for psf in self.psfs]
        used = {nearest_place(places, tile.core) for tile in self.tiles} if places else ()
        if len(used) < len(self.psfs):
            log.warning(
                "psf: %d of the %d that were given are the nearest one to no tile of %d pixels, and are not used; give "
                "a smaller tile", len(self.psfs) - len(used), len(self.psfs), self.side,
            )  # fmt: skip

    def _store(self, name, given, image):
        """A companion, on disk."""
        companion = as_companion(given() if callable(given) else given, name, image, np.float32)
        self.inputs[name] = origin(companion)
        check_mixed_up(image.data, {name: companion.data}, self._beam_area)
        if name == "pb":
            step = self._coarse_step
            check_pb(companion.data[::step, ::step])
        values = companion.data
        if name == "noise":
            values = noise_of(companion)
            warn_inverted(companion, values, image, self._beam_area)
        return Plane.of(self.folder / f"{name}.npy", self.shape, lambda rows: values[rows])

    def _store_dirty(self, image):
        """The dirty image, Jy/beam, blank where the primary beam or the noise is, but not where the former is low.

        Sources there have sidelobes elsewhere, which CLEAN takes out.
        """
        brightness_of(image[:1, :1])  # its unit

        def rows_of(rows):
            values = brightness_of(CCDData(image.data[rows], unit=image.unit))
            if image.mask is not None:
                values = np.where(image.mask[rows], np.nan, values)
            if "noise" in self.planes:
                noise = self.planes["noise"].read((rows, slice(None)))
                with np.errstate(invalid="ignore"):
                    values = np.where(noise > 0, values, np.nan)
            if "pb" in self.planes:
                pb = self.planes["pb"].read((rows, slice(None)))
                imaged = within_limit(pb, self.pblimit)
                known = np.isfinite(pb) & (imaged | (values != 0))  # zeros below the limit are blank
                values = np.where(known, values * pb if self.flat_sky else values, np.nan)
            return values

        plane = Plane.of(self.folder / "dirty.npy", self.shape, rows_of)
        pixels = plane.opened()
        image.data, image.mask = np.broadcast_to(np.float32(0), self.shape), None  # they are on disk now
        refused = self._blank_faults(plane)
        if not any((np.isfinite(pixels[tile.core]) & self.is_imaged(tile.core)).any() for tile in self.tiles):
            nothing = f"dirty: every pixel is blank (NaN), or below pblimit={self.pblimit}; lower pblimit or check pb"
            raise DirtyImageError(refused[0] if refused else nothing)
        beside = share_beside(self.psfs[0].near, self.shape, self._beam_area) if self.psfs else 0.0
        level, noise = fit_pedestal(pixels, self._beam_area, beside)
        if level is not None:
            log.warning(
                "dirty: lies on a pedestal of up to %.3g Jy/beam, %.2g times the noise, which no interferometer "
                "measures; it is subtracted", level.flat[np.abs(level).argmax()], np.abs(level).max() / noise,
            )  # fmt: skip
            for tile in self.tiles:
                plane.write(tile.core, plane.read(tile.core) - level[tile.core])
        return plane

    def _blank_faults(self, plane):
        """Make NaN what is neither sky nor noise, and say so: for CLEAN it would be a source, with sidelobes elsewhere.

        Returns why tiles of which nothing is left cannot be used.
        """
        found, refused = [], []
        for tile in self.tiles:
            data = plane.read(tile.window).astype(float)
            known = ~np.isnan(data)
            if not known.any():
                continue
            psf = middle_of(nearest_psf(self.psfs, tile.core).near, data.shape).astype(float) if self.psfs else None
            with collected_records(alone=True):  # which count what tiles have in common twice
                try:
                    data, _ = without_faults(blank_infinite(data), self._beam_covariance, psf)
                except DirtyImageError as error:
                    refused.append(str(error))
                    data = np.full(data.shape, np.nan)
            faults = (known & np.isnan(data))[tile.inner]
            if faults.any():
                found.append((tile.core, faults))
        for core, faults in found:  # only now, for tiles overlap
            plane.write(core, np.where(faults, np.nan, plane.read(core)))
        if found:
            core, faults = found[0]
            y, x = np.argwhere(faults)[0] + [s.start for s in core]
            log.warning(
                "dirty: %d pixels are neither sky nor noise, but infinite, all of one value, or sharper than the beam "
                "allows, the first at pixel (x, y) = (%d, %d); they are taken for blank, as if NaN",
                sum(faults.sum() for _, faults in found), x, y,
            )  # fmt: skip
        if refused:
            log.warning(
                "dirty: %d of %d tiles are left blank; one of them: %s", len(refused), len(self.tiles), refused[0]
            )
        return refused

    def _check_as_a_whole(self):
        """What `check_whole` says, whose beam is that of the image from then on."""
        dirty, parts = self.planes["dirty"], filter(None, map(self._part, self.tiles))
        self.beam, ratio = check_whole(parts, self.beam, self.wcs, self.shape, bool(self.psfs), self._coarse_step)
        if ratio != 1:
            self.beam_pixels = beam_pixels(self.beam, self.wcs, self.shape)
            for tile in self.tiles:
                dirty.write(tile.core, ratio * dirty.read(tile.core))

    def _part(self, tile):
        """A tile, or None if it is blank."""
        values = {name: plane.read(tile.window) for name, plane in self.planes.items()}
        data = np.where(self.is_imaged(tile.window), values.pop("dirty"), np.nan).astype(float)
        return Part(data, tile.inner, **values) if np.isfinite(data).any() else None


def _side(wanted, overlap, beam_pixels, longest):
    """Of a tile, pixels."""
    if not wanted:
        return max(SIDE, SMALLEST * overlap) if wanted is None else longest
    if wanted < 3 * overlap:
        raise SettingError(
            f"tile={wanted}: must be at least {3 * overlap} pixels for a beam of {beam_pixels:.3g}: neighbours overlap "
            f"by {OVERLAP_BEAMS:g} beams on each side"
        )
    return wanted


def _side_for_all(places, shape, side, overlap):
    """Side of a tile, at most some, with which each PSF is the nearest one to a tile; that if there is no such side."""
    smaller = side
    while len(places) > 1 and smaller >= SMALLEST * overlap:
        if len({nearest_place(places, tile.core) for tile in tiles(shape, smaller, overlap)}) == len(places):
            return smaller
        smaller = smaller * 3 // 4
    return side
