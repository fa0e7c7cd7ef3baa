"""Chat sessions in Supabase: the table `public.chat_sessions`, its ledger and its transcript.

Every write is one autocommit statement. It takes one round trip, also through a pooler in transaction mode, and if the
reply is lost, the database holds either all of the write or nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import product
from typing import Final
from uuid import UUID

import asyncpg
from pydantic_core import from_json

from journeys.canonical_json import canonical, canonical_hash
from journeys.chat_session.activities import KnownChange
from journeys.chat_session.answers import ChatSessionView
from journeys.chat_session.deletion import Tombstone
from journeys.chat_session.errors import ContextTooLarge
from journeys.chat_session.fold_length import UNKNOWN_LENGTH, FoldLength
from journeys.chat_session.limits import MAX_STORED_CONTEXT_BYTES
from journeys.chat_session.refusals import Refusals
from journeys.chat_session.session import ChatSessionArtifact, Context, WrittenEntry
from journeys.chat_session.transcript import NO_WRITE, StoredMessage, TranscriptWrite
from journeys.errors import DatabaseUnavailable
from stores.postgres import Pool, connection_to, json_text, parse_row

STORE: Final = "Supabase"
"""The store's name in messages."""

RIGHTS: Final = {
    "public.chat_sessions": ("select", "insert", "update"),
    "public.chat_context_updates": ("select", "insert", "update", "delete"),
    "public.chat_messages": ("select", "insert", "update", "delete"),
    "public.chat_partials": ("select", "delete"),
}
"""The rights that the statements here need; the role `journey_worker` has them."""

_WRITE_ATTEMPTS: Final = 5
# How many levels of JSON a message may add around a context.
_MESSAGE_NESTING: Final = 8

COLUMNS: Final = """
  chat_session_id, tenant_id, user_id, title, active_agent, context, context_hash, revision, message_count,
  turn_revision, lifecycle_state, refusals, created_at, updated_at
"""

_ENTRY_COLUMNS: Final = """
  chat_session_id, revision, idempotency_key, change, change_hash, author, active_agent, context_hash, applied_at,
  message, context, fold_changes, fold_bytes, turn
"""

# What a decision needs to know of the ledger.
_OF_LEDGER: Final = """
  (
    select idempotency_key from public.chat_context_updates where chat_session_id = s.chat_session_id and revision = 0
  ) as creation_key,
  (
    select array[u.fold_changes, u.fold_bytes]
    from public.chat_context_updates as u
    where u.chat_session_id = s.chat_session_id and u.fold_changes is not null
    order by u.revision desc
    limit 1
  ) as fold_length
"""

_CREATE: Final = f"""
with created as (
  insert into public.chat_sessions ({COLUMNS}, decided_at, idempotency_key)
  values ($1, $2, $3, $12, $4, $5::jsonb, $6, 0, 0, 0, 'ACTIVE', null, $7, $7, $7, $8)
  on conflict do nothing
  returning {COLUMNS}, decided_at
),
entry as (
  insert into public.chat_context_updates ({_ENTRY_COLUMNS})
  select
    chat_session_id, revision, $9, $10::jsonb, $11, null, active_agent, context_hash, created_at, null, null, 0, 0,
    false
  from created
)
select
  {COLUMNS}, decided_at, null::text as deleted_by, $9::text as creation_key, array[0, 0]::bigint[] as fold_length
from created
union all
select {COLUMNS}, decided_at, deleted_by, {_OF_LEDGER} from public.chat_sessions as s
where chat_session_id = $1 and not exists (select from created)
"""

_LOAD: Final = f"""
select {COLUMNS}, decided_at, {_OF_LEDGER} from public.chat_sessions as s
where chat_session_id = $1 and lifecycle_state <> 'DELETED'
"""

_READ_LATEST: Final = f"""
select {COLUMNS} from public.chat_sessions
where tenant_id = $1 and user_id = $2 and lifecycle_state = 'ACTIVE'
order by updated_at desc, created_at desc, chat_session_id desc
limit 1
"""

# `limit 1` makes PostgreSQL look up each key by itself; without it PostgreSQL may read the session's whole ledger.
# `limit cardinality(...)` drops no key; without it the cost estimate of the generic plan is so high that PostgreSQL
# plans the statement again at every call.
_KNOWN: Final = """
  select entry.*
  from (select unnest($2::text[]) as idempotency_key limit cardinality($2::text[])) as asked
  cross join lateral (
    select
      revision, idempotency_key, change_hash, active_agent, context_hash, applied_at, message,
      jsonb_path_query_array(change, '$.messages[*].id') as message_ids
    from public.chat_context_updates
    where chat_session_id = $1 and idempotency_key = asked.idempotency_key
    limit 1
  ) as entry
"""

# As with the keys, each message is looked up by itself; the transcript may be long.
_FOUND: Final = """
  select entry.*
  from (select unnest({ids}::text[]) as message_id limit cardinality({ids}::text[])) as asked
  cross join lateral (
    select message_id, role, author, first_revision, ordinal, created_at
    from public.chat_messages
    where chat_session_id = $1 and message_id = asked.message_id
    limit 1
  ) as entry
"""

_LOOK_UP: Final = f"""
with known as ({_KNOWN}),
found as ({_FOUND.format(ids="$3")})
select
  s.revision,
  s.context_hash,
  (select coalesce(jsonb_agg(to_jsonb(known)), '[]') from known) as known,
  (select coalesce(jsonb_agg(to_jsonb(found)), '[]') from found) as found
from public.chat_sessions as s
where s.chat_session_id = $1
"""

_KEEP_REFUSALS: Final = """
update public.chat_sessions set refusals = $2::jsonb where chat_session_id = $1 and lifecycle_state <> 'DELETED'
"""

# All or nothing: ledger and transcript are written only together with the session. The session is written only if it
# still has the revision and the context that the changes were decided on, none of their keys is known, and the
# transcript has none of the messages that were taken for absent. Columns that the batch does not change are not named:
# PostgreSQL would write a large context again.
_WRITE: Final = """
with known as ({known}),
{found}
written as (
  update public.chat_sessions
  set
    {context}
    active_agent = $5, revision = $6, updated_at = $7, refusals = coalesce($9::jsonb, refusals), turn_revision = $10,
    decided_at = greatest(decided_at, $11)
  where chat_session_id = $1 and revision = $3 and context_hash = $4 and not exists (select from known) {unless_found}
  returning chat_session_id
),
{transcript}
entries as (
  insert into public.chat_context_updates ({entry_columns})
  select
    written.chat_session_id, e.revision, e.idempotency_key, e.change, e.change_hash, e.author, e.active_agent,
    e.context_hash, e.applied_at, e.message, e.context, e.fold_changes, e.fold_bytes, e.turn
  from written, jsonb_to_recordset($8::jsonb) as e (
    revision bigint, idempotency_key text, change jsonb, change_hash text, author text, active_agent text,
    context_hash text, applied_at timestamptz, message text, context jsonb, fold_changes integer, fold_bytes bigint,
    turn boolean
  )
)
select
  s.revision,
  s.context_hash,
  exists (select from written) as written,
  (select coalesce(jsonb_agg(to_jsonb(known)), '[]') from known) as known,
  {found_column} as found
from public.chat_sessions as s
where s.chat_session_id = $1
"""

_TRANSCRIPT: Final = """
removed as (
  delete from public.chat_messages as m
  using written
  where m.ctid = any (
    array(
      select entry.ctid
      from unnest($14::text[]) as gone (message_id)
      cross join lateral (
        select ctid from public.chat_messages where chat_session_id = $1 and message_id = gone.message_id limit 1
      ) as entry
    )
  )
),
messages as (
  insert into public.chat_messages as m (
    chat_session_id, message_id, first_revision, ordinal, revision, role, author, body, body_hash, created_at,
    updated_at
  )
  select
    written.chat_session_id, e.message_id, e.first_revision, e.ordinal, e.revision, e.role, e.author, e.body,
    e.body_hash, e.created_at, e.updated_at
  from written, jsonb_to_recordset($13::jsonb) as e (
    message_id text, first_revision bigint, ordinal bigint, revision bigint, role text, author text, body jsonb,
    body_hash text, created_at timestamptz, updated_at timestamptz
  )
  on conflict (chat_session_id, message_id) do update
  set
    first_revision = excluded.first_revision, ordinal = excluded.ordinal, revision = excluded.revision,
    role = excluded.role, author = excluded.author, body = excluded.body, body_hash = excluded.body_hash,
    created_at = excluded.created_at, updated_at = excluded.updated_at
),
partials as (
  delete from public.chat_partials as p
  using written
  where p.chat_session_id = $1 and p.message_id = any (
    select e.message_id from jsonb_to_recordset($13::jsonb) as e (message_id text)
  )
),
"""


def _write_statement(*, context: bool, transcript: bool, owner: bool) -> str:
    """The write of a batch, by what it changes: the context, the transcript, and title, state or owner."""
    first = 16 if transcript else 12
    owners = first + 2 if context else first
    return _WRITE.format(
        known=_KNOWN,
        found=f"found as ({_FOUND.format(ids='$12')})," if transcript else "",
        unless_found="and not exists (select from found)" if transcript else "",
        found_column="(select coalesce(jsonb_agg(to_jsonb(found)), '[]') from found)" if transcript else "'[]'",
        context=(f"context = ${first}::jsonb, context_hash = ${first + 1}," if context else "")
        + ("message_count = $15," if transcript else "")
        + (f"title = ${owners}, lifecycle_state = ${owners + 1}, user_id = ${owners + 2}," if owner else ""),
        transcript=_TRANSCRIPT if transcript else "",
        entry_columns=_ENTRY_COLUMNS,
    )


_WRITES: Final = {
    changes: _write_statement(context=changes[0], transcript=changes[1], owner=changes[2])
    for changes in product((False, True), repeat=3)
}

_ADVANCE: Final = f"""
with advanced as (
  update public.chat_sessions
  set revision = $3, updated_at = greatest(now(), updated_at)
  where chat_session_id = $1 and revision = $2
  returning {COLUMNS}, decided_at
),
entry as (
  insert into public.chat_context_updates ({_ENTRY_COLUMNS})
  select
    chat_session_id, revision, format('journey/%s/%s', revision, gen_random_uuid()), $4::jsonb, $5, 'journey',
    active_agent, context_hash, updated_at, null, null, null, null, false
  from advanced
)
select {COLUMNS}, decided_at, {_OF_LEDGER} from advanced as s
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

_NO_CHANGE: Final[Context] = {"context": None, "append": None, "active_agent": None, "merge_strategy": "merge"}


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as it is stored.

    Attributes:
        refusals: The signals of its tenant that were refused.
        creation_key: The ledger's key of revision 0; None if the ledger has no such entry.
        fold_length: The fold length of the ledger.
        decided_at: When the latest batch that has changed the session was begun; None if only releases that do not
            record this have changed it.
    """

    session: ChatSessionArtifact
    refusals: Refusals
    creation_key: str | None
    fold_length: FoldLength
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """The outcome of writing a batch, or of looking its keys up.

    Attributes:
        written: Whether the batch is valid as it was decided, and stored.
        revision: The session's revision before the call; None if there is no such session.
        is_elsewhere: Whether the stored revision or context is not the one that the batch was decided on.
        known: The changes that the ledger already had under the batch's keys.
        found: The messages that the batch took for absent, although the transcript has them.
    """

    written: bool
    revision: int | None = None
    is_elsewhere: bool = False
    known: tuple[KnownChange, ...] = ()
    found: tuple[StoredMessage, ...] = ()


class ChatSessionsSupabase:
    """The three tables, on a pool of connections.

    Every method raises the errors of `stores.postgres.translate_errors`. A method that returns a session raises
    `ContextTooLarge` if the stored context is too large or too deep for a journey.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(
        self, session: ChatSessionArtifact, *, key: str, creation_key: str
    ) -> StoredSession | Tombstone | None:
        """Create a session with its ledger's entry for revision 0, unless it exists.

        Args:
            session: The session to create.
            key: The initialization's idempotency key.
            creation_key: The ledger's key of revision 0.

        Returns:
            The stored session, or its tombstone; None if the idempotency key belongs to another session.
        """
        change: Context = _NO_CHANGE | {"context": session.context, "active_agent": session.active_agent}
        if session.title is not None:
            change["title"] = session.title
        for _ in range(2):  # only the next statement sees a row that another transaction creates meanwhile
            row = await self._fetch_row(
                _CREATE,
                UUID(session.chat_session_id),
                session.tenant_id,
                session.user_id,
                session.active_agent,
                json_text(session.context),
                session.context_hash,
                session.created_at,
                key,
                creation_key,
                json_text(change),
                canonical_hash(change),
                session.title,
            )
            if row:
                is_deleted = row["lifecycle_state"] == "DELETED"
                return parse_tombstone(row) if is_deleted else await self._parse_and_fill_hash(row)
        return None

    async def read_latest(self, tenant_id: str, user_id: str) -> ChatSessionView | None:
        """Read the user's active session with the latest change; None if the user has no active session."""
        row = await self._fetch_row(_READ_LATEST, tenant_id, user_id)
        return parse_view(row) if row else None

    async def load(self, chat_session_id: str) -> StoredSession | None:
        """Read a session to decide on, and store its context hash if a change by hand left it stale."""
        row = await self._fetch_row(_LOAD, UUID(chat_session_id))
        return await self._parse_and_fill_hash(row) if row else None

    async def write(
        self,
        *,
        base: ChatSessionArtifact,
        keys: Sequence[str],
        entries: Sequence[WrittenEntry],
        after: ChatSessionArtifact,
        context_text: str | None,
        refusals: Refusals | None,
        at: datetime,
        transcript: TranscriptWrite = NO_WRITE,
    ) -> WriteOutcome:
        """Apply a batch if session and transcript are as they were when it was decided, and none of its keys is known.

        Args:
            base: The session that the batch was decided on.
            keys: The idempotency keys to look up.
            entries: The changes to apply, in order; if there are none, the keys and the session are only looked up.
            after: The session after the last of them.
            context_text: The context after the last of them, as JSON; None if it is the same as before.
            refusals: The refusals to store; None if they stay the same.
            at: When the batch was begun.
            transcript: What the batch does to the transcript.

        Raises:
            DatabaseUnavailable: At each of several attempts, another writer changed the session during the statement.
        """
        identity = UUID(base.chat_session_id)
        has_messages = transcript != NO_WRITE
        owner = (after.title, after.lifecycle_state, after.user_id)
        has_owner = owner != (base.title, base.lifecycle_state, base.user_id)
        statement = _WRITES[context_text is not None, has_messages, has_owner]
        parameters: list[object] = [
            identity,
            keys,
            base.revision,
            base.context_hash,
            after.active_agent,
            after.revision,
            after.updated_at,
            json_text(entries),
            json_text(refusals) if refusals else None,
            after.turn_revision,
            at,
        ]
        if has_messages:
            parameters += [
                transcript.assumed_absent,
                json_text(transcript.written),
                transcript.removed,
                after.message_count,
            ]
        if context_text is not None:
            parameters += [context_text, after.context_hash]
        if has_owner:
            parameters += owner
        for _ in range(_WRITE_ATTEMPTS):
            if entries:
                row = await self._fetch_row(statement, *parameters)
            else:
                row = await self._fetch_row(_LOOK_UP, identity, keys, transcript.assumed_absent)
            if row is None:
                return WriteOutcome(written=False)
            known = tuple(parse_row(STORE, KnownChange, entry) for entry in from_json(row["known"]))
            elsewhere = (row["revision"], row["context_hash"]) != (base.revision, base.context_hash)
            if entries and row["written"]:
                return WriteOutcome(written=True, revision=row["revision"])
            found = tuple(parse_row(STORE, StoredMessage, each) for each in from_json(row["found"]))
            if known or found or elsewhere:
                return WriteOutcome(
                    written=False, revision=row["revision"], is_elsewhere=elsewhere, known=known, found=found
                )
            if not entries:
                if refusals:
                    async with connection_to(STORE, self._pool) as connection:
                        await connection.execute(_KEEP_REFUSALS, identity, json_text(refusals))
                return WriteOutcome(written=True, revision=row["revision"])
        raise DatabaseUnavailable("other writers keep changing the session")

    async def advance_past(self, session: ChatSessionArtifact, revision: int) -> StoredSession | None:
        """Set a session's revision to the one after `revision`, with a ledger entry that changes nothing else.

        Returns:
            The session as stored; None if the stored revision is no longer the session's.
        """
        row = await self._fetch_row(
            _ADVANCE,
            UUID(session.chat_session_id),
            session.revision,
            revision + 1,
            json_text(_NO_CHANGE),
            canonical_hash(_NO_CHANGE),
        )
        return _parse_stored(row) if row else None

    async def _parse_and_fill_hash(self, row: asyncpg.Record) -> StoredSession:
        stored = _parse_stored(row)
        session = stored.session
        if row["context_hash"] != session.context_hash:
            async with connection_to(STORE, self._pool) as connection:
                await connection.execute(_FILL_HASH, row["chat_session_id"], session.revision, session.context_hash)
        return stored

    async def _fetch_row(self, statement: str, *parameters: object) -> asyncpg.Record | None:
        async with connection_to(STORE, self._pool) as connection:
            return await connection.fetchrow(statement, *parameters)


def parse_tombstone(row: asyncpg.Record) -> Tombstone:
    """The tombstone of a deleted session.

    Raises:
        InvalidParameter: The row does not fit.
    """
    fields = {**row, "chat_session_id": str(row["chat_session_id"]), "deleted_at": row["updated_at"]}
    return parse_row(STORE, Tombstone, fields)


def _parse_refusals(row: asyncpg.Record) -> Refusals:
    return parse_row(STORE, Refusals, from_json(row["refusals"] or "{}"))


def _parse_stored(row: asyncpg.Record) -> StoredSession:
    refusals = _parse_refusals(row)
    fold_length = FoldLength(*row["fold_length"]) if row["fold_length"] else UNKNOWN_LENGTH
    return StoredSession(_parse_session(row), refusals, row["creation_key"], fold_length, row["decided_at"])


def parse_view(row: asyncpg.Record) -> ChatSessionView:
    """A session as it is read.

    Raises:
        ContextTooLarge: The context is too large or too deep for a journey.
    """
    refusals = _parse_refusals(row)
    return ChatSessionView.model_construct(**dict(_parse_session(row)), refusals=refusals)


def _parse_session(row: asyncpg.Record) -> ChatSessionArtifact:
    context, encoded = parse_context(row["context"])
    return parse_row(
        STORE,
        ChatSessionArtifact,
        {
            **row,
            "chat_session_id": str(row["chat_session_id"]),
            "context": context,
            "context_hash": sha256(encoded).hexdigest(),
        },
    )


def parse_context(text: str) -> tuple[Context, bytes]:
    """A stored context, and its canonical form.

    Raises:
        ContextTooLarge: The context is too large or too deep for a journey.
    """
    try:
        # The parser limits the depth. The extra brackets ensure that the context can be parsed inside a message, too.
        context = from_json(f"{'[' * _MESSAGE_NESTING}{text}{']' * _MESSAGE_NESTING}")
        for _ in range(_MESSAGE_NESTING):
            (context,) = context
        encoded = canonical(context)
    except ValueError:
        raise ContextTooLarge(
            "the stored context is nested more deeply, or has a longer number, than a journey can hold", field="context"
        ) from None
    if len(encoded) > MAX_STORED_CONTEXT_BYTES:
        raise ContextTooLarge(
            f"the stored context has {len(encoded)} bytes, more than a journey can hold", field="context"
        )
    return context, encoded
