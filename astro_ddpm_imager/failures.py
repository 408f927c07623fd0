"""What fails of many things: each is said, and does not stop the others."""

import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import DirtyImageError

__all__ = ["Failures"]

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT)  # of a disk, or a user's part of it


@dataclass
class Failures:
    """Of many things, those that fail.

    Parameters
    ----------
    kind : str
        What they are, such as ``"images"``.
    total : int
        How many there are.
    text : function, optional
        What an error says.

    Attributes
    ----------
    said : list of tuple of str
        Of each its name, and what its error says.
    """

    kind: str
    total: int
    text: Callable = str
    said: list = field(default_factory=list, init=False)

    def add(self, name, error, tell=lambda error: None):
        """Say why one has failed; raise it if it is the only one, or if it would be that of all, as a full disk is.

        Parameters
        ----------
        name : str
        error : Exception
        tell : function, optional
            Of the error, with the name: tells it to others, too.

        Raises
        ------
        Exception
            The error, with the name, if there is only one thing; that of a full disk as it is.
        """
        said = error
        if isinstance(error, DirtyImageError):
            said = DirtyImageError(str(error) if name in str(error) else f"{name}: {error}")
        tell(said)
        if self.total == 1 or getattr(error, "errno", None) in FULL:
            if said is error:
                raise error
            raise said from error
        if said is error:  # what nobody has foreseen must not cost the night's other ones
            log.error("%s: %s: %s", name, type(error).__name__, self.text(error))
            log.debug("where it was raised:", exc_info=error)
        else:
            log.error("%s", self.text(said))
        self.said.append((name, self.text(said)))

    @property
    def names(self):
        """Their names, one after the other."""
        return ", ".join(name for name, _ in self.said)

    def __str__(self):
        return f"{len(self.said)} of {self.total} {self.kind} could not be used, for the reasons above: {self.names}"
