"""The deletion of chat sessions in Supabase: one statement, which leaves a tombstone."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from journeys.canonical_json import canonical_hash
from journeys.chat_session.deletion import Tombstone
from journeys.chat_session.session import ChatSessionArtifact
from journeys.retry_policies import REGULAR_ATTEMPT
from stores.chat_sessions_supabase import STORE, parse_tombstone
from stores.postgres import Pool, connection_to

# A transcript has no limit, and one statement deletes it. It is given up shortly before the activity's attempt.
_DELETION_SECONDS: Final = (REGULAR_ATTEMPT - timedelta(seconds=20)).total_seconds()

_TOMBSTONE: Final = "chat_session_id, tenant_id, revision, created_at, updated_at, deleted_by"

_DELETE: Final = f"""
with deleted as (
  update public.chat_sessions
  set
    lifecycle_state = 'DELETED', revision = revision + 1, context = '{{}}', context_hash = $4, title = null,
    user_id = null, message_count = 0, refusals = null, deleted_by = $5, updated_at = greatest($6, updated_at)
  where chat_session_id = $1 and revision = $2 and context_hash = $3 and lifecycle_state <> 'DELETED'
  returning {_TOMBSTONE}
),
ledger as (
  delete from public.chat_context_updates where chat_session_id = (select chat_session_id from deleted)
),
transcript as (
  delete from public.chat_messages where chat_session_id = (select chat_session_id from deleted)
),
partials as (
  delete from public.chat_partials where chat_session_id = (select chat_session_id from deleted)
)
select * from deleted
"""

_FIND: Final = f"""
select {_TOMBSTONE} from public.chat_sessions where chat_session_id = $1 and lifecycle_state = 'DELETED'
"""

_ADVANCE: Final = f"""
update public.chat_sessions set revision = $2
where chat_session_id = $1 and lifecycle_state = 'DELETED' and revision < $2
returning {_TOMBSTONE}
"""


class DeletionsSupabase:
    """Deletes sessions, on a pool of connections."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def delete(self, session: ChatSessionArtifact, *, update_id: str, at: datetime) -> Tombstone | None:
        """Delete a session with its ledger and its transcript; None if the stored session is not this one any more.

        This takes longer the more messages the transcript has.
        """
        return await self._fetch(
            _DELETE,
            UUID(session.chat_session_id),
            session.revision,
            session.context_hash,
            canonical_hash({}),
            update_id,
            at,
            timeout=_DELETION_SECONDS,
        )

    async def find(self, chat_session_id: str) -> Tombstone | None:
        """The tombstone of a deleted session; None if the session is not deleted, or never existed."""
        return await self._fetch(_FIND, UUID(chat_session_id))

    async def advance_past(self, tombstone: Tombstone, revision: int) -> Tombstone | None:
        """Set a tombstone's revision to the one after `revision`; None if it is there already."""
        return await self._fetch(_ADVANCE, UUID(tombstone.chat_session_id), revision + 1)

    async def _fetch(self, statement: str, *parameters: object, timeout: float | None = None) -> Tombstone | None:
        async with connection_to(STORE, self._pool) as connection:
            row: asyncpg.Record | None = await connection.fetchrow(statement, *parameters, timeout=timeout)
        return parse_tombstone(row) if row else None
