"""Settings of the plugin of WSClean, which has no options for them: variables of the environment, or a TOML file."""

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from ...command_line.imager import imager_of
from ...command_line.parser import build_parser, commands_of
from ...command_line.settings_file import parse, read_settings
from ...errors import SettingError
from ...home import expanded
from ...settings import check_number
from ..major_cycles import MOST

__all__ = ["PREFIX", "PluginSettings", "read_plugin_settings"]

PREFIX = "ASTRO_DDPM_IMAGER_"
# Options of the command image that have a variable, by its name without the prefix.
OPTIONS = (
    "MODEL", "SAMPLES", "STEPS", "SAMPLER", "AGGREGATE", "RELIABILITY", "PURITY", "PBLIMIT", "DEVICE", "THREADS",
    "SEED", "PB", "MASK", "CONFIG",
)  # fmt: skip
OTHERS = ("CYCLES", "NAME", "OUTPUT")


@dataclass(frozen=True)
class PluginSettings:
    """What was set.

    Parameters
    ----------
    options : `argparse.Namespace`
        Of the command ``image``.
    cycles : int
        Largest number of reconstructions.
    name : str or None
        What ``-name`` of WSClean is, where its command line cannot be read.
    output : `~pathlib.Path` or None
        Start of the names of the products, by default WSClean's.
    """

    options: object
    cycles: int
    name: str | None
    output: Path | None

    def imager(self):
        """The `~astro_ddpm_imager.DiffusionImager` that was asked for."""
        return imager_of(self.options, progress=False)


def read_plugin_settings(environment):
    """Read the settings.

    Parameters
    ----------
    environment : dict
        Variables, such as ``ASTRO_DDPM_IMAGER_SAMPLES=10``; each has the name
        of an option of ``astro-ddpm-imager image``.
        ``ASTRO_DDPM_IMAGER_CONFIG`` is a file as of ``--config``; the
        variables come first.

    Returns
    -------
    `PluginSettings`

    Raises
    ------
    SettingError
        A variable, or a setting of the file, is unknown, or has a value that cannot be used.
    """
    given = {key.removeprefix(PREFIX): value for key, value in environment.items() if key.startswith(PREFIX) and value}
    unknown = sorted(given.keys() - {*OPTIONS, *OTHERS})
    if unknown:
        known = ", ".join(PREFIX + name for name in (*OPTIONS, *OTHERS))
        raise SettingError(f"{PREFIX}{unknown[0]}: there is no such variable; there are {known}")
    arguments = [f"--{name.lower()}={given[name]}" for name in OPTIONS if name in given]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = parse(["image", *arguments, "WSClean"])
    except SystemExit as error:
        words = said.getvalue().strip().splitlines()[-1].partition("error: ")[2]
        raise SettingError(f"variables {PREFIX}...: {words}") from error
    if options.config is not None:
        _check_used(options.config)
    return PluginSettings(
        options,
        cycles=_whole_number(given.get("CYCLES", MOST)),
        name=given.get("NAME"),
        output=expanded(given["OUTPUT"]) if "OUTPUT" in given else None,
    )


def _check_used(path):
    """Fail if a settings file has what the command takes, and the plugin does not."""
    taken = {name.lower() for name in OPTIONS}
    for name in read_settings(path, commands_of(build_parser()))["image"]:
        if name not in taken:
            raise SettingError(
                f"{PREFIX}CONFIG={path}: [image] {name.replace('_', '-')}: is not used by the plugin, which takes "
                f"{', '.join(sorted(taken - {'config'}))}; leave it out"
            )


def _whole_number(text):
    try:
        number = int(text)
    except ValueError:
        number = text
    check_number(f"{PREFIX}CYCLES", number, 1, 100, whole=True)
    return number
