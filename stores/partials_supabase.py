"""Messages that agents are writing, in Supabase: the table `public.chat_partials`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from stores.chat_sessions_supabase import STORE
from stores.postgres import Pool, connection_to
from stores.visible_sessions import VISIBLE

MAX_AGE_SECONDS: Final = 120
"""After this time without a new text, a partial message is forgotten."""

# One statement looks for the session and writes. A message that the transcript already has is not partial any more.
_WRITE: Final = f"""
with session as (
  select chat_session_id, lifecycle_state from public.chat_sessions as session where {VISIBLE}
),
written as (
  insert into public.chat_partials (chat_session_id, message_id, text, written_at)
  select session.chat_session_id, $4, $5, clock_timestamp() from session
  where session.lifecycle_state = 'ACTIVE' and not exists (
    select from public.chat_messages as m where m.chat_session_id = session.chat_session_id and m.message_id = $4
  )
  on conflict (chat_session_id, message_id) do update set text = excluded.text, written_at = excluded.written_at
)
select lifecycle_state from session
"""

_NEWER: Final = """
select p.chat_session_id, p.message_id, p.text, p.written_at
from unnest($1::uuid[]) as followed (chat_session_id)
cross join lateral (
  select * from public.chat_partials as each
  where each.chat_session_id = followed.chat_session_id and each.written_at > $2
  order by each.written_at desc
  limit $3
) as p
order by p.written_at
"""

_NOW: Final = "select clock_timestamp()"

_FORGET: Final = "delete from public.chat_partials where written_at < clock_timestamp() - make_interval(secs => $1)"


@dataclass(frozen=True, slots=True)
class PartialMessage:
    """A message that an agent is writing.

    Attributes:
        text: The text so far.
        written_at: By the database's clock.
    """

    chat_session_id: str
    message_id: str
    text: str
    written_at: datetime


class PartialsSupabase:
    """Partial messages, on a pool of connections.

    Every method raises the errors of `stores.postgres.translate_errors`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def write(
        self, chat_session_id: str, tenant_id: str, user_id: str | None, *, message_id: str, text: str
    ) -> Literal["ACTIVE", "ARCHIVED"] | None:
        """Overwrite a partial message of an active session.

        Returns:
            The session's lifecycle state; None if this tenant and user have no such session.
        """
        async with connection_to(STORE, self._pool) as connection:
            state: Literal["ACTIVE", "ARCHIVED"] | None = await connection.fetchval(
                _WRITE, UUID(chat_session_id), tenant_id, user_id, message_id, text
            )
        return state

    async def newer(self, sessions: Iterable[str], since: datetime, *, limit: int) -> list[PartialMessage]:
        """Read the partial messages of some sessions that were written after a time, oldest first.

        Args:
            sessions: The IDs of the sessions.
            since: The time, by the database's clock.
            limit: The maximum number of each session's messages; the newest ones are read.
        """
        async with connection_to(STORE, self._pool) as connection:
            rows = await connection.fetch(_NEWER, [UUID(each) for each in sessions], since, limit)
        return [PartialMessage(**{**row, "chat_session_id": str(row["chat_session_id"])}) for row in rows]

    async def now(self) -> datetime:
        """The database's clock."""
        async with connection_to(STORE, self._pool) as connection:
            now: datetime = await connection.fetchval(_NOW)
        return now

    async def forget_old(self) -> None:
        """Delete partial messages that nobody writes any more."""
        async with connection_to(STORE, self._pool) as connection:
            await connection.execute(_FORGET, MAX_AGE_SECONDS)
