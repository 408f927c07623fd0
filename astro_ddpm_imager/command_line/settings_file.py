"""Settings from a TOML file: a table for each command, its long options as keys."""

import argparse
import tomllib
from difflib import get_close_matches

from ..errors import SettingError
from .parser import build_parser, channels, commands_of

__all__ = ["parse", "read_settings"]

# What TOML has for what an option is converted to.
KINDS = {
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    channels: ((int, str), "a whole number, or text such as '10:20'"),
}
TEXT = (str,), "text in quotes"
NO_SETTINGS = {"help", "config"}


def parse(arguments=None):
    """Parse the command line, and the settings file that it names; the command line comes first.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    `argparse.Namespace`

    Raises
    ------
    SettingError
        The settings file, or something in it, cannot be used.
    """
    parser = build_parser()
    args = _parse(parser, arguments)
    if args.config is not None:
        commands = commands_of(parser)
        command = commands[args.command]
        settings = read_settings(args.config, commands)[args.command]
        given = {action.dest for action in command._actions if _is_given(action, args)}
        for group in command._mutually_exclusive_groups:
            rivals = {action.dest for action in group._group_actions}
            if rivals & given:
                settings = {dest: value for dest, value in settings.items() if dest not in rivals}
        command.set_defaults(**settings)
        args = _parse(parser, arguments)
    return args


def _parse(parser, arguments):
    common = argparse.Namespace(verbose=False, quiet=False, json=False, config=None)
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        command = commands_of(parser)[args.command]
        options = [string for action in command._actions for string in action.option_strings]
        command.error(f"unrecognized arguments: {' '.join(unknown)}{_alike(unknown[0].partition('=')[0], options)}")
    return argparse.Namespace(**vars(common) | vars(args))


def _is_given(action, args):
    """Whether an option is on the command line; its value is then another object than the default, even if equal."""
    return getattr(args, action.dest, action.default) is not action.default


def read_settings(path, commands):
    """Read and check a settings file.

    Parameters
    ----------
    path : `~pathlib.Path`
    commands : dict of `argparse.ArgumentParser`
        By name.

    Returns
    -------
    dict of dict
        By command, then by the option's name in the namespace; empty where
        the file says nothing.

    Raises
    ------
    SettingError
        There is no such file, it is not TOML, or it has unknown commands or
        options, or values that these do not take.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))  # editors of Windows begin a file with a mark
    except OSError as error:
        raise SettingError(f"--config {path}: {error.strerror}; give the path of a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(
            f"--config {path}: is not TOML ({error}); it has lines such as samples = 20 below [image]"
        ) from error
    settings = {name: {} for name in commands}
    for name, table in content.items():
        if not isinstance(table, dict):
            raise SettingError(f"--config {path}: {name} is in no table; put it below that of its command, as [image]")
        if name not in commands:
            raise SettingError(
                f"--config {path}: [{name}] is no command{_alike(name, commands)}; there are {', '.join(commands)}"
            )
        settings[name] = _checked(table, commands[name], f"--config {path}: [{name}]")
    return settings


def _checked(table, command, where):
    options = {
        string.removeprefix("--"): action
        for action in command._actions
        for string in action.option_strings
        if string.startswith("--") and action.dest not in NO_SETTINGS
    }
    settings = {}
    for key, value in table.items():
        if key in {action.dest for action in command._actions if not action.option_strings}:
            raise SettingError(f"{where} {key}: is given on the command line, not in the file")
        if key not in options:
            raise SettingError(
                f"{where} {key}: is no option of the command{_alike(key, options)}; {command.prog} --help lists them"
            )
        action = options[key]
        value = _converted(action, value, f"{where} {key} = {_toml(value)}")
        if action.nargs != 0 or value:  # a flag that is false is one that is not given
            settings[action.dest] = value
    for group in command._mutually_exclusive_groups:
        both = [key for key in table if options[key] in group._group_actions and options[key].dest in settings]
        if len(both) > 1:
            raise SettingError(f"{where} {' and '.join(both)}: give one of them")
    return settings


def _alike(name, known):
    alike = get_close_matches(name, known, n=1)
    return f", did you mean {alike[0]}?" if alike else ""


def _toml(value):
    """A value about as it stands in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _converted(action, value, where):
    """What the option makes of a value."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise SettingError(f"{where}: must be true or false")
        return value
    types, kind = KINDS.get(action.type, TEXT)
    if getattr(action, "several", False) and isinstance(value, list) and len(value) > 1:
        return [_one(action, each, types, where, f"{kind}, or an array of it") for each in value]
    if action.nargs in (None, "?"):
        return _one(action, value, types, where, kind)
    count = f"of {action.nargs} values, each " if isinstance(action.nargs, int) else "of values, each "
    wanted = f"an array {count}{kind}"
    if not isinstance(value, list) or (isinstance(action.nargs, int) and len(value) != action.nargs):
        raise SettingError(f"{where}: must be {wanted}")
    return [_one(action, each, types, where, wanted) for each in value]


def _one(action, value, types, where, wanted):
    wrong = f"{where}: must be {wanted}"
    if isinstance(value, bool) or not isinstance(value, types):
        raise SettingError(wrong)
    try:
        value = value if action.type is None else action.type(value)
    except argparse.ArgumentTypeError as error:
        raise SettingError(f"{where}: {error}") from error
    except ValueError as error:
        raise SettingError(wrong) from error
    if action.choices is not None and value not in action.choices:
        raise SettingError(f"{wrong}, one of {', '.join(action.choices)}")
    return value
