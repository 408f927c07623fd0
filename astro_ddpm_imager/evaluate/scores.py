"""Purity, completeness and fluxes of catalogues against the truth."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from .matching import match_in_order, match_positions

__all__ = ["match_catalogs", "score_catalog"]


def match_catalogs(
    truth: Table, catalog: Table, radius: u.Quantity, most_reliable_first: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Match a catalogue with the truth, one to one in each field.

    Parameters
    ----------
    truth, catalog : `~astropy.table.QTable`
        With columns ``field``, ``ra`` and ``dec``.
    radius : `~astropy.units.Quantity`
        Largest separation of a pair.
    most_reliable_first : bool, optional
        The most reliable source takes its partner first, instead of the
        nearest pair: a source that nobody would keep must not take the partner
        of one that is certain.

    Returns
    -------
    truth_row : 1D array of int
        Rows of the truth that have a partner.
    catalog_row : 1D array of int
        Their partners in the catalogue.
    """
    match = match_in_order if most_reliable_first else match_positions
    pairs = [[], []]
    fields = [np.asarray(table["field"]) for table in (truth, catalog)]
    for name in np.unique(fields[0]):
        rows = [np.flatnonzero(field == name) for field in fields]
        if most_reliable_first:
            rows[1] = rows[1][np.argsort(-catalog["reliability"][rows[1]], kind="stable")]
        positions = [SkyCoord(t["ra"][r], t["dec"][r]) for t, r in zip((truth, catalog), rows, strict=True)]
        for kept, index, row in zip(pairs, match(*positions, radius), rows, strict=True):
            kept.append(row[index])
    return tuple(np.concatenate(kept).astype(int) if kept else np.zeros(0, int) for kept in pairs)


def score_catalog(
    truth: Table, catalog: Table, radius: u.Quantity = 0.45 * u.arcsec, noise: u.Quantity = 50 * u.uJy
) -> dict:
    """Scores over all fields (Drozdova et al. 2024, section 4).

    Parameters
    ----------
    truth, catalog : `~astropy.table.QTable`
        With columns ``field``, ``ra``, ``dec`` and ``flux``.
    radius : `~astropy.units.Quantity`, optional
        Matching radius.
    noise : `~astropy.units.Quantity`, optional
        Noise amplitude a flux error is compared with.

    Returns
    -------
    dict
        Counts ``true``, ``found``, ``matched``; ``purity``, ``completeness``,
        ``f1``; of the matched sources the fraction of fluxes within the noise
        amplitude, the median flux bias, the root-mean-square flux error (uJy)
        and the median position error (arcsec), or None where none matched.
    """
    i, j = match_catalogs(truth, catalog, radius)
    purity, completeness = len(i) / max(len(catalog), 1), len(i) / max(len(truth), 1)
    scores = {
        "true": len(truth),
        "found": len(catalog),
        "matched": len(i),
        "purity": purity,
        "completeness": completeness,
        "f1": 2 * purity * completeness / max(purity + completeness, 1e-9),
    }
    names = ("flux_within_noise", "flux_bias_uJy", "flux_rms_uJy", "position_error_arcsec")
    if not len(i):
        return scores | dict.fromkeys(names)
    error = (catalog["flux"][j] - truth["flux"][i]).to_value(u.uJy)
    apart = SkyCoord(truth["ra"][i], truth["dec"][i]).separation(SkyCoord(catalog["ra"][j], catalog["dec"][j]))
    values = (
        np.mean(np.abs(error) < noise.to_value(u.uJy)),
        np.median(error),
        np.sqrt(np.mean(error**2)),
        np.median(apart.arcsec),
    )
    return scores | {name: float(value) for name, value in zip(names, values, strict=True)}
