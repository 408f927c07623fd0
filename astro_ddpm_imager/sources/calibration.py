"""The calibration of a model's card, applied: reliabilities and errors that hold."""

from dataclasses import replace

import numpy as np
from scipy.special import expit, logit

__all__ = ["calibrate", "calibrated_reliability", "reliability_logit"]


def calibrate(sources, calibration):
    """Calibrate reliabilities and errors.

    Parameters
    ----------
    sources : `~astro_ddpm_imager.sources.aggregation.MergedSources`
    calibration : dict
        Of a model's card, as `~astro_ddpm_imager.evaluate.fit_calibration`
        fits it on simulated fields; an empty one changes nothing.

    Returns
    -------
    `~astro_ddpm_imager.sources.aggregation.MergedSources`
    """
    if not calibration:
        return sources
    flux, position = calibration["flux_err"], calibration["position_err"]
    return replace(
        sources,
        reliability=calibrated_reliability(sources.reliability, calibration["reliability"]),
        flux_err=sources.flux_err * flux,
        x_err=sources.x_err * position,
        y_err=sources.y_err * position,
    )


def calibrated_reliability(reliability, calibration):
    """Calibrated reliability: logit p = intercept + slope * logit r.

    Parameters
    ----------
    reliability : 1D array
        Raw.
    calibration : dict
        ``slope``, ``intercept`` and ``n_samples``, as
        `~astro_ddpm_imager.evaluate.fit_reliability` fits them.

    Returns
    -------
    1D array, same shape; it rises with the raw one.
    """
    x = reliability_logit(reliability, calibration["n_samples"])
    return expit(calibration["intercept"] + calibration["slope"] * x)


def reliability_logit(reliability, n_samples):
    """Logit of a reliability, finite for 0 and 1: these count as half a sample away from there.

    Parameters
    ----------
    reliability : 1D array
    n_samples : int

    Returns
    -------
    1D array, same shape
    """
    half = 0.5 / (n_samples + 1)
    return logit(half + (1 - 2 * half) * np.asarray(reliability, dtype=float))
