"""Extended sources are one row, compact neighbours are two."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.simulate import Observation, Sources, read_array, sky_pixels
from astro_ddpm_imager.sources.aggregation import Detections, merge
from astro_ddpm_imager.sources.detection import detect
from astro_ddpm_imager.sources.islands import join, wholes

BEAM = 2.2  # pixels
NOISE = 50e-6  # Jy/beam
SIDE = 256


def sky(*sources):
    """Round Gaussians, each (x, y, flux, FWHM), in beams."""
    x, y, flux, fwhm = np.transpose(sources)
    return sky_pixels(Sources(x * BEAM, y * BEAM, flux, fwhm * BEAM, fwhm * BEAM, np.zeros(len(x))), (88, 88))


def in_samples(number, make):
    rng = np.random.default_rng(3)
    return merge(
        Detections.concatenate([detect(make(rng), 1.0, BEAM, i) for i in range(number)]), number, radius=0.6 * BEAM
    )


def joined(merged):
    return join(merged, np.ones(len(merged)))


def ring(rng):
    """Ten clumps about a hole, each of them brighter or fainter."""
    angle = np.arange(10) * np.pi / 5
    return sky(*((20 + 3 * np.cos(a), 20 + 3 * np.sin(a), 16 * rng.uniform(0.6, 1.4), 1.2) for a in angle))


def test_a_ring_is_one_source_with_its_whole_flux():
    merged = in_samples(10, ring)
    assert len(merged) > 3
    found, _, components = joined(merged)
    assert len(found) == 1 and components.item() == len(merged)
    assert found.flux.item() == pytest.approx(160, rel=0.07) and found.fraction.item() == 1
    assert (found.x.item() / BEAM, found.y.item() / BEAM) == pytest.approx((20, 20), abs=0.3)
    # A ring of radius R has moments of R^2 / 2 on each axis, and those of its clumps.
    expected = (3**2 / 2 + (1.2 / 2.3548) ** 2) * BEAM**2
    np.testing.assert_allclose(np.diag(found.covariance[0]), expected, rtol=0.15)


def test_a_ragged_rim_that_is_elsewhere_in_each_sample_is_a_part_of_the_source():
    def ragged(rng):
        a = rng.integers(6) * np.pi / 3
        return ring(rng) + sky((20 + 4.7 * np.cos(a), 20 + 4.7 * np.sin(a), 8, 1.2))

    found, _, _ = joined(in_samples(20, ragged))
    assert len(found) == 1 and found.flux.item() == pytest.approx(168, rel=0.07)


def test_a_source_that_is_parted_otherwise_in_each_sample_has_its_flux_in_all_of_them():
    """In some samples none of its pieces is where those of others are."""

    def parted(rng):
        if rng.uniform() < 0.7:
            return sky((17.8, 20, 100, 3.5), (22.2, 20, 100, 3.5))
        return sky((20, 20, 200, 6))

    found, _, _ = joined(in_samples(20, parted))
    assert len(found) == 1 and found.fraction.item() == 1
    assert found.flux.item() == pytest.approx(200, rel=0.02) and found.flux_err.item() < 10


def test_a_large_component_with_nearly_all_of_the_flux_has_what_touches_it():
    found, _, components = joined(in_samples(10, lambda rng: sky((20, 20, 400, 4.5), (25.5, 20, 20, 2))))
    assert (len(found), components.item()) == (1, 2) and found.flux.item() == pytest.approx(420, rel=0.02)


def test_a_faint_neighbour_that_seldom_touches_an_extended_source_is_none_of_it():
    def beside(rng):
        a = rng.uniform() < 0.3
        return ring(rng) + sky((25 - 0.4 * a, 20, 8, 0.8 + 0.6 * a))

    _, _, components = joined(in_samples(20, beside))
    assert sorted(components == 1) == [False, True]


def test_the_error_of_a_whole_knows_that_its_parts_share_their_flux():
    """Two halves that exchange flux from sample to sample: together they are certain."""

    def halves(rng):
        share = rng.uniform(0.3, 0.7)
        return sky((20, 20, 100 * share, 2), (22.6, 20, 100 * (1 - share), 2), (25.2, 20, 50, 2))

    merged = in_samples(20, halves)
    found, _, _ = joined(merged)
    assert len(found) == 1 and found.flux_err.item() < 1.3 * merged.flux_err.max()
    assert found.flux_err.item() < 0.6 * np.sqrt((merged.flux_err**2).sum())


@pytest.mark.parametrize("apart", [1.4, 2.0])
def test_two_compact_sources_side_by_side_are_two(apart):
    merged = in_samples(10, lambda rng: sky((20, 20, 20, 0.7), (20 + apart + rng.normal(0, 0.05), 20, 15, 0.7)))
    found, _, components = joined(merged)
    assert len(found) == len(merged) == 2 and (components == 1).all()


def test_what_the_mean_primary_beam_of_a_whole_is():
    merged = in_samples(5, ring)
    pb = np.linspace(0.5, 1, len(merged))
    _, of_whole, _ = join(merged, pb)
    flux = merged.sample_flux.mean(1)
    assert flux.sum() / of_whole.item() == pytest.approx((flux / pb).sum())


def test_a_component_in_a_blank_has_no_primary_beam():
    merged = in_samples(5, ring)
    pb = np.full(len(merged), 0.5)
    pb[0] = np.nan
    assert join(merged, pb)[1].item() == pytest.approx(0.5)


def test_a_neighbour_that_most_samples_have_keeps_its_flux():
    """Two components of one source, a neighbour that touches them in three of ten samples, and a piece of no source."""
    sample = np.repeat(np.arange(10), 4)
    kind = np.tile(np.arange(4), 10)
    island = np.where((kind == 2) & (sample > 2), 1, 0)
    found = Detections(
        sample,
        *np.zeros((2, 40)),
        np.array([10.0, 20, 40, 5])[kind],
        np.zeros((40, 2, 2)),
        np.zeros((40, 3)),
        island,
        np.zeros(40),
    )
    owner = np.where(kind == 3, -1, kind)
    whole, fluxes = wholes(found, owner, 3, 10)
    assert whole[0] == whole[1] != whole[2]
    assert fluxes[whole[0]].tolist() == [35] * 10 and fluxes[whole[2]].tolist() == [40] * 10


def test_one_row_for_a_disc_in_an_image():
    """A disc of six beams, of eighty Gaussians, with a peak of 40 times the noise."""
    seen = Observation(read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, shape=(SIDE, SIDE), integration=2 * u.min)
    radius, angle = (a.ravel() for a in np.meshgrid(np.arange(2, 26, 4.0), np.arange(14) * 2 * np.pi / 14))
    flux = radius / radius.sum() * 9e-3
    sources = Sources(
        SIDE / 2 + radius * np.cos(angle), SIDE / 2 + 0.7 * radius * np.sin(angle), flux, 0 * flux + 7, 0 * flux + 7,
        0 * flux,
    )  # fmt: skip
    image = CCDData(seen.dirty(sources, NOISE, np.random.default_rng(0)), unit=u.Jy / u.beam, wcs=seen.wcs)
    result = DiffusionImager(n_samples=8, seed=1, device="cpu", progress=False)(
        image, seen.psf, seen.pb, beam=seen.beam
    )
    near = result.catalog[np.hypot(result.catalog["x"] - SIDE / 2, result.catalog["y"] - SIDE / 2) < 40]
    whole = near[np.argmax(near["flux"])]
    attenuated = (flux * seen.primary_beam_at(sources.x, sources.y)).sum()
    assert (whole["flux"] * whole["pb"]).to_value(u.Jy) == pytest.approx(attenuated, rel=0.15)
    assert near["flux"].sum() < 1.1 * whole["flux"] and (near["reliability"] > 0.5).sum() == 1
    inside = np.hypot(*np.indices((SIDE, SIDE)) - SIDE / 2) < 45
    assert result.image.data[inside].sum() == pytest.approx(flux.sum(), rel=0.1)
