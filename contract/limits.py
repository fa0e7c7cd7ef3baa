"""How large things may be."""

from pydantic import BaseModel, ConfigDict, Field

KIB = 1024
MIB = 1024 * KIB

MAX_BACKLOG_MESSAGES = 1000
"""Messages that one journey holds while they wait to be stored."""

MAX_BACKLOG_BYTES = MIB
"""Encoded size of these messages. With a carried context they stay under Temporal's 2 MiB for one argument."""

MAX_BATCH_MESSAGES = 100
"""Changes that are judged and stored at once; keeps one workflow activation far below its second and a half."""

MAX_BATCH_BYTES = 512 * KIB
"""Encoded size of these changes. With the context they make up one activity argument."""

MAX_STORED_CONTEXT_BYTES = 768 * KIB
"""A context that somebody stored by hand loads up to this size, whatever the limit for changes is."""

MAX_CHANGE_BYTES = 256 * KIB
"""The most that a deployment may allow one change."""

MAX_NESTING = 100
"""The most that a deployment may allow a context."""

MAX_CARRIED_CONTEXT_BYTES = 384 * KIB
"""A larger context is loaded again by the next run instead of being carried over to it."""


class Limits(BaseModel):
    """Limits that a deployment may set; the defaults are the contract's.

    Attributes:
        context_bytes: Canonical size of a session's context.
        change_bytes: Canonical size of one change.
        nesting: Levels of objects and arrays in a context.
    """

    model_config = ConfigDict(frozen=True)

    context_bytes: int = Field(default=256 * KIB, ge=1, le=MAX_STORED_CONTEXT_BYTES)
    change_bytes: int = Field(default=64 * KIB, ge=1, le=MAX_CHANGE_BYTES)
    nesting: int = Field(default=32, ge=2, le=MAX_NESTING)


WIDEST = Limits(context_bytes=MAX_STORED_CONTEXT_BYTES, change_bytes=MAX_CHANGE_BYTES, nesting=MAX_NESTING)
"""What no deployment allows more than: it can be judged by before a journey knows its own limits."""
