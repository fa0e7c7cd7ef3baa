"""What followers of chat sessions need from Supabase: which sessions have changed, and the messages of a change."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from pydantic import JsonValue
from pydantic_core import from_json

from journeys.chat_session.answers import ChatMessage
from journeys.chat_session.limits import MAX_PAGE_BYTES
from stores.chat_pages_supabase import MESSAGE_COLUMNS
from stores.chat_sessions_supabase import STORE
from stores.postgres import Pool, connection_to, parse_row

# One look-up by primary key for each session: `limit` keeps PostgreSQL's row estimate, and so its plan, at that.
_CHANGED: Final = """
select asked.chat_session_id, s.revision, s.user_id, s.lifecycle_state
from (
  select chat_session_id, revision
  from unnest($1::uuid[], $2::bigint[]) as each (chat_session_id, revision)
  limit cardinality($1::uuid[])
) as asked
left join lateral (
  select revision, user_id, lifecycle_state from public.chat_sessions where chat_session_id = asked.chat_session_id
) as s on true
where s.revision is null or s.revision > asked.revision
"""

# The session's row and its messages are read at one moment, so the owner in the row owns all of these messages.
_MESSAGES: Final = f"""
select
  s.revision as session_revision, s.user_id, s.lifecycle_state, found.number, found.message_id, found.revision,
  found.role, found.author, found.created_at, found.updated_at,
  case when found.size <= $3 then found.body end as body
from public.chat_sessions as s
left join lateral (
  select m.*, asked.number, sum(m.bytes) over (order by asked.number) as size
  from unnest($2::text[]) with ordinality as asked (message_id, number)
  cross join lateral (
    select {MESSAGE_COLUMNS} from public.chat_messages as m
    where m.chat_session_id = s.chat_session_id and m.message_id = asked.message_id
    limit 1
  ) as m
) as found on true
where s.chat_session_id = $1
order by found.number
"""


@dataclass(frozen=True, slots=True)
class FollowedState:
    """The revision, owner and lifecycle state of a session.

    Attributes:
        revision: None if there is no such session.
        user_id: The owner; None if the session is deleted or does not exist.
    """

    chat_session_id: str
    revision: int | None
    user_id: str | None
    lifecycle_state: Literal["ACTIVE", "ARCHIVED", "DELETED"] | None


@dataclass(frozen=True, slots=True)
class FoundMessages:
    """Messages as they are now, and the session of the same moment.

    Attributes:
        messages: The messages that exist, by their places in the request.
        without_body: The places of the messages whose bodies would exceed the size of a page.
    """

    state: FollowedState
    messages: dict[int, ChatMessage]
    without_body: frozenset[int]


class FollowedSessionsSupabase:
    """Reads for followers, on a pool of connections.

    Every method raises the errors of `stores.postgres.translate_errors`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def changed(self, known: Iterable[tuple[str, int]]) -> list[FollowedState]:
        """Find those of these sessions that have a later revision than the known one, or do not exist any more."""
        sessions, revisions = [], []
        for chat_session_id, revision in known:
            sessions.append(UUID(chat_session_id))
            revisions.append(revision)
        async with connection_to(STORE, self._pool) as connection:
            rows = await connection.fetch(_CHANGED, sessions, revisions)
        return [FollowedState(**{**row, "chat_session_id": str(row["chat_session_id"])}) for row in rows]

    async def messages(self, chat_session_id: str, message_ids: Sequence[str]) -> FoundMessages:
        """Read messages by their IDs.

        Args:
            chat_session_id: The session. Its owner is not checked here: the caller checks the answer's `state`.
            message_ids: At most `MAX_CHANGE_MESSAGES` IDs. Bodies are read until they fill a page.
        """
        async with connection_to(STORE, self._pool) as connection:
            rows = await connection.fetch(_MESSAGES, UUID(chat_session_id), message_ids, MAX_PAGE_BYTES)
        if not rows:
            return FoundMessages(FollowedState(chat_session_id, None, None, None), {}, frozenset())
        first = rows[0]
        found: dict[int, ChatMessage] = {}
        without_body = set()
        for row in rows:
            if row["number"] is None:
                continue
            place = row["number"] - 1
            body: JsonValue = {}
            if row["body"] is None:
                without_body.add(place)
            else:
                body = from_json(row["body"])
            found[place] = parse_row(STORE, ChatMessage, {**row, "id": row["message_id"], "body": body})
        state = FollowedState(chat_session_id, first["session_revision"], first["user_id"], first["lifecycle_state"])
        return FoundMessages(state, found, frozenset(without_body))
