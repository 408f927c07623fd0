"""Results in glue: images and catalogue as linked data."""

import astropy.units as u
import numpy as np

from ...observation.reading import read_image
from ...products.catalog_files import read_catalog
from ...products.writing import IMAGES, product_path

__all__ = ["add_result", "read_products", "setup"]

CALLED = {"image": "reconstruction"}  # else as the attribute


def add_result(data_collection, result, label="field"):
    """Add a result to glue, with positions linked.

    Parameters
    ----------
    data_collection : `~glue.core.DataCollection`
        Of the application: ``app.data_collection``; in jdaviz as well.
    result : `~astro_ddpm_imager.ImagingResult`
    label : str, optional
        Of the data.

    Returns
    -------
    images : `~glue.core.Data`
    catalog : `~glue.core.Data`
    """
    images = {CALLED.get(name, name): getattr(result, name) for name, _ in IMAGES.values()}
    made = _data(images, result.catalog, label)
    data_collection.extend(made)
    for link in _links(*made):
        data_collection.add_link(link)
    return made


def read_products(path):
    """Read the products of a result, all of them from the path of its ``.model.fits``.

    Parameters
    ----------
    path : str

    Returns
    -------
    list of `~glue.core.Data`
    """
    prefix = str(path).removesuffix(".model.fits")
    images = {CALLED.get(name, name): read_image(product_path(prefix, suffix)) for suffix, (name, _) in IMAGES.items()}
    label = prefix.rpartition("/")[2]
    return list(_data(images, read_catalog(product_path(prefix, ".catalog.ecsv")), label))


def setup():
    """Let glue open ``NAME.model.fits`` with all that belongs to it; glue calls this."""
    from glue.config import data_factory

    data_factory("astro_ddpm_imager products", identifier=_is_product, priority=200)(read_products)


def _is_product(path, **_):
    others = (*IMAGES, ".catalog.ecsv")
    path = str(path)
    prefix = path.removesuffix(".model.fits")
    return path != prefix and all(product_path(prefix, suffix).exists() for suffix in others)


def _data(images, table, label):
    # Here, for glue is there only where it calls this.
    from glue.core import Data

    first = next(iter(images.values()))
    image = Data(label=label, coords=first.wcs, **{name: np.asarray(one.data) for name, one in images.items()})
    for name, one in images.items():
        image.get_component(name).units = one.unit.to_string()
    catalog = Data(label=f"{label} sources")
    for name in table.colnames:
        column = table[name]
        values = column.value if isinstance(column, u.Quantity) else np.asarray(column)
        catalog.add_component(values, name)
        if column.unit is not None:
            catalog.get_component(name).units = column.unit.to_string()
    return image, catalog


def _links(image, catalog):
    from glue.core.link_helpers import LinkSame

    axes = zip(("y", "x"), image.pixel_component_ids, strict=True)
    return [LinkSame(catalog.id[name], axis) for name, axis in axes]
