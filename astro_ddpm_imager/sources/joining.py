"""Catalogues of tiles, joined."""

import numpy as np
from astropy.table import vstack

from .catalog import describe

__all__ = ["join_catalogs"]


def join_catalogs(catalogs, cut, radius, scale):
    """One catalogue of those of tiles: each source is of the tile that owns the place where it is.

    On a seam two tiles may disagree by their errors about who owns a source: those that are one are found first, and
    of each pair that is kept which lies deepest in what its tile owns.

    Parameters
    ----------
    catalogs : list of `~astropy.table.QTable`
        On the pixels of the whole image; of tiles that could not be imaged they have no columns.
    cut : list of `~astro_ddpm_imager.observation.grid.Tile`
    radius : float
        Pixels within which two sources of different tiles are one; of larger ones it is half of their FWHM.
    scale : float
        Arcsec of a pixel.

    Returns
    -------
    `~astropy.table.QTable`
    """
    near, owners, depths = [], [], []
    for number, (catalog, tile) in enumerate(zip(catalogs, cut, strict=True)):
        if not len(catalog.colnames):
            continue
        depth = np.min(
            [
                np.minimum(catalog[name] - core.start + 0.5, core.stop - 0.5 - catalog[name])
                for name, core in zip(("y", "x"), tile.core, strict=True)
            ],
            axis=0,
        )
        reach = np.maximum(radius, 0.5 * np.nan_to_num(catalog["major"].to_value("arcsec")) / scale)
        chosen = depth > -reach
        near.append(catalog[chosen])
        owners.append(np.full(chosen.sum(), number))
        depths.append(depth[chosen])
    table = vstack(near, metadata_conflicts="silent")
    owner, depth = np.concatenate(owners), np.concatenate(depths)
    reach = np.maximum(radius, 0.5 * np.nan_to_num(table["major"].to_value("arcsec")) / scale)
    x, y = np.asarray(table["x"]), np.asarray(table["y"])
    kept = np.zeros(len(table), bool)
    dropped = np.zeros(len(table), bool)
    at_seam = np.flatnonzero(depth < reach)
    for i in np.argsort(-depth, kind="stable"):
        if dropped[i]:
            continue
        others = at_seam[(owner[at_seam] != owner[i]) & ~kept[at_seam]]
        same = others[np.hypot(x[others] - x[i], y[others] - y[i]) < np.maximum(reach[others], reach[i])]
        # Outside of what its tile owns, it counts only if the owner has it, too, but thinks it is on this side.
        kept[i] = depth[i] >= 0 or len(same) > 0
        if kept[i]:
            dropped[same] = True
    table = table[kept]
    table = table[np.argsort(-np.asarray(table["snr"]), kind="stable")]
    table["source_id"] = np.arange(1, len(table) + 1)
    describe(table)
    return table
