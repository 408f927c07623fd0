"""Work on a Dask cluster: the results are the same, and no worker that dies costs a file."""

import json
import logging
import os
import signal
import socket
import time
import warnings
from copy import copy
from threading import Thread

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import FITSFixedWarning

import astro_ddpm_imager
from astro_ddpm_imager import DiffusionImager, DirtyImageError, SettingError
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.cluster import Recipe, check_workers, connected
from astro_ddpm_imager.pieces import run_pieces

distributed = pytest.importorskip("distributed", reason="Dask is not installed: the extra dask")

QUICK = ["--samples", "2", "--steps", "3", "--seed", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def cluster():
    """Two workers, processes of their own."""
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(2)
        yield cluster, client


@pytest.fixture
def client(cluster):
    return cluster[1]


@pytest.fixture
def on_cluster(client):
    """As the imager of the tests, but for the client."""
    return DiffusionImager(n_samples=2, steps=3, seed=1, device="cpu", progress=False, client=client)


def test_files_are_the_same_to_the_bit_whoever_made_them(cluster, demo, tmp_path, capsys, monkeypatch):
    """Also where a worker is killed in the middle: another one takes its file."""
    cluster, client = cluster
    for name in ("a.fits", "b.fits"):
        fits.writeto(tmp_path / name, *fits.getdata(demo["dirty"], header=True))
    (tmp_path / "broken.fits").write_text("no image")
    monkeypatch.chdir(tmp_path)  # which is not that of the workers
    call = ["image", "a.fits", "b.fits", "broken.fits", "--psf", demo["psf"], "--pb", demo["pb"], *QUICK]
    killed = []

    def kill():
        until = time.monotonic() + 30
        while not killed and time.monotonic() < until:
            killed.extend(worker for worker, tasks in client.processing().items() if tasks)
            time.sleep(0.01)
        os.kill(client.run(os.getpid, workers=killed[:1])[killed[0]], signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    said, errors = {}, {}
    for where in ("cluster", "here"):
        scheduler = ["--scheduler", cluster.scheduler_address] if where == "cluster" else []
        assert main([*map(str, call), "--output-dir", where, "--json", *scheduler]) == 1
        captured = capsys.readouterr()
        lines = [json.loads(line.replace(f"{where}/", "X/")) for line in captured.out.splitlines()]
        said[where] = sorted(lines, key=lambda line: line["file"])
        errors[where] = captured.err.splitlines()[-1]
    killer.join()
    assert killed
    assert said["cluster"] == said["here"] and errors["cluster"] == errors["here"]
    for suffix in ("model.fits", "uncertainty.fits", "image.fits", "residual.fits"):
        for name in "ab":
            one, other = (fits.getdata(tmp_path / where / f"{name}.{suffix}") for where in ("cluster", "here"))
            np.testing.assert_array_equal(one, other)
    for path in (tmp_path / "here").glob("*.reg"):
        assert (tmp_path / "cluster" / path.name).read_text() == path.read_text()


def test_channels_go_to_workers(cluster, cube_files, tmp_path, capsys, monkeypatch):
    """A cube is one file of the command and several pieces of work; --joint, and a single image beside it, likewise."""
    monkeypatch.chdir(cube_files["dirty"].parent)
    call = ["image", "cube.dirty.fits", "--psf", "cube.psf.fits", "--pb", "cube.pb.fits", *QUICK, "--json"]
    for options in ([], ["--joint"]):
        said = {}
        for where, scheduler in (("here", []), ("cluster", ["--scheduler", cluster[0].scheduler_address])):
            assert main([*call, *options, "--output-dir", str(tmp_path / where), "--overwrite", *scheduler]) == 0
            said[where] = json.loads(capsys.readouterr().out.replace(str(tmp_path / where), "X"))
        assert said["cluster"] == said["here"] and said["here"]["n_channels"] == 4
        for path in (tmp_path / "here").glob("*.fits"):
            np.testing.assert_array_equal(fits.getdata(tmp_path / "cluster" / path.name), fits.getdata(path))


def test_tiles_go_to_workers(on_cluster, imager, demo):
    large, same = copy(imager), copy(on_cluster)
    large.tile = same.tile = 260
    one, other = same(**demo), large(**demo)
    np.testing.assert_array_equal(one.image.data, other.image.data)
    assert list(one.catalog["flux"]) == list(other.catalog["flux"])


def test_workers_may_be_threads(imager, demo, caplog):
    """What each piece logs is logged once, by the caller, also where others are done at the same time beside it."""

    def warn(imager, piece):
        for number in range(50):
            logging.getLogger("astro_ddpm_imager.somewhere").warning("piece %d, %d", piece, number)

    def said():
        records = [record.getMessage() for record in caplog.records if record.name.startswith("astro_ddpm_imager")]
        caplog.clear()
        return sorted(records)

    imager, package = imager.but(tile=260), logging.getLogger("astro_ddpm_imager")
    image = astro_ddpm_imager.read_image(demo["dirty"])
    image.data[100::100, 100::100] = np.nan  # of which each tile warns
    with (
        caplog.at_level(logging.WARNING, "astro_ddpm_imager"),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=3, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        before = list(package.handlers), package.propagate, package.level
        expected, alone = imager(image.copy()), said()
        result, beside = imager.but(client=client)(image.copy()), said()
        list(run_pieces(warn, imager.but(client=client), range(6)))
        assert said() == sorted(f"piece {piece}, {number}" for piece in range(6) for number in range(50))
        assert (list(package.handlers), package.propagate, package.level) == before
    np.testing.assert_array_equal(result.image.data, expected.image.data)
    assert list(result.catalog["flux"]) == list(expected.catalog["flux"])
    assert beside == alone and any("more tiles)" in text for text in alone)


def test_a_cube_may_be_an_array_of_dask(on_cluster, imager, cube_files, tmp_path):
    array = pytest.importorskip("dask.array", reason="dask.array is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        cube = CCDData.read(cube_files["dirty"], unit="Jy/beam")
    cube.data = array.from_array(cube.data, chunks=(1, 1, 96, 96))
    companions = cube_files["psf"], cube_files["pb"]
    *_, paths = astro_ddpm_imager.image_cube(on_cluster, cube, tmp_path / "dask", *companions)
    *_, expected = astro_ddpm_imager.image_cube(imager, cube_files["dirty"], tmp_path / "fits", *companions)
    for one, other in zip(paths[:4], expected[:4], strict=True):
        np.testing.assert_array_equal(fits.getdata(one), fits.getdata(other))


def test_images_in_python(on_cluster, imager, result, demo):
    """Arrays and paths; what fails is said after the others are done."""
    dirty = astro_ddpm_imager.read_image(demo["dirty"])
    given = [dirty, demo["dirty"], "nowhere.fits"]
    for some in (on_cluster, imager):
        done = []
        with pytest.raises(ExceptionGroup, match="could not be used") as raised:
            for image, value in some.map(given, demo["psf"], demo["pb"]):
                done.append(image)
                np.testing.assert_array_equal(value.image.data, result.image.data)
                assert value.meta["seed"] == 1
        assert len(done) == 2 and any(each is demo["dirty"] for each in done)
        (failed,) = raised.value.exceptions
        assert isinstance(failed, FileNotFoundError) and "image: nowhere.fits" in failed.__notes__


def test_every_image_has_a_seed_that_its_result_says(client, demo):
    imager = DiffusionImager(n_samples=1, steps=1, device="cpu", progress=False, client=client)
    seeds = [value.meta["seed"] for _, value in imager.map([demo["dirty"]] * 2)]
    assert len(set(seeds)) == 2
    again = DiffusionImager(n_samples=1, steps=1, device="cpu", progress=False, seed=seeds[0])(demo["dirty"])
    assert again.meta["seed"] == seeds[0]


def test_images_that_share_a_noise_map(client, demo):
    imager = DiffusionImager(n_samples=1, steps=1, seed=1, device="cpu", progress=False, client=client)
    noise = np.ones(fits.getdata(demo["dirty"]).squeeze().shape)
    ((_, value),) = imager.map([demo["dirty"]], noise=noise)
    assert value.meta["noise_map"] == imager(demo["dirty"], noise=noise).meta["noise_map"] != "none"


def test_a_worker_opens_the_model_once(on_cluster):
    def same(imager, piece):
        import os

        return os.getpid(), id(imager), imager.denoiser.workers

    done = [value for _, value in run_pieces(same, on_cluster, range(6))]
    assert len(set(done)) == len({process for process, *_ in done})
    assert {workers for *_, workers in done} == {1}


@pytest.mark.parametrize("in_order", [True, False])
def test_what_is_done_first_comes_first_unless_the_order_counts(on_cluster, in_order):
    def wait(imager, seconds):
        import time

        time.sleep(seconds)
        return seconds

    given = [1.0, 0.0]
    done = [value for _, value in run_pieces(wait, on_cluster, given, in_order)]
    assert done == (given if in_order else sorted(given))


def test_the_log_of_a_worker_is_that_of_the_caller(on_cluster, caplog):
    def warn(imager, piece):
        import logging

        logging.getLogger("astro_ddpm_imager.somewhere").warning("piece %d", piece)

    list(run_pieces(warn, on_cluster, [1, 2]))
    assert sorted(r.getMessage() for r in caplog.records if r.levelno == logging.WARNING) == ["piece 1", "piece 2"]


def test_a_piece_that_fails_ends_the_others(on_cluster):
    def fail(imager, piece):
        raise ValueError(f"piece {piece}")

    with pytest.raises(ValueError, match="piece 1") as raised:
        list(run_pieces(fail, on_cluster, [1]))
    assert "in fail" in raised.value.__notes__[0]


def test_a_piece_that_ends_every_worker_is_no_endless_work(cluster, on_cluster, client, monkeypatch):
    monkeypatch.setattr(cluster[0].scheduler, "allowed_failures", 0)  # else 3

    def end(imager, piece):
        import os

        os._exit(1)

    with pytest.raises(DirtyImageError, match="workers that took it have died, 1 one after the other"):
        list(run_pieces(end, on_cluster, [1]))
    client.wait_for_workers(2)


def test_a_version_of_its_own(client, on_cluster, monkeypatch):
    recipe = Recipe.of(on_cluster)
    monkeypatch.setattr("astro_ddpm_imager.cluster.__version__", "0.0")
    with pytest.raises(SettingError, match=r"worker tcp://.* has astro_ddpm_imager .*, and this process 0\.0; install"):
        check_workers(client)
    with pytest.raises(SettingError, match=r"a worker has astro_ddpm_imager 0\.0, not"):
        recipe.imager()


def test_no_scheduler(demo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("astro_ddpm_imager.cluster.REACH", 0.2)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
    for wrong in (address, "nonsense"):
        call = ["image", str(demo["dirty"]), *QUICK, "--output-dir", str(tmp_path), "--scheduler", wrong]
        assert main(call) == 1
        said = capsys.readouterr().err.splitlines()[-1]
        assert wrong in said and "'dask scheduler'" in said and "'dask worker" in said
    assert not list(tmp_path.iterdir())


def test_a_client_is_one():
    with pytest.raises(SettingError, match=r"client='tcp://host:8786': must be a distributed\.Client"):
        DiffusionImager(client="tcp://host:8786")


def test_connected(cluster):
    with connected(cluster[0].scheduler_address) as client:
        assert len(client.nthreads()) == 2
