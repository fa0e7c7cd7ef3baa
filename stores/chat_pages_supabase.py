"""Pages of transcripts, of ledgers and of lists of sessions, read from Supabase.

Every page is one statement, which reads only the rows of that page: from an index, forward or backward from a place.
"""

import logging
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import asyncpg
from pydantic import Field, TypeAdapter
from pydantic_core import from_json

from journeys.chat_session.answers import (
    ChatMessage,
    ChatMessages,
    ChatSessionHistory,
    ChatSessionList,
    ListedChatSession,
)
from journeys.chat_session.limits import MAX_PAGE_BYTES
from journeys.chat_session.messages import GetChatMessages, GetChatSessionHistory, ListChatSessions
from journeys.chat_session.session import LedgerEntry, Revision
from journeys.cursors import decode_cursor, encode_cursor
from journeys.errors import InvalidParameter
from journeys.i_json import MAX_SAFE_INTEGER
from journeys.identifiers import Timestamp, Uuid, timestamp
from stores.chat_sessions_supabase import STORE
from stores.postgres import Pool, PooledConnection, connection_to, parse_row
from stores.visible_sessions import VISIBLE

_LOGGER: Final = logging.getLogger(__name__)

# -1 is the place before the first message of a change.
_Ordinal = Annotated[int, Field(ge=-1, le=MAX_SAFE_INTEGER)]
_MESSAGE_PLACE: Final[TypeAdapter[tuple[Revision, _Ordinal]]] = TypeAdapter(tuple[Revision, _Ordinal])
# Somebody may have set a time to infinity in the database, and a page may end there.
_Moment = Timestamp | Literal["infinity", "-infinity"]
_SESSION_PLACE: Final[TypeAdapter[tuple[_Moment, _Moment, Uuid]]] = TypeAdapter(tuple[_Moment, _Moment, Uuid])

_BEYOND_ALL_MESSAGES: Final = (2**63 - 1, 0)

# A page is read item by item until it is full, without the item that would overfill it.
_PAGE: Final = """
with recursive page as (
  (
    select 1 as number, item.*, item.bytes::bigint as size
    from public.chat_sessions as session
    cross join lateral ({first_item}) as item
    where {visible}
  )
  union all
  select page.number + 1, item.*, page.size + item.bytes
  from page
  cross join lateral ({next_item}) as item
  where page.number <= $4 and (page.number = 1 or page.size <= $5)
)
select page.*, (select count(*) from page) as found, ({behind}) as has_others_behind
from public.chat_sessions as session
left join page on page.number = 1 or (page.number <= $4 and page.size <= $5)
where {visible}
order by page.number
"""

# jsonb writes numbers out, so its text is never shorter than what is sent. 300 bytes are more than the times, the
# revision and the names of the fields take.
MESSAGE_COLUMNS: Final = """
      m.message_id, m.first_revision, m.ordinal, m.revision, m.role, m.author, m.created_at, m.updated_at,
      m.body::text as body,
      octet_length(m.body::text) + octet_length(to_json(m.message_id)::text)
        + coalesce(octet_length(to_json(m.role)::text), 0) + coalesce(octet_length(to_json(m.author)::text), 0)
        + 300 as bytes
"""

_MESSAGE: Final = """
  select {columns} from public.chat_messages as m
  where m.chat_session_id = $1 and (m.first_revision, m.ordinal) {beyond} ({place})
  order by m.first_revision {order}, m.ordinal {order}
  limit 1
"""


def _page_of_messages(beyond: str, order: str, behind: str, opposite: str) -> str:
    def next_message(place: str) -> str:
        return _MESSAGE.format(columns=MESSAGE_COLUMNS, beyond=beyond, place=place, order=order)

    return _PAGE.format(
        visible=VISIBLE,
        first_item=next_message("$6, $7"),
        next_item=next_message("page.first_revision, page.ordinal"),
        # This asks for the first message in order: for a mere `exists` PostgreSQL may scan the whole table.
        behind=_MESSAGE.format(columns="true", beyond=behind, place="$6, $7", order=opposite),
    )


_OLDER_PAGE: Final = _page_of_messages("<", "desc", behind=">=", opposite="asc")
_NEWER_PAGE: Final = _page_of_messages(">", "asc", behind="<=", opposite="desc")

# A change is sent as text, and jsonb writes numbers out: 5e-324 has 327 characters. 500 bytes are more than the hashes,
# the times and the names of the fields take.
_ENTRY: Final = """
  select
    u.revision, u.idempotency_key, u.change::text as change, u.change_hash, u.author, u.active_agent, u.context_hash,
    u.applied_at, u.turn,
    octet_length(u.change::text) + octet_length(u.idempotency_key) + coalesce(octet_length(u.author), 0)
      + octet_length(u.active_agent) + 500 as bytes
  from public.chat_context_updates as u
  where u.chat_session_id = $1 and u.revision > {place}
  order by u.revision
  limit 1
"""

_HISTORY: Final = _PAGE.format(
    visible=VISIBLE, first_item=_ENTRY.format(place="$6"), next_item=_ENTRY.format(place="page.revision"), behind="null"
)

_LIST: Final = """
select
  chat_session_id, tenant_id, user_id, title, active_agent, lifecycle_state, revision, context_hash, message_count,
  turn_revision, created_at, updated_at
from public.chat_sessions
where {whose} and lifecycle_state = $3
  and (updated_at, created_at, chat_session_id) < ($4::text::timestamptz, $5::text::timestamptz, $6::uuid)
order by updated_at desc, created_at desc, chat_session_id desc
limit $7
"""

_LIST_OF_TENANT: Final = _LIST.format(whose="tenant_id = $1 and $2::text is null")
_LIST_OF_USER: Final = _LIST.format(whose="tenant_id = $1 and user_id = $2")

_NEWER_THAN_ALL_SESSIONS: Final = ("infinity", "infinity", UUID(int=2**128 - 1))


class ChatPagesSupabase:
    """Reads pages, on a pool of connections.

    Every method raises the errors of `stores.postgres.translate_errors`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def messages(self, wanted: GetChatMessages) -> ChatMessages | None:
        """Read a page of a transcript; None if this tenant and user have no such session.

        Raises:
            InvalidParameter: A cursor is not one of a transcript.
        """
        async with connection_to(STORE, self._pool) as connection:
            return await fetch_messages(connection, wanted)

    async def history(self, wanted: GetChatSessionHistory) -> ChatSessionHistory | None:
        """Read a page of a ledger, oldest entry first; None if this tenant and user have no such session."""
        async with connection_to(STORE, self._pool) as connection:
            rows = await connection.fetch(
                _HISTORY,
                UUID(wanted.chat_session_id),
                wanted.tenant_id,
                wanted.user_id,
                wanted.limit,
                MAX_PAGE_BYTES,
                -1 if wanted.after_revision is None else wanted.after_revision,
            )
        if not rows:
            return None
        entries = tuple(_parse_entry(row) for row in rows if row["number"] is not None)
        return ChatSessionHistory(
            chat_session_id=wanted.chat_session_id, entries=entries, complete=rows[0]["found"] == len(entries)
        )

    async def sessions(self, wanted: ListChatSessions) -> ChatSessionList:
        """Read a page of a list of sessions. A row that cannot be read is left out, so the page may be shorter.

        Raises:
            InvalidParameter: The cursor is not one of a list of sessions.
        """
        place: tuple[str, str, UUID] = _NEWER_THAN_ALL_SESSIONS
        if wanted.after is not None:
            updated_at, created_at, chat_session_id = decode_cursor(wanted.after, _SESSION_PLACE, field="after")
            place = (_as_text(updated_at), _as_text(created_at), UUID(chat_session_id))
        async with connection_to(STORE, self._pool) as connection:
            rows = await connection.fetch(
                _LIST_OF_TENANT if wanted.user_id is None else _LIST_OF_USER,
                wanted.tenant_id,
                wanted.user_id,
                wanted.lifecycle_state,
                *place,
                wanted.limit + 1,
            )
        page = rows[: wanted.limit]
        return ChatSessionList(
            sessions=tuple(filter(None, map(_parse_listed, page))),
            next=_session_cursor(page[-1]) if len(rows) > wanted.limit else None,
        )


async def fetch_messages(connection: PooledConnection, wanted: GetChatMessages) -> ChatMessages | None:
    """Read a page of a transcript on a connection; None if this tenant and user have no such session.

    Raises:
        InvalidParameter: A cursor is not one of a transcript.
    """
    forward = wanted.after is not None
    place: tuple[int, int] = _BEYOND_ALL_MESSAGES
    if wanted.after is not None:
        place = decode_cursor(wanted.after, _MESSAGE_PLACE, field="after")
    elif wanted.before is not None:
        place = decode_cursor(wanted.before, _MESSAGE_PLACE, field="before")
    rows = await connection.fetch(
        _NEWER_PAGE if forward else _OLDER_PAGE,
        UUID(wanted.chat_session_id),
        wanted.tenant_id,
        wanted.user_id,
        wanted.limit,
        MAX_PAGE_BYTES,
        *place,
    )
    if not rows:
        return None
    page = [row for row in rows if row["number"] is not None]
    has_others_ahead = rows[0]["found"] > len(page)
    has_others_behind = rows[0]["has_others_behind"]
    if not forward:
        page.reverse()
    # A cursor excludes the message at its own place, so the cursors of an empty page lie on both sides of its place.
    first = _place(page[0]) if page else (place[0], place[1] + 1)
    last = _place(page[-1]) if page else (place[0], place[1] - 1)
    return ChatMessages(
        messages=tuple(map(parse_message, page)),
        older=encode_cursor(*first) if (has_others_behind if forward else has_others_ahead) else None,
        newer=encode_cursor(*last) if (has_others_ahead if forward else has_others_behind) else None,
    )


def _place(row: asyncpg.Record) -> tuple[int, int]:
    return row["first_revision"], row["ordinal"]


def _session_cursor(row: asyncpg.Record) -> str:
    return encode_cursor(_as_text(row["updated_at"]), _as_text(row["created_at"]), str(row["chat_session_id"]))


def _as_text(moment: datetime | str) -> str:
    """A time as text for PostgreSQL. The driver reads an infinite time as the first or last one, without a zone."""
    if isinstance(moment, str):
        return moment
    if moment.tzinfo is None:
        return "-infinity" if moment.year == 1 else "infinity"
    return timestamp(moment)


def _parse_listed(row: asyncpg.Record) -> ListedChatSession | None:
    """A session of a list; None if somebody has edited its row so that it cannot be read.

    One such row must not hide all the others. A read of that session by its ID says which column is wrong.
    """
    session_id = str(row["chat_session_id"])
    try:
        return parse_row(STORE, ListedChatSession, {**row, "chat_session_id": session_id})
    except InvalidParameter as error:
        _LOGGER.warning("left a session out of a list", extra={"chat_session_id": session_id, "reason": error.message})
        return None


def parse_message(row: asyncpg.Record) -> ChatMessage:
    """A row of `MESSAGE_COLUMNS` as a message."""
    return parse_row(STORE, ChatMessage, {**row, "id": row["message_id"], "body": from_json(row["body"])})


def _parse_entry(row: asyncpg.Record) -> LedgerEntry:
    try:
        change = from_json(row["change"])
    except ValueError:
        change = None
    return parse_row(STORE, LedgerEntry, {**row, "change": change})
