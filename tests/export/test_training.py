"""A training run says what it does, and ends quietly."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from astro_ddpm_imager.simulate import draw_instrument  # noqa: E402
from export.checkpoints import uninterrupted  # noqa: E402
from export.instruments import write  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_quiet_and_keeps_its_step(tmp_path, number):
    """Ctrl-C reaches the processes that draw skies as well."""
    write(tmp_path / "psfs.npz", [draw_instrument(np.random.default_rng(i), n=32) for i in range(2)])
    call = [
        sys.executable, "-m", "export.train", str(tmp_path / "psfs.npz"), "--output", str(tmp_path / "run"),
        "--steps", "100000", "--batch", "4", "--validation", "1", "--eager", "--single-precision",
        "--channels", "8", "8", "8", "--blocks", "1", "1", "1", "--workers", "2",
    ]  # fmt: skip
    lines = []
    with subprocess.Popen(
        call, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        for line in process.stdout:
            lines.append(line)
            if "step 1, loss" in line:
                os.killpg(process.pid, number)
                break
        lines += process.stdout
    said = "".join(lines)
    assert process.returncode == 130
    # Though this is no terminal.
    assert "reading" in lines[0] and "validating" in said and "training from step 0 to 100000" in said
    assert "Traceback" not in said and lines[-1].endswith("interrupted; the same command goes on\n")
    state = torch.load(tmp_path / "run" / "checkpoint.pt")
    assert state["step"] >= 1 and f"step {state['step']} is kept in" in said
    assert {int(each["step"]) for each in state["optimizer"]["state"].values()} == {state["step"]}


def test_a_block_is_not_interrupted():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done.append(True)
    assert done and signal.getsignal(signal.SIGINT) is signal.default_int_handler
