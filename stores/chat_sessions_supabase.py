"""The record of chat sessions in Supabase: `public.chat_sessions` and its ledger, `public.chat_context_updates`.

Every write is one autocommit statement, so that one round trip does it, also through a pooler in transaction
mode, and a lost reply leaves either all of it or nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from uuid import UUID

import asyncpg
from pydantic_core import from_json, to_json

from journeys.canonical_json import canonical, canonical_hash
from journeys.chat_session.activities import CreateSession, KnownChange, WriteChanges
from journeys.chat_session.errors import ContextTooLarge
from journeys.chat_session.limits import MAX_STORED_CONTEXT_BYTES
from journeys.chat_session.session import ChatSessionArtifact, Context, LedgerEntry
from journeys.errors import DatabaseUnavailable
from stores.postgres import Pool, reported

_STORE: Final = "Supabase"
_RACES: Final = 5
_ENVELOPE: Final = 8

_COLUMNS: Final = """
  chat_session_id, tenant_id, user_id, active_agent, context, context_hash, revision, lifecycle_state,
  created_at, updated_at
"""

_CREATE: Final = f"""
with created as (
  insert into public.chat_sessions ({_COLUMNS}, idempotency_key)
  values ($1, $2, $3, $4, $5::jsonb, $6, 0, 'ACTIVE', $7, $7, $8)
  on conflict do nothing
  returning {_COLUMNS}
)
select {_COLUMNS} from created
union all
select {_COLUMNS} from public.chat_sessions where chat_session_id = $1 and not exists (select from created)
"""

_READ: Final = f"select {_COLUMNS} from public.chat_sessions where chat_session_id = $1"

_READ_LATEST: Final = f"""
select {_COLUMNS} from public.chat_sessions
where tenant_id = $1 and user_id = $2 and lifecycle_state = 'ACTIVE'
order by updated_at desc, created_at desc, chat_session_id desc
limit 1
"""

# The inner limit has each key looked up by itself: for all of them at once PostgreSQL may read the session's whole
# ledger. The outer one leaves out nothing: without it the plan for any number of keys seems so dear that PostgreSQL
# makes another one at every call.
_KNOWN: Final = """
  select entry.*
  from (select unnest($2::text[]) as idempotency_key limit cardinality($2::text[])) as asked
  cross join lateral (
    select revision, idempotency_key, change_hash, active_agent, context_hash, applied_at
    from public.chat_context_updates
    where chat_session_id = $1 and idempotency_key = asked.idempotency_key
    limit 1
  ) as entry
"""

_LOOK_UP: Final = f"""
with known as ({_KNOWN})
select
  s.revision,
  false as written,
  (select coalesce(jsonb_agg(to_jsonb(known)), '[]') from known) as known
from public.chat_sessions as s
where s.chat_session_id = $1
"""

# All or nothing: the ledger is written only with the session, and the session only from the revision that the
# changes were judged against, while none of their keys is known.
_WRITE: Final = f"""
with known as ({_KNOWN}),
written as (
  update public.chat_sessions
  set context = $4::jsonb, context_hash = $5, active_agent = $6, revision = $7, updated_at = $8
  where chat_session_id = $1 and revision = $3 and not exists (select from known)
  returning chat_session_id
),
entries as (
  insert into public.chat_context_updates (
    chat_session_id, revision, idempotency_key, change, change_hash, author, active_agent, context_hash, applied_at
  )
  select
    written.chat_session_id, e.revision, e.idempotency_key, e.change, e.change_hash, e.author, e.active_agent,
    e.context_hash, e.applied_at
  from written, jsonb_to_recordset($9::jsonb) as e (
    revision bigint, idempotency_key text, change jsonb, change_hash text, author text, active_agent text,
    context_hash text, applied_at timestamptz
  )
)
select
  s.revision,
  exists (select from written) as written,
  (select coalesce(jsonb_agg(to_jsonb(known)), '[]') from known) as known
from public.chat_sessions as s
where s.chat_session_id = $1
"""

_RAISE: Final = f"""
with raised as (
  update public.chat_sessions
  set revision = $3, updated_at = greatest(now(), updated_at)
  where chat_session_id = $1 and revision = $2
  returning {_COLUMNS}
),
entry as (
  insert into public.chat_context_updates (
    chat_session_id, revision, idempotency_key, change, change_hash, author, active_agent, context_hash, applied_at
  )
  select
    chat_session_id, revision, format('journey/%s/%s', revision, gen_random_uuid()), $4::jsonb, $5, 'journey',
    active_agent, context_hash, updated_at
  from raised
)
select {_COLUMNS} from raised
"""

_FILL_HASH: Final = """
with filled as (
  update public.chat_sessions set context_hash = $3 where chat_session_id = $1 and revision = $2
  returning chat_session_id, revision
)
update public.chat_context_updates as entry
set context_hash = $3
from filled
where entry.chat_session_id = filled.chat_session_id and entry.revision = filled.revision
"""

_HISTORY: Final = """
select
  entry.revision, entry.idempotency_key, entry.change, entry.change_hash, entry.author, entry.active_agent,
  entry.context_hash, entry.applied_at
from public.chat_sessions as session
left join public.chat_context_updates as entry
  on entry.chat_session_id = session.chat_session_id and entry.revision > $3
where session.chat_session_id = $1 and session.tenant_id = $2
order by entry.revision
limit $4
"""

_NO_CHANGE: Final[Context] = {"context": None, "append": None, "active_agent": None, "merge_strategy": "merge"}


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch.

    Attributes:
        written: Whether this very call wrote it.
        revision: The one that was stored before the call; None where there is no such session.
        known: What the ledger has under the batch's keys.
    """

    written: bool
    revision: int | None
    known: tuple[KnownChange, ...]


class ChatSessionsSupabase:
    """The tables, on a pool of connections. Every method raises as `stores.postgres.reported` says."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(self, wanted: CreateSession) -> ChatSessionArtifact | None:
        """Create a session unless it is there; answers the stored one, None if its key names another session."""
        session = wanted.session
        for _ in range(2):  # a row that another transaction has just made is only seen by the next statement
            row = await self._row(
                _CREATE,
                UUID(session.chat_session_id),
                session.tenant_id,
                session.user_id,
                session.active_agent,
                _json(session.context),
                session.context_hash,
                session.created_at,
                wanted.idempotency_key,
            )
            if row:
                return await self._loaded(row)
        return None

    async def read(self, chat_session_id: str) -> ChatSessionArtifact | None:
        """Read a session, whosever it is."""
        row = await self._row(_READ, UUID(chat_session_id))
        return _session(row) if row else None

    async def read_latest(self, tenant_id: str, user_id: str) -> ChatSessionArtifact | None:
        """Read the session that a user changed last."""
        row = await self._row(_READ_LATEST, tenant_id, user_id)
        return _session(row) if row else None

    async def load(self, chat_session_id: str) -> ChatSessionArtifact | None:
        """Read a session to go on from, mending a hash that a change by hand has left behind."""
        row = await self._row(_READ, UUID(chat_session_id))
        return await self._loaded(row) if row else None

    async def write(self, batch: WriteChanges) -> Written:
        """Apply a batch if the session is at its base revision and none of its keys is known.

        Raises:
            ApplicationError: `DATABASE_UNAVAILABLE` also where other writers keep getting in between.
        """
        session = batch.session
        identity = UUID(session.chat_session_id)
        for _ in range(_RACES):
            if batch.entries:
                row = await self._row(
                    _WRITE,
                    identity,
                    batch.keys,
                    batch.base_revision,
                    _json(session.context),
                    session.context_hash,
                    session.active_agent,
                    session.revision,
                    session.updated_at,
                    _json(batch.entries),
                )
            else:
                row = await self._row(_LOOK_UP, identity, batch.keys)
            if row is None:
                return Written(written=False, revision=None, known=())
            known = tuple(KnownChange.model_validate(entry) for entry in from_json(row["known"]))
            lost_a_race = batch.entries and not row["written"] and not known and row["revision"] == batch.base_revision
            if not lost_a_race:
                return Written(written=row["written"], revision=row["revision"], known=known)
        raise DatabaseUnavailable("the session is being written by others")

    async def advance_past(self, session: ChatSessionArtifact, revision: int) -> ChatSessionArtifact | None:
        """Give a session the revision after another one, with a ledger row; None if it has moved meanwhile."""
        row = await self._row(
            _RAISE,
            UUID(session.chat_session_id),
            session.revision,
            revision + 1,
            _json(_NO_CHANGE),
            canonical_hash(_NO_CHANGE),
        )
        return _session(row) if row else None

    async def history(
        self, chat_session_id: str, tenant_id: str, *, after_revision: int, limit: int
    ) -> Sequence[LedgerEntry] | None:
        """Read a tenant's session's ledger; None where there is no such session."""
        with reported(_STORE):
            rows = await self._pool.fetch(_HISTORY, UUID(chat_session_id), tenant_id, after_revision, limit)
        if not rows:
            return None
        return [
            LedgerEntry.model_validate({**row, "change": from_json(row["change"])})
            for row in rows
            if row["revision"] is not None
        ]

    async def _loaded(self, row: asyncpg.Record) -> ChatSessionArtifact:
        session = _session(row)
        if row["context_hash"] != session.context_hash:
            with reported(_STORE):
                await self._pool.execute(_FILL_HASH, row["chat_session_id"], session.revision, session.context_hash)
        return session

    async def _row(self, statement: str, *parameters: object) -> asyncpg.Record | None:
        with reported(_STORE):
            return await self._pool.fetchrow(statement, *parameters)


def _json(value: object) -> str:
    return to_json(value).decode()


def _session(row: asyncpg.Record) -> ChatSessionArtifact:
    try:
        # As deep as it will be inside of messages, where parsers have their limit too.
        context = from_json(f"{'[' * _ENVELOPE}{row['context']}{']' * _ENVELOPE}")
    except ValueError as error:
        raise ContextTooLarge(f"the stored context cannot be held: {error}", field="context") from None
    for _ in range(_ENVELOPE):
        (context,) = context
    encoded = canonical(context)
    if len(encoded) > MAX_STORED_CONTEXT_BYTES:
        raise ContextTooLarge(
            f"the stored context has {len(encoded)} bytes, more than a journey can hold", field="context"
        )
    return ChatSessionArtifact.model_validate(
        {
            **row,
            "chat_session_id": str(row["chat_session_id"]),
            "context": context,
            "context_hash": sha256(encoded).hexdigest(),
        }
    )
