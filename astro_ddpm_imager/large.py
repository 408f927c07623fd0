"""Images that are too large to work on at once: cut into tiles, imaged one by one, and joined without seams."""

import json
import logging
import shutil
import tempfile
import weakref
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs.utils import proj_plane_pixel_area

from . import __version__
from .errors import DirtyImageError, SettingError
from .observation.beam import beam_covariance, beam_pixels, beam_text, check_sampling
from .observation.far_sidelobes import (
    PixelComponents,
    PlacedPSF,
    clean_for_others,
    nearest_place,
    nearest_psf,
    unknown_sidelobes,
)
from .observation.grid import tiles
from .observation.inputs import as_companion, origin
from .observation.mosaic import is_flat_sky, mosaic_psf
from .observation.noise_map import measure_noise, noise_of
from .observation.offset import fit_pedestal
from .observation.planes import Plane
from .observation.preparation import beam_of, brightness_of, of_one_run, warn_polarised
from .observation.primary_beam import check_pb
from .observation.psf import checked_psf, middle_of
from .observation.reading import file_digest
from .pieces import run_pieces
from .products.folders import check_made_of, locked
from .progress import tile_progress
from .sources.joining import join_catalogs
from .tile import TilePiece, image_tile
from .tiled_result import TILED, TiledResult

__all__ = ["check_tile", "image_in_tiles", "in_tiles"]

log = logging.getLogger(__name__)

LARGEST = 2048 * 2048  # pixels of an image that is worked on at once, with 1 to 2 GB
SIDE = 1024  # pixels of a tile
SMALLEST = 4  # overlaps: side of a tile, unless another one is asked for
OVERLAP_BEAMS = 10.0  # at the edge of a tile: the reach of what is beside it
SAME_BEAMS = 0.7  # sources of two tiles that are nearer are one
COARSE = 2048  # pixels on a side of what is looked at of a primary beam
PSF_REACH = 2  # sides of a tile


def in_tiles(shape, tile):
    """Whether an image is so large that it is worked on in tiles.

    Parameters
    ----------
    shape : tuple of int, (ny, nx)
    tile : int or None
        As of `~astro_ddpm_imager.DiffusionImager`.

    Returns
    -------
    bool
    """
    if tile == 0:
        return False
    return shape[0] * shape[1] > LARGEST if tile is None else max(shape) > tile


def check_tile(side):
    """Fail if the setting ``tile`` is neither None nor 0 nor a number of pixels.

    Parameters
    ----------
    side : object

    Returns
    -------
    int or None
        The same as a number of Python's, which can be written as JSON.

    Raises
    ------
    SettingError
    """
    whole = isinstance(side, int | np.integer) and not isinstance(side, bool)
    if not (side is None or (whole and (side == 0 or side >= 64))):
        raise SettingError(f"tile={side!r}: must be a number of pixels of at least 64, or 0 for none")
    return side if side is None else int(side)


def image_in_tiles(imager, image, companions, beam=None, folder=None):
    """Image a large dirty image tile by tile.

    Parameters
    ----------
    imager : `~astro_ddpm_imager.DiffusionImager`
    image : `~astropy.nddata.CCDData`
        One plane; its pixels are let go once they are on disk.
    companions : dict
        ``"psf"``, ``"pb"``, ``"mask"`` and ``"noise"`` as of `~astro_ddpm_imager.DiffusionImager`, or None, or
        functions that read them.
    beam : `~radio_beam.Beam`, optional
    folder : `~pathlib.Path`, optional
        For work in progress: what is there already of it is not done again. By default a temporary one, which goes
        with the result.

    Returns
    -------
    `~astro_ddpm_imager.tiled_result.TiledResult`

    Raises
    ------
    DirtyImageError
        No tile can be imaged; or as of `~astro_ddpm_imager.DiffusionImager`.
    SettingError
        Tiles are smaller than three times what they overlap by, or what is in the folder was made otherwise.
    """
    temporary = folder is None
    folder = Path(tempfile.mkdtemp(prefix="tiles-")) if temporary else folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder):
            result = _Work(imager, image, companions, beam, folder).run()
    except BaseException:
        if temporary:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if temporary:
        weakref.finalize(result, shutil.rmtree, folder, ignore_errors=True)
    return result


class _Work:
    """The work on one image, in a folder."""

    def __init__(self, imager, image, companions, beam, folder):
        self.imager, self.folder, self.shape = imager, folder, image.shape
        self.wcs, self.meta = image.wcs, image.meta
        given = {name: each for name, each in companions.items() if each is not None}
        self.inputs = {"dirty": origin(image)}
        psfs = self._read_psfs(given.pop("psf"), image) if "psf" in given else []
        self.beam_given = beam is not None
        self.beam = beam_of(image, psfs[0][2] if psfs else None, beam)
        check_sampling(self.beam, image)
        warn_polarised(self.meta)
        self.beam_pixels = beam_pixels(self.beam, self.wcs)
        self.overlap = int(np.ceil(OVERLAP_BEAMS * self.beam_pixels))
        self.side = _side(imager.tile, self.overlap, self.beam_pixels, max(self.shape))
        places = [self._place_of(*each) for each in psfs]
        if imager.tile is None:
            self.side = _side_for_all(places, self.shape, self.side, self.overlap)
        self.tiles = tiles(self.shape, self.side, self.overlap)
        self.planes = {name: self._store(name, each, image) for name, each in given.items()}
        self.psfs = [
            self._placed(number, image, *place, psf)
            for number, (place, (*_, psf)) in enumerate(zip(places, psfs, strict=True))
        ]
        self.planes["dirty"] = self._store_dirty(image)
        self._warn_of_unused_psfs()

    def run(self):
        """Image all tiles that are not done yet, and join them."""
        state = self._state()
        left, components, doubts = self._without_bright()
        todo = [number for number in range(len(self.tiles)) if not self._tile_path(number).exists()]
        done = len(self.tiles) - len(todo)
        if done:
            log.info("%d of %d tiles are done already", done, len(self.tiles))
        shown = np.broadcast_to(self._is_imaged((components.y, components.x)), components.flux.shape)
        pieces = (self._piece(number, left, components, shown, doubts, state["seed"]) for number in todo)
        imager, said = self.imager.but(progress=False), {}
        with tile_progress(self.imager.progress, len(self.tiles), imager.n_samples * imager.steps) as update:
            update(done)
            for piece, value in run_pieces(image_tile, imager, pieces):
                self._keep(piece, value, said)
                update(1)
        for tiles_of_it in sorted(said.values(), key=min):  # in the same order, whichever was done first
            _, place, text = min(tiles_of_it)
            more = f" (and in {len(tiles_of_it) - 1} more tiles)" if len(tiles_of_it) > 1 else ""
            log.warning("tile at pixel (x, y) = (%d, %d)%s: %s", *place, more, text)
        return self._joined(state["seed"])

    # What is given, on disk

    def _read_psfs(self, given, image):
        """A list of position (SkyCoord or None), name and PSF."""
        several = isinstance(given, list | tuple)
        if several and not given:
            raise DirtyImageError("psf=[]: must hold one PSF at least; leave psf out if there is none")
        found = []
        for each in given if several else [given]:
            position, psf = each if isinstance(each, tuple) else (None, each)
            psf = as_companion(psf() if callable(psf) else psf, "psf", image, np.float32)
            found.append((position, several, psf))
        self.inputs["psf"] = origin(found[0][2])
        if len(found) > 1:
            self.inputs["psf"] = f"{len(found)} PSFs", ""
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
        near = middle_of(psf.data, [PSF_REACH * min(self.side, n) for n in self.shape])
        middle = tuple(n // 2 for n in near.shape)
        highest = np.unravel_index(np.nanargmax(np.nan_to_num(near)), near.shape)
        peak = tuple(p + int(h) - m for p, h, m in zip(peak, highest, middle, strict=True))
        height = near[highest]
        belongs = not self.beam_given and of_one_run(psf, image)
        near = checked_psf(near.astype(float), beam_covariance(self.beam, self.wcs), belongs).astype(np.float32)
        plane = Plane.of(
            self.folder / f"psf-{number}.npy", psf.shape, lambda rows: np.nan_to_num(psf.data[rows] / height)
        )
        return PlacedPSF(x, y, plane, peak, near)

    def _warn_of_unused_psfs(self):
        used = {id(nearest_psf(self.psfs, tile.core)) for tile in self.tiles} if self.psfs else ()
        if len(used) < len(self.psfs):
            log.warning(
                "psf: %d of the %d that were given are the nearest one to no tile of %d pixels, and are not used; give "
                "a smaller tile", len(self.psfs) - len(used), len(self.psfs), self.side,
            )  # fmt: skip

    def _store(self, name, given, image):
        """A companion, on disk."""
        companion = as_companion(given() if callable(given) else given, name, image, np.float32)
        self.inputs[name] = origin(companion)
        if name == "pb":
            step = -(-max(self.shape) // COARSE)
            check_pb(companion.data[::step, ::step])
        values = noise_of(companion) if name == "noise" else companion.data
        return Plane.of(self.folder / f"{name}.npy", self.shape, lambda rows: values[rows])

    def _store_dirty(self, image):
        """The dirty image, Jy/beam, blank where the primary beam or the noise is, but not where the former is low.

        Sources there have sidelobes elsewhere, which CLEAN takes out.
        """
        brightness_of(image[:1, :1])  # its unit
        flat_sky = "pb" in self.planes and is_flat_sky(image.meta)

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
                known = np.isfinite(pb) & (self._within_limit(pb) | (values != 0))  # zeros below the limit are blank
                values = np.where(known, values * pb if flat_sky else values, np.nan)
            return values

        plane = Plane.of(self.folder / "dirty.npy", self.shape, rows_of)
        pixels = plane.opened()
        image.data, image.mask = np.broadcast_to(np.float32(0), self.shape), None  # they are on disk now
        if not any((np.isfinite(pixels[tile.core]) & self._is_imaged(tile.core)).any() for tile in self.tiles):
            raise DirtyImageError(
                f"dirty: every pixel is blank (NaN), or below pblimit={self.imager.pblimit}; lower pblimit or check pb"
            )
        level, noise = fit_pedestal(pixels, self._beam_area)
        if level is not None:
            log.warning(
                "dirty: lies on a pedestal of up to %.3g Jy/beam, %.2g times the noise, which no interferometer "
                "measures; it is subtracted", level.flat[np.abs(level).argmax()], np.abs(level).max() / noise,
            )  # fmt: skip
            for tile in self.tiles:
                plane.write(tile.core, plane.read(tile.core) - level[tile.core])
        return plane

    def _within_limit(self, pb):
        """Where a primary beam is not below ``pblimit``."""
        with np.errstate(invalid="ignore"):
            return (pb >= self.imager.pblimit) & (pb > 0)

    def _is_imaged(self, where):
        """Whether pixels are not below ``pblimit``; ``where`` is an index of the image."""
        return self._within_limit(self.planes["pb"].read(where)) if "pb" in self.planes else np.True_

    @property
    def _beam_area(self):
        return 2 * np.pi * np.sqrt(np.linalg.det(beam_covariance(self.beam, self.wcs)))

    def _noise_of(self, plane):
        return measure_noise(plane.read, self.shape, self._beam_area)

    # What has been done of it

    def _state(self):
        """What the folder holds of this work: all of it goes if it was of another one."""
        made_of = {name: value for name, value in self.imager.settings.items() if name != "provider"}
        made_of |= {
            "calibrate": bool(self.imager.calibrate), "tile": self.side, "software": __version__,
            "beam": beam_text(self.beam),
        }  # fmt: skip
        planes = self.planes | {f"psf {number}": psf.plane for number, psf in enumerate(self.psfs)}
        made_of |= {name: file_digest(plane.path) for name, plane in planes.items()}
        path = self.folder / "state.json"
        try:
            state = json.loads(path.read_text())
        except (OSError, ValueError):
            state = None
        if state is None:
            state = {"made_of": made_of, "seed": int(self.imager.drawn_seed())}
            for name in TILED:
                Plane.blank(self.folder / f"{name}.npy", self.shape)
            path.write_text(json.dumps(state))
        check_made_of(self.folder, state.get("made_of", {}), made_of, "leave out --resume")
        return state

    def _without_bright(self):
        """The image without the bright sources, what these are, and how far their sidelobes are to be doubted."""
        path, kept = self.folder / "left.npy", self.folder / "components.npz"
        if kept.exists() and path.exists():
            with np.load(kept) as found:
                return Plane(path), PixelComponents(found["y"], found["x"], found["flux"]), found["doubts"]
        if not self.psfs or len(self.tiles) == 1:
            return self.planes["dirty"], PixelComponents.joined([]), np.zeros(len(self.psfs))
        dirty = self._divided()
        left = Plane.of(self.folder / "left.part.npy", self.shape, lambda rows: dirty.read((rows, slice(None))))
        components, doubts = clean_for_others(
            dirty,
            left,
            self.tiles,
            self.psfs,
            lambda: self._noise_of(left),
            self.overlap,
            self.imager.denoiser.workers,
        )
        if self._quietest is not None:  # back to the image as it was given
            for tile in self.tiles:
                left.write(tile.core, left.read(tile.core) * self._relative_noise(tile.core))
            dirty.path.unlink()
        np.savez(kept, y=components.y, x=components.x, flux=components.flux, doubts=doubts)
        left.path.replace(path)
        return Plane(path), components, doubts

    @cached_property
    def _quietest(self):
        """Lowest noise of a map of it, in its unit, or None without one."""
        if "noise" not in self.planes:
            return None
        noise = self.planes["noise"]
        return min(float(np.nanmin(noise.read(tile.core), initial=np.inf)) for tile in self.tiles)

    def _relative_noise(self, window):
        """Noise of the map that was given, in units of its lowest; 1 where there is none."""
        noise = self.planes["noise"].read(window) / self._quietest
        return np.where(np.isfinite(noise), noise, 1)

    def _divided(self):
        """The dirty image, divided by its noise where that varies, so that sidelobes are those of the PSF."""
        dirty = self.planes["dirty"]
        if self._quietest is None:
            return dirty
        return Plane.of(
            self.folder / "dirty-flat.npy",
            self.shape,
            lambda rows: dirty.read((rows, slice(None))) / self._relative_noise((rows, slice(None))),
        )

    def _tile_path(self, number):
        return self.folder / f"tile-{number:05d}.ecsv"

    def _piece(self, number, left, components, shown, doubts, seed):
        tile = self.tiles[number]
        own = shown & components.are_within(tile.window)
        return TilePiece(
            number, tile, self.planes | {"dirty": left}, components.select(own).within(tile.window),
            nearest_psf(self.psfs, tile.core).near if self.psfs else None,
            unknown_sidelobes(components.select(~own), self.psfs, doubts, tile.window) if self.psfs else None,
            self._quietest, self.wcs, self.beam, self.meta, self.inputs,
            int(np.random.SeedSequence([seed, number]).generate_state(1)[0]),
        )  # fmt: skip

    def _keep(self, piece, value, said):
        """Write what a tile has brought; its catalogue last, which says that it is done."""
        place = tuple(s.start for s in reversed(piece.tile.core))
        for order, (format_, text) in enumerate(value["warnings"]):
            said.setdefault(format_, []).append(((piece.number, order), place, text))
        if "skipped" in value:
            blank = "every pixel is blank" in value["skipped"] or "hardly a pixel" in value["skipped"]
            (log.info if blank else log.warning)(
                "tile at pixel (x, y) = (%d, %d) is left blank: %s", *place, value["skipped"]
            )
            catalog = QTable(meta={"tile": {"skipped": value["skipped"]}})
        else:
            for name in TILED:
                Plane(self.folder / f"{name}.npy").write(piece.tile.core, value[name])
            catalog = value["catalog"]
            catalog.meta["tile"] = {name: value[name] for name in ("rms", "chi2", "misfit")}
        path = self._tile_path(piece.number)
        new = path.with_suffix(".part")
        catalog.write(new, format="ascii.ecsv", overwrite=True)
        new.replace(path)

    # What comes of it

    def _joined(self, seed):
        catalogs, states = [], []
        for number in range(len(self.tiles)):
            catalog = QTable.read(self._tile_path(number), format="ascii.ecsv")
            states.append(catalog.meta.pop("tile"))
            catalogs.append(catalog)
        done = [state for state in states if "skipped" not in state]
        if not done:
            raise DirtyImageError(f"none of {len(states)} tiles can be imaged; the first: {states[0]['skipped']}")
        rms, chi2 = (float(np.median([state[name] for state in done])) for name in ("rms", "chi2"))
        misfits = sorted({name for state in done for name in state["misfit"]})
        meta = self.imager.provenance(seed, self.inputs)
        meta |= {"chi2": round(chi2, 3), "misfit": ", ".join(misfits), "tiles": len(self.tiles), "tile": self.side}
        frame = next((catalog.meta["frame"] for catalog in catalogs if "frame" in catalog.meta), "icrs")
        catalog = join_catalogs(catalogs, self.tiles, SAME_BEAMS * self.beam_pixels, self._scale)
        catalog.meta = {**meta, "rms": rms, "frame": frame}
        return TiledResult(
            self.folder, self.shape, self.wcs, self.beam, self.meta, self.inputs, bool(self.psfs), catalog, rms, chi2,
            misfits, meta,
        )  # fmt: skip

    @property
    def _scale(self):
        """Arcsec of a pixel."""
        return 3600 * proj_plane_pixel_area(self.wcs) ** 0.5


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
