"""Things of a kind as arrays: one for each of their quantities."""

from dataclasses import dataclass, fields

import numpy as np

__all__ = ["Columns"]


@dataclass(frozen=True, eq=False)
class Columns:
    """Base of dataclasses whose fields are arrays of the same length."""

    def __len__(self):
        return len(getattr(self, fields(self)[0].name))

    def select(self, chosen):
        """Only those of a boolean or index array."""
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts):
        """All of several, one after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))
