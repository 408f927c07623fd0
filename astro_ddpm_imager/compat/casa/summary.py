"""The dictionary that CASA's tasks return: what a run has done, under the names that scripts read."""

from dataclasses import dataclass, field

import numpy as np

from .depth import parse_threshold

__all__ = ["Course", "Summary", "stop_code", "summarise"]

STOPPED = {
    1: "iteration limit",
    2: "threshold",
    4: "no change in peak residual across two major cycles",
    8: "any combination of n-sigma and other valid exit criterion",
    9: "reached nmajor",
}
ALWAYS = ("iterDone", "peakRes", "modelFlux", "cycleThresh")  # the others with fullsummary only


class Summary(dict):
    """What CASA's task returns, as scripts save and print it, and by name what is found besides.

    That is not listed with the keys, and not in what is saved or copied: with
    all samples, it would be 10000 times as large, and no JSON.

    Parameters
    ----------
    summary : dict
        CASA's.
    **found
        The rest.
    """

    def __init__(self, summary, **found):
        super().__init__(summary)
        self.found = found

    def __missing__(self, name):
        return self.found[name]

    def __contains__(self, name):
        return super().__contains__(name) or name in self.found

    def get(self, name, default=None):
        """The value of that name, listed or not."""
        return {**self, **self.found}.get(name, default)

    def __reduce__(self):
        return dict, (dict(self),)


@dataclass
class Course:
    """What happened to one channel, from its dirty image to the model that is kept.

    Parameters
    ----------
    allowed : 2D array of bool, shape (ny, nx)
        Where emission may be.
    seen : 2D array of bool, shape (ny, nx)
        Pixels that are not blank.
    peaks : list of tuple of float
        Highest absolute value, within ``allowed`` and everywhere, of the dirty
        image and of the residual of each model, Jy/beam.
    fluxes : list of float
        Sum over each model, Jy.
    depths : list of float
        Jy/beam, that emission had to reach.
    start : float
        Sum over the model that was there before, Jy.
    made : int
        Reconstructions.
    last : 2D array, shape (ny, nx), or None
        The last model.
    """

    allowed: np.ndarray
    seen: np.ndarray
    peaks: list = field(default_factory=list)
    fluxes: list = field(default_factory=list)
    depths: list = field(default_factory=list)
    start: float = 0.0
    made: int = 0
    last: np.ndarray | None = None

    def add_residual(self, residual):
        """Note what is left.

        Parameters
        ----------
        residual : 2D array, shape (ny, nx)
            Jy/beam.
        """
        self.peaks.append(
            tuple(float(np.abs(residual[where]).max(initial=0.0)) for where in (self.allowed & self.seen, self.seen))
        )

    def add_model(self, cycle):
        """Note a reconstruction.

        Parameters
        ----------
        cycle : `~astro_ddpm_imager.compat.major_cycles.Cycle`
        """
        self.made, self.last = self.made + 1, cycle.model
        self.fluxes.append(float(cycle.model.sum()))
        self.depths.append(float(cycle.peak))

    def end(self, residual, cycle):
        """Note what is left with the model that is kept, which need not be the last one.

        Parameters
        ----------
        residual : 2D array, shape (ny, nx)
            Jy/beam.
        cycle : `~astro_ddpm_imager.compat.major_cycles.Cycle`
        """
        if cycle.model is not self.last:
            self.fluxes.append(float(cycle.model.sum()))
            self.depths.append(float(cycle.peak))
        del self.peaks[len(self.fluxes) :]
        self.add_residual(residual)

    def rows(self, full):
        """As lists under CASA's names, one entry for each reconstruction, and one of none where an earlier is kept.

        Parameters
        ----------
        full : bool
            All names, as with ``fullsummary``.

        Returns
        -------
        dict of list
        """
        number = len(self.fluxes)
        done = [1.0 if index < self.made else 0.0 for index in range(number)]
        before = np.cumsum([0.0, *done[:-1]]).tolist()
        found = {
            "startIterDone": before, "iterDone": done,
            "startPeakRes": [peak for peak, _ in self.peaks[:number]],
            "peakRes": [peak for peak, _ in self.peaks[1 : number + 1]],
            "startModelFlux": [self.start, *self.fluxes[:-1]], "modelFlux": self.fluxes,
            "startPeakResNM": [peak for _, peak in self.peaks[:number]],
            "peakResNM": [peak for _, peak in self.peaks[1 : number + 1]],
            "cycleThresh": self.depths, "cycleStartIters": before,
            "masksum": [float(self.allowed.sum())] * number, "mpiServer": [0.0] * number,
            "stopCode": [5.0] * number,  # CASA's for a minor cycle that has no criterion of its own
        }  # fmt: skip
        return {name: list(values) for name, values in found.items() if full or name in ALWAYS}


def stop_code(reasons, limit, nsigma):
    """CASA's number for why there were no more reconstructions.

    Parameters
    ----------
    reasons : iterable of str
        Of each channel, as of `~astro_ddpm_imager.compat.major_cycles.MajorCycles`.
    limit : int
        What stands for as many as there may be, 1 (``niter``) or 9 (``nmajor``).
    nsigma : float

    Returns
    -------
    int
        ``limit`` if it is reached in any channel, 4 if nothing got better in
        one, else 2, or 8 with ``nsigma``: what is left is noise.
    """
    reasons = set(reasons)
    if "most" in reasons:
        return limit
    if "no better" in reasons:
        return 4
    return 8 if nsigma else 2


def summarise(summary, courses, code, values, made):
    """CASA's summary, with what was done.

    Parameters
    ----------
    summary : dict
        What the task has returned with ``niter=0``.
    courses : dict of `Course`
        By channel.
    code : int
        As of `stop_code`.
    values : dict
        All parameters of the task.
    made : list of int
        Reconstructions, of all channels, before each major cycle.

    Returns
    -------
    dict
    """
    minor = {channel: {0: course.rows(values["fullsummary"])} for channel, course in sorted(courses.items())}
    return {
        **summary,
        "niter": int(values["niter"]),
        "iterdone": sum(course.made for course in courses.values()),
        "nmajordone": len(made),
        "summarymajor": np.array(made, dtype=int),
        "summaryminor": {0: minor},
        "cyclethreshold": max(course.depths[-1] for course in courses.values()),
        "threshold": parse_threshold(values["threshold"]),
        "nsigma": float(values["nsigma"]),
        "stopcode": code,
        "stopDescription": STOPPED[code],
    }
