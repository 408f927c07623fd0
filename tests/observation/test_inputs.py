"""What an image may be given as: files, HDUs, NDData, slices of cubes."""

import hashlib
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, NDData, NDDataRef
from astropy.table import Table
from astropy.wcs import WCS
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS
from astropy.wcs.wcsapi.wrappers.base import BaseWCSWrapper

from astro_ddpm_imager import DirtyImageError, read_companion, read_image
from astro_ddpm_imager.observation.cubes import open_cube
from astro_ddpm_imager.observation.inputs import as_companion, as_plane, origin
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.observation.spectral import plane_frequency

from ..conftest import gaussian_psf, make_wcs


@pytest.fixture
def hdu():
    """An image as CASA exports it, with axes for frequency and Stokes."""
    header = make_wcs().to_header()
    header.update(
        BUNIT="Jy/beam", BMAJ=0.5 / 3600, BMIN=0.5 / 3600, BPA=0.0, OBJECT="field", CTYPE3="FREQ", CRVAL3=2.3e11,
        CRPIX3=1.0, CDELT3=2e9, CUNIT3="Hz", CTYPE4="STOKES", CRVAL4=1.0, CRPIX4=1.0, CDELT4=1.0,
    )  # fmt: skip
    data = 1e-4 * np.random.default_rng(0).standard_normal((1, 1, 96, 96))
    return fits.PrimaryHDU(data.astype(">f4"), header)


@pytest.fixture
def path(hdu, tmp_path):
    hdu.writeto(tmp_path / "a.fits")
    return tmp_path / "a.fits"


def as_given(kind, path):
    with fits.open(path, memmap=False) as hdus:
        hdu, whole = hdus[0], fits.HDUList([hdus[0].copy()])
    plane = fits.Header({key: value for key, value in hdu.header.items() if not key.endswith(("3", "4"))})
    data, wcs = hdu.data.squeeze(), WCS(hdu.header).celestial
    return {
        "path": path,
        "HDUList": whole,
        "PrimaryHDU": hdu,
        "ImageHDU": fits.ImageHDU(hdu.data, hdu.header),
        "CompImageHDU": fits.CompImageHDU(data, plane, quantize_level=-1e-9),
        "NDData": NDData(data, unit="Jy/beam", wcs=wcs, meta=hdu.header),
        "NDDataRef": NDDataRef(data, unit="Jy/beam", wcs=wcs, meta=hdu.header),
        "CCDData": CCDData(hdu.data, unit="Jy/beam", wcs=WCS(hdu.header), meta=hdu.header),
    }[kind]


KINDS = ["path", "HDUList", "PrimaryHDU", "ImageHDU", "CompImageHDU", "NDData", "NDDataRef", "CCDData"]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_same_image_whatever_it_is_given_as(kind, path):
    expected, given = prepare(path), as_given(kind, path)
    seen = prepare(given, psf=gaussian_psf())
    np.testing.assert_allclose(seen.data, expected.data, atol=1e-9)
    assert seen.beam == expected.beam and seen.meta["OBJECT"] == "field"
    assert seen.wcs.pixel_to_world(3, 4).separation(expected.wcs.pixel_to_world(3, 4)).arcsec < 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_companions_may_be_any_of_them(kind, path):
    image = read_image(path)
    np.testing.assert_allclose(as_companion(as_given(kind, path), "pb", image).data, image.data, atol=1e-9)


def test_what_is_given_is_not_changed(hdu):
    before, header = hdu.data.copy(), hdu.header.copy()
    prepare(fits.HDUList([hdu]))
    np.testing.assert_array_equal(hdu.data, before)
    assert hdu.header == header


def test_a_slice_of_a_spectral_cube(path, tmp_path):
    spectral_cube = pytest.importorskip("spectral_cube")
    with fits.open(path) as hdus:
        hdus[0].data = np.repeat(hdus[0].data, 3, axis=1) * np.array([1, 2, 3])[:, None, None]
        hdus.writeto(tmp_path / "cube.fits")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reader's own
        cube = spectral_cube.SpectralCube.read(tmp_path / "cube.fits")
    seen = prepare(cube[1])
    np.testing.assert_allclose(seen.data, 2 * prepare(path).data, rtol=1e-5)
    assert seen.beam.major.to_value(u.arcsec) == pytest.approx(0.5)
    with pytest.raises(DirtyImageError, match="dirty: has 3 planes on its channel axis; choose one with channel=0"):
        prepare(cube)


def test_a_plane_of_hdus_can_be_chosen(hdu):
    cube = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.repeat(hdu.data, 2, axis=1) * [[[1]], [[2]]], hdu.header)])
    np.testing.assert_allclose(read_image(cube, channel=1).data, 2 * hdu.data[0, 0], rtol=1e-6)
    np.testing.assert_allclose(read_companion(cube, channel=0).data, hdu.data[0, 0], rtol=1e-6)


def test_a_file_leaves_its_name_and_checksum(path):
    expected = "a.fits", hashlib.sha256(path.read_bytes()).hexdigest(), (str(path),)
    assert origin(read_image(path)) == origin(read_companion(str(path))) == expected
    seen = prepare(path, psf=gaussian_psf())
    assert seen.inputs == {"dirty": expected, "psf": ("in memory", "", ())}
    assert seen.files == [str(path)]


class OtherWCS(BaseWCSWrapper):
    """Of no FITS header, as far as anyone knows."""

    pixel_to_world_values = world_to_pixel_values = None


def test_what_holds_no_image(path):
    with pytest.raises(DirtyImageError, match="dirty holds no image of two or more axes"):
        as_plane(fits.PrimaryHDU(), "dirty")
    with fits.open(path) as closed:
        pass
    with pytest.raises(DirtyImageError, match=r"dirty: its file was closed .*; give it while the file is open"):
        prepare(closed)
    with pytest.raises(DirtyImageError, match="the HDUList holds no image"):
        read_image(fits.HDUList([fits.PrimaryHDU(), fits.table_to_hdu(Table({"a": [1]}))]))
    with pytest.raises(TypeError, match=r"dirty: expected a CCDData or the path .* got BinTableHDU; HDUList, image"):
        as_plane(fits.table_to_hdu(Table({"a": [1]})), "dirty")
    with pytest.raises(DirtyImageError, match="dirty: the NDData has no unit; give it unit='Jy/beam'"):
        as_plane(NDData(np.zeros((96, 96)), wcs=make_wcs()), "dirty")
    other = HighLevelWCSWrapper(OtherWCS(make_wcs()))
    with pytest.raises(DirtyImageError, match=r"its WCS is a .*, not an astropy\.wcs\.WCS; slice the WCS before"):
        as_plane(NDData(np.zeros((96, 96)), unit="Jy/beam", wcs=other), "dirty")
    from_the_end = HighLevelWCSWrapper(SlicedLowLevelWCS(make_wcs(), np.s_[6:]))
    from_the_end.low_level_wcs._slices_array[0] = slice(-90, None)  # as astropy before 8 leaves it
    with pytest.raises(DirtyImageError, match="slice the WCS before the image"):
        as_plane(NDData(np.zeros((90, 96)), unit="Jy/beam", wcs=from_the_end), "dirty")


def a_cube(hdu):
    """Pixels, WCS and header, with five channels."""
    hdu = fits.PrimaryHDU(np.repeat(hdu.data, 5, axis=1) * np.arange(1, 6)[:, None, None], hdu.header)
    return hdu.data, WCS(hdu.header), hdu.header


@pytest.mark.parametrize("cut", [np.s_[0, 3], np.s_[0, 3:4], np.s_[:, 3], np.s_[:, 3:4]])
def test_a_slice_is_the_part_of_the_image_that_it_shows(hdu, cut):
    data, wcs, header = a_cube(hdu)
    mask = data > 3e-4
    sliced = NDDataRef(data, unit="Jy/beam", wcs=wcs, meta=header, mask=mask)[(*cut, slice(10, 90), slice(4, None))]
    seen = as_plane(sliced, "dirty")
    np.testing.assert_array_equal(seen.data, data[0, 3, 10:90, 4:])
    np.testing.assert_array_equal(seen.mask, mask[0, 3, 10:90, 4:])
    assert seen.wcs.pixel_to_world(0, 0).separation(wcs.celestial.pixel_to_world(4, 10)).arcsec < 1e-9
    assert seen.meta["CRVAL3"] == 2.36e11 and header["CRPIX3"] == 1
    assert as_companion(sliced, "mask", seen).shape == seen.shape


def test_the_frequency_of_a_part_of_a_cube_is_its_own(hdu):
    data, wcs, header = a_cube(hdu)
    part = CCDData(data, unit="Jy/beam", wcs=wcs, meta=header)[:, 2:3, 10:90, 10:90]
    assert as_plane(part, "dirty").meta["CRVAL3"] == 2.34e11


@pytest.mark.parametrize("axis", [("FREQ", 2.3e11, 2e9, "Hz"), ("VRAD", -1000.0, 500.0, "km/s")])
def test_axes_that_only_the_wcs_has_are_not_lost(hdu, tmp_path, caplog, axis):
    """As CCDData.read moves them there; frequency, Stokes parameter and what keep_axes keeps are those of the file."""
    hdu.header.update(dict(zip(("CTYPE3", "CRVAL3", "CDELT3", "CUNIT3"), axis, strict=True)), CRPIX3=3.0, CRVAL4=2.0)
    hdu.header["RESTFRQ"] = 2.31e11
    hdu.writeto(tmp_path / "a.fits")
    ccd = CCDData.read(tmp_path / "a.fits", unit="Jy/beam")
    assert "CTYPE3" not in ccd.meta
    seen, expected = prepare(ccd).meta, prepare(tmp_path / "a.fits").meta
    assert caplog.text.count("dirty: is of Stokes Q") == 2
    for card in (f"{key}{number}" for key in ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CUNIT") for number in (3, 4)):
        assert seen[card] == expected.get(card, ""), card
    assert plane_frequency(seen) == plane_frequency(expected) is not None
    assert "CTYPE3" not in ccd.meta


def test_a_slice_may_be_a_cube(hdu):
    data, wcs, header = a_cube(hdu)
    cube = open_cube(NDDataRef(data, unit="Jy/beam", wcs=wcs, meta=header)[0, 1:4, 10:90])
    assert cube.n_channels == 3 and cube.axis.frequency[0].to_value("Hz") == 2.32e11
    np.testing.assert_array_equal(cube.plane(1).data, data[0, 2, 10:90])


def test_a_mask_in_another_frame_is_said_nothing_of(noise_image):
    image, mask = noise_image(), noise_image()
    for each, frame in ((image, "FK4"), (mask, "ICRS")):
        each.wcs = WCS(each.wcs.to_header())
        each.wcs.wcs.radesys, each.wcs.wcs.equinox = frame, np.nan
    place = mask.wcs.pixel_to_world(0, 0).transform_to("fk4")
    image.wcs.wcs.crval += [place.ra.deg, place.dec.deg] - image.wcs.wcs_pix2world([[0, 0]], 0)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare(image, mask=CCDData(np.ones(mask.shape), unit="", wcs=mask.wcs))


def turned(wcs, by):
    """A WCS, of another place, whose axes are ``by`` those of one."""
    other = make_wcs()
    other.wcs.crval, other.wcs.crpix = [10.0, -40.0], [1.0, 300.0]
    other.wcs.cd = wcs.pixel_scale_matrix @ by
    return other


@pytest.mark.parametrize("name", ["psf", "pb", "noise"])
@pytest.mark.parametrize(
    "degrees, flip, said",
    [
        (0, 1, None),
        (0.5, 1, None),
        (0, -1, r"flipped: a step along its axes is \(x, y\) = \(1, 0\) and \(0, -1\) pixels"),
        (180, -1, r"flipped: .* = \(-1, 0\) and \(0, 1\) pixels"),
        (90, 1, r"rotated: .* = \(0, -1\) and \(1, 0\) pixels"),
        (20, 1, r"rotated: .* = \(0.94, -0.342\) and \(0.342, 0.94\) pixels"),
    ],
)
def test_companions_whose_axes_point_elsewhere_are_refused(noise_image, name, degrees, flip, said):
    """Wherever they are, as far as they may be elsewhere, and with any WCS of the image."""
    image, (c, s) = noise_image(), (np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees)))
    image.wcs = make_wcs(angle=30)
    wcs = turned(image.wcs, np.array([[c, s], [-s, c]]) @ np.diag([1, flip]))
    companion = CCDData(gaussian_psf(), unit=u.one, wcs=wcs)
    if said is None and name != "noise":
        assert as_companion(companion, name, image).shape == image.shape
        return
    said = "lies up to" if said is None else f"its header has it {said} of the dirty image, .* correct CDELT"
    with pytest.raises(DirtyImageError, match=f"{name}: {said}"):
        as_companion(companion, name, image)


def test_half_a_turn_does_not_change_a_psf(noise_image):
    image = noise_image()
    companion = CCDData(gaussian_psf(), unit=u.one, wcs=turned(image.wcs, -np.eye(2)))
    as_companion(companion, "psf", image)
    with pytest.raises(DirtyImageError, match="pb: its header has it rotated"):
        as_companion(companion, "pb", image)


def cut(image, x):
    """A companion of ones, as many pixels as an image, but cut out of a larger one by ``x`` pixels further."""
    other = CCDData(np.ones(image.shape), unit=image.unit, wcs=image.wcs.deepcopy())
    other.wcs.wcs.crpix -= [x, 0]
    return other


def pointed(image, dec):
    """A companion of ones on the pixels of an image, but of another pointing, ``dec`` degrees further north."""
    other = CCDData(np.ones(image.shape), unit=image.unit, wcs=image.wcs.deepcopy())
    other.wcs.wcs.crval += [0, dec]
    return other


@pytest.mark.parametrize("name", ["mask", "noise", "pb"])
def test_what_belongs_to_the_pixels_lies_where_they_do(noise_image, name):
    image = noise_image()
    assert np.isfinite(prepare(image, **{name: cut(image, 0.5)}).data).all()
    with pytest.raises(DirtyImageError, match=rf"{name}: lies up to 2 arcsec from the dirty image, .* or regrid it"):
        prepare(image, **{name: cut(image, 20)})


@pytest.mark.parametrize("name", ["mask", "noise", "pb"])
def test_corners_of_all_the_sky_lie_nowhere(name):
    """Beyond the horizon of an orthographic projection."""
    image = CCDData(np.ones((96, 96)), unit=u.Jy / u.beam, wcs=make_wcs(cell=1.5 * 3600))
    assert np.isnan(image.wcs.pixel_to_world(0, 0).ra)
    assert as_companion(cut(image, 0), name, image).shape == image.shape
    with pytest.raises(DirtyImageError, match=rf"{name}: lies up to .* regrid it"):
        as_companion(cut(image, 5), name, image)


def test_of_another_pointing(noise_image, caplog):
    """No mask or noise is of use there; PSF and primary beam are those of any pointing."""
    image = noise_image()
    for dec, said in ((1, 3600), (2 / 3600, 2)):
        other = pointed(image, dec)
        for name in ("mask", "noise"):
            with pytest.raises(DirtyImageError, match=rf"{name}: lies up to {said} arcsec from the dirty image"):
                prepare(image, **{name: other})
        psf = CCDData(gaussian_psf(), unit=other.unit, wcs=other.wcs)
        caplog.clear()
        assert np.isfinite(prepare(image, pb=other, psf=psf).data).all()
        # Where the same sky is in both, it may be a mistake.
        assert ("pb: is that of another pointing, by its header, 2 arcsec away" in caplog.text) == (said == 2)


def test_a_mask_of_one_value_is_that_of_all_pixels(noise_image):
    image = noise_image()
    given = {value: NDData(image.data, unit=image.unit, wcs=image.wcs, meta=image.meta, mask=value) for value in (0, 1)}
    assert not as_plane(given[0], "dirty").mask.any()
    with pytest.raises(DirtyImageError, match="dirty: every pixel is blank"):
        prepare(given[1])


def test_a_slice_without_a_pixel(hdu):
    image = CCDData(hdu.data, unit="Jy/beam", wcs=WCS(hdu.header), meta=hdu.header)
    with pytest.raises(DirtyImageError, match=r"dirty: its shape is \(0, 1, 96, 96\), so it has no pixel"):
        prepare(image[5:6])


@pytest.mark.parametrize("kind", ["Quantity", "CCDData", "NDData", "file", "HDU"])
def test_a_primary_beam_in_percent(noise_image, kind, tmp_path):
    percent = 100 * np.linspace(0.5, 1, 96) * np.ones((96, 1))
    image = noise_image()
    hdu = fits.PrimaryHDU(percent, image.wcs.to_header() + fits.Header({"BUNIT": "%"}))
    hdu.writeto(tmp_path / "pb.fits")
    given = {
        "file": tmp_path / "pb.fits",
        "HDU": hdu,
        "Quantity": percent * u.percent,
        "CCDData": CCDData(percent, unit="percent", wcs=image.wcs),
        "NDData": NDData(percent, unit="percent"),
    }[kind]
    np.testing.assert_allclose(prepare(image, pb=given).pb, percent / 100)


@pytest.mark.parametrize("number", [6e-5, np.float64(6e-5), 6e-5 * u.one, 6e-5 * u.Jy / u.beam, 1])
def test_noise_is_a_map(noise_image, number):
    """Of which only the shape counts: a level is no noise that varies, whatever it is given as."""
    with pytest.raises(
        TypeError, match=r"noise: expected .* no number, (6e-05|1).*: the level is measured, leave noise out"
    ):
        prepare(noise_image(), noise=number)


def test_noise_without_a_unit(noise_image, caplog):
    """A dimensionless quantity is what an array is, and what it is taken for is said."""
    caplog.set_level("INFO")
    level = np.linspace(1, 2, 96) * np.ones((96, 1))
    expected = prepare(noise_image(), noise=level * u.mJy / u.beam).noise_ratio
    assert "has no unit" not in caplog.text
    for each in (level, level * u.one):
        np.testing.assert_array_equal(prepare(noise_image(), noise=each).noise_ratio, expected)
    assert caplog.text.count("noise: the array has no unit, so that it is taken for Jy/beam") == 2


def test_a_weight_without_a_wcs_has_its_unit(noise_image):
    weight = np.linspace(1, 4, 96) * np.ones((96, 1))
    expected = prepare(noise_image(), noise=1 / np.sqrt(weight)).noise_ratio
    found = prepare(noise_image(), noise=weight * u.Jy**-2).noise_ratio
    np.testing.assert_allclose(found, expected)
