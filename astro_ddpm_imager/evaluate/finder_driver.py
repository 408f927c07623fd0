"""Runs inside a process of its own: PyBDSF or tclean on one image or MeasurementSet after another.

Started by `astro_ddpm_imager.evaluate.finders`. Jobs come as lines of JSON and
so do the answers. It imports nothing of this package.
"""

import errno
import json
import os
import sys
import time


def pybdsf():
    """Find sources in a FITS image."""
    import bdsf
    import numpy as np

    # On import it makes every division by zero an error, and then stumbles over boxes of blank pixels.
    np.seterr(all="ignore")

    def find(image, **parameters):
        made = bdsf.process_image(image, quiet=True, **parameters)
        return {
            "ra": [float(s.posn_sky_centroid[0]) for s in made.sources],
            "dec": [float(s.posn_sky_centroid[1]) for s in made.sources],
            "ra_err": [float(s.posn_sky_centroidE[0]) for s in made.sources],
            "dec_err": [float(s.posn_sky_centroidE[1]) for s in made.sources],
            "flux": [float(s.total_flux) for s in made.sources],
            "flux_err": [float(s.total_fluxE) for s in made.sources],
            "peak": [float(s.peak_flux_max) for s in made.sources],
        }

    return find


def tclean():
    """Clean a MeasurementSet and export the restored image."""
    import casatasks

    def clean(vis, imagename, **parameters):
        casatasks.tclean(vis=vis, imagename=imagename, **parameters)
        casatasks.exportfits(imagename=f"{imagename}.image", fitsimage=f"{imagename}.fits", overwrite=True)
        return {}

    return clean


def main():
    """Work until there are no more jobs."""
    # What the programs print goes to the log, not among the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    work = {"pybdsf": pybdsf, "tclean": tclean}[sys.argv[1]]()
    for line in sys.stdin:
        started = time.perf_counter()
        try:
            answer = work(**json.loads(line))
        except Exception as error:
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise  # of a full disk, which is no fault of the program on this field
            answer = {"failed": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps({"seconds": time.perf_counter() - started, **answer}) + "\n")


if __name__ == "__main__":
    main()
