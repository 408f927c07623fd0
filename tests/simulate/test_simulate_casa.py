"""The simulator against CASA: by its tasks, where they are installed, and by images that CASA made."""

from importlib.util import find_spec
from itertools import pairwise

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astro_ddpm_imager.data import demo_files
from astro_ddpm_imager.errors import SimulationError
from astro_ddpm_imager.simulate import (
    Array,
    Observation,
    Sources,
    read_array,
    simulate_with_casa,
    thermal_rms,
    truth_table,
)
from astro_ddpm_imager.simulate import casa as casa_module
from export import casa_fields

needs_casa = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("casatasks", "casadata", "six")),
    reason="CASA is not installed: pip install casatasks casatools casadata six",
)
BANDWIDTH, PWV = 1.872 * u.GHz, 1.5 * u.mm
# Of configurations, declinations, hour angles and frequencies unlike those of the shipped field.
OBSERVATIONS = {
    "natural": Observation(
        read_array("alma.cycle5.5"), 83.8 * u.deg, -40 * u.deg, 20 * u.min, 60 * u.s, 1 * u.hourangle,
        150 * u.GHz, (512, 512), 0.09 * u.arcsec,
    ),
    "briggs": Observation(
        read_array("alma.cycle5.4"), 280 * u.deg, 5 * u.deg, 60 * u.min, 60 * u.s, -1.5 * u.hourangle,
        345 * u.GHz, (512, 512), 0.07 * u.arcsec, "briggs", 0.5,
    ),
}  # fmt: skip
SOURCES = Sources(
    x=np.array([256.0, 190.3, 310.7]),
    y=np.array([256.0, 290.6, 180.2]),
    flux=np.array([1e-3, 2e-3, 3e-3]),
    major=np.array([0.0, 6.0, 9.0]),
    minor=np.array([0.0, 4.0, 5.0]),
    angle=np.array([0.0, 0.7, 2.2]),
)
NO_SOURCES = SOURCES.select(slice(0))


def read(path):
    """Image and header of a FITS file, of its second HDU where the first one is empty."""
    with fits.open(path) as hdus:
        hdu = hdus[0] if hdus[0].data is not None else hdus[1]
        return hdu.data.squeeze().astype(float), hdu.header


def agree(what, casa, ours, within):
    """Assert that ours is CASA's within a fraction; pytest -rP shows the figures."""
    print(f"{what:<45} {casa:10.5g} {ours:10.5g} {ours / casa - 1:+9.4%}")
    assert ours == pytest.approx(casa, rel=within)


def alike(what, casa, ours, within):
    """Assert that two images differ by less than ``within`` everywhere."""
    worst = np.abs(ours - casa).max()
    print(f"{what:<45} {casa.max():10.5g} {ours.max():10.5g} {worst:9.5f}")
    assert worst < within


def check_beam_psf_and_primary_beam(observation, psf, header, pb):
    """Images of CASA, perhaps cut, against those of an observation."""
    ny, nx = psf.shape
    y0, x0 = observation.shape[0] // 2 - ny // 2, observation.shape[1] // 2 - nx // 2
    cut = np.s_[y0 : y0 + ny, x0 : x0 + nx]
    beam = observation.beam
    agree("beam major (arcsec)", header["BMAJ"] * 3600, beam.major.to_value(u.arcsec), 0.02)
    agree("beam minor (arcsec)", header["BMIN"] * 3600, beam.minor.to_value(u.arcsec), 0.02)
    turned = (beam.pa.to_value(u.deg) - header["BPA"] + 90) % 180 - 90
    print(f"{'beam position angle (deg)':<45} {header['BPA']:10.5g} {beam.pa.to_value(u.deg):10.5g} {turned:+9.4f}")
    assert abs(turned) < 3
    y, x = np.ogrid[:ny, :nx]
    near = np.hypot(x - nx // 2, y - ny // 2) * observation.cell < 10 * beam.major
    alike("PSF inside 10 beams (worst difference)", psf[near], observation.psf[cut][near], 0.02)
    seen = np.nan_to_num(pb) > 0.2
    alike("primary beam above 0.2 (worst difference)", pb[seen], observation.pb[cut][seen], 0.02)


@pytest.fixture(scope="module", params=OBSERVATIONS)
def observation(request):
    return OBSERVATIONS[request.param]


@pytest.fixture(scope="module")
def noiseless(observation, tmp_path_factory):
    """CASA's files of a field with sources and no noise."""
    return simulate_with_casa(observation, SOURCES, tmp_path_factory.mktemp("casa"), pblimit=-1e-3)


@pytest.fixture(scope="module")
def noise(observation, tmp_path_factory):
    """CASA's image of noise alone."""
    folder = tmp_path_factory.mktemp("casa")
    files = simulate_with_casa(observation, NO_SOURCES, folder, "noise", PWV, BANDWIDTH, pblimit=-1e-3, seed=5)
    return read(files["dirty"])[0]


@needs_casa
@pytest.mark.casa
def test_beam_psf_and_primary_beam_are_those_of_casa(observation, noiseless):
    psf, header = read(noiseless["psf"])
    check_beam_psf_and_primary_beam(observation, psf, header, read(noiseless["pb"])[0])


@needs_casa
@pytest.mark.casa
def test_sources_are_as_bright_as_casas(observation, noiseless):
    casa, header = read(noiseless["dirty"])
    ours = observation.image(observation.visibilities(SOURCES))
    assert header["NAXIS"] == 4 and header["BUNIT"] == "Jy/beam"
    assert header["CRVAL2"] == pytest.approx(observation.declination.value, abs=1e-7)
    for x, y, flux in zip(SOURCES.x, SOURCES.y, SOURCES.flux, strict=True):
        around = np.s_[round(y) - 5 : round(y) + 6, round(x) - 5 : round(x) + 6]
        agree(f"peak of the source of {flux * 1e3:g} mJy (Jy/beam)", casa[around].max(), ours[around].max(), 0.02)
        assert casa[around].argmax() == ours[around].argmax()


@needs_casa
@pytest.mark.casa
def test_noise_is_that_of_casa(observation, noise):
    elevation = observation.array.elevation(observation.declination, observation.hour_angles).mean()
    natural = thermal_rms(
        observation.array, observation.frequency, BANDWIDTH, observation.duration, PWV, elevation
    ).to_value(u.Jy)
    weights = observation.weights
    expected = natural * np.sqrt((weights**2).mean()) / weights.mean()
    agree("noise rms (uJy/beam)", noise.std() * 1e6, expected * 1e6, 0.05)


@needs_casa
@pytest.mark.casa
def test_noise_has_the_spectrum_of_casas(observation, noise):
    def power(image):
        return np.abs(np.fft.fft2(image / image.std())) ** 2

    rng = np.random.default_rng(0)
    ours = np.mean([power(observation.image(observation.noise(1.0, rng))) for _ in range(8)], axis=0)
    casa = power(noise)
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512))
    longest = np.hypot(*observation.uv.T[:2]).max() * observation.cell.to_value(u.rad)
    for low, high in pairwise(np.array([0.1, 0.25, 0.4, 0.55, 0.7, 0.85]) * longest):
        ring = (frequency >= low) & (frequency < high)
        agree(f"noise power, {low:.3f} to {high:.3f} / pixel", casa[ring].mean(), ours[ring].mean(), 0.1)


@needs_casa
@pytest.mark.casa
def test_casa_leaves_nothing_behind(tmp_path, monkeypatch):
    """From any folder: no logs, no temporary files, nothing in the home directory."""
    for name in ("here", "home", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(casa_module.tempfile, "tempdir", str(tmp_path / "temporary"))
    array = read_array("alma.cycle5.1")
    few = Array("few", array.location, array.positions[:5], 12.0)
    small = Observation(
        few, 10 * u.deg, -20 * u.deg, 2 * u.min, shape=(64, 96), cell=0.3 * u.arcsec, frequency=100 * u.GHz
    )
    files = simulate_with_casa(small, NO_SOURCES, "out", "a")
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"out"}
    assert {path.name for path in (tmp_path / "here/out").iterdir()} == {"a.dirty.fits", "psf.fits", "pb.fits"}
    assert not any((tmp_path / "home").rglob("*casa*")) and not any((tmp_path / "temporary").iterdir())
    image, _ = read(files["dirty"])
    assert image.shape == (64, 96) and np.nanmax(np.abs(image)) < 1e-9


def test_the_shipped_field_is_that_of_the_simulator():
    """CASA made it with simobserve as it is, whose transit is a few minutes late."""
    files = demo_files()
    psf, header = read(files["psf"])
    observation = Observation(
        read_array("alma.cycle5.3"), header["OBSRA"] * u.deg, header["OBSDEC"] * u.deg, integration=10 * u.s
    )
    check_beam_psf_and_primary_beam(observation, psf, header, read(files["pb"])[0])


def test_the_development_fields_are_those_of_the_simulator(casa_fields):
    psf, header = read(casa_fields / "psf.fits")
    observation = Observation(
        read_array("alma.cycle5.3"), header["CRVAL1"] * u.deg, header["CRVAL2"] * u.deg, integration=10 * u.s
    )
    check_beam_psf_and_primary_beam(observation, psf, header, read(casa_fields / "pb.fits")[0])
    elevation = observation.array.elevation(observation.declination, observation.hour_angle)
    ours = thermal_rms(
        observation.array, observation.frequency, BANDWIDTH, observation.duration, 1.796 * u.mm, elevation
    )
    agree("noise rms (uJy/beam)", 47.3, ours.to_value(u.uJy), 0.05)


def test_without_casa_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr(casa_module, "find_spec", lambda name: None)
    with pytest.raises(SimulationError, match="six cannot be imported: pip install casatasks casatools casadata six"):
        simulate_with_casa(OBSERVATIONS["natural"], SOURCES, tmp_path)
    assert not any(tmp_path.iterdir())


def test_files_are_not_replaced_unasked(tmp_path):
    (tmp_path / "psf.fits").touch()
    with pytest.raises(FileExistsError, match=r"psf.fits: exists already; remove it, or give overwrite=True"):
        simulate_with_casa(OBSERVATIONS["natural"], SOURCES, tmp_path)


def test_where_files_go_is_known_before_casa_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(casa_module, "find_spec", lambda name: True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    run = []

    def make(work):
        run.append(work)
        for name in casa_module.PRODUCTS:
            (work / f"{name}.fits").touch()

    monkeypatch.setattr(casa_module, "_run", make)
    paths = simulate_with_casa(OBSERVATIONS["natural"], SOURCES, "~/out")
    assert paths["psf"] == tmp_path / "out" / "psf.fits" and paths["psf"].exists()
    with pytest.raises(NotADirectoryError, match=r"psf.fits is not a folder; choose another folder"):
        simulate_with_casa(OBSERVATIONS["natural"], SOURCES, paths["psf"] / "more")
    assert len(run) == 1


def test_settings_that_casa_cannot_take(tmp_path, monkeypatch):
    monkeypatch.setattr(casa_module, "find_spec", lambda name: True)
    for pwv in (0, np.inf):
        with pytest.raises(SimulationError, match=rf"pwv={pwv:.1f} mm: must lie between 0.05 and 20 mm, or be None"):
            simulate_with_casa(OBSERVATIONS["natural"], SOURCES, tmp_path, pwv=pwv * u.mm)
    with pytest.raises(SimulationError, match="seed=-1: must not be negative"):
        simulate_with_casa(OBSERVATIONS["natural"], SOURCES, tmp_path, seed=-1)
    with pytest.raises(SimulationError, match=r"bandwidth=-1.0 GHz: must be positive"):
        simulate_with_casa(OBSERVATIONS["natural"], SOURCES, tmp_path, bandwidth=-1 * u.GHz)
    array = read_array("alma.cycle5.3")
    elsewhere = type(array.location).from_geodetic(7 * u.deg, 50.5 * u.deg, 320 * u.m)
    effelsberg = Observation(Array("effelsberg", elsewhere, array.positions, 15.0), 150 * u.deg, 40 * u.deg)
    with pytest.raises(SimulationError, match=r"array='effelsberg': lies at none of the observatories ALMA"):
        simulate_with_casa(effelsberg, SOURCES, tmp_path)


def test_a_failure_of_casa_is_told_with_its_words(tmp_path, monkeypatch):
    monkeypatch.setattr(casa_module, "find_spec", lambda name: True)
    driver = tmp_path / "casa_driver.py"
    driver.write_text("raise RuntimeError('no antenna is up')")
    monkeypatch.setattr(casa_module, "__file__", str(tmp_path / "casa.py"))
    with pytest.raises(SimulationError, match=r"CASA has failed \(status 1\).*no antenna is up"):
        simulate_with_casa(OBSERVATIONS["natural"], SOURCES, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_components_are_the_sources_on_the_sky():
    observation = OBSERVATIONS["natural"]
    point, gaussian, _ = casa_module.casa_job(observation, SOURCES, None, BANDWIDTH, 0.2, 1)["components"]
    row = truth_table(observation, SOURCES)[1]
    assert point["shape"] == "point" and "majoraxis" not in point
    assert gaussian["dir"] == f"ICRS {row['ra']:.10f}deg {row['dec']:.10f}deg" and gaussian["flux"] == 2e-3
    assert gaussian["majoraxis"] == "0.540000arcsec" and gaussian["positionangle"] == f"{row['pa_deg']:.6f}deg"


def test_fields_like_the_ones_of_development_have_noise_of_their_own(monkeypatch, tmp_path):
    calls = []

    def record(observation, sources, folder, name, pwv, seed, overwrite, pblimit):
        calls.append((name, seed, len(sources)))

    monkeypatch.setattr("export.casa_fields.simulate_with_casa", record)
    monkeypatch.setattr("sys.argv", ["casa_fields", str(tmp_path), "--fields", "4", "--seed", "2"])
    casa_fields.main()
    names, seeds, numbers = zip(*calls, strict=True)
    assert names == ("0000", "0001", "0002", "0003") and len(set(seeds)) == 4
    truth = Table.read(tmp_path / "truth.ecsv")
    assert truth.meta["noise_protocol"] == "independent"
    assert [int((truth["field"] == i).sum()) for i in range(4)] == list(numbers)
    assert truth["flux_jy"].min() > 5e-5 and truth["flux_jy"].max() < 5e-4
