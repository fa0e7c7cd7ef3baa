"""The context and the agent of a session at an earlier revision, from the ledger in Supabase."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pydantic_core import from_json

from journeys.canonical_json import canonical_hash
from journeys.chat_session.folding import fold_changes
from journeys.chat_session.session import Context
from stores.chat_sessions_supabase import STORE, parse_context
from stores.postgres import Pool, connection_to

# Indexes of their own find the full context and the changes after it: between two changes of the context there may be
# any number of entries that only add messages.
_AT: Final = """
select last.revision, last.active_agent, last.context_hash, base.context, changes.changes
from (
  select revision, active_agent, context_hash from public.chat_context_updates
  where chat_session_id = $1 and revision <= $2
  order by revision desc
  limit 1
) as last
cross join lateral (
  select revision, coalesce(context, change -> 'context')::text as context from public.chat_context_updates
  where chat_session_id = $1 and revision <= $2 and fold_changes = 0
  order by revision desc
  limit 1
) as base
cross join lateral (
  select jsonb_agg(change order by revision)::text as changes from public.chat_context_updates
  where chat_session_id = $1 and revision > base.revision and revision <= $2 and fold_changes > 0
) as changes
"""


@dataclass(frozen=True, slots=True)
class EarlierContext:
    """A session as it was after a revision.

    Attributes:
        revision: The revision, or the last one before it if there is a gap.
        is_proven: Whether the context has the hash in the ledger; true if the ledger has none.
    """

    revision: int
    active_agent: str
    context: Context
    context_hash: str
    is_proven: bool


class EarlierContextsSupabase:
    """Reads earlier contexts, on a pool of connections."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def at(self, chat_session_id: str, revision: int) -> EarlierContext | None:
        """Fold the context of a revision; None if the ledger has no full context of it or of one before it.

        Raises:
            ContextTooLarge: The context was set by hand, and is too large or too deep for a journey.
        """
        async with connection_to(STORE, self._pool) as connection:
            row = await connection.fetchrow(_AT, UUID(chat_session_id), revision)
        if row is None:
            return None
        full, _ = parse_context(row["context"])
        context = fold_changes(full, from_json(row["changes"] or "[]"))
        context_hash = canonical_hash(context)
        return EarlierContext(
            revision=row["revision"],
            active_agent=row["active_agent"],
            context=context,
            context_hash=context_hash,
            is_proven=row["context_hash"] in (None, context_hash),
        )
