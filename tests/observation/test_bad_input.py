"""Every odd input gets an error that names what is wrong and what to do."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from scipy.ndimage import gaussian_filter

from astro_ddpm_imager import DirtyImageError, read_image
from astro_ddpm_imager.observation.bright import subtract_bright
from astro_ddpm_imager.observation.preparation import prepare

from ..conftest import gaussian_psf, make_wcs, write_image


def test_all_blank(noise_image):
    image = noise_image()
    image.data[:] = np.nan
    with pytest.raises(DirtyImageError, match=r"dirty: every pixel is blank \(NaN\)"):
        prepare(image)


def test_constant(noise_image):
    image = noise_image()
    image.data[:] = 3e-5
    with pytest.raises(DirtyImageError, match=r"dirty: the image is constant \(3e-05 Jy/beam\)"):
        prepare(image)


def test_no_noise(noise_image):
    image = noise_image()
    image.data = np.maximum(gaussian_filter(image.data, 2), 1e-6)
    with pytest.raises(DirtyImageError, match="dirty: more than half of the pixels are equal"):
        prepare(image)


def test_few_pixels(noise_image):
    with pytest.raises(DirtyImageError, match=r"dirty: 30 x 20 pixels are only 4\.0 beams across; at least 8"):
        prepare(noise_image((20, 30)))


def test_under_sampled(noise_image):
    with pytest.raises(
        DirtyImageError,
        match=r"under-sampled, 1\.67 pixels of 0\.3 arcsec across its minor axis.*cell of at most 0\.167",
    ):
        prepare(noise_image(cell=0.3))


@pytest.mark.parametrize("name", ["pb", "mask", "noise"])
def test_other_shape(noise_image, name):
    with pytest.raises(DirtyImageError, match=rf"{name}: has shape \(96, 90\) .* the dirty image \(96, 96\)"):
        prepare(noise_image(), **{name: np.ones((96, 90))})


@pytest.mark.parametrize("shape", [(96,), (3, 96, 96)])
def test_a_companion_of_several_planes_or_a_row(noise_image, shape):
    with pytest.raises(DirtyImageError, match=r"psf: is an array of shape \(.*96,?\), not one plane \(ny, nx\)"):
        prepare(noise_image(), psf=np.ones(shape))


def test_a_psf_of_a_few_beams(noise_image):
    with pytest.raises(DirtyImageError, match=r"psf: has 20 x 96 pixels; it needs at least 5 beams, 25 pixels, a side"):
        prepare(noise_image(), psf=gaussian_psf(shape=(96, 20)))


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_a_psf_that_is_nowhere_positive(noise_image, value):
    with pytest.raises(DirtyImageError, match=rf"psf: its largest value is {value:g}; a PSF is 1 at its centre"):
        prepare(noise_image(), psf=np.full((96, 96), value))


@pytest.mark.parametrize("name", ["psf", "pb"])
def test_other_scale(noise_image, name):
    other = noise_image(cell=0.2)
    other.data[48, 48] = 1
    with pytest.raises(DirtyImageError, match=rf"{name}: has pixels of 0\.2 arcsec, but the dirty image of 0\.1"):
        prepare(noise_image(), **{name: other})


def test_hardly_a_pixel_that_is_not_blank(noise_image, imager):
    pb = np.full((96, 96), 0.1)
    pb[48:58, 48:63] = 1  # more than a PSF would have
    image = noise_image()
    with pytest.raises(DirtyImageError, match=r"dirty: hardly a pixel is not blank; lower pblimit=0\.2"):
        imager(image, pb=pb)


def test_a_plane_of_an_axis_that_is_not_there(tmp_path):
    path = write_image(tmp_path / "a.fits", np.zeros((64, 64)))
    for name in ("channel", "stokes"):
        assert read_image(path, **{name: 0}).shape == (64, 64)
        with pytest.raises(DirtyImageError, match=rf"a.fits: {name}=3 does not exist; the image has no {name} axis"):
            read_image(path, **{name: 3})
    for channel in ("1", 1.0, True):
        with pytest.raises(DirtyImageError, match=rf"channel={channel!r}: must be a whole number"):
            read_image(path, channel=channel)


def test_polarised_emission_is_not_taken_for_sources_without_a_word(noise_image, caplog):
    prepare(noise_image(CTYPE3="STOKES", CRVAL3=1.0))
    assert "Stokes" not in caplog.text
    prepare(noise_image(CTYPE3="STOKES", CRVAL3=2.0))
    assert "dirty: is of Stokes Q, which may be negative" in caplog.text


@pytest.mark.parametrize(("ctype", "name"), [("FREQ", "channel"), ("STOKES", "stokes")])
def test_cube_says_how_to_choose_a_plane(tmp_path, ctype, name):
    cube = np.random.default_rng(0).standard_normal((3, 64, 64))
    path = write_image(tmp_path / "cube.fits", cube, CTYPE3=ctype, CRVAL3=1.0, CDELT3=1.0, CRPIX3=1.0)
    with pytest.raises(
        DirtyImageError, match=rf"has 3 planes on its {name} axis; choose one with {name}=0 to 2.*--{name}"
    ):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, **{name: 2}).data, cube[2])
    with pytest.raises(DirtyImageError, match=rf"{name}=3 does not exist; there are planes 0 to 2"):
        read_image(path, **{name: 3})


def test_products_have_the_frequency_of_their_channel(tmp_path, imager):
    cube = 1e-4 * np.random.default_rng(0).standard_normal((3, 64, 64))
    path = write_image(tmp_path / "cube.fits", cube, CTYPE3="FREQ", CRVAL3=2.3e11, CDELT3=1e9, CRPIX3=1.0)
    assert imager(read_image(path, channel=2)).image.meta["FREQ"] == 2.32e11


def test_beam_of_a_channel_comes_from_casas_table(tmp_path):
    cube = np.random.default_rng(0).standard_normal((2, 64, 64))
    path = write_image(tmp_path / "cube.fits", cube, CTYPE3="FREQ", CRVAL3=1.0, CDELT3=1.0, CRPIX3=1.0, CASAMBM=True)
    beams = np.array([(0.5, 0.4, 0.0, 0, 0), (0.7, 0.6, 10.0, 1, 0)], dtype="f8,f8,f8,i4,i4")
    beams.dtype.names = ("BMAJ", "BMIN", "BPA", "CHAN", "POL")
    fits.append(path, beams, fits.Header({"EXTNAME": "BEAMS"}))
    assert prepare(read_image(path, channel=1)).beam.major.to_value(u.arcsec) == pytest.approx(0.7)
    with pytest.raises(DirtyImageError, match=r"cube\.fits: channel=2 does not exist; there are planes 0 to 1"):
        read_image(path, channel=2)


def test_integers(noise_image):
    image = noise_image()
    counts = CCDData((1e6 * image.data).astype(int), unit=image.unit, wcs=image.wcs, meta=image.meta)
    with pytest.raises(DirtyImageError, match=r"dirty: the pixels are int64, not floating point.*astype\(float\)"):
        prepare(counts)


def test_not_fits(tmp_path):
    path = tmp_path / "notes.fits"
    path.write_text("not an image " * 500)
    with pytest.raises(DirtyImageError, match=r"notes\.fits is not a FITS file, or it is cut off"):
        read_image(path)


def test_cut_off(tmp_path, demo):
    path = tmp_path / "half.fits"
    path.write_bytes(demo["dirty"].read_bytes()[:200_000])
    with pytest.raises(DirtyImageError, match=r"half\.fits is not a FITS file, or it is cut off"):
        read_image(path)


def test_flaws_of_a_file_that_do_no_harm(tmp_path, demo, caplog):
    """Letters beyond ASCII in the header, the last block not filled up, blocks too many."""
    raw, expected = demo["dirty"].read_bytes(), read_image(demo["dirty"]).data
    end = raw.index(b"END" + b" " * 77)
    latin = raw[:end] + b"OBSERVER= 'Andr\xe9'".ljust(80) + raw[end : end + 80] + raw[end + 160 :]
    pixels = len(raw) - (-4 * expected.size) % 2880
    for number, content in enumerate((latin, raw[:pixels], raw + bytes(8640))):
        path = tmp_path / f"{number}.fits"
        path.write_bytes(content)
        np.testing.assert_array_equal(read_image(path).data, expected)


def test_empty_fits_and_folder_and_nothing(tmp_path):
    fits.PrimaryHDU().writeto(tmp_path / "empty.fits")
    with pytest.raises(DirtyImageError, match="holds no image of two or more axes"):
        read_image(tmp_path / "empty.fits")
    with pytest.raises(DirtyImageError, match="is a folder, but not a CASA image"):
        read_image(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "nowhere.fits")


def test_not_an_image(imager):
    with pytest.raises(TypeError, match="dirty: expected a CCDData or the path of a FITS or CASA image, got ndarray"):
        imager(np.zeros((64, 64)))


@pytest.mark.parametrize("name", ["psf", "pb", "mask", "noise"])
def test_not_a_companion(imager, noise_image, name):
    """Of which arrays can be used, unlike dirty images."""
    with pytest.raises(TypeError, match=f"{name}: expected a CCDData or .* got float; .* too, and a 2D array"):
        imager(noise_image(), **{name: 6e-5})


def test_one_image_is_not_several(imager, noise_image):
    image = noise_image()
    for one in ("field.fits", image, fits.HDUList([fits.PrimaryHDU(image.data)])):
        with pytest.raises(TypeError, match=f"images: expected several, .*, got one {type(one).__name__}"):
            next(imager.map(one))


def test_beyond_the_training_is_said(noise_image, imager, caplog):
    imager(noise_image(BMAJ=2 / 3600))
    assert "the beam is 4 times as long as wide, the model was trained for up to 3.2" in caplog.text


@pytest.mark.parametrize("rows", [10, 30, 80])
def test_borders_filled_with_zeros_are_blank_and_it_is_said(noise_image, caplog, rows):
    image, blank = noise_image(), noise_image()
    image.data[:rows], blank.data[:rows] = 0, np.nan
    filled, expected = prepare(image), prepare(blank)
    assert f"{rows * 96} pixels in a piece are exactly 0" in caplog.text
    assert filled.rms == expected.rms
    np.testing.assert_array_equal(filled.data, expected.data)
    np.testing.assert_array_equal(filled.allowed, expected.allowed)


def test_a_zero_here_and_there_is_a_value(noise_image):
    image = noise_image()
    image.data[::3, ::5] = 0
    assert np.isfinite(prepare(image).data).all()


def test_masked_pixels_of_companions(noise_image):
    half = np.zeros((96, 96), dtype=bool)
    half[:, 48:] = True
    ones = np.ones((96, 96))
    for pb in (np.ma.MaskedArray(ones, half), CCDData(ones, unit=u.one, mask=half, wcs=make_wcs())):
        np.testing.assert_array_equal(np.isnan(prepare(noise_image(), pb=pb).data), half)
    np.testing.assert_array_equal(prepare(noise_image(), mask=np.ma.MaskedArray(ones, half)).allowed, ~half)


def test_bright_sources_that_the_psf_image_does_not_join(noise_image, caplog):
    """What is not known of their sidelobes on each other counts as noise, and it is said."""

    def seen(place):
        radius = np.hypot(*(np.mgrid[:96, :96] - place))
        return np.exp(-0.5 * (radius / 2.1) ** 2) + 0.05 * np.cos(radius) * (radius > 6)

    image, psf = noise_image(), seen(48)
    image.data += 200 * prepare(image).rms * (seen(8) + seen(88))
    dirty = prepare(image, psf=psf)
    after = subtract_bright(dirty, brightest=30, kept=15)
    assert np.isfinite(after.data).all()
    assert np.min(after.noise_ratio) >= 1 and np.max(after.noise_ratio) > 1.5
    assert "give a PSF image twice as wide" in caplog.text


def test_a_mask_that_allows_nothing_is_said(noise_image, caplog):
    prepare(noise_image(), mask=np.zeros((96, 96)))
    assert "mask: is 0 or blank wherever the image is not" in caplog.text


@pytest.mark.parametrize("name", ["psf", "pb", "mask", "noise"])
def test_a_companion_that_cannot_be_read_is_named(noise_image, tmp_path, name):
    with pytest.raises(FileNotFoundError, match=rf"{name}: .*none\.fits"):
        prepare(noise_image(), **{name: tmp_path / "none.fits"})
    (tmp_path / "bad.fits").write_text("nothing")
    with pytest.raises(DirtyImageError, match=rf"{name}: .*bad\.fits is not a FITS file"):
        prepare(noise_image(), **{name: tmp_path / "bad.fits"})
