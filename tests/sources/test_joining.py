"""On a seam each source is of one tile."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from astro_ddpm_imager.observation.grid import tiles
from astro_ddpm_imager.sources.joining import join_catalogs


def a_catalog(*rows):
    x, y, snr, major = np.transpose(rows) if rows else np.zeros((4, 0))
    names = {"x": x, "y": y, "snr": snr, "major": major * u.arcsec, "source_id": np.arange(len(x))}
    return QTable(names)


@pytest.mark.parametrize(
    ("left", "right", "found"),
    [
        ([49.4, 20, 9, 0], [49.6, 20, 8, 0], [49.4]),  # both think it is theirs
        ([49.6, 20, 9, 0], [49.4, 20, 8, 0], [49.6]),  # each thinks it is the other's
        ([49.6, 20, 9, 0], None, []),  # whose it is does not have it
        ([49.4, 20, 9, 0], None, [49.4]),
        ([45.0, 20, 9, 0], [54.0, 20, 8, 0], [45, 54]),  # two sources
        ([45.0, 20, 9, 30], [54.0, 20, 8, 30], [45]),  # one, and a large one
    ],
)
def test_on_a_seam_each_source_is_of_one_tile(left, right, found):
    cut = tiles((40, 100), 70, 20)
    assert [tile.core[1] for tile in cut] == [slice(0, 50), slice(50, 100)]
    catalogs = [a_catalog(left), a_catalog(right) if right else a_catalog()]
    joined = join_catalogs(catalogs, cut, 3.0, 1.0)
    np.testing.assert_allclose(joined["x"], found)
