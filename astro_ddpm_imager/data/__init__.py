"""The field that comes with the package."""

from pathlib import Path

__all__ = ["demo_files"]

FOLDER = Path(__file__).parent / "demo"


def demo_files() -> dict[str, Path]:
    """Paths of the demonstration field, as arguments of a `~astro_ddpm_imager.DiffusionImager`.

    A simulated ALMA observation at 230 GHz (configuration 5.3, 20 minutes),
    imaged and exported by CASA 6.7: four axes, 320 x 320 pixels of 0.1".

    Returns
    -------
    dict
        With keys ``dirty``, ``psf`` and ``pb``.
    """
    return {name: FOLDER / f"demo.{name}.fits" for name in ("dirty", "psf", "pb")}
