"""How often the ledger holds a full context, so that the context of any revision is folded from few changes."""

from dataclasses import dataclass
from typing import Final, Self

from journeys.chat_session.limits import MAX_FOLD_BYTES, MAX_FOLD_CHANGES


@dataclass(frozen=True, slots=True)
class FoldLength:
    """How much a reader of the context has to fold onto the last full one.

    Attributes:
        changes: Changes of the context since then; 0 if the last one is stored with the full context.
        size: Their canonical size in bytes.
    """

    changes: int
    size: int

    def after(self, size: int) -> Self:
        """The length after one more change of so many bytes; 0 if it must be stored with the full context."""
        if self.changes + 1 >= MAX_FOLD_CHANGES or self.size + size > MAX_FOLD_BYTES:
            return type(self)(0, 0)
        return type(self)(self.changes + 1, self.size + size)


UNKNOWN_LENGTH: Final = FoldLength(MAX_FOLD_CHANGES, MAX_FOLD_BYTES)
"""The length of a ledger without a full context: the next change of the context is stored with the full context."""
