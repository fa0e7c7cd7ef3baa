"""The examples, all parts of one small story: Ada asks about the invoices of May."""

from typing import Final

from pydantic import JsonValue

from journeys.chat_session.limits import DEFAULT_LIMITS
from starter.http.bodies import BODY_SECONDS, MAX_BODY_BYTES
from starter.http.changes import MAX_UPDATES_AT_ONCE
from starter.http.stream.events import KEEP_ALIVE

Json = dict[str, JsonValue]

SESSION_ID: Final = "5f9e0c1a-6f43-5b7e-9a55-0d2f3c1b7a10"
CURSOR: Final = "WzEsMF0"
TENANT: Final = "acme"
USER: Final = "ada"
AT: Final = "2026-01-27T10:05:12.000000Z"
LATER: Final = "2026-01-27T10:06:40.125000Z"
HASH: Final = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
EMPTY_HASH: Final = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

RECEIPT: Final[Json] = {
    "artifact_type": "chat_session",
    "chat_session_id": SESSION_ID,
    "tenant_id": TENANT,
    "user_id": USER,
    "title": "Invoices of May",
    "active_agent": "liaison_insights",
    "lifecycle_state": "ACTIVE",
    "revision": 2,
    "context_hash": HASH,
    "message_count": 1,
    "turn_revision": 0,
    "created_at": AT,
    "updated_at": LATER,
}
ARTIFACT: Final[Json] = RECEIPT | {"context": {"topic": "invoices"}}
CREATED: Final[Json] = ARTIFACT | {
    "active_agent": "guide",
    "revision": 0,
    "context": {},
    "context_hash": EMPTY_HASH,
    "message_count": 0,
    "updated_at": AT,
    "created": True,
}
CHANGED: Final[Json] = ARTIFACT | {"applied_revision": 2, "duplicate": False}
CHANGED_RECEIPT: Final[Json] = RECEIPT | {"applied_revision": 2, "duplicate": False}
MESSAGE: Final[Json] = {
    "id": "m1",
    "role": "user",
    "author": "user",
    "revision": 1,
    "created_at": AT,
    "updated_at": AT,
    "body": {"text": "Which invoices are open?"},
}
ENTRY: Final[Json] = {
    "revision": 1,
    "idempotency_key": "message m1",
    "change": {
        "context": None,
        "append": None,
        "active_agent": None,
        "merge_strategy": "merge",
        "messages": [{"id": "m1", "role": "user", "body_hash": HASH}],
    },
    "change_hash": HASH,
    "author": "user",
    "active_agent": "guide",
    "context_hash": EMPTY_HASH,
    "applied_at": AT,
    "turn": False,
}
STREAM: Final = (
    f'event: session\nid: 0\ndata: {{"session":{{"chat_session_id":"{SESSION_ID}","revision":0}},"messages":[],'
    '"older":null}\n\n'
    'event: change\nid: 1\ndata: {"revision":1,"author":"user","messages":[{"id":"m1","role":"user","body":{"text":'
    '"Which invoices are open?"}}]}\n\n'
    f"{KEEP_ALIVE.decode()}"
    'event: end\ndata: {"reason":"token_expired"}\n\n'
)

PROBLEMS: Final[dict[str, tuple[str, str]]] = {
    "INVALID_PARAMETER": ("merge_strategy: should be 'merge' or 'replace'", "merge_strategy"),
    "UNAUTHENTICATED": ("the token is not valid, or no longer", ""),
    "FORBIDDEN": ("the token names no tenant: app_metadata.tenant_id is missing", ""),
    "SESSION_NOT_FOUND": ("no such session for this tenant and user", ""),
    "NOT_ACCEPTABLE": ("the answer is application/json, which the header Accept leaves out", ""),
    "REQUEST_TIMEOUT": (f"the body did not come within {BODY_SECONDS:.0f} seconds", ""),
    "SESSION_NOT_ACTIVE": ("the session is archived; reopen it first", ""),
    "REVISION_CONFLICT": (
        "base_revision: 1 is not the session's current revision, 2; read the session again",
        "base_revision",
    ),
    "CONTEXT_TOO_LARGE": (
        f"the request has 140000 bytes, {DEFAULT_LIMITS.change_bytes} are allowed; split the change",
        "context",
    ),
    "TOO_LARGE": (f"the body has more than {MAX_BODY_BYTES} bytes", ""),
    "UNSUPPORTED_MEDIA_TYPE": ("send the body as application/json, without an encoding", ""),
    "IDEMPOTENCY_CONFLICT": ("idempotency_key: was used before for another change", "idempotency_key"),
    "TOO_MANY_REQUESTS": (f"{MAX_UPDATES_AT_ONCE} changes of the session are under way; nothing was accepted", ""),
    "DATABASE_UNAVAILABLE": ("a store cannot be reached now; nothing was accepted; send the request again", ""),
    "ENGINE_UNAVAILABLE": (
        "the engine cannot be reached now; a change may have been accepted; send it again under the same idempotency "
        "key",
        "",
    ),
    "KEYS_UNAVAILABLE": ("the keys that tokens are verified with cannot be fetched now", ""),
}
"""An example of each problem: its detail and its field, by code."""
