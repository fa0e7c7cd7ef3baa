"""Long transcripts and long lists, as copies of rows that the journey has written.

Sending a hundred thousand messages would take half an hour. A copy has the shape of its original whatever columns a
table has, because only the values that have to differ are named.
"""

from typing import Final
from uuid import UUID

from stores.postgres import Connection

# Coprime to the numbers of sessions. So the order of a list is not the order in which the rows lie in the table, and
# each session of a page costs a page of the table.
_STRIDE: Final = 7919

_MESSAGE_ID: Final = "md5(original.chat_session_id::text || copy)::uuid::text"

_COPY_MESSAGE: Final = f"""
insert into public.chat_messages
select copied.*
from public.chat_messages as original
cross join generate_series(1, $2::integer) as copy
cross join lateral jsonb_populate_record(
  original,
  jsonb_build_object(
    'message_id', {_MESSAGE_ID},
    'first_revision', original.first_revision + copy,
    'revision', original.revision + copy
  )
) as copied
where original.chat_session_id = $1
"""  # noqa: S608

_COPY_ENTRY: Final = f"""
insert into public.chat_context_updates
select copied.*
from public.chat_sessions as session
join public.chat_context_updates as original using (chat_session_id, revision)
cross join generate_series(1, $2::integer) as copy
cross join lateral jsonb_populate_record(
  original,
  jsonb_build_object(
    'revision', original.revision + copy,
    'idempotency_key', encode(sha256(convert_to(original.idempotency_key || copy, 'UTF8')), 'hex'),
    'change', jsonb_set(original.change, '{{messages,0,id}}', to_jsonb({_MESSAGE_ID}))
  )
) as copied
where session.chat_session_id = $1
"""  # noqa: S608

_ADD_TO_SESSION: Final = """
update public.chat_sessions
set revision = revision + $2, message_count = message_count + $2
where chat_session_id = $1
"""

_COPY_SESSION: Final = f"""
insert into public.chat_sessions
select copied.*
from public.chat_sessions as original
cross join generate_series(1, $2::integer - 1) as copy
cross join lateral (
  select original.updated_at - make_interval(secs => copy::bigint * {_STRIDE} % $2) as changed_at
) as place
cross join lateral jsonb_populate_record(
  original,
  jsonb_build_object(
    'chat_session_id', gen_random_uuid(),
    'user_id', 'user ' || copy % 1000,
    'idempotency_key', encode(sha256(convert_to(original.idempotency_key || copy, 'UTF8')), 'hex'),
    'created_at', place.changed_at,
    'updated_at', place.changed_at
  )
) as copied
where original.chat_session_id = $1
"""  # noqa: S608


async def fill_transcript(connection: Connection, chat_session_id: str, messages: int) -> None:
    """Copy a session's only message, and the change that added it, until the transcript has that many.

    The session's workflow must not be running; the State Surface is brought up to the session when it resumes.
    """
    identity, copies = UUID(chat_session_id), messages - 1
    await connection.execute(_COPY_MESSAGE, identity, copies)
    await connection.execute(_COPY_ENTRY, identity, copies)
    await connection.execute(_ADD_TO_SESSION, identity, copies)
    await _tidy(connection, "public.chat_messages", "public.chat_context_updates", "public.chat_sessions")


async def fill_list(connection: Connection, chat_session_id: str, sessions: int) -> None:
    """Copy a session, for other users of its tenant, until the tenant has that many; only their rows are made."""
    await connection.execute(_COPY_SESSION, UUID(chat_session_id), sessions)
    await _tidy(connection, "public.chat_sessions")


async def _tidy(connection: Connection, *tables: str) -> None:
    """Do what autovacuum and a checkpoint would otherwise do while something is measured."""
    for table in tables:
        await connection.execute(f"vacuum (analyze) {table}")
    await connection.execute("checkpoint")
