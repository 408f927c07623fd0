"""The numbers of a report, as tables: one function each, every score with its interval."""

import itertools

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table

from ..diffusion.reconstruction import AGGREGATES
from .bootstrap import FieldBootstrap, fraction_with_interval
from .calibration import reliability_threshold
from .matching import checked_radius
from .run import MATCHED_FILTER, OURS, RISING_FILTER
from .scores import flux_estimates, intervals, match_catalogs, scores_with_intervals, with_ends

__all__ = ["AUTHORS_RADIUS", "BLEND_BEAMS", "FAINT_SNR", "Summary", "as_table"]

AUTHORS_RADIUS = 0.18 * u.arcsec  # Drozdova et al. 2024
SNR_EDGES = (0, 2, 3, 4, 5, 6, 10, 30, 10**8)  # no image has more
BLEND_BEAMS = 1.5
FAINT_SNR = 4
EDGE_PB = 0.5
SLOPES = np.arange(0, 10.25, 0.25)  # of a threshold that rises with 1 - pb
USUAL_SIGNIFICANCE = 4.0  # where there are no true sources to choose the best for
FILTERS = (MATCHED_FILTER, RISING_FILTER)


def as_table(rows, **meta):
    """Rows as a table in which what is not defined is masked.

    Parameters
    ----------
    rows : list of dict
        None for what is not defined.
    **meta
        For the ``meta`` of the table.

    Returns
    -------
    `~astropy.table.Table`
    """
    table = Table(meta=meta)
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        absent = [value is None for value in values]
        filler = next((value for value in values if value is not None), np.nan)
        filled = [type(filler)() if gone else value for gone, value in zip(absent, values, strict=True)]
        table[name] = MaskedColumn(filled, mask=absent) if any(absent) else filled
    return table


class Summary:
    """Tables of an evaluation.

    Parameters
    ----------
    evaluation : `~astro_ddpm_imager.evaluate.Evaluation`
    radius : `~astropy.units.Quantity`, optional
        Matching radius; by default half of the mean beam.

    Raises
    ------
    EvaluationError
        The radius is no positive angle.
    """

    def __init__(self, evaluation, radius=None):
        self.evaluation, self.truth, self.settings = evaluation, evaluation.truth, evaluation.settings
        self.fields = list(evaluation.measured)
        self.beam = np.mean([measured["beam"] for measured in evaluation.measured.values()]) * u.arcsec
        self.radius = self.beam / 2 if radius is None else checked_radius(radius)
        self.bootstrap = FieldBootstrap(self.fields)
        self.threshold = self.settings["default_reliability"]
        self.significance = self._best_significance()
        self.rising_significance, self.slope = self._best_rising()
        #: Every candidate of this package, and whether it is true.
        self.candidates = evaluation.catalogs[OURS].copy()
        self.candidates["true"] = self._true(self.candidates, self.candidates["reliability"])

    @property
    def methods(self):
        """Names of what is compared: this package, the matched filter, and other programs that ran."""
        return [name for name in self.evaluation.catalogs if isinstance(name, str) and name not in AGGREGATES]

    def catalog(self, method):
        """What a method would publish: its candidates above its threshold."""
        table = self.evaluation.catalogs[method]
        if method == MATCHED_FILTER:
            return table[table["significance"] >= self.significance]
        if method == RISING_FILTER:
            return table[_risen(table, self.slope) >= self.rising_significance]
        if method == "single" or "reliability" not in table.colnames:
            return table
        return table[table["reliability"] >= self.threshold]

    def _best_significance(self):
        table = self.evaluation.catalogs[MATCHED_FILTER]
        if not (len(self.truth) and len(table)):
            return USUAL_SIGNIFICANCE
        significance = np.asarray(table["significance"])
        return reliability_threshold(significance, self._true(table, significance), len(self.truth))

    def _best_rising(self):
        """Threshold at the centre of the primary beam, and its slope, with the best F1; None and None without one."""
        table = self.evaluation.catalogs.get(RISING_FILTER)
        if table is None:
            return None, None
        if not (len(self.truth) and len(table)):
            return USUAL_SIGNIFICANCE, 0.0
        # Which candidate takes the partner of two near each other hardly depends on the slope.
        true, found = self._true(table, np.asarray(table["significance"])), []
        for slope in SLOPES:
            rank = _risen(table, slope)
            threshold = reliability_threshold(rank, true, len(self.truth))
            kept = rank >= threshold
            found.append((2 * true[kept].sum() / (kept.sum() + len(self.truth)), threshold, slope))
        _, threshold, slope = max(found, key=lambda row: row[0])  # the flattest of equal ones
        return threshold, slope

    def _true(self, catalog, rank):
        """Which sources of a catalogue are true, where those of higher rank take their partners first."""
        ranked = QTable({name: catalog[name] for name in ("field", "ra", "dec")} | {"reliability": rank})
        true = np.zeros(len(catalog), dtype=bool)
        true[match_catalogs(self.truth, ranked, self.radius, most_reliable_first=True)[1]] = True
        return true

    def _of_fields(self, table, fields):
        return table[np.isin(table["field"], fields)]

    def scores(self):
        """Scores of all methods, with each matching radius; others on the fields they have."""
        rows = []
        radii = {radius.round(6): radius for radius in (self.radius, self.beam / 2, AUTHORS_RADIUS)}
        for radius, method in itertools.product(radii.values(), self.methods):
            fields = list(self.evaluation.seconds[method])
            for name in [method] if len(fields) == len(self.fields) else [method, OURS]:
                label = name if name == method else f"{name}, the fields of {method}"
                rows.append({"method": label, "radius_arcsec": radius.value, "fields": len(fields)})
                catalog = self._of_fields(self.catalog(name), fields)
                truth = self._of_fields(self.truth, fields)
                rows[-1] |= scores_with_intervals(truth, catalog, radius, FieldBootstrap(fields))
        return as_table(rows)

    def seconds(self):
        """Wall time a field of each method."""
        rows = []
        for method in self.methods:
            values = list(self.evaluation.seconds[method].values())
            rows.append({"method": method, "fields": len(values), "median_s": np.median(values), "sum_s": sum(values)})
        return as_table(rows)

    def aggregation(self):
        """The ways of aggregating, on the same samples."""
        number = self.settings["n_samples"]
        names = {name: name for name in AGGREGATES}
        names |= {f"{OURS}, fraction of samples": number, f"{OURS}, as catalogued": OURS}
        rows = []
        for label, name in names.items():
            rows.append({"aggregate": label})
            rows[-1] |= scores_with_intervals(self.truth, self.catalog(name), self.radius, self.bootstrap)
            for score in ("mse", "psnr", "ssim", "nrmse", "flux_ratio"):
                measured = {n: m["images"].get(name, {}).get(score) for n, m in self.evaluation.measured.items()}
                known = {n: value for n, value in measured.items() if value is not None}
                estimate = self.bootstrap.mean(list(known.values()), np.array(list(known), dtype=int))
                rows[-1] |= intervals({score: estimate}, self.bootstrap)
        return as_table(rows)

    def by_snr(self):
        """Completeness and flux errors in bins of the true S/N; purity in bins of the catalogue's."""
        return self._in_bins(list(itertools.pairwise(SNR_EDGES)))

    def above_snr(self):
        """The same of all that is well above the noise."""
        table = self._in_bins([(FAINT_SNR, SNR_EDGES[-1])])
        table.remove_column("snr_to")  # no bound that anyone has chosen
        return table

    def _in_bins(self, bins):
        rows = []
        for method in [name for name in self.methods if len(self.evaluation.seconds[name]) == len(self.fields)]:
            catalog = self.catalog(method)
            snr = np.asarray(catalog["significance" if method in FILTERS else "snr"])
            i, j = match_catalogs(self.truth, catalog, self.radius)
            was_found, is_true = np.zeros(len(self.truth), dtype=bool), np.zeros(len(catalog), dtype=bool)
            was_found[i], is_true[j] = True, True
            error = (catalog["flux"][j] - self.truth["flux"][i]).to_value(u.uJy)
            there = np.asarray(self.truth["field"])
            for low, high in bins:
                true = (self.truth["snr"] >= low) & (self.truth["snr"] < high)
                listed = (snr >= low) & (snr < high)
                chosen = true[i]
                rows.append(
                    {"method": method, "snr_from": low, "snr_to": high}
                    | {"true": int(true.sum()), "matched": int(chosen.sum())}
                    | with_ends("completeness", fraction_with_interval(was_found[true]))
                    | intervals(flux_estimates(error[chosen], there[i][chosen], self.bootstrap), self.bootstrap)
                    | {"catalogued": int(listed.sum()), "catalogued_true": int(is_true[listed].sum())}
                    | with_ends("purity", fraction_with_interval(is_true[listed]))
                )
        table = as_table(rows)
        return table[(table["true"] > 0) | (table["catalogued"] > 0)]

    def by_threshold(self):
        """Purity, completeness and F1 against the reliability threshold."""
        catalog = self.evaluation.catalogs[OURS]
        return as_table(
            [
                {"reliability": float(level)}
                | scores_with_intervals(
                    self.truth, catalog[catalog["reliability"] >= level], self.radius, self.bootstrap
                )
                for level in np.round(np.arange(0.05, 1, 0.05), 2)
            ]
        )

    def by_samples(self):
        """Scores against the number of samples; a source is in as many of them as gives the best F1."""
        rows = []
        for n in range(1, self.settings["n_samples"] + 1):
            candidates = self.evaluation.catalogs[n]
            detections = np.round(np.asarray(candidates["reliability"]) * n).astype(int)
            needed = reliability_threshold(detections, self._true(candidates, detections), len(self.truth)) or 1
            catalog = candidates[detections >= needed]
            rows.append({"samples": n, "needed": int(needed)})
            rows[-1] |= scores_with_intervals(self.truth, catalog, self.radius, self.bootstrap)
        return as_table(rows)

    def sources(self):
        """Every true source, what was found of it, and why its flux may be wrong."""
        truth, catalog = self.truth, self.catalog(OURS)
        i, j = match_catalogs(truth, catalog, self.radius)
        table = QTable({name: truth[name] for name in ("field", "ra", "dec", "flux", "snr", "pb")})
        nearest, row = self._neighbours()
        table["neighbour"] = nearest * u.arcsec
        fluxes = np.append(truth["flux"].to_value(u.Jy), np.nan)
        table["neighbour_flux"] = fluxes[row] * u.Jy
        table["found"] = np.zeros(len(truth), dtype=bool)
        table["found"][i] = True
        for name in ("flux", "flux_err"):
            table[f"found_{name}"] = np.full(len(truth), np.nan) * u.Jy
            table[f"found_{name}"][i] = catalog[name][j]
        offsets = SkyCoord(truth["ra"][i], truth["dec"][i]).spherical_offsets_to(
            SkyCoord(catalog["ra"][j], catalog["dec"][j])
        )
        for name, offset in zip(("ra", "dec"), offsets, strict=True):
            table[f"{name}_error"] = np.full(len(truth), np.nan) * u.arcsec
            table[f"{name}_error"][i] = offset
            table[f"found_{name}_err"] = np.full(len(truth), np.nan) * u.arcsec
            table[f"found_{name}_err"][i] = catalog[f"{name}_err"][j]
        reasons = ("blend", "outside half power", f"S/N below {FAINT_SNR:g}", "none of these")
        conditions = [nearest < BLEND_BEAMS * self.beam.value, truth["pb"] < EDGE_PB, truth["snr"] < FAINT_SNR]
        table["cause"] = np.select(conditions, reasons[:3], reasons[3]).astype("U20")
        table.meta["causes"] = list(reasons)
        return table

    def _neighbours(self):
        """Distance (arcsec) and row of the nearest other true source of the same field."""
        distance, row = np.full(len(self.truth), np.inf), np.full(len(self.truth), -1)
        positions = SkyCoord(self.truth["ra"], self.truth["dec"])
        for number in np.unique(self.truth["field"]):
            rows = np.flatnonzero(self.truth["field"] == number)
            if len(rows) > 1:
                index, apart, _ = positions[rows].match_to_catalog_sky(positions[rows], nthneighbor=2)
                distance[rows], row[rows] = apart.arcsec, rows[index]
        return distance, row

    def causes(self):
        """Flux errors of the matched sources, by what may have caused them."""
        sources = self.sources()
        rows = []
        for cause in sources.meta["causes"]:
            those = sources[sources["cause"] == cause]
            matched = those[those["found"]]
            error = (matched["found_flux"] - matched["flux"]).to_value(u.uJy)
            rows.append({"cause": cause, "true": len(those), "matched": len(matched)})
            field = np.asarray(matched["field"])
            rows[-1] |= intervals(flux_estimates(error, field, self.bootstrap), self.bootstrap)
        return as_table(rows)

    def blends(self):
        """The blended true sources, one by one."""
        sources = self.sources()
        sources = sources[sources["cause"] == "blend"]
        found = {name: sources[name].to_value(u.uJy) for name in ("found_flux", "found_flux_err")}
        return Table(
            {
                "field": sources["field"],
                "ra_deg": sources["ra"].to_value(u.deg),
                "dec_deg": sources["dec"].to_value(u.deg),
                "snr": sources["snr"],
                "flux_uJy": sources["flux"].to_value(u.uJy),
                "neighbour_arcsec": sources["neighbour"].to_value(u.arcsec),
                "neighbour_flux_uJy": sources["neighbour_flux"].to_value(u.uJy),
                **{f"{name}_uJy": MaskedColumn(flux, mask=~np.isfinite(flux)) for name, flux in found.items()},
            }
        )


def _risen(table, slope):
    """Significance of the matched filter less what a threshold rises by where the primary beam is low."""
    return np.asarray(table["significance"]) - slope * (1 - np.asarray(table["pb"]))
