"""The scripts in the documentation run as they stand there."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from astro_ddpm_imager.simulate.casa import CONFIGURATION

from ..conftest import SHARED

SCRIPTS = sorted((Path(__file__).parents[2] / "docs" / "scripts").glob("*.py"))
# Python runs it before the script and before each command that the script starts: few samples in few steps will do.
QUICK = """
from astro_ddpm_imager.imager import DiffusionImager
configure = DiffusionImager.__init__
def quick(self, *args, **settings):
    settings |= {"n_samples": 2, "steps": 3, "seed": 1, "device": "cpu", "threads": 1}
    configure(self, *args, **settings)
DiffusionImager.__init__ = quick
"""


def missing(text):
    """What a script needs and is not installed, or None."""
    modules = [name for name in ("bdsf", "casatasks") if re.search(rf"^(import|from) {name}\b", text, re.MULTILINE)]
    lacking = [name for name in modules if find_spec(name) is None]
    if re.search(r"\bwsclean -name\b", text) and shutil.which("wsclean") is None:
        lacking.append("WSClean")
    return ", ".join(lacking) or None


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script(script, field, tmp_path):
    text = script.read_text()
    if missing(text):
        pytest.skip(f"not installed: {missing(text)}")
    if "sys.argv" in text:  # of another telescope, with other pixels, than those that are at hand
        compile(text, str(script), "exec")
        pytest.skip("the MeasurementSet it is for is an argument")
    measurement_set = re.search(r"\w+\.ms\b", text)
    if measurement_set:
        packed = SHARED / "ms" / "0000.ms.tar.gz"
        if not packed.exists():
            pytest.skip(f"there is no MeasurementSet at {packed}")
        with tarfile.open(packed) as archive:
            archive.extractall(tmp_path, filter="data")
        (tmp_path / "0000.ms").rename(tmp_path / measurement_set[0])
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick" / "sitecustomize.py").write_text(QUICK)
    places = {"PYTHONPATH": tmp_path / "quick", "PATH": Path(sys.executable).parent}
    environment = {name: f"{place}{os.pathsep}{os.environ.get(name, '')}" for name, place in places.items()}
    call = [sys.executable, str(script)]
    if "casatasks" in text:
        configuration = tmp_path / "config.py"
        configuration.write_text(CONFIGURATION.format(folder=str(tmp_path), log=str(tmp_path / "casa.log")))
        call += ["--nositeconfig", "--configfile", str(configuration)]
    done = subprocess.run(
        call, cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    outputs = re.findall(r'(?:outfile|fitsimage)="([^"]+)"', text)
    assert [name for name in outputs if not (tmp_path / name).exists()] == [], done.stdout[-1000:]
