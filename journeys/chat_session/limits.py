"""How large messages, contexts, batches and answers may be."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

KIB: Final = 1024
MIB: Final = 1024 * KIB

MAX_BATCH_MESSAGES: Final = 100
"""Messages in one batch."""

MAX_CHANGE_MESSAGES: Final = 100
"""Messages of the transcript that one change may add or replace, and as many that it may remove."""

MAX_BATCH_BYTES: Final = 512 * KIB
"""Size of the messages in one batch, as they were sent; one message alone may be larger."""

MAX_LOCAL_BATCH_BYTES: Final = 128 * KIB
"""Size of the messages in a batch for a local activity, whose attempt has little time."""

MAX_TASK_ECHO_BYTES: Final = 1280 * KIB
"""Size of the accepted requests and of the answers in one workflow task. With the arguments of one regular activity
they stay below 1.75 MiB. Rejected requests are not counted, because a replay does not see them; the embedded server has
at most 1 MB of updates in flight. So the total stays below the 4 MiB that the server accepts for a workflow task."""

METADATA_BYTES: Final = 1 * KIB
"""The approximate maximum of the bytes that a payload has besides its data."""

RECEIPT_BYTES: Final = 1 * KIB
"""The approximate maximum of the bytes that an answer has besides a context."""

MAX_HISTORY_WITH_MESSAGES_BYTES: Final = 16 * MIB
"""Once a run's history is larger than this, its regular activities carry no messages."""

MAX_UNFOLDED_BYTES: Final = 64 * KIB
"""Size of the accepted changes that a workflow holds before it applies them to its copy of the context."""

MAX_FOLD_CHANGES: Final = 200
MAX_FOLD_BYTES: Final = 1 * MIB
"""After so many changes of the context, or so many canonical bytes of changes, one is stored with the full context."""

MAX_CARRIED_BYTES: Final = 256 * KIB
"""Size of the waiting messages that continue-as-new carries over. If more wait, the run first decides some of them. As
base64 and with the context, the carried messages stay below 1 MiB."""

MAX_CARRIED_CONTEXT_BYTES: Final = 384 * KIB
"""The largest context that continue-as-new carries over. The next run loads a larger one from the store."""

MAX_STORED_CONTEXT_BYTES: Final = 768 * KIB
"""The largest stored context that can be loaded. An edit of the database may exceed the deployment's own limit."""

MAX_CONTEXT_BYTES: Final = 256 * KIB
"""The largest `Limits.context_bytes` that a deployment may set."""

MAX_PAGE_BYTES: Final = 768 * KIB
"""Encoded size of a page of a session's ledger or transcript; one item always fits."""

MAX_PAGE_MESSAGES: Final = 200
MAX_PAGE_ENTRIES: Final = 1000
MAX_PAGE_SESSIONS: Final = 100
"""Items of a page that a caller may ask for: of a transcript, of a ledger and of a list of sessions."""

MAX_SHOWN_REFUSALS: Final = 10
"""Refused signals that a session shows, the last ones; earlier ones are only counted."""

MAX_CHANGE_BYTES: Final = 256 * KIB
"""The largest `Limits.change_bytes` that a deployment may set."""

MAX_NESTING: Final = 100
"""The largest `Limits.nesting` that a deployment may set."""

ContextBytes = Annotated[int, Field(ge=1, le=MAX_CONTEXT_BYTES)]
ChangeBytes = Annotated[int, Field(ge=1, le=MAX_CHANGE_BYTES)]
Nesting = Annotated[int, Field(ge=2, le=MAX_NESTING)]


class Limits(BaseModel):
    """The limits that a deployment may set. The defaults are the contract's.

    Attributes:
        context_bytes: Canonical size of a session's context.
        change_bytes: Size of one request as it is sent.
        nesting: Levels of objects and arrays in a context.
    """

    model_config = ConfigDict(frozen=True)

    context_bytes: ContextBytes = 256 * KIB
    change_bytes: ChangeBytes = 128 * KIB
    nesting: Nesting = 32


DEFAULT_LIMITS: Final = Limits()

UPPER_BOUNDS: Final = Limits(context_bytes=MAX_CONTEXT_BYTES, change_bytes=MAX_CHANGE_BYTES, nesting=MAX_NESTING)
"""Upper bounds of every deployment; used until the journey has loaded its own limits."""
