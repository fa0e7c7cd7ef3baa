"""How a session's ID and the idempotency keys of its messages are derived; `idempotency_keys.json` has worked examples.

Every key is the hash of canonical JSON. Concatenating IDs would make tenant `a` with user `bc` the same as tenant `ab`
with user `c`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from pydantic import JsonValue

from journeys.canonical_json import canonical_hash
from journeys.chat_session.names import INITIALIZE, JOURNEY_ID
from journeys.identifiers import UUID_PATTERN, intent_key

_NAMESPACE: Final = uuid5(NAMESPACE_URL, JOURNEY_ID)
_UUID: Final = re.compile(UUID_PATTERN)


def session_key(tenant_id: str, user_id: str, requested_at: datetime) -> str:
    """The idempotency key of an initialization: one per tenant, user and UTC minute of `requested_at`."""
    window = requested_at.astimezone(UTC).replace(second=0, microsecond=0)
    return intent_key(
        INITIALIZE,
        tenant_id=tenant_id,
        timestamp_window=window.isoformat().replace("+00:00", "Z"),
        user_id=user_id,
    )


def session_id(key: str) -> str:
    """The session that an initialization's idempotency key stands for, as a UUID."""
    return str(uuid5(_NAMESPACE, key))


def is_session_id(text: str) -> bool:
    """Whether a text can be a session's ID: a UUID in its canonical form."""
    return _UUID.fullmatch(text) is not None


def update_key(
    chat_session_id: str, change: Mapping[str, JsonValue], *, base_revision: int | None, message: str
) -> str:
    """The idempotency key of a change whose caller names none.

    The key is bound to the context state that the change was written against: to its base if it names one, else to the
    message itself. It is never bound to the current revision, because a message that Temporal delivers twice would then
    be two changes.

    Args:
        chat_session_id: The session that the change goes to.
        change: What it changes; see `journeys.chat_session.messages.SignalChatContext.change`.
        base_revision: The base that the caller named.
        message: The message's identity, used if no base is named.
    """
    state: dict[str, JsonValue] = {"message": message} if base_revision is None else {"base_revision": base_revision}
    return canonical_hash(
        {"chat_session_id": chat_session_id, "context_hash": canonical_hash({"change": dict(change)} | state)}
    )
