"""Several processes, killed ones among them, and one folder: nothing is mixed, lost or left behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from astro_ddpm_imager.cli import main
from astro_ddpm_imager.products import writing
from astro_ddpm_imager.products.folders import START, move_without_replacing, scratch_folder
from astro_ddpm_imager.whole_files import lock_of

posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no locks of folders")
WRITING = """
import sys, time
from pathlib import Path
from astro_ddpm_imager.products.folders import scratch_folder
with scratch_folder(Path(sys.argv[1])) as scratch:
    (scratch / "product").write_text("half")
    print(scratch, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writing_process(tmp_path):
    """Another process that is writing to the folder, and its scratch folder."""
    process = subprocess.Popen([sys.executable, "-c", WRITING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    yield process, tmp_path / process.stdout.readline().strip()
    process.kill()
    process.communicate()


@posix
def test_what_a_killed_run_leaves_is_removed_and_never_that_of_a_living_one(tmp_path, writing_process):
    process, scratch = writing_process
    with scratch_folder(tmp_path) as ours:
        assert ours.is_dir() and scratch.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [scratch.name]
    process.kill()
    process.wait()
    (tmp_path / f"{START}older").mkdir()
    with scratch_folder(tmp_path):
        assert not scratch.exists()
    assert list(tmp_path.iterdir()) == []


@posix
def test_the_scratch_folder_of_a_thread_is_its_own(tmp_path):
    with scratch_folder(tmp_path) as one, scratch_folder(tmp_path) as other:
        assert one.is_dir() and other.is_dir() and one != other
        with lock_of(tmp_path, wait=True):
            pass


def test_a_move_replaces_nothing(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError("no hard links here")

    for name, link in (("a", os.link), ("b", no_links)):
        monkeypatch.setattr(os, "link", link)
        path, target = tmp_path / "new", tmp_path / name
        path.write_text("new")
        move_without_replacing(path, target)
        assert target.read_text() == "new" and not path.exists()
        path.write_text("newer")
        with pytest.raises(FileExistsError):
            move_without_replacing(path, target)
        assert target.read_text() == "new" and path.read_text() == "newer"


@pytest.mark.parametrize("fails_at", [1, 4, 7])
def test_all_or_nothing_is_moved(result, tmp_path, monkeypatch, fails_at):
    """Where moving fails, what was there is there again."""
    result.write(tmp_path / "a")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    calls = []

    def move(path, target):
        calls.append(target)
        if len(calls) == fails_at:
            raise OSError("the disk is gone")
        move_without_replacing(path, target)

    monkeypatch.setattr(writing, "move_without_replacing", move)
    with pytest.raises(OSError, match="the disk is gone"):
        result.write(tmp_path / "a", overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_two_runs_do_not_mix(result, tmp_path, monkeypatch):
    """Another process is faster, between the check and the move."""
    write = dict(writing.PRODUCTS)

    def slow(result, path):
        write[".png"](result, path)
        (tmp_path / "a.model.fits").write_text("of the other")

    monkeypatch.setitem(writing.PRODUCTS, ".png", slow)
    with pytest.raises(FileExistsError, match=r"a\.model\.fits exists"):
        result.write(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a.model.fits"]


def test_targets_that_cannot_be_are_said_before_anything_is_written(result, tmp_path):
    with pytest.raises(OSError, match="is too long for the name of a file; choose a shorter one"):
        result.write(tmp_path / ("n" * 245))
    (tmp_path / "a.png").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a\.png is a folder; remove it"):
        result.write(tmp_path / "a", overwrite=True)
    (tmp_path / "b.reg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match=r"b\.reg exists"):
        result.write(tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.reg"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("No space left on device")])
def test_a_full_disk_is_said_with_the_path(result, tmp_path, monkeypatch, error):
    """Errors of astropy have no number."""

    def full(result, path):
        raise error

    monkeypatch.setitem(writing.PRODUCTS, ".image.fits", full)
    with pytest.raises(OSError, match=r"\[Errno 28\] .*a\.image\.fits: cannot be written \(No space left on device\)"):
        result.write(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_leave_nothing_behind(tmp_path, demo, number):
    command = [
        sys.executable,
        "-m",
        "astro_ddpm_imager.cli",
        "image",
        str(demo["dirty"]),
        "--output-dir",
        str(tmp_path),
    ]
    process = subprocess.Popen([*command, "--samples", "200", "--device", "cpu"], stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "model grid" in line:
            time.sleep(0.5)
            process.send_signal(number)
            break
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + number, "".join(lines) + said
    assert "files written so far are whole, --resume goes on" in said
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_while_an_object_is_freed_ends_the_command(monkeypatch, number):
    """Python lets no exception through there, and says "Exception ignored"."""

    class Freed:
        def __del__(self):
            signal.raise_signal(number)

    def command(_):
        Freed()
        time.sleep(5)

    monkeypatch.setattr("astro_ddpm_imager.command_line.models.show_models", command)
    assert main(["models"]) == 128 + number
