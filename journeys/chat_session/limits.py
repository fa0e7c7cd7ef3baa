"""How large messages, contexts, batches and backlogs may be."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

KIB: Final = 1024
MIB: Final = 1024 * KIB

MAX_BACKLOG_MESSAGES: Final = 1000
"""Messages of one journey that may wait to be stored."""

MAX_BACKLOG_BYTES: Final = MIB
"""Encoded size of the waiting messages. With a carried context, it stays below Temporal's 2 MiB for one payload."""

MAX_BATCH_MESSAGES: Final = 100
"""Changes in one batch. This few are decided in far less than the workflow task timeout."""

MAX_BATCH_BYTES: Final = 512 * KIB
"""Encoded size of the changes in one batch. They and the context are one activity argument."""

MAX_STORED_CONTEXT_BYTES: Final = 768 * KIB
"""The largest stored context that can be loaded. An edit of the database may exceed the deployment's own limit."""

MAX_PAGE_BYTES: Final = 768 * KIB
"""Encoded size of a page of a session's ledger; one entry always fits."""

MAX_CHANGE_BYTES: Final = 256 * KIB
"""The largest `Limits.change_bytes` that a deployment may set."""

MAX_NESTING: Final = 100
"""The largest `Limits.nesting` that a deployment may set."""

MAX_CARRIED_CONTEXT_BYTES: Final = 384 * KIB
"""The largest context that continue-as-new carries over. The next run loads a larger one from the store."""


ContextBytes = Annotated[int, Field(ge=1, le=MAX_STORED_CONTEXT_BYTES)]
ChangeBytes = Annotated[int, Field(ge=1, le=MAX_CHANGE_BYTES)]
Nesting = Annotated[int, Field(ge=2, le=MAX_NESTING)]


class Limits(BaseModel):
    """The limits that a deployment may set. The defaults are the contract's.

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
