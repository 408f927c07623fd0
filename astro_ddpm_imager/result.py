"""What comes back: reconstruction, uncertainty, catalogue, samples, residual."""

from functools import cached_property

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData

from .observation.reading import JY_PER_BEAM
from .products.headers import product_header
from .products.writing import check_prefix, write_products

__all__ = ["ImagingResult"]

JY_PER_PIXEL = u.Jy / u.pix


class ImagingResult:
    """Result of one call of `~astro_ddpm_imager.DiffusionImager`.

    Unpacks into ``image, uncertainty, catalog``. All images have the shape
    and the WCS of the input and are NaN where it is blank.

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

    def __init__(self, dirty, grid, sky, sky_samples, drawn_samples, catalog, fit, meta):
        self.dirty, self.grid, self.catalog, self.fit, self.meta = dirty, grid, catalog, fit, meta
        self.sky, self.sky_samples, self.drawn_samples = sky, sky_samples, drawn_samples

    def __iter__(self):
        return iter((self.image, self.uncertainty, self.catalog))

    def __repr__(self):
        ny, nx = self.dirty.shape
        return (
            f"<ImagingResult: {nx} x {ny} pixels, {len(self.sky_samples)} samples, {len(self.catalog)} sources, "
            f"rms {self.dirty.rms * 1e6:.3g} uJy/beam>"
        )

    @cached_property
    def _apparent(self):
        """Reconstruction times primary beam, Jy/pixel, without blanks."""
        return self.apparent(self.sky)

    def apparent(self, sky):
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
    def image(self):
        """Reconstruction as `~astropy.nddata.CCDData`, Jy/pixel, corrected for the primary beam."""
        return self._ccd(self._apparent / self.dirty.pb, JY_PER_PIXEL)

    @cached_property
    def uncertainty(self):
        """Standard deviation of the samples as `~astropy.nddata.CCDData`, unit of ``image``.

        That of the model's pixels, spread evenly over the image's: errors of
        neighbouring image pixels are fully correlated. NaN for a single sample.
        """
        if len(self.sky_samples) < 2:
            return self._ccd(np.full(self.dirty.shape, np.nan), JY_PER_PIXEL)
        spread = self.sky_samples.std(0, ddof=1)
        return self._ccd(self.grid.to_image(spread, sharpen=False) * self.dirty.rms / self.dirty.pb, JY_PER_PIXEL)

    @property
    def samples(self):
        """Posterior samples as `~astropy.units.Quantity`, shape (n_samples, ny, nx), Jy/pixel, like ``image``."""
        return np.stack([self.apparent(sample) / self.dirty.pb for sample in self.sky_samples]) * JY_PER_PIXEL

    @cached_property
    def residual(self):
        """Dirty image minus PSF * reconstruction as `~astropy.nddata.CCDData`, Jy/beam, noise flat."""
        drawn = self.grid.to_image(self.sky) * self.dirty.rms
        return self._ccd(self.dirty.reduced - self.dirty.convolve_psf(drawn), JY_PER_BEAM)

    @cached_property
    def restored(self):
        """Reconstruction * restoring beam + residual as `~astropy.nddata.CCDData`, Jy/beam.

        Not corrected for the primary beam, as CASA's ``.image``.
        """
        return self._ccd(self.dirty.convolve_beam(self._apparent) + self.residual.data, JY_PER_BEAM)

    def _ccd(self, data, unit):
        data = np.where(self.dirty.blank, np.nan, data)
        return CCDData(data, unit=unit, wcs=self.dirty.wcs, meta=product_header(self.dirty, self.meta))

    def write(self, prefix, overwrite=False):
        """Write all products, named as CASA names them.

        ``prefix.model.fits`` (``image``), ``.uncertainty.fits``,
        ``.image.fits`` (``restored``), ``.residual.fits``, ``.catalog.ecsv``,
        ``.reg`` (DS9) and ``.png``.

        Parameters
        ----------
        prefix : str or path-like
            Folder and start of the names, such as ``"dir/field"``; the folder
            is made if needed.
        overwrite : bool, optional
            Replace existing products.

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
            ``prefix`` is only a folder; a kind of `ValueError`.
        """
        check_prefix(prefix)
        return write_products(self, prefix, overwrite)

    def plot(self):
        """Dirty image, reconstruction, uncertainty and residual, with the sources marked.

        Returns
        -------
        `~matplotlib.figure.Figure`
        """
        from .products.plotting import plot_result

        return plot_result(self)
