"""Pictures that show faint sources beside bright ones, with names that can be read."""

import copy

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from astro_ddpm_imager import SettingError, read_image
from astro_ddpm_imager.products.plotting import PANELS, plot_result


@pytest.fixture
def crowded(result):
    """A result with forty sources, many in the same place, and one of ten thousand times the noise."""
    found = copy.copy(result)
    rows = np.arange(40) % len(result.catalog)
    found.catalog = result.catalog[rows]
    found.catalog["source_id"] = np.arange(1, 41)
    found.catalog["x"][10:] = np.linspace(10, 310, 30)
    found.catalog["y"][10:] = np.tile(np.linspace(40, 280, 6), 5)
    found.dirty = copy.copy(result.dirty)
    data = result.dirty.data.copy()
    data[150, 160] = 1e4 * result.dirty.rms
    object.__setattr__(found.dirty, "data", data)
    return found


def texts(axes):
    return [text for text in axes.texts if "(" in text.get_text()]


def test_the_four_images_of_a_result(result):
    figure = result.plot()
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["Dirty image", "Reconstruction (beam-median)", "Uncertainty", "Residual"]
    assert "µJy/beam" in figure.get_suptitle()


def test_without_a_psf_it_may_be_the_image_of_clean(imager, demo):
    figure = imager(demo["dirty"]).plot()
    assert figure.axes[0].get_title() == "Image"


def test_a_notebook_shows_the_figure_without_a_backend(result, tmp_path):
    import base64

    (tmp_path / "a.png").write_bytes(base64.b64decode(result.plot()._repr_png_()))
    assert imread(tmp_path / "a.png").shape[1] > 800


@pytest.mark.parametrize("panel", PANELS)
def test_one_image_on_axes_of_ones_own(result, panel):
    axes = Figure().add_subplot(projection=result.image.wcs)
    assert result.plot(ax=axes, panel=panel, labels=1) is axes
    assert len(texts(axes)) == 1 and len(axes.patches) == len(result.catalog) + 1  # the beam


def test_axes_that_know_no_sky(result):
    axes = Figure().add_subplot()
    result.plot(ax=axes)
    axes.figure.canvas.draw()


def test_an_image_that_there_is_none_of(result):
    with pytest.raises(SettingError, match="panel='clean': choose one of 'dirty', 'reconstruction'"):
        result.plot(ax=Figure().add_subplot(), panel="clean")


def test_names_do_not_overlap_and_are_few(crowded):
    figure = plot_result(crowded)
    figure.canvas.draw()
    axes = figure.axes[0]
    assert len(axes.patches) == 41  # all are marked
    boxes = [text.get_window_extent() for text in texts(axes)]
    assert 3 < len(boxes) <= 12
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    inside = axes.get_window_extent()
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in boxes)
    assert "1 (" in texts(axes)[0].get_text()  # the one of highest S/N


def test_names_leave_the_circles_of_others_free(result):
    """Two sources side by side: the name of the one does not lie on the other."""
    pair = copy.copy(result)
    pair.catalog = result.catalog[[0, 0]]
    pair.catalog["source_id"] = [1, 2]
    pair.catalog["x"], pair.catalog["y"] = [150.0, 185.0], [150.0, 160.0]
    figure = plot_result(pair)
    figure.canvas.draw()
    axes = figure.axes[0]
    boxes, circles = [text.get_window_extent() for text in texts(axes)], axes.patches[:2]
    assert len(boxes) == 2
    for box, other in zip(boxes, circles[::-1], strict=True):
        assert not box.overlaps(other.get_window_extent())


def test_noise_is_seen_beside_a_source_of_ten_thousand_times_the_noise(crowded):
    """In colours that are linear from the noise to the brightest, all of it is of the same grey."""
    axes = Figure().add_subplot(projection=crowded.image.wcs)
    crowded.plot(ax=axes, panel="dirty")
    shown = axes.images[0]
    greys = shown.norm(shown.get_array()[np.isfinite(crowded.dirty.data)])
    assert greys.std() > 0.03 and greys.max() == pytest.approx(1)


def test_units_fit_the_values(crowded):
    axes = crowded.plot().axes
    labels = [ax.get_ylabel() for ax in axes if "Jy" in ax.get_ylabel()]
    assert labels[0] == "mJy/beam" and labels[-1] == "µJy/beam"
    ticks = axes[1].get_yticks() if axes[1].get_ylabel() else axes[4].get_yticks()
    assert 3 < len(ticks) < 14


def test_blank_borders_take_no_room(result):
    axes = result.plot().axes[0]
    seen = ~result.dirty.blank
    columns = np.flatnonzero(seen.any(0))
    assert axes.get_xlim() == pytest.approx((columns[0], columns[-1]), abs=2)


def test_a_strip_is_no_square(imager, demo, result):
    """Its colour bars were three times as high as it, and most of the picture was empty."""
    strip = imager(read_image(demo["dirty"])[110:210], demo["psf"])
    figure = strip.plot()
    assert figure.get_figheight() < 0.65 * result.plot().get_figheight()
    for shown in (figure, strip.plot(panel="residual")):
        shown.draw_without_rendering()
        images = [axes for axes in shown.axes if axes.get_title()]
        bars = [axes for axes in shown.axes if not axes.get_title()]
        for image, bar in zip(images, bars, strict=True):
            np.testing.assert_allclose(bar.get_position().intervaly, image.get_position().intervaly, atol=0.02)


def test_one_panel_has_a_figure_of_its_own(result):
    figure = result.plot(panel="residual")
    assert figure.axes[0].get_title() == "Residual" and len(figure.axes) == 2  # and its colour bar
    assert len(result.plot().axes) == 8
    with pytest.raises(SettingError, match="panel='foo': choose one of"):
        result.plot(panel="foo")
    for labels in (-1, 2.5, "all"):
        with pytest.raises(SettingError, match=f"labels={labels!r}: must be a whole number of at least 0"):
            result.plot(panel="residual", labels=labels)


def test_the_dirty_image_of_noise_that_varies_is_the_one_given(uneven):
    dirty, _, result = uneven
    shown = result.plot(panel="dirty").axes[0].images[0].get_array()
    assert np.ma.max(shown) / np.ma.std(shown) == pytest.approx(dirty.data.max() / dirty.data.std(), rel=1e-6)
