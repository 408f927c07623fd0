"""What comes back: reconstruction, uncertainty, catalogue, samples, residual."""

from collections.abc import Iterator
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.table import QTable

from .observation.dirty import DirtyImage
from .observation.grid import ModelGrid
from .observation.units import JY_PER_BEAM
from .products.headers import product_header
from .products.summary import brightness, result_html
from .products.writing import PRODUCTS, WITH_AXES, check_not_read, checked_prefix, write_products
from .sources.fit import Fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ImagingResult"]

JY_PER_PIXEL = u.Jy / u.pix


class ImagingResult:
    """Result of one call of `~astro_ddpm_imager.DiffusionImager`.

    Unpacks into ``image, uncertainty, catalog``. All images have the shape
    and the WCS of the input and are NaN where it is blank. Its parameters are
    attributes of the same names.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`
    sky : 2D array, shape ``grid.shape``
        The reconstruction, in the unit of the samples.
    sky_samples : 3D array, shape (n_samples, my, mx)
        Samples on the model's pixels, flux per pixel in units of the noise,
        not corrected for the primary beam.
    drawn_samples : 3D array, shape (n_samples, my, mx)
        The same as the network drew them, before
        `~astro_ddpm_imager.diffusion.exact.towards_data`: the catalogue is
        made of these.
    catalog : `~astropy.table.QTable`
        See `~astro_ddpm_imager.sources.catalog.COLUMNS`.
    fit : `~astro_ddpm_imager.sources.fit.Fit`
        Whether the reconstruction explains the data.
    meta : dict
        Provenance.
    """

    def __init__(
        self,
        dirty: DirtyImage,
        grid: ModelGrid,
        sky: np.ndarray,
        sky_samples: np.ndarray,
        drawn_samples: np.ndarray,
        catalog: QTable,
        fit: Fit,
        meta: dict,
    ) -> None:
        self.dirty, self.grid, self.catalog, self.fit, self.meta = dirty, grid, catalog, fit, meta
        self.sky, self.sky_samples, self.drawn_samples = sky, sky_samples, drawn_samples

    def __iter__(self) -> Iterator[Any]:
        return iter((self.image, self.uncertainty, self.catalog))

    def __repr__(self):
        (ny, nx), noise = self.dirty.shape, brightness(self.dirty.rms).replace("µ", "u")
        return (
            f"<ImagingResult: {nx} x {ny} pixels, {len(self.sky_samples)} samples, {len(self.catalog)} sources, "
            f"noise {noise}>"
        )

    def _repr_html_(self):
        return result_html(self)

    @cached_property
    def _apparent(self):
        """Reconstruction times primary beam, Jy/pixel, without blanks."""
        return self.apparent(self.sky)

    def apparent(self, sky: np.ndarray) -> np.ndarray:
        """A sky on the model's pixels, as ``sky_samples``, as an image times the primary beam.

        Parameters
        ----------
        sky : 2D array, shape ``grid.shape``

        Returns
        -------
        2D array, Jy/pixel, without blanks
        """
        image = self.grid.to_image(sky) * self.dirty.rms
        return image if self.dirty.bright is None else image + self.dirty.bright.image

    @cached_property
    def image(self) -> CCDData:
        """Reconstruction as `~astropy.nddata.CCDData`, Jy/pixel, corrected for the primary beam.

        Its ``uncertainty`` is that of `uncertainty`.
        """
        image = self._ccd(self._apparent / self.dirty.pb, JY_PER_PIXEL)
        if len(self.sky_samples) > 1:
            image.uncertainty = StdDevUncertainty(self.uncertainty.data)
        return image

    @cached_property
    def uncertainty(self) -> CCDData:
        """Standard deviation of the samples as `~astropy.nddata.CCDData`, unit of ``image``.

        That of the model's pixels, spread evenly over the image's: errors of
        neighbouring image pixels are fully correlated. NaN for a single sample.
        """
        if len(self.sky_samples) < 2:
            return self._ccd(np.full(self.dirty.shape, np.nan), JY_PER_PIXEL)
        spread = self.sky_samples.std(0, ddof=1)
        return self._ccd(self.grid.to_image(spread, sharpen=False) * self.dirty.rms / self.dirty.pb, JY_PER_PIXEL)

    @property
    def samples(self) -> u.Quantity:
        """Posterior samples as `~astropy.units.Quantity`, shape (n_samples, ny, nx), Jy/pixel, like ``image``."""
        pb = np.where(self.dirty.blank, np.nan, self.dirty.pb)
        return np.stack([self.apparent(sample) / pb for sample in self.sky_samples]) * JY_PER_PIXEL

    @cached_property
    def residual(self) -> CCDData:
        """Dirty image minus PSF * reconstruction as `~astropy.nddata.CCDData`, Jy/beam."""
        drawn = self.grid.to_image(self.sky) * self.dirty.rms
        left = self.dirty.reduced - self.dirty.convolve_psf(drawn)
        return self._ccd(left * self.dirty.relative_noise, JY_PER_BEAM)

    @cached_property
    def restored(self) -> CCDData:
        """Reconstruction * restoring beam + residual as `~astropy.nddata.CCDData`, Jy/beam.

        Not corrected for the primary beam, as CASA's ``.image``.
        """
        seen = self.dirty.convolve_beam(self._apparent * self.dirty.relative_noise)
        return self._ccd(seen + self.residual.data, JY_PER_BEAM)

    @cached_property
    def _header(self):
        return product_header(self.dirty, self.meta)

    def _ccd(self, data, unit):
        blank, header = self.dirty.blank, self._header.copy()
        return CCDData(np.where(blank, np.nan, data), unit=unit, mask=blank.copy(), wcs=self.dirty.wcs, meta=header)

    def write(self, prefix: str | PathLike[str], overwrite: bool = False, keep_axes: bool = False) -> list[Path]:
        """Write all products, named as CASA names them.

        ``prefix.model.fits`` (``image``), ``.uncertainty.fits``,
        ``.image.fits`` (``restored``), ``.residual.fits``, ``.catalog.ecsv``,
        ``.reg`` (DS9) and ``.png``.

        Parameters
        ----------
        prefix : str or path-like
            Folder and start of the names, such as ``"dir/field"``; the folder
            is made if needed. A ``.fits`` or ``.fits.gz`` at its end is left out.
        overwrite : bool, optional
            Replace existing products, but never a file that the result was
            made of.
        keep_axes : bool, optional
            Give images the axes of length 1, frequency and Stokes, that the
            input has, as CASA exports them and spectral-cube wants them; else
            they have two, as most scripts expect.

        Returns
        -------
        list of `~pathlib.Path`

        Raises
        ------
        FileExistsError
            A product exists and ``overwrite`` is False; nothing is written.
        NotADirectoryError, PermissionError
            The folder cannot be made, or not be written to.
        SettingError
            ``prefix`` is only a folder, or a product would replace a file
            that the result was made of; a kind of `ValueError`.
        """
        prefix = checked_prefix(prefix)
        check_not_read(prefix, self.dirty.files)
        return write_products(self, prefix, overwrite, WITH_AXES if keep_axes else PRODUCTS)

    def plot(self, ax: "Axes | None" = None, panel: str | None = None, labels: int = 12) -> "Figure | Axes":
        """Draw the images, with the sources marked.

        Parameters
        ----------
        ax : `~matplotlib.axes.Axes`, optional
            Draw one image there, on the sky with
            ``plt.subplot(projection=result.image.wcs)``; by default a new
            figure has the image given, reconstruction, uncertainty and residual.
        panel : {"dirty", "reconstruction", "uncertainty", "residual"}, optional
            Only this one, in a figure of its own or on ``ax``, where it is the reconstruction by default.
        labels : int, optional
            How many sources, those of highest S/N first, are named by their
            number and reliability, as far as there is room; all are marked.

        Returns
        -------
        `~matplotlib.figure.Figure` or `~matplotlib.axes.Axes`
            The figure, which notebooks show; or ``ax``.

        Raises
        ------
        SettingError
            There is no such panel, or ``labels`` is no number of them; a kind of `ValueError`.
        """
        # Here, because it takes half a second.
        from .products.plotting import plot_image, plot_panel, plot_result

        if ax is not None:
            return plot_image(self, ax, panel or "reconstruction", labels)
        return plot_result(self, labels) if panel is None else plot_panel(self, panel, labels)
