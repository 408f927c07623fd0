"""Runs inside a process of its own: one job for casatasks, described by a JSON file.

Started by `astro_ddpm_imager.simulate.simulate_with_casa` in a temporary
folder. It imports nothing of this package.
"""

import json
import sys
from pathlib import Path


def main(job):
    """Simulate one field, make images of it and export them.

    Of ``job``, ``components``, ``simobserve`` and ``tclean`` are arguments of
    the tasks; ``images`` the names of the images, with more arguments for each;
    ``exports`` the files to be written of their products.
    """
    from casatasks import exportfits, simobserve, tclean
    from casatools import componentlist

    components = componentlist()
    for component in job["components"]:
        components.addcomponent(**component)
    components.rename("sky.cl")
    components.close()
    simobserve(complist="sky.cl", **job["simobserve"])
    # "p.array.ms", or "p.array.noisy.ms" beside it.
    sets = sorted(Path(job["simobserve"]["project"]).glob("*.ms"), key=lambda path: "noisy" in path.name)
    for name, more in job["images"].items():
        tclean(vis=str(sets[-1]), imagename=name, **(job["tclean"] | more))
    for product, file in job["exports"].items():
        exportfits(imagename=product, fitsimage=file)


if __name__ == "__main__":
    # casatools has read the options of this process that are its own.
    main(json.loads(Path(sys.argv[1]).read_text()))
