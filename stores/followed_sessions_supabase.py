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

# One look-up by primary key for each session. `limit` in the first part keeps the estimate, and so the plan, at that.
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

# The session's row and its messages are of one moment: whoever owns the session then, owns all that is read here.
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

MAX_MESSAGES: Final = 100
"""How many messages are read at once: as many as one change can have."""


@dataclass(frozen=True, slots=True)
class SessionState:
    """How far a session is, and whose it is.

    Attributes:
        revision: None if there is no such session.
        user_id: Whose session it is; None if there is none any more.
    """

    chat_session_id: str
    revision: int | None
    user_id: str | None
    lifecycle_state: Literal["ACTIVE", "ARCHIVED", "DELETED"] | None


@dataclass(frozen=True, slots=True)
class FoundMessages:
    """Messages as they are now, and the session of the same moment.

    Attributes:
        messages: By their places among those that were asked for; those that are gone are not there.
        without_body: The places of those whose bodies would make it more than a page may have.
    """

    state: SessionState
    messages: dict[int, ChatMessage]
    without_body: frozenset[int]


class FollowedSessionsSupabase:
    """Reads for followers, on a pool of connections.

    Every method raises the errors of `stores.postgres.translate_errors`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def changed(self, known: Iterable[tuple[str, int]]) -> list[SessionState]:
        """Ask which of these sessions have a later revision than is known, or are not there any more."""
        sessions, revisions = [], []
        for chat_session_id, revision in known:
            sessions.append(UUID(chat_session_id))
            revisions.append(revision)
        async with connection_to(STORE, self._pool) as connection:
            rows = await connection.fetch(_CHANGED, sessions, revisions)
        return [SessionState(**{**row, "chat_session_id": str(row["chat_session_id"])}) for row in rows]

    async def messages(self, chat_session_id: str, message_ids: Sequence[str]) -> FoundMessages:
        """Read messages by their IDs.

        Args:
            chat_session_id: The session, of whatever tenant and user: the caller looks at the answer's `state`.
            message_ids: At most `MAX_MESSAGES`. Their bodies are read as far as one page goes.
        """
        async with connection_to(STORE, self._pool) as connection:
            rows = await connection.fetch(_MESSAGES, UUID(chat_session_id), message_ids, MAX_PAGE_BYTES)
        if not rows:
            return FoundMessages(SessionState(chat_session_id, None, None, None), {}, frozenset())
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
        state = SessionState(chat_session_id, first["session_revision"], first["user_id"], first["lifecycle_state"])
        return FoundMessages(state, found, frozenset(without_body))
