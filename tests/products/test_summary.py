"""What notebooks and terminals show at a glance."""

import copy

import astropy.units as u
import numpy as np
import pytest

from astro_ddpm_imager.products.summary import brightness, html_table, summary_table


@pytest.mark.parametrize(
    ("value", "said"), [(4.71e-5, "47.1 µJy/beam"), (0.0993, "99.3 mJy/beam"), (168.2, "168.2 Jy/beam")]
)
def test_a_brightness_has_the_prefix_that_fits(value, said):
    assert brightness(value) == said


def test_a_result_shows_itself(result):
    shown = result._repr_html_()
    for part in ("demo.dirty.fits", "demo.psf.fits", "47.0 µJy/beam", "0.891 x 0.819 arcsec", "<table"):
        assert part in shown
    assert shown.count("<tr>") > len(result.catalog)


def test_many_sources_are_shown_in_part(result):
    many = copy.copy(result)
    many.catalog = result.catalog[np.zeros(40, dtype=int)]
    assert "25 more in" in many._repr_html_()


def test_a_field_without_sources_shows_itself(imager, noise_image):
    assert "ImagingResult" in imager(noise_image())._repr_html_()


def test_an_imager_shows_its_settings(imager):
    assert "n_samples" in imager._repr_html_() and "CPUExecutionProvider" in imager._repr_html_()


def test_names_cannot_break_the_page():
    assert "<b>" not in html_table("a", {"x": "<b>"}).replace("<b>a</b>", "")


def test_the_columns_that_are_looked_at_first(result):
    table = summary_table(result.catalog)
    assert table["flux"].unit == u.uJy and table.colnames[0] == "source_id"
    assert result.catalog["flux"].unit == u.Jy  # stays as it was


@pytest.mark.parametrize("flux, unit", [(2e-4, "uJy"), (0.05, "uJy"), (0.5, "mJy"), (500.0, "Jy")])
def test_fluxes_have_the_unit_that_fits_the_brightest(result, flux, unit):
    catalog = result.catalog.copy()
    catalog["flux"][0] = flux * u.Jy
    assert summary_table(catalog)["flux"].unit == u.Unit(unit) == summary_table(catalog)["flux_err"].unit
