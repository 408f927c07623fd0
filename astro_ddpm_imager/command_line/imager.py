"""The imager that the options of a command ask for."""

from ..imager import DiffusionImager

__all__ = ["imager_of"]

NAMES = {"samples": "n_samples"} | {
    name: name
    for name in (
        "model", "steps", "sampler", "aggregate", "reliability", "purity", "insist", "pblimit", "device", "threads",
        "seed", "tile",
    )
}  # fmt: skip


def imager_of(args, **settings):
    """The imager that the options of a command ask for.

    Parameters
    ----------
    args : `argparse.Namespace`
        Of a command that images; not each has all options.
    **settings
        Others of `~astro_ddpm_imager.DiffusionImager`, which come first.

    Returns
    -------
    `~astro_ddpm_imager.DiffusionImager`

    Raises
    ------
    SettingError, ModelError
        As of `~astro_ddpm_imager.DiffusionImager`.
    """
    given = {name: getattr(args, option) for option, name in NAMES.items() if hasattr(args, option)}
    return DiffusionImager(**given | settings)
