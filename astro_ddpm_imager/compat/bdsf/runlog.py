"""The log file of a run, and what it says on the screen: scripts read numbers of PyBDSF's log by its words."""

import logging
import sys
from contextlib import contextmanager

import numpy as np

from ...log_records import handled_by

__all__ = ["RunLog"]

log = logging.getLogger("astro_ddpm_imager.compat.bdsf")

DATE = "%a %d-%m-%Y %H:%M:%S"
MJY = 1e3  # in a Jy


class RunLog:
    """Write messages to a log file as PyBDSF does, leaving the loggers' levels alone.

    Parameters
    ----------
    path : `~pathlib.Path`
        The log file; appended to, its folder is made.
    quiet : bool
        Print nothing on the screen.
    debug : bool
        Debug messages as well.
    """

    def __init__(self, path, quiet, debug):
        self.path, self.quiet, self.level = path, quiet, logging.DEBUG if debug else logging.INFO
        self.handler = None

    @contextmanager
    def open(self):
        """Catch the package's messages while it runs; RuntimeError if they cannot be written, as PyBDSF raises it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.handler = logging.FileHandler(self.path)
        except OSError as error:
            raise RuntimeError(
                f"{self.path}: the log cannot be written ({error.strerror}); give outdir=, another folder"
            ) from error
        self.handler.setLevel(self.level)
        self.handler.setFormatter(logging.Formatter("%(asctime)s:: %(levelname)-8s: %(message)s", DATE))
        self.handler.stream.write(f"\n{'=' * 72}\n")  # how scripts find the last run
        handlers = [self.handler]
        if not self.quiet:
            # Where scripts of PyBDSF look; few configure logging.
            screen = logging.StreamHandler(sys.stdout)
            screen.setLevel(logging.WARNING)
            screen.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
            handlers.append(screen)
        try:
            with handled_by(*handlers):
                yield self
        finally:
            self.handler.close()

    def note(self, message, *arguments, level=logging.INFO):
        """Log a message; the file gets it whatever the logger's level is."""
        if log.isEnabledFor(level):
            log.log(level, message, *arguments)
        elif level >= self.level:
            self.handler.emit(log.makeRecord(log.name, level, __file__, 0, message, arguments, None))

    def say(self, message, *arguments):
        """Log a message and, unless quiet, print it."""
        self.note(message, *arguments)
        if not self.quiet:
            print(message % arguments)

    def tell(self, title, message, *arguments):
        """Say a value, with the dots that PyBDSF has after its name."""
        self.say(f"{title} ".ljust(41, ".") + f" : {message}", *arguments)

    def tell_field(self, image):
        """Say what has been read."""
        self.say("--> Opened '%s'", image.filename)
        self.tell("Image size", "%s pixels", image.ch0_arr.shape)
        self.tell("Beam shape (major, minor, pos angle)", "(%.5e, %.5e, %.1f) degrees", *image.beam)
        self.tell("Frequency of image", "%.3f MHz", image.frequency / 1e6)
        self.tell("Number of blank pixels", "%d (%.1f%%)", image.blankpix, 100 * image.mask_arr.mean())
        if image.blankpix < image.ch0_arr.size:
            raw = (image.raw_mean * MJY, image.raw_rms * MJY)
            self.note("Raw mean (Stokes I) =  %.4f mJy and raw rms =  %.4f mJy", *raw)
            self.tell("Flux from sum of (non-blank) pixels", "%s Jy", _decimal(image.ch0_sum_jy))

    def tell_analysis(self, image):
        """Say what has been found, and in what background."""
        clipped = (image.clipped_mean * MJY, image.clipped_rms * MJY)
        self.note("sigma clipped mean (Stokes I) =  %.4f mJy and  sigma clipped rms =  %.4f mJy", *clipped)
        if not image.opts.rmsmean_map_filename:
            derived = image.opts.rms_box is None
            title = "Derived rms_box (box size, step size)" if derived else "Using user-specified rms_box"
            self.tell(title, "%s pixels", image.rms_box)
        maps = {"rms": image.rms_arr, "mean": image.mean_arr}
        ranges = {name: (np.nanmin(values), np.nanmax(values)) for name, values in maps.items()}
        for name, (lowest, highest) in ranges.items():
            self.say("--> Using %s background %s", "constant" if lowest == highest else "2D map for", name)
        for name, (lowest, highest) in ranges.items():
            if lowest == highest:
                self.tell(f"Value of background {name}", "%.2e Jy/beam", lowest)
            else:
                self.tell(f"Min/max values of background {name} map", "(%.2e, %.2e) Jy/beam", lowest, highest)
        self.tell("Number of islands found", "%d", image.nisl)
        self.tell("Total number of Gaussians fit to image", "%d", image.ngaus)
        self.tell("Total flux density in model", "%s Jy", _decimal(image.total_flux_gaus))
        self.say("Number of sources formed from Gaussians   : %d", image.nsrc)
        left = image.resid_gaus_arr
        self.note(
            "Statistics of the Gaussian residual image:\n        mean: %.3e (Jy/beam)\n    std. dev: %.3e (Jy/beam)",
            np.nanmean(left),
            np.nanstd(left),
        )


def _decimal(flux):
    """A flux without an exponent, which scripts do not expect, with three digits or more from 0.1 mJy on."""
    return f"{flux:.3f}" if abs(flux) >= 1 else f"{flux:.6f}"
