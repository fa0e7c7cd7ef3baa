"""How large things may be."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

KIB: Final = 1024
MIB: Final = 1024 * KIB

MAX_BACKLOG_MESSAGES: Final = 1000
"""Messages that one journey holds while they wait to be stored."""

MAX_BACKLOG_BYTES: Final = MIB
"""Encoded size of these messages. With a carried context they stay under Temporal's 2 MiB for one argument."""

MAX_BATCH_MESSAGES: Final = 100
"""Changes that are decided and stored at once; keeps one activation far below the workflow task timeout."""

MAX_BATCH_BYTES: Final = 512 * KIB
"""Encoded size of these changes. With the context they make up one activity argument."""

MAX_STORED_CONTEXT_BYTES: Final = 768 * KIB
"""A context that somebody stored by hand loads up to this size, whatever the limit for changes is."""

MAX_PAGE_BYTES: Final = 768 * KIB
"""Encoded size of a page of a session's ledger; one entry always fits."""

MAX_CHANGE_BYTES: Final = 256 * KIB
"""The most that a deployment may allow one change."""

MAX_NESTING: Final = 100
"""The most that a deployment may allow a context."""

MAX_CARRIED_CONTEXT_BYTES: Final = 384 * KIB
"""A larger context is loaded again by the next run instead of being carried over to it."""


ContextBytes = Annotated[int, Field(ge=1, le=MAX_STORED_CONTEXT_BYTES)]
ChangeBytes = Annotated[int, Field(ge=1, le=MAX_CHANGE_BYTES)]
Nesting = Annotated[int, Field(ge=2, le=MAX_NESTING)]


class Limits(BaseModel):
    """Limits that a deployment may set; the defaults are the contract's.

    Attributes:
        context_bytes: Canonical size of a session's context.
        change_bytes: Canonical size of one change.
        nesting: Levels of objects and arrays in a context.
    """

    model_config = ConfigDict(frozen=True)

    context_bytes: ContextBytes = 256 * KIB
    change_bytes: ChangeBytes = 64 * KIB
    nesting: Nesting = 32


DEFAULT_LIMITS: Final = Limits()

UPPER_BOUNDS: Final = Limits(context_bytes=MAX_STORED_CONTEXT_BYTES, change_bytes=MAX_CHANGE_BYTES, nesting=MAX_NESTING)
"""Upper bounds of every deployment; used until the journey has loaded its own limits."""
