"""How CASA's tasks are called, and found: by place or by name, with the parameters that they show."""

import functools
import inspect

from .log import warnings_in_casas_log

__all__ = ["as_task", "bind"]

KINDS = {bool: "bool", int: "int", float: "float", str: "str", list: "list"}


def as_task(table, reconstructs, check):
    """Decorator: call a function of parameters by name as one of CASA's tasks is called.

    Its parameters, with their defaults, are shown in signature and docstring.
    What is no reconstruction goes to CASA's own task of this name.

    Parameters
    ----------
    table : dict of `~astro_ddpm_imager.compat.casa.parameters.Parameter`
        In the order of the task. ``{parameters}`` in the docstring is replaced.
    reconstructs : callable
        Of all parameters, as a dict: whether they ask for a reconstruction.
    check : callable
        Likewise: fails if what they ask for cannot be done.

    Returns
    -------
    callable
        That takes a function of the parameters that are given, of all of them, both as a dict, and of an imager or
        None, and returns the task, which has ``imager`` besides.
    """

    def decorate(function):
        @functools.wraps(function)
        def task(*arguments, imager=None, **parameters):
            given = bind(function.__name__, table, arguments, parameters)
            values = {name: entry.default for name, entry in table.items()} | given
            wanted = reconstructs(values)
            if wanted:
                check(values)
            theirs = _casa_task(function.__name__)
            _refuse_unknown(function.__name__, theirs, given)
            if not wanted:
                return theirs(**given)
            with warnings_in_casas_log():
                return function(given, values, imager)

        kind = inspect.Parameter
        shown = [kind(name, kind.POSITIONAL_OR_KEYWORD, default=entry.default) for name, entry in table.items()]
        shown += [kind("imager", kind.KEYWORD_ONLY, default=None), kind("parameters", kind.VAR_KEYWORD)]
        task.__signature__ = inspect.Signature(shown)
        if task.__doc__:  # python -OO leaves none
            # From Python 3.13 on docstrings are not indented.
            indent = "    " if "    {parameters}\n" in task.__doc__ else ""
            task.__doc__ = task.__doc__.replace(f"{indent}{{parameters}}\n", "".join(_entries(table, indent)))
        return task

    return decorate


def _entries(table, indent):
    for name, entry in table.items():
        effect = entry.effect[:1].upper() + entry.effect[1:]
        yield f"{indent}{name} : {KINDS[type(entry.default)]}, optional\n{indent}    {effect}.\n"


def bind(task, table, arguments, parameters):
    """Parameters by name.

    Parameters
    ----------
    task : str
        Name in errors.
    table : dict
        Names in the task's order.
    arguments : tuple
    parameters : dict

    Returns
    -------
    dict

    Raises
    ------
    TypeError
        There are too many, or one is given twice.
    """
    if len(arguments) > len(table):
        raise TypeError(f"{task}() takes up to {len(table)} positional arguments but {len(arguments)} were given")
    by_place = dict(zip(table, arguments, strict=False))
    for name in by_place.keys() & parameters.keys():
        raise TypeError(f"{task}() got multiple values for argument {name!r}")
    return by_place | parameters


def _casa_task(name):
    """One of CASA's tasks."""
    try:
        import casatasks
    except ImportError as error:
        raise ImportError(
            f"CASA is needed, for its images and visibilities, and it cannot be imported ({error}): "
            "pip install casatasks casatools casadata six"
        ) from error
    return getattr(casatasks, name)


def _refuse_unknown(name, task, given):
    """Fail if this CASA's task does not have a parameter."""
    for parameter in set(given) - inspect.signature(task).parameters.keys():
        raise TypeError(f"{name}() got an unexpected keyword argument {parameter!r}: this CASA's {name} has it not")
