"""Many files in one call: what goes wrong with one is said, and costs no other."""

import errno
import json
import time
import warnings
from threading import Event, Semaphore, Thread, current_thread

import pytest
from astropy.io import fits

from astro_ddpm_imager import batch
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.observation import celestial

QUICK = ["--samples", "2", "--steps", "3", "--seed", "1", "--device", "cpu"]

pytestmark = pytest.mark.usefixtures("plain_pictures")


@pytest.fixture
def demo(small_field):
    """A field that takes little time: what is looked at here are files and what is said."""
    return small_field


@pytest.mark.parametrize("error", [IndexError("of nobody's"), MemoryError()])
def test_an_error_that_nobody_has_foreseen(demo, tmp_path, capsys, caplog, monkeypatch, error):
    data, header = fits.getdata(demo["dirty"], header=True)
    files = [tmp_path / name for name in ("a.fits", "b.fits", "c.fits")]
    for path in files:
        fits.writeto(path, data, header)
    read_image = batch.read_image

    def read(path, *planes):
        if path.name == "b.fits":
            raise error
        return read_image(path, *planes)

    monkeypatch.setattr(batch, "read_image", read)
    assert main(["image", *map(str, files), *QUICK, "--output-dir", str(tmp_path / "out")]) == 1
    assert {path.name for path in tmp_path.glob("out/*.reg")} == {"a.reg", "c.reg"}
    assert f"{files[1]}: {type(error).__name__}: {error}" in caplog.text
    assert f"1 of 3 images could not be used, for the reasons above: {files[1]}" in capsys.readouterr().err


def test_a_full_disk_ends_the_command(demo, tmp_path, capsys, monkeypatch):
    """It is no fault of an image, and all others would be imaged in vain."""
    files = _copies(demo, tmp_path, "a.fits", "b.fits", "c.fits")
    _when_read(monkeypatch, "b.fits", lambda: write_fully(tmp_path / "tiles"))
    assert main(["image", *files, *QUICK, "--output-dir", str(tmp_path / "out")]) == 1
    assert (
        f"error: [Errno 28] {tmp_path / 'tiles'}: cannot be written (No space left on device)"
        in capsys.readouterr().err
    )
    assert {path.name for path in tmp_path.glob("out/*.reg")} == {"a.reg"}


def write_fully(path):
    raise OSError(errno.ENOSPC, f"{path}: cannot be written (No space left on device)")


def _copies(demo, folder, *names):
    data, header = fits.getdata(demo["dirty"], header=True)
    for name in names:
        fits.writeto(folder / name, data, header)
    return [str(folder / name) for name in names]


def _when_read(monkeypatch, name, do):
    """Do something before a file is read."""
    read_image = batch.read_image

    def read(path, *planes):
        if path.name == name:
            do()
        return read_image(path, *planes)

    monkeypatch.setattr(batch, "read_image", read)


def test_products_are_written_beside_the_next_image(demo, tmp_path, monkeypatch):
    files, seen = _copies(demo, tmp_path, "a.fits", "b.fits"), []

    def wait():
        until = time.monotonic() + 30
        while not seen and time.monotonic() < until:
            seen.extend((tmp_path / "out").glob("a.png"))
            time.sleep(0.01)

    _when_read(monkeypatch, "b.fits", wait)
    assert main(["image", *files, *QUICK, "--output-dir", str(tmp_path / "out")]) == 0
    assert seen


def test_two_images_at_once_leave_the_warnings_as_they_were(demo, monkeypatch):
    """The header of the one is read while the other one's is written, as the first of two threads ends."""
    inside, first_is_done, real = Semaphore(0), Event(), celestial.WCS

    def slow(header):
        inside.release()
        if current_thread().name == "first":
            inside.acquire(timeout=5) and inside.acquire(timeout=0.5)
        else:
            first_is_done.wait(0.5)
        return real(header)

    monkeypatch.setattr(celestial, "WCS", slow)
    before = list(warnings.filters)
    header = fits.getheader(demo["dirty"])
    first = Thread(name="first", target=lambda: celestial.read_wcs(header, "first") and first_is_done.set())
    second = Thread(target=lambda: celestial.read_wcs(header, "second"))
    for thread in (first, second):
        thread.start()
    for thread in (first, second):
        thread.join()
    assert warnings.filters == before


def test_an_interruption_leaves_whole_products_that_are_reported(demo, tmp_path, capsys, monkeypatch):
    files = _copies(demo, tmp_path, "a.fits", "b.fits")

    def interrupt():
        raise KeyboardInterrupt

    _when_read(monkeypatch, "b.fits", interrupt)
    assert main(["image", *files, *QUICK, "--json", "--output-dir", str(tmp_path / "out")]) == 130
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["file"] for line in said] == files[:1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        path.rpartition("/")[2] for path in said[0]["products"]
    )


def test_reports_come_in_the_order_of_the_files(demo, tmp_path, capsys, monkeypatch):
    files = _copies(demo, tmp_path, "a.fits", "b.fits", "c.fits")

    def write_slowly(*_):
        time.sleep(0.5)
        raise OSError("the disk is full")

    def fail():
        raise IndexError("of nobody's")

    monkeypatch.setattr("astro_ddpm_imager.result.write_products", write_slowly)
    _when_read(monkeypatch, "b.fits", fail)
    assert main(["image", *files, *QUICK, "--json", "--output-dir", str(tmp_path / "out")]) == 1
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["file"], line["error"]) for line in said] == list(
        zip(files, ["the disk is full", "of nobody's", "the disk is full"], strict=True)
    )


def test_a_companion_of_many_images_is_read_once(demo, tmp_path, monkeypatch):
    """And again when the file has changed."""
    files, psf, read = _copies(demo, tmp_path, "a.fits", "b.fits"), tmp_path / "psf.fits", []
    read_companion = batch.read_companion
    monkeypatch.setattr(
        batch, "read_companion", lambda path, *planes: read.append(path) or read_companion(path, *planes)
    )
    call = ["image", *files, *QUICK, "--psf", str(psf), "--output-dir", str(tmp_path / "out"), "--overwrite"]
    for changed in (1, 2):
        fits.writeto(psf, *fits.getdata(demo["psf"], header=True), overwrite=True)
        assert main(call) == 0
        assert read == [psf] * changed
