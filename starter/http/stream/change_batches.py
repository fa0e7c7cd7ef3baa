"""Read the changes of a session as they are sent to followers: a bounded batch at a time."""

from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from journeys.chat_session.answers import ChatMessage
from journeys.chat_session.limits import MAX_CHANGE_MESSAGES
from journeys.chat_session.messages import GetChatSessionHistory
from journeys.chat_session.session import LedgerEntry
from starter.http.stream.events import write_change
from stores.chat_pages_supabase import ChatPagesSupabase
from stores.followed_sessions_supabase import FollowedSessionsSupabase, FollowedState, FoundMessages

_MAX_ENTRIES: Final = 50


@dataclass(frozen=True, slots=True)
class WrittenChange:
    """A `change` event as it is sent, and the messages that it has added or replaced."""

    revision: int
    data: bytes
    message_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Changes in order.

    Attributes:
        state: The session, at a moment at which its owner owned all of these changes.
        complete: Whether the ledger had no more changes.
    """

    changes: tuple[WrittenChange, ...]
    state: FollowedState
    complete: bool


class ChangeReader:
    """Reads batches of changes."""

    def __init__(self, pages: ChatPagesSupabase, followed: FollowedSessionsSupabase) -> None:
        self._pages = pages
        self._followed = followed

    async def read(
        self, chat_session_id: str, tenant_id: str, user_id: str | None, *, after: int
    ) -> ChangeBatch | None:
        """Read the changes after a revision, as many as a batch takes; None if there is no such session any more.

        The ledger is read first, then the session's owner together with the messages. If the owner is still the same
        then, all that was read is the owner's.
        """
        page = await self._pages.history(
            GetChatSessionHistory(
                tenant_id=tenant_id,
                user_id=user_id,
                chat_session_id=chat_session_id,
                after_revision=after,
                limit=_MAX_ENTRIES,
            )
        )
        if page is None:
            return None
        named: list[tuple[LedgerEntry, list[str]]] = []
        wanted: list[str] = []
        for entry in page.entries:
            ids = _message_ids(entry)
            if named and len(wanted) + len(ids) > MAX_CHANGE_MESSAGES:
                break
            named.append((entry, ids))
            wanted += ids
        found = await self._followed.messages(chat_session_id, wanted)
        if found.state.lifecycle_state in (None, "DELETED") or user_id not in (None, found.state.user_id):
            return None
        changes = _write(named, found)
        return ChangeBatch(changes, found.state, complete=page.complete and len(changes) == len(page.entries))


def _write(named: list[tuple[LedgerEntry, list[str]]], found: FoundMessages) -> tuple[WrittenChange, ...]:
    """Write the changes before the first whose messages did not fit. The very first is written without their bodies."""
    changes: list[WrittenChange] = []
    first = 0
    for entry, ids in named:
        places = range(first, first + len(ids))
        if changes and not found.without_body.isdisjoint(places):
            break
        messages = [
            _message(message_id, found.messages.get(place), is_truncated=place in found.without_body)
            for place, message_id in zip(places, ids, strict=True)
        ]
        changes.append(WrittenChange(entry.revision, write_change(entry, messages), tuple(ids)))
        first += len(ids)
    return tuple(changes)


def _message(message_id: str, message: ChatMessage | None, *, is_truncated: bool) -> JsonValue:
    if message is None:
        return {"id": message_id, "body": None}
    fields: dict[str, JsonValue] = message.model_dump(mode="json")
    if is_truncated:
        del fields["body"]
        fields["truncated"] = True
    return fields


def _message_ids(entry: LedgerEntry) -> list[str]:
    messages = entry.change.get("messages")
    if not isinstance(messages, list):
        return []
    return [str(message["id"]) for message in messages if isinstance(message, dict) and "id" in message]
