"""Arrays and their uv coverage."""

import os

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import EarthLocation
from scipy.spatial.distance import pdist

from astro_ddpm_imager.errors import SimulationError
from astro_ddpm_imager.simulate import Array, Observation, list_arrays, read_array, thermal_rms

TWO = "# observatory=ALMA\n# coordsys=LOC (local tangent plane)\n# x y z diam pad\n0 0 0 12. A1\n100 0 0 12. A2\n"


def written(tmp_path, text):
    path = tmp_path / "some.cfg"
    path.write_text(text)
    return path


def test_the_shipped_arrays():
    assert "alma.cycle5.3" in list_arrays() and len(list_arrays("alma")) == 24
    assert list_arrays("vla") == ["vla.a", "vla.b", "vla.c", "vla.d"]
    assert list_arrays("alma")[-2:] == ["alma.cycle5.9", "alma.cycle5.10"]
    observatories = [name.split(".")[0] for name in list_arrays()]
    assert observatories == sorted(observatories)
    array = read_array("alma.cycle5.3")
    assert array.positions.shape == (43, 3) and array.diameter == 12
    assert array.location.lat.deg == pytest.approx(-23.02, abs=0.01)


# Dishes (m), antennas, longest baseline (m, within 5%) and latitude (deg) that the observatories give.
OBSERVATORIES = {
    "vla.a": (25, 27, 36400, 34.08),
    "vla.d": (25, 27, 1030, 34.08),
    "meerkat": (13.5, 64, 7700, -30.71),
    "atca.6a": (22, 6, 5939, -30.31),
    "sma.compact": (6, 8, 77, 19.82),
    "noema.a": (15, 6, 760, 44.63),
    "wsrt": (25, 14, 2700, 52.92),
    "aca": (7, 10, 45, -23.02),
    "ngvla.core": (18, 114, 4300, 34.08),
}


@pytest.mark.parametrize("name", OBSERVATORIES)
def test_dishes_and_sites_of_other_observatories(name):
    diameter, antennas, longest, latitude = OBSERVATORIES[name]
    array = read_array(name)
    assert array.diameter == diameter and len(array.positions) == antennas
    assert pdist(array.positions).max() == pytest.approx(longest, rel=0.05)
    assert array.location.lat.deg == pytest.approx(latitude, abs=0.02)
    # Near the place that the array is said to be at, and level, but for a mountain.
    assert np.linalg.norm(array.positions.mean(0)) < 3000 and np.ptp(array.positions[:, 2]) < 200


@pytest.mark.parametrize(
    "name, frequency, cell, expected",
    [("vla.a", 1.4, 0.2, 1.3), ("vla.b", 1.4, 0.7, 4.3), ("vla.c", 1.4, 2.3, 14.0), ("vla.d", 1.4, 7.5, 46.0)],
)
def test_beams_of_the_vla(name, frequency, cell, expected):
    """The VLA's observational status summary gives these for 12 h and a weighting between natural and uniform."""
    observation = Observation(
        read_array(name), 0 * u.deg, 50 * u.deg, 10 * u.hour, 600 * u.s, frequency=frequency * u.GHz,
        shape=(256, 256), cell=cell * u.arcsec, weighting="briggs", robust=0.5,
    )  # fmt: skip
    beam = observation.beam
    assert np.sqrt(beam.major * beam.minor).to_value(u.arcsec) == pytest.approx(expected, rel=0.1)


def test_a_broad_band_fills_the_uv_plane_and_lowers_the_sidelobes():
    one, many = (
        Observation(
            read_array("vla.b"), 0 * u.deg, 40 * u.deg, 2 * u.min, 60 * u.s, frequency=3 * u.GHz, shape=(512, 512),
            cell=0.5 * u.arcsec, bandwidth=1.5 * u.GHz, channels=channels,
        )
        for channels in (1, 8)
    )  # fmt: skip
    assert len(many.uv) == 8 * len(one.uv)
    np.testing.assert_allclose(many.frequencies.to_value(u.GHz).mean(), 3)
    far = np.hypot(*np.ogrid[-256:256, -256:256]) > 100
    assert many.psf[far].std() < 0.6 * one.psf[far].std()


def test_an_east_west_baseline_turns_with_the_sky(tmp_path):
    """Thompson et al., equation 4.1: at transit u is the baseline; six hours later v is -b sin(dec) ... up to signs."""
    array = read_array(written(tmp_path, TWO))
    (transit,), (later,) = array.uv_coverage(-30 * u.deg, [0, 3] * u.hourangle)
    np.testing.assert_allclose(transit, [100, 0, 0], atol=1e-9)
    hour, dec = np.pi / 4, np.deg2rad(-30)
    expected = 100 * np.array([np.cos(hour), np.sin(dec) * np.sin(hour), -np.cos(dec) * np.sin(hour)])
    np.testing.assert_allclose(later, expected, atol=1e-9)


def test_geocentric_and_local_positions_are_the_same_array(tmp_path):
    site = EarthLocation.from_geodetic(-67.7549, -23.0229, 5056.8)
    local = np.array([[0, 0, 0], [100.0, 50, 3]])
    lon, lat = site.lon.rad, site.lat.rad
    east = np.array([-np.sin(lon), np.cos(lon), 0])
    up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    rows = local @ np.array([east, np.cross(up, east), up]) + u.Quantity(site.to_geocentric()).value
    text = "# observatory=ALMA\n# coordsys=XYZ\n" + "\n".join(f"{x:.6f} {y:.6f} {z:.6f} 12" for x, y, z in rows)
    np.testing.assert_allclose(read_array(written(tmp_path, text)).positions, local, atol=1e-5)


@pytest.mark.parametrize(
    "text, message",
    [
        (TWO.replace("100 0 0 12. A2", "100 0 0"), r"line 5, '100 0 0', does not begin with four numbers"),
        (TWO.replace("100 0 0 12. A2\n", ""), r"has 1 antenna\(s\); an interferometer needs two"),
        (
            TWO.replace("ALMA", "NOEMA"),
            r"observatory='NOEMA' is none of ALMA.* in a line .*, such as # observatory=ALMA, .*location=",
        ),
        (TWO.replace("LOC", "UTM"), r"coordsys='UTM' cannot be read; give LOC"),
        (TWO.replace("100 0 0", "100 nan 0"), r"line 5, '100 nan 0 12. A2', does not begin with four numbers"),
        (TWO.replace("100 0 0", "0 0 0"), r"antennas 1 and 2, counted from 1, are at one place"),
        (TWO.replace("12.", "0"), r"diameter=0 m: must be positive"),
        (TWO.replace("12.", "-12"), r"diameter=-12 m: must be positive"),
        (TWO.replace("12. A2", "7. A2"), r"has dishes of 7, 12 m, and one diameter is all"),
        (TWO.replace("LOC", "XYZ"), r"coordsys='XYZ', but positions 0.1 km from 0, 0, 0 are not geocentric; give LOC"),
        (
            "# observatory=ALMA\n2225060 -5440060 -2481680 12\n2225160 -5440060 -2481680 12\n",
            r"coordsys='LOC', but positions 6380 km from 0, 0, 0 are geocentric; give XYZ",
        ),
    ],
)
def test_array_files_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(SimulationError, match=message):
        read_array(written(tmp_path, text))


def test_array_files_of_editors_and_other_hands(tmp_path):
    header = "\ufeff# observatory=alma  # the large one\n  # coordsys=loc # local\n  # a note\n"
    array = read_array(written(tmp_path, header + "0 0 0 12.\n 100 0 0 12. # A2\n"))
    assert array.positions.tolist() == [[0, 0, 0], [100, 0, 0]]
    assert array.location.lat.deg == pytest.approx(-23.02, abs=0.01)


def test_a_file_that_may_not_be_read(tmp_path):
    path = written(tmp_path, TWO)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(PermissionError, match=r"some.cfg': this user may not read it; give another file"):
        read_array(path)


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "ls"
    path.write_bytes(b"\x7fELF\xff\xfe")
    with pytest.raises(SimulationError, match=r"ls': is no text in UTF-8; give a .cfg file"):
        read_array(path)


def test_positions_that_are_not_finite():
    array = read_array("alma.cycle5.3")
    with pytest.raises(SimulationError, match=r"array='some': positions must be finite"):
        Array("some", array.location, array.positions * np.nan, 12.0)


def test_unknown_arrays_are_refused_with_the_known_ones():
    with pytest.raises(SimulationError, match=r"array='alma.cycle99': there is no such file.*alma.cycle5.3"):
        read_array("alma.cycle99")


def test_a_source_that_never_rises_is_said():
    with pytest.raises(SimulationError, match=r"declination=80 deg: seen from alma.cycle5.3.*never above 10 deg"):
        read_array("alma.cycle5.3").uv_coverage(80 * u.deg, [0] * u.hourangle)


def test_integrations_below_the_elevation_limit_are_left_out():
    array = read_array("alma.cycle5.3")
    uv = array.uv_coverage(-23 * u.deg, np.arange(-8, 9) * u.hourangle)
    elevation = array.elevation(-23 * u.deg, np.arange(-8, 9) * u.hourangle)
    assert len(uv) == (elevation >= 10 * u.deg).sum() < 17


def test_noise_is_that_of_casa_and_grows_with_the_water_vapour():
    """CASA makes 47.3 uJy/beam with 1.796 mm (Table 1 of Taran et al. 2023)."""
    settings = (read_array("alma.cycle5.3"), 230 * u.GHz, 1.872 * u.GHz, 20 * u.min)
    published, wet = (thermal_rms(*settings, pwv * u.mm, 64.5 * u.deg) for pwv in (1.796, 3 * 1.796))
    assert published.to_value(u.uJy) == pytest.approx(47.3, rel=0.05)
    assert wet > 1.4 * published
    for pwv in (-1, 0, 50):
        with pytest.raises(SimulationError, match=rf"pwv={pwv}.* mm: must lie between 0.05 and 20 mm"):
            thermal_rms(*settings, pwv * u.mm, 64.5 * u.deg)
    with pytest.raises(SimulationError, match=r"frequency=1.4 GHz: must lie between 80 and 950 GHz"):
        thermal_rms(settings[0], 1.4 * u.GHz, *settings[2:], 1 * u.mm, 60 * u.deg)
    for bandwidth in (np.inf, np.nan):
        with pytest.raises(SimulationError, match=rf"bandwidth={bandwidth} GHz: must be positive and finite"):
            thermal_rms(*settings[:2], bandwidth * u.GHz, 20 * u.min, 1 * u.mm, 60 * u.deg)
    with pytest.raises(SimulationError, match=r"bandwidth=460.0 GHz: must be below twice frequency=230.0 GHz"):
        thermal_rms(*settings[:2], 460 * u.GHz, 20 * u.min, 1 * u.mm, 60 * u.deg)
    for elevation in (0, -5, np.nan):
        with pytest.raises(SimulationError, match=rf"elevation={elevation:.1f} deg: must be above 0, the horizon"):
            thermal_rms(*settings, 1 * u.mm, [60, elevation] * u.deg)


@pytest.mark.parametrize(("name", "frequency"), [("noema.b", 230), ("sma.compact", 230), ("vla.c", 90)])
def test_the_noise_of_other_arrays_is_asked_for(name, frequency):
    settings = (frequency * u.GHz, 1.872 * u.GHz, 20 * u.min, 1.796 * u.mm, 60 * u.deg)
    array = read_array(name)
    with pytest.raises(SimulationError, match=rf"array='{name}': .*only those of ALMA.*give the noise, --rms"):
        thermal_rms(array, *settings)
    elsewhere = Array("other", read_array("aca").location, array.positions, array.diameter)
    with pytest.raises(SimulationError, match="array='other': its receivers"):
        thermal_rms(elsewhere, *settings)


def test_the_aca_has_dishes_of_its_own():
    settings = (230 * u.GHz, 1.872 * u.GHz, 20 * u.min, 1.796 * u.mm, 60 * u.deg)
    aca = read_array("aca")
    large = Array("large", aca.location, aca.positions, 12.0)
    assert thermal_rms(aca, *settings) > 2.5 * thermal_rms(large, *settings)


def test_noise_is_that_of_the_integrations_that_are_seen():
    """Each integration with its elevation; all have the same weight."""

    def noise(observation):
        return thermal_rms(
            observation.array, 230 * u.GHz, 1.872 * u.GHz, observation.time_on_source, 1.796 * u.mm,
            observation.elevations,
        ).to_value(u.uJy)  # fmt: skip

    def seen(minutes, hours):
        return Observation(
            read_array("alma.cycle5.3"), 150 * u.deg, 2.2 * u.deg, minutes * u.min, hour_angle=hours * u.hourangle
        )

    short = seen(20, 0)
    middle = short.array.elevation(short.declination, short.hour_angle)
    assert noise(short) == pytest.approx(
        thermal_rms(short.array, 230 * u.GHz, 1.872 * u.GHz, 20 * u.min, 1.796 * u.mm, middle).to_value(u.uJy), rel=0.01
    )
    assert short.time_on_source == 20 * u.min
    # Half of the second is too low; the middle of the third is below the horizon.
    for minutes, hours, expected in ((240, 3.5, 20.6), (240, 5.3, 33.7), (240, 5.9, 44.4)):
        low = seen(minutes, hours)
        assert noise(low) == pytest.approx(expected, rel=0.01)
        assert len(low.uv) == len(low.elevations) * 903
    assert low.time_on_source < 90 * u.min
