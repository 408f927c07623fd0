"""What was found in all channels: one catalogue, the uncertainties, and how both were made."""

import numpy as np
from astropy.table import vstack

from ...observation.noise_map import unflatten
from ...products.catalog_files import write_catalog
from ...products.region_files import catalog_to_regions, ds9_text
from ...products.writing import product_path
from ...sources.catalog import restoring_beams
from .products import copy_image, note, put_planes

__all__ = ["write_found"]

IMAGES = (".image", ".image.pbcor", ".model", ".residual", ".uncertainty")


def write_found(made, results, channels, imagename):
    """Write ``.uncertainty``, ``.catalog.ecsv`` and ``.reg``, and into the images how they were made.

    Parameters
    ----------
    made : path-like
        Folder and start of the names; ``.model`` is there.
    results : dict of `~astro_ddpm_imager.ImagingResult`
        By channel.
    channels : int
        How many there are.
    imagename : str
        What the images will be called.

    Returns
    -------
    `~astropy.table.QTable`
        The catalogue, with a column ``channel`` if there are several.
    """
    uncertainty = np.zeros((channels, *next(iter(results.values())).dirty.shape))
    catalogs, beams = [], []
    for channel, result in sorted(results.items()):
        values = result.uncertainty.data * unflatten(result.dirty).pb
        uncertainty[channel] = np.where(result.dirty.blank, 0, values)
        catalog = result.catalog.copy()
        if channels > 1:
            catalog["channel"] = np.full(len(catalog), channel)
            catalog["channel"].info.description = "0-based channel of the cube"
        beams += restoring_beams(result.dirty.wcs, result.dirty.beam_covariance, catalog["x"], catalog["y"])
        catalogs.append(catalog)
    copy_image(product_path(made, ".uncertainty"), product_path(made, ".model"), "Jy/pixel")
    put_planes(product_path(made, ".uncertainty"), uncertainty)
    catalog = vstack(catalogs, metadata_conflicts="silent")
    catalog.meta = _common([catalog.meta for catalog in catalogs])
    catalog["source_id"][:] = np.arange(1, len(catalog) + 1)
    write_catalog(catalog, product_path(made, ".catalog.ecsv"))
    regions = catalog_to_regions(catalog, beams, catalog.meta["frame"])
    product_path(made, ".reg").write_text(ds9_text(regions))
    lines = [f"the sky is a reconstruction, not CLEAN components: {imagename}"]
    lines += [f"{name} = {value}" for name, value in _common([result.meta for result in results.values()]).items()]
    for suffix in IMAGES:
        if product_path(made, suffix).exists():
            note(product_path(made, suffix), lines)
    return catalog


def _common(metas):
    """What the metadata of all channels agree on; the noise and the seed are each channel's own."""
    first, *others = metas
    return {name: value for name, value in first.items() if all(meta.get(name) == value for meta in others)}
