"""Images that are too large to work on at once: cut into tiles, imaged one by one, and joined without seams."""

import json
import logging

import numpy as np
from astropy.table import QTable
from astropy.wcs.utils import proj_plane_pixel_area

from .errors import DirtyImageError
from .observation.beam import beam_text
from .observation.far_sidelobes import PixelComponents, clean_for_others, nearest_psf, unknown_far_sidelobes
from .observation.planes import Plane, PlaneFolder
from .observation.reading import file_digest
from .observation.stored import StoredObservation
from .pieces import run_pieces
from .products.folders import check_made_of
from .products.provenance import what_counts
from .progress import tile_progress
from .sources.joining import join_catalogs
from .tile import TilePiece, image_tile
from .tiled_result import KEPT, TILED, TiledResult
from .whole_files import saying_where, written_whole

__all__ = ["image_in_tiles", "in_tiles"]

log = logging.getLogger(__name__)

LARGEST = 2048 * 2048  # pixels of an image that is worked on at once, with 1 to 2 GB
SAME_BEAMS = 0.7  # sources of two tiles that are nearer are one


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


def image_in_tiles(imager, image, companions, beam=None, folder=None, resume=True):
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
        For work in progress, which no other process may have until the result is gone. By default a temporary one,
        which goes with the result.
    resume : bool, optional
        What is there already in the folder is not done again; else it is removed.

    Returns
    -------
    `~astro_ddpm_imager.tiled_result.TiledResult`

    Raises
    ------
    DirtyImageError
        No tile can be imaged; or as of `~astro_ddpm_imager.DiffusionImager`.
    FileExistsError
        Another process works in the folder.
    SettingError
        Tiles are smaller than three times what they overlap by, or what is in the folder was made otherwise.
    """
    planes = PlaneFolder(KEPT, folder)
    try:
        if not resume:
            planes.empty()
        with saying_where(planes.path):
            return _Work(imager, image, companions, beam, planes).run()
    except BaseException:
        planes.let_go()
        raise


class _Work:
    """The work on one image, in a folder."""

    def __init__(self, imager, image, companions, beam, planes):
        self.imager, self.planes, self.folder = imager, planes, planes.path
        self.given = StoredObservation(image, companions, beam, self.folder, imager.pblimit, imager.tile)

    def run(self):
        """Image all tiles that are not done yet, and join them."""
        state, tiles = self._state(), self.given.tiles
        left, components, doubts = self._without_bright()
        todo = [number for number in range(len(tiles)) if not self._tile_path(number).exists()]
        done = len(tiles) - len(todo)
        if done:
            log.info("%d of %d tiles are done already", done, len(tiles))
        shown = np.broadcast_to(self.given.is_imaged((components.y, components.x)), components.flux.shape)
        pieces = (self._piece(number, left, components, shown, doubts, state["seed"]) for number in todo)
        imager, said = self.imager.but(progress=False), {}
        with tile_progress(self.imager.progress, len(tiles), imager.n_samples * imager.steps) as update:
            update(done)
            for piece, value in run_pieces(image_tile, imager, pieces):
                self._keep(piece, value, said)
                update(1)
        for tiles_of_it in sorted(said.values(), key=min):  # in the same order, whichever was done first
            _, place, text = min(tiles_of_it)
            more = f" (and in {len(tiles_of_it) - 1} more tiles)" if len(tiles_of_it) > 1 else ""
            log.warning("tile at pixel (x, y) = (%d, %d)%s: %s", *place, more, text)
        return self._joined(state["seed"])

    def _state(self):
        """What the folder holds of this work: all of it goes if it was of another one."""
        made_of = what_counts(self.imager, self.given.inputs)
        made_of |= {"tile": self.given.side, "beam": beam_text(self.given.beam)}
        planes = self.given.planes | {f"psf {number}": psf.plane for number, psf in enumerate(self.given.psfs)}
        made_of |= {name: file_digest(plane.path) for name, plane in planes.items()}
        path = self.folder / "state.json"
        try:
            state = json.loads(path.read_text())
        except (OSError, ValueError):
            state = None
        if state is None:
            state = {"made_of": made_of, "seed": int(self.imager.drawn_seed())}
            for name in TILED:
                Plane.blank(self.planes[name].path, self.given.shape)
            path.write_text(json.dumps(state))
        check_made_of(self.folder, state.get("made_of", {}), made_of, "leave out --resume")
        return state

    def _without_bright(self):
        """The image without the bright sources, what these are, and how far their sidelobes are to be doubted."""
        path, kept = self.folder / "left.npy", self.folder / "components.npz"
        if kept.exists() and path.exists():
            with np.load(kept) as found:
                return Plane(path), PixelComponents(found["y"], found["x"], found["flux"]), found["doubts"]
        given = self.given
        if not given.psfs or len(given.tiles) == 1:
            return given.planes["dirty"], PixelComponents.empty(), np.zeros(len(given.psfs))
        dirty = given.divided()
        left = Plane.of(self.folder / "left.part.npy", given.shape, lambda rows: dirty.read((rows, slice(None))))
        components, doubts = clean_for_others(
            dirty,
            left,
            given.tiles,
            given.psfs,
            lambda: given.measured_noise(left),
            given.overlap,
            self.imager.denoiser.workers,
        )
        if given.quietest is not None:  # back to the image as it was given
            for tile in given.tiles:
                left.write(tile.core, left.read(tile.core) * given.relative_noise(tile.core))
            dirty.path.unlink()
        np.savez(kept, y=components.y, x=components.x, flux=components.flux, doubts=doubts)
        left.path.replace(path)
        return Plane(path), components, doubts

    def _tile_path(self, number):
        return self.folder / f"tile-{number:05d}.ecsv"

    def _piece(self, number, left, components, shown, doubts, seed):
        given, tile = self.given, self.given.tiles[number]
        own = shown & components.are_within(tile.window)
        return TilePiece(
            number, tile, given.planes | {"dirty": left}, components.select(own).within(tile.window),
            nearest_psf(given.psfs, tile.core).near if given.psfs else None,
            unknown_far_sidelobes(components.select(~own), given.psfs, doubts, tile.window) if given.psfs else None,
            given.quietest, given.wcs, given.beam, given.meta, given.inputs,
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
                self.planes[name].write(piece.tile.core, value[name])
            catalog = value["catalog"]
            catalog.meta["tile"] = {name: value[name] for name in ("rms", "chi2", "misfit")}
        path = self._tile_path(piece.number)
        with written_whole(path) as part:
            catalog.write(part, format="ascii.ecsv", overwrite=True)

    def _joined(self, seed):
        given, catalogs, states = self.given, [], []
        for number in range(len(given.tiles)):
            catalog = QTable.read(self._tile_path(number), format="ascii.ecsv")
            states.append(catalog.meta.pop("tile"))
            catalogs.append(catalog)
        done = [state for state in states if "skipped" not in state]
        if not done:
            raise DirtyImageError(f"none of {len(states)} tiles can be imaged; the first: {states[0]['skipped']}")
        rms, chi2 = (float(np.median([state[name] for state in done])) for name in ("rms", "chi2"))
        misfits = {}
        for state in reversed(done):  # the first one counts
            misfits |= state["misfit"]
        misfits = dict(sorted(misfits.items()))
        meta = self.imager.provenance(seed, given.inputs)
        meta |= {"chi2": round(chi2, 3), "misfit": ", ".join(misfits), "tiles": len(given.tiles), "tile": given.side}
        frame = next((catalog.meta["frame"] for catalog in catalogs if "frame" in catalog.meta), "icrs")
        scale = 3600 * proj_plane_pixel_area(given.wcs) ** 0.5  # arcsec
        catalog = join_catalogs(catalogs, given.tiles, SAME_BEAMS * given.beam_pixels, scale)
        catalog.meta = {**meta, "rms": rms, "frame": frame}
        return TiledResult(
            self.planes, given.shape, given.wcs, given.beam, given.meta, given.inputs, bool(given.psfs), catalog, rms,
            chi2, misfits, meta,
        )  # fmt: skip
