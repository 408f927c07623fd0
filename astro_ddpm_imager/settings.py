"""Checks of what users set, when it is set."""

import numpy as np

from .errors import SettingError, shown

__all__ = ["Choice", "Fixed", "Flag", "Having", "Number", "Steps", "TileSide", "check_choice", "check_number"]

SMALLEST_TILE = 64  # pixels
PAPER_STEPS = 250  # of the ancestral sampler, respaced


class _Setting:
    """An attribute that is checked each time it is set."""

    def __set_name__(self, owner, name):
        self.name = name
        self.__doc__ = "The parameter of this name, which may be changed."

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        try:
            return vars(instance)[self.name]
        except KeyError:
            raise AttributeError(f"{self.name}: has not been set") from None

    def __set__(self, instance, value):
        vars(instance)[self.name] = self.checked(value)


class Choice(_Setting):
    """One of some names.

    Parameters
    ----------
    choices : iterable of str
    """

    def __init__(self, choices):
        self.choices = tuple(choices)

    def checked(self, value):
        """The value, or a `~astro_ddpm_imager.SettingError`."""
        check_choice(self.name, value, self.choices)
        return value


class Number(_Setting):
    """A number within limits.

    Parameters
    ----------
    low, high : float
        Both are allowed; infinity is not.
    whole : bool, optional
        It must be an integer.
    optional : bool, optional
        Whether it may be None.
    """

    def __init__(self, low, high=np.inf, whole=False, optional=False):
        self.limits, self.optional = (low, high, whole), optional

    def checked(self, value):
        """The value, or a `~astro_ddpm_imager.SettingError`."""
        return None if value is None and self.optional else check_number(self.name, value, *self.limits)


class Steps(_Setting):
    """A number of steps that the model's noise schedule has; None is the default of the imager's sampler."""

    def __get__(self, instance, owner=None):
        steps = super().__get__(instance, owner)
        if steps is not None:
            return steps
        card = instance.card
        return min(PAPER_STEPS, card.noise_schedule.steps) if instance.sampler == "ddpm" else card.steps

    def __set__(self, instance, value):
        if value is not None:
            value = check_number(self.name, value, 1, instance.card.noise_schedule.steps, whole=True)
        vars(instance)[self.name] = value


class TileSide(_Setting):
    """Side of tiles in pixels, 0 for none, or None."""

    def checked(self, value):
        """The value, or a `~astro_ddpm_imager.SettingError`."""
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not (value is None or (whole and (value == 0 or value >= SMALLEST_TILE))):
            raise SettingError(
                f"{self.name}={shown(value)}: must be a number of pixels of at least {SMALLEST_TILE}, or 0 for none"
            )
        return value if value is None else int(value)


class Fixed(_Setting):
    """What counts only when the imager is made: changed later, it would change nothing."""

    def __set_name__(self, owner, name):
        super().__set_name__(owner, name)
        self.__doc__ = "The parameter of this name."

    def checked(self, value):
        """A `~astro_ddpm_imager.SettingError`."""
        raise SettingError(
            f"{self.name}={shown(value)}: cannot be changed any more; make another DiffusionImager with it"
        )


class Having(_Setting):
    """None, or something with a method of some name.

    Parameters
    ----------
    method : str
    wanted : str
        What it must be, as errors say it.
    other : type, optional
        What it may be as well.
    """

    def __init__(self, method, wanted, other=()):
        self.method, self.wanted, self.other = method, wanted, other

    def checked(self, value):
        """The value, or a `~astro_ddpm_imager.SettingError`."""
        if not (value is None or isinstance(value, self.other) or hasattr(value, self.method)):
            raise SettingError(f"{self.name}={shown(value)}: must be {self.wanted}")
        return value


class Flag(_Setting):
    """True or False."""

    def checked(self, value):
        """The value, or a `~astro_ddpm_imager.SettingError`."""
        if not isinstance(value, bool | np.bool_):
            raise SettingError(f"{self.name}={shown(value)}: must be True or False")
        return bool(value)


def check_choice(name, value, choices):
    """Fail if a setting is none of some names.

    Parameters
    ----------
    name : str
        Of the setting.
    value : object
    choices : iterable of str

    Raises
    ------
    SettingError
    """
    if not isinstance(value, str) or value not in choices:
        raise SettingError(f"{name}={shown(value)}: choose one of {', '.join(map(repr, choices))}")


def check_number(name, value, low, high=np.inf, whole=False):
    """Fail if a setting is no number within limits.

    Parameters
    ----------
    name : str
        Of the setting.
    value : object
    low : float
        It is allowed, too.
    high : float, optional
        Likewise, but for infinity.
    whole : bool, optional
        It must be an integer.

    Returns
    -------
    int or float
        The same as a number of Python's, which can be written as JSON.

    Raises
    ------
    SettingError
    """
    kind = "a whole number" if whole else "a number"
    number = isinstance(value, int | np.integer) or (not whole and isinstance(value, float | np.floating))
    if isinstance(value, bool) or not number or not low <= value <= high or value == np.inf:
        limits = f"of at least {low}{'' if whole else ', and finite'}" if high == np.inf else f"from {low} to {high}"
        raise SettingError(f"{name}={shown(value)}: must be {kind} {limits}")
    return value.item() if isinstance(value, np.generic) else value
