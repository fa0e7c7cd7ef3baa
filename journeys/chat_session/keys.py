"""How a session's ID and the idempotency keys of its messages are derived; `idempotency_keys.json` has worked examples.

Every key is the hash of canonical JSON. Concatenated IDs would give tenant `a` with user `bc` the key of tenant `ab`
with user `c`.
"""

import re
from datetime import UTC, datetime
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from journeys.canonical_json import CanonicalObject, canonical_hash
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


def named_session_key(tenant_id: str, user_id: str, session_name: str) -> str:
    """The idempotency key of an initialization that names the session: one per tenant, user and name."""
    return intent_key(INITIALIZE, session_name=session_name, tenant_id=tenant_id, user_id=user_id)


def session_id(key: str) -> str:
    """The ID of the session that an initialization with this idempotency key creates: a UUID."""
    return str(uuid5(_NAMESPACE, key))


def is_session_id(text: str) -> bool:
    """Whether a text has the form of a session's ID: a UUID in lower case."""
    return _UUID.fullmatch(text) is not None


def message_id(chat_session_id: str, key: str, index: int) -> str:
    """The ID of a message that its sender gives none: a UUID.

    Args:
        chat_session_id: The session whose transcript has the message.
        key: The idempotency key of the change that adds it.
        index: The message's place in the change's `messages`, from 0.
    """
    return str(uuid5(UUID(chat_session_id), f"{key}/{index}"))


def update_key(
    chat_session_id: str,
    change: bytes,
    *,
    base_revision: int | None,
    author: str | None,
    message: str,
) -> str:
    """The idempotency key of a change whose caller names none.

    If the caller names a base revision, the key depends on it and on the author, because two authors who say the same
    on one base make two changes. Otherwise the key depends on the message. It never depends on the current revision: a
    message that is delivered twice would then be two changes.

    Args:
        chat_session_id: The session that is changed.
        change: The canonical form of the change's content; see `journeys.chat_session.messages.ChangeRequest`.
        base_revision: The base revision that the caller names.
        author: Who makes the change.
        message: The update's ID, or `<first run ID>/<ordinal>` of a signal; used if there is no base revision.
    """
    state: dict[str, object] = (
        {"message": message} if base_revision is None else {"author": author, "base_revision": base_revision}
    )
    content = CanonicalObject({"change": change, **state})
    return canonical_hash({"chat_session_id": chat_session_id, "context_hash": content.hash()})
