"""Intervals of scores: the fields are drawn again."""

import numpy as np
from astropy.stats import binom_conf_interval

__all__ = ["FieldBootstrap", "fraction_with_interval", "ratio"]


class FieldBootstrap:
    """Draw fields with replacement, and weigh what belongs to them.

    Sources of one field share its noise, so that fields are drawn, not
    sources. Every estimate has shape (draws + 1,): first that of the fields as
    they are, then one for each draw; what cannot be estimated is NaN. So
    estimates may be combined before `interval` makes one of them.

    Parameters
    ----------
    fields : sequence of int
        Numbers of all fields, also of those without sources.
    draws : int, optional
    """

    def __init__(self, fields, draws=1000):
        self.fields = np.unique(fields)
        n = len(self.fields)
        drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=draws)
        self.weights = np.vstack([np.ones(n, dtype=int), drawn])

    def _weights(self, field):
        return self.weights[:, np.searchsorted(self.fields, field)]

    def total(self, values, field):
        """Sum of the values, each of the field of the same row."""
        return self._weights(field) @ np.asarray(values, dtype=float)

    def mean(self, values, field):
        """Mean of the values, or the fraction that is true."""
        return ratio(self.total(values, field), self.total(np.ones(len(values)), field))

    def rms(self, values, field):
        """Root of the mean square of the values."""
        return np.sqrt(self.mean(np.square(values), field))

    def quantile(self, values, field, q):
        """Quantile of the values; the median for ``q = 0.5`` is `numpy.median`."""
        values = np.asarray(values, dtype=float)
        if not len(values):
            return np.full(len(self.weights), np.nan)
        order = np.argsort(values)
        reached = np.cumsum(self._weights(np.asarray(field)[order]), axis=1)
        total = reached[:, -1:]
        low, high = (np.argmax(is_there, axis=1) for is_there in (reached >= q * total, reached > q * total))
        # Where no row was drawn there is no quantile.
        return np.where(total[:, 0] > 0, (values[order][low] + values[order][high]) / 2, np.nan)

    def interval(self, estimates):
        """Value and interval (95%) of an estimate, that of the percentiles.

        Parameters
        ----------
        estimates : 1D array, shape (draws + 1,)

        Returns
        -------
        value : float or None
            None for what is not defined.
        low, high : float or None
            Ends of the interval, which cannot be told from a single field, nor
            where every draw gives the same.
        """
        value, drawn = estimates[0], estimates[1:][np.isfinite(estimates[1:])]
        if not np.isfinite(value):
            return None, None, None
        # Sources in one of the fields, or all of them found: drawing again does not show what else might have come.
        if not len(drawn) or np.ptp(drawn) <= 1e-12 * abs(value):
            return float(value), None, None
        low, high = np.percentile(drawn, [2.5, 97.5])
        return float(value), float(low), float(high)


def fraction_with_interval(true):
    """Fraction that is true of a few, with its Wilson interval (95%).

    Drawing again cannot tell what else might have come where all or none are
    true, as in bins of few sources.

    Parameters
    ----------
    true : 1D array of bool

    Returns
    -------
    fraction : float or None
        None for the fraction of nothing.
    low, high : float or None
        Ends of the interval.
    """
    if not len(true):
        return None, None, None
    low, high = binom_conf_interval(np.sum(true), len(true), 0.95, interval="wilson")
    return float(np.mean(true)), float(low), float(high)


def ratio(above, below):
    """Quotient of counts.

    Parameters
    ----------
    above, below : array

    Returns
    -------
    array, NaN where nothing is below
    """
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=np.asarray(below) > 0)
