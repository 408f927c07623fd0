"""A PSF is normalised, put in the middle, and cut to what is known of it; or refused, if it is none."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData
from scipy.ndimage import affine_transform

from astro_ddpm_imager import DirtyImageError
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.observation.psf import half_power
from astro_ddpm_imager.observation.stored import StoredObservation
from astro_ddpm_imager.simulate import Observation, read_array

from ..conftest import gaussian_psf

ITS_BEAM = {"BMAJ": 0.891 / 3600, "BMIN": 0.821 / 3600, "BPA": 83.0}  # of the demonstration's PSF


def test_psf_and_pb_of_no_use(noise_image):
    with pytest.raises(DirtyImageError, match="psf: its largest value is -1"):
        prepare(noise_image(), psf=np.full((96, 96), -1.0))
    with pytest.raises(DirtyImageError, match="pb: its largest value is 7; a primary beam is 1 at its centre"):
        prepare(noise_image(), pb=np.full((96, 96), 7.0))
    with pytest.raises(DirtyImageError, match=r"pb: nowhere reaches pblimit=0\.2"):
        prepare(noise_image(), pb=np.full((96, 96), 0.1))


def test_psf_off_centre_is_moved_and_said(noise_image, caplog):
    checked = prepare(noise_image(), psf=2 * gaussian_psf(at=(50, 47))).psf
    np.testing.assert_allclose(checked, gaussian_psf(), atol=1e-12)
    assert "peaks at 2 instead of 1; normalised" in caplog.text
    assert "peaks at pixel (x, y) = (47, 50) instead of (48, 48); moved" in caplog.text


@pytest.mark.parametrize("beside", [(0.5, 0.5), (0, -0.5), (-0.25, 0.1)])
def test_a_psf_that_peaks_between_pixels_is_moved_and_said(noise_image, caplog, beside):
    """Else sources would be found as far from where they are, and too faint, with no word."""
    psf = gaussian_psf(fwhm=5.0, at=np.add(beside, 48))
    checked = prepare(noise_image(), psf=psf).psf
    np.testing.assert_allclose(checked, gaussian_psf(), atol=0.01)
    assert "psf: peaks (" in caplog.text and "pixels in x and y beside the middle of one; moved" in caplog.text


def test_a_psf_of_which_four_pixels_were_averaged(noise_image, demo, caplog):
    """As observers make images smaller, of 2 x 2 pixels: its peak is a quarter of a pixel off, what is 0 stays it."""
    psf = fits.getdata(demo["psf"]).squeeze().astype(float)
    y, x = (n // 2 for n in psf.shape)
    fine = psf[y - 160 : y + 160, x - 160 : x + 160]
    binned = fine.reshape(160, 2, 160, 2).mean((1, 3))
    binned[:10] = 0
    image = noise_image((160, 160), cell=0.2, **ITS_BEAM)
    expected = psf[y - 160 : y + 160 : 2, x - 160 : x + 160 : 2]
    checked = prepare(image, psf=binned).psf
    assert "psf: peaks (-0.25, -0.25) pixels" in caplog.text
    assert "is blank or 0 beyond" in caplog.text and checked.shape[0] < 160
    inner = np.s_[50:111, 50:111]
    middle = tuple(slice(n // 2 - 30, n // 2 + 31) for n in checked.shape)
    # Averaging makes it wider, too, but nothing of it is to one side.
    np.testing.assert_allclose(checked[middle], checked[middle][::-1, ::-1], atol=0.01)
    assert np.abs(binned[inner] - binned[inner][::-1, ::-1]).max() > 0.1
    np.testing.assert_allclose(checked[middle], expected[inner], atol=0.05)


def test_a_pixel_that_is_too_high_does_not_move_a_psf(noise_image, caplog):
    psf = gaussian_psf()
    psf[20, 21], psf[20, 22] = 3.0, 0.4
    checked = prepare(noise_image(), psf=psf).psf
    np.testing.assert_allclose(checked[40:57, 40:57], gaussian_psf()[40:57, 40:57], atol=1e-12)
    assert "beside the middle" not in caplog.text


def test_a_psf_that_a_primary_beam_makes_stronger_on_one_side_stays_where_it_is(noise_image, demo, caplog):
    """Its highest value is beside its middle, where the source is."""
    psf = fits.getdata(demo["psf"]).squeeze().astype(float)
    y, x = (n // 2 for n in psf.shape)
    psf = psf[y - 48 : y + 48, x - 48 : x + 48] * np.exp(-np.arange(-48, 48) / 60)
    given = psf.copy()
    np.testing.assert_array_equal(prepare(noise_image(**ITS_BEAM), psf=psf).psf, given)
    assert "beside the middle" not in caplog.text


def test_sharp_fringes_that_are_faint_are_no_errors(noise_image, caplog):
    """A smooth PSF, but for what ends its baselines: a thousandth of its peak."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(192), np.fft.fftfreq(192)))
    transfer = np.where(frequency < 0.33, np.exp(-89 * frequency**2), 0)
    psf = np.fft.fftshift(np.fft.ifft2(transfer).real)
    checked = prepare(noise_image(), psf=psf / psf.max()).psf
    np.testing.assert_allclose(checked, psf / psf.max(), atol=1e-12)
    assert "psf" not in caplog.text


@pytest.mark.parametrize("given", [(1, 2, 3), (1,)])
def test_psfs_of_places_that_are_no_pairs(noise_image, tmp_path, given):
    psfs = [tuple(gaussian_psf() for _ in given)]
    with pytest.raises(TypeError, match=r"psf: each of several is an image with a WCS, or a pair .*; got tuple"):
        StoredObservation(noise_image(), {"psf": psfs}, None, tmp_path, 0.2, None)
    with pytest.raises(TypeError, match=r"psf: each of several .*psf=\[\(SkyCoord\(...\), psf\), ...\]; got SkyCoord"):
        StoredObservation(noise_image(), {"psf": (SkyCoord(150, 2, unit="deg"), psfs[0][0])}, None, tmp_path, 0.2, None)


def test_a_psf_that_peaks_between_pixels_is_moved_in_tiles_too(noise_image, tmp_path):
    psf = gaussian_psf(at=(48.5, 48.25))
    (stored,) = StoredObservation(noise_image(), {"psf": psf}, None, tmp_path, 0.2, None).psfs
    np.testing.assert_allclose(stored.near, gaussian_psf(), atol=0.01)
    np.testing.assert_allclose(stored.plane.opened(), gaussian_psf(), atol=0.01)


def test_psf_that_is_none(noise_image, demo):
    psf = fits.getdata(demo["psf"]).squeeze().astype(float)
    y, x = (n // 2 for n in psf.shape)
    psf = psf[y - 48 : y + 48, x - 48 : x + 48]
    assert prepare(noise_image(**ITS_BEAM), psf=psf).psf[48, 48] == 1
    with pytest.raises(DirtyImageError, match=r"psf: its lowest value is -\d+.* times its highest; .*the right sign\?"):
        prepare(noise_image(), psf=-psf)
    with pytest.raises(DirtyImageError, match=r"psf: is not symmetric about its peak, by 1.* is it another image"):
        prepare(noise_image(), psf=noise_image().data.clip(-5e-5))


def test_a_psf_of_which_a_part_is_not_known(noise_image, demo, caplog):
    """Padded with zeros, blank beyond a radius, its peak not in the middle: it is cut, or mirrored, never made up."""
    psf = fits.getdata(demo["psf"]).squeeze().astype(float)
    y, x = (n // 2 for n in psf.shape)
    psf = psf[y - 48 : y + 48, x - 48 : x + 48]
    padded = np.pad(psf[8:89, 8:89], [(8, 7), (8, 7)])
    checked = prepare(noise_image(**ITS_BEAM), psf=padded).psf
    np.testing.assert_array_equal(checked, psf[8:89, 8:89])
    assert "psf: is blank or 0 beyond 81 x 81 pixels around its peak" in caplog.text
    wide = np.pad(psf[:, 26:71], [(0, 0), (26, 25)])  # along one axis: nothing is lost along the other
    np.testing.assert_array_equal(prepare(noise_image(**ITS_BEAM), psf=wide).psf, psf[:, 26:71])
    disc = np.where(np.hypot(*np.ogrid[-48:48, -48:48]) < 40, psf, np.nan)
    cut = prepare(noise_image(**ITS_BEAM), psf=disc).psf
    assert min(cut.shape) >= 51 and np.isfinite(cut).all()
    middle = tuple(slice(48 - n // 2, 48 + n // 2 + 1) for n in cut.shape)
    np.testing.assert_array_equal(cut, psf[middle])
    moved = prepare(noise_image(**ITS_BEAM), psf=np.roll(psf, (3, -2), (0, 1))).psf
    inner = tuple(slice(48 - n // 2, 48 + n // 2 + 1) for n in np.minimum(moved.shape, 91))
    at = tuple(slice(n // 2 - (s.stop - s.start) // 2, n // 2 + (s.stop - s.start) // 2 + 1)
               for n, s in zip(moved.shape, inner, strict=True))  # fmt: skip
    np.testing.assert_allclose(moved[at], psf[inner], atol=0.02)


@pytest.mark.parametrize("radius", [10, 20, 28])
@pytest.mark.parametrize("beyond", [0, np.nan])
def test_a_psf_that_is_known_near_its_peak_only_is_too_small(noise_image, demo, radius, beyond):
    """As a stamp of that size is."""
    psf = fits.getdata(demo["psf"]).squeeze().astype(float)
    y, x = (n // 2 for n in psf.shape)
    psf = np.where(np.hypot(*np.ogrid[-y : len(psf) - y, -x : len(psf) - x]) > radius, beyond, psf)
    with pytest.raises(
        DirtyImageError, match=r"psf: has \d+ x \d+ pixels that are neither blank nor 0 .*least 5 beams, 43"
    ):
        prepare(noise_image(**ITS_BEAM), psf=psf)


@pytest.mark.parametrize("step", [3e-4, 1 / 30000, 1e-9])
def test_zeros_that_end_a_gaussian_are_its_values(noise_image, caplog, step):
    """Whole numbers of steps, as int16 keeps them."""
    psf = np.round(gaussian_psf() / step) * step
    checked = prepare(noise_image(), psf=psf).psf
    np.testing.assert_allclose(checked, psf, atol=step)
    assert checked.shape == psf.shape and "psf" not in caplog.text


def test_a_primary_beam_in_the_place_of_the_psf(noise_image):
    radius = np.hypot(*np.ogrid[-48:48, -48:48])
    pb = np.exp(-0.5 * (radius / 30) ** 2)
    with pytest.raises(DirtyImageError, match=r"psf: is 0\.94 two beams from its peak, .* perhaps the primary beam\?"):
        prepare(noise_image(), psf=pb)


def test_a_psf_that_is_not_finite_everywhere(noise_image, caplog):
    psf = gaussian_psf()
    psf[3, 3], psf[4, 4] = np.inf, np.nan
    np.testing.assert_allclose(prepare(noise_image(), psf=psf).psf, gaussian_psf(), atol=1e-12)
    assert "psf" not in caplog.text


def weighted(weighting, robust=0.5, hour_angle=0.0):
    """A PSF and its beam, of ALMA at a declination where its beam is elongated."""
    return Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, 25 * u.deg, hour_angle=hour_angle * u.hourangle,
        integration=2 * u.min, shape=(192, 192), cell=0.13 * u.arcsec, weighting=weighting, robust=robust,
    )  # fmt: skip


def prepared(psf, image):
    data = image.image(image.noise(47e-6, np.random.default_rng(0)))
    return prepare(CCDData(data, unit=u.Jy / u.beam, wcs=image.wcs), psf=psf, beam=image.beam)


@pytest.mark.parametrize("weighting", ["natural", "briggs", "uniform"])
def test_the_psf_of_the_image_is_taken_without_a_word(weighting, caplog):
    seen = weighted(weighting)
    prepared(seen.psf, seen)
    assert not caplog.text


@pytest.mark.parametrize(
    "image, other",
    [
        (("natural",), ("briggs", 0.5)),
        (("natural",), ("briggs", -0.5)),
        (("briggs", -0.5), ("natural",)),
        (("natural", 0.5, -1.5), ("natural", 0.5, 1.5)),
    ],
)
def test_the_psf_of_another_weighting_or_time_is_said_or_refused(image, other, caplog):
    """Fluxes would be off by up to a factor of two."""
    try:
        prepared(weighted(*other).psf, weighted(*image))
    except DirtyImageError as error:
        assert "psf: is" in str(error) and "same weighting" in str(error)
    else:
        assert "where the restoring beam is at half power" in caplog.text


@pytest.mark.parametrize("changed", [{}, {"ORIGIN": "CASA"}, {"BMAJ": 1.301 / 3600}, {"WSCENVIS": 90000.0}])
def test_of_one_run_of_wsclean_the_beam_need_not_cross_the_psf_at_half_power(changed, caplog):
    """WSClean fits it to all of the main lobe, here a tenth wider; of another run that is said."""
    seen = weighted("natural")
    beam = {"BMAJ": 1.1 * seen.beam.major.to_value("deg"), "BMIN": 1.1 * seen.beam.minor.to_value("deg")}
    header = {"ORIGIN": "WSClean", "WSCENVIS": 108360.0, "BPA": seen.beam.pa.to_value("deg"), **beam}
    data = seen.image(seen.noise(47e-6, np.random.default_rng(0)))
    dirty = CCDData(data, unit=u.Jy / u.beam, wcs=seen.wcs, meta=header)
    prepare(dirty, psf=CCDData(seen.psf, unit=u.one, wcs=seen.wcs, meta=header | changed))
    assert ("where the restoring beam is at half power" in caplog.text) == bool(changed)


def resized(psf, factor):
    """A PSF made wider by a factor about its middle."""
    middle = np.array(psf.shape) // 2
    return affine_transform(psf, np.eye(2) / factor, middle - middle / factor, order=3)


@pytest.mark.parametrize(
    "change, word",
    [
        (lambda psf: resized(psf, 0.5), "narrower"),
        (lambda psf: resized(psf, 2), "wider"),
        (lambda psf: resized(psf, 1.3), "wider"),
        (lambda psf: psf**2, "narrower"),
        (lambda psf: (psf == psf.max()).astype(float), "narrower"),
    ],
)
def test_a_psf_that_cannot_be_that_of_the_beam_is_refused(change, word):
    seen = weighted("natural")
    with pytest.raises(
        DirtyImageError, match=rf"psf: is .* much {word} than the beam, .* or the right beam with beam="
    ):
        prepared(change(seen.psf), seen)


def test_a_gaussian_is_half_at_half_power():
    covariance = np.array([[9.0, 3.0], [3.0, 5.0]])
    y, x = np.indices((65, 65)) - 32
    inverse = np.linalg.inv(covariance)
    psf = np.exp(-0.5 * (inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2))
    np.testing.assert_allclose(half_power(psf, covariance), 0.5, atol=2e-3)


@pytest.mark.parametrize(
    "name", ["a.image.pbcor.fits", "a-image-pb.fits", "a-MFS-image-pb.fits", "a.int.restored.fits"]
)
def test_an_image_that_is_corrected_already_is_not_corrected_again(noise_image, name):
    image = noise_image()
    image.meta["FILENAME"] = name
    assert prepare(image).data.shape == image.shape
    with pytest.raises(DirtyImageError, match=f"dirty: {name} is corrected for the primary beam, as its name says"):
        prepare(image, pb=np.ones(image.shape))


@pytest.mark.parametrize("tiles", [False, True])
def test_an_image_that_is_corrected_with_the_psf_of_one_that_is_not(noise_image, tmp_path, caplog, tiles):
    """Nothing is wrong with it alone, with its noise, or with another name."""

    def given(name, psf=None, noise=None):
        image, folder = noise_image(FILENAME=name), tmp_path / f"{len(list(tmp_path.iterdir()))}"
        if not tiles:
            return prepare(image, psf=psf, noise=noise)
        folder.mkdir()
        return StoredObservation(image, {"psf": psf, "noise": noise}, None, folder, 0.2, None)

    given("a.pbcor.fits")
    given("a.dirty.fits", gaussian_psf())
    given("a.pbcor.fits", gaussian_psf(), np.ones((96, 96)))
    assert "corrected" not in caplog.text
    given("a.pbcor.fits", gaussian_psf())
    assert "dirty: a.pbcor.fits is corrected for the primary beam, as its name says, so that its side" in caplog.text
    assert "with psf and pb, or with this one the weight, the square of the primary beam, as noise" in caplog.text


@pytest.mark.parametrize(
    "meta, said",
    [
        ({"WSCMINOR": 894.0}, "WSCMINOR = 894"),
        ({"NITERS": 500}, "NITERS = 500"),
        ({"HISTORY": ["taskname=tclean", "niter       = 1000"]}, "niter       = 1000"),
        ({"HISTORY": ["AIPS   CLEAN NITER=    10000 PRODUCT=1   / NORMAL"]}, "AIPS   CLEAN NITER=    10000"),
        ({"HISTORY": ["taskname=tclean", "niter       = 0"], "WSCMINOR": 0.0}, None),
        ({"HISTORY": ["AIPS   CLEAN NITER=    10000 PRODUCT=3   / RESIDUAL"]}, None),
        ({"HISTORY": ["AIPS   CLEAN NITER=        0 PRODUCT=1", "IMAGR NITER=  10000 / asked for"]}, None),
        ({"WSCMINOR": 894.0, "FILENAME": "a-residual.fits"}, None),
    ],
)
def test_a_restored_image_with_its_psf_is_said(noise_image, caplog, meta, said):
    image = noise_image()
    image.meta.update(meta)
    prepare(image)
    assert "CLEAN has restored it" not in caplog.text
    prepare(image, psf=gaussian_psf())
    assert (f"says that CLEAN has restored it ({said})" in caplog.text) == (said is not None)
    assert ("CLEAN has restored it" in caplog.text) == (said is not None)
