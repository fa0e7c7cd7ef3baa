"""A change costs no more the longer its session is."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from journeys.canonical_json import canonical
from journeys.chat_session.limits import Limits
from journeys.chat_session.messages import GetChatMessages, SignalChatContext
from journeys.chat_session.rules import Applied, Change, Draft, decide
from journeys.chat_session.session import WrittenEntry
from journeys.chat_session.transcript import StoredMessage, TranscriptDraft
from journeys.cursors import encode_cursor
from journeys.messages import parse
from stores.chat_pages_supabase import ChatPagesSupabase
from stores.chat_sessions_supabase import ChatSessionsSupabase
from stores.postgres import Pool, open_pool
from tests.support.databases import create_migrated_database

if TYPE_CHECKING:
    from embedded import EmbeddedPostgres

LONG = UUID(int=1)
CHANGES = 2000
# Most sessions have few changes, so PostgreSQL's statistics make it look cheap to read all changes of a session.
FILL = f"""
insert into public.chat_sessions
select
  lpad(to_hex(number), 32, '0')::uuid, 'acme', 'ada', 'guide', '{{}}', null, {CHANGES}, 'ACTIVE', number::text,
  now(), now()
from generate_series(1, 3000) as number;

insert into public.chat_context_updates
select chat_session_id, change, 'key ' || change, '{{}}', '', null, 'guide', null, now()
from
  public.chat_sessions,
  generate_series(1, case when chat_session_id = '{LONG}' then {CHANGES} else 6 end) as change;

insert into public.chat_messages
select
  chat_session_id, 'message ' || change, change, 0, change, 'user', null, '{{"text": "Hello"}}', '', now(), now()
from
  public.chat_sessions,
  generate_series(1, case when chat_session_id = '{LONG}' then {CHANGES} else 2 end) as change;

analyze;
"""


async def read_scans(pool: Pool, text: str, table: str) -> list[list[str]]:
    """The scans of a table in the plan of each prepared statement with a text, if the pool has one connection."""
    # PostgreSQL may choose a generic plan once a statement has run a few times.
    await pool.execute("set plan_cache_mode = force_generic_plan")
    prepared = await pool.fetch(
        "select name, cardinality(parameter_types) as parameters from pg_prepared_statements "
        "where strpos(statement, $1) > 0 and statement not like '%pg_prepared_statements%'",
        text,
    )
    scans = []
    for name, parameters in prepared:
        plan = await pool.fetch(f'explain execute "{name}" ({", ".join(["null"] * parameters)})')
        scans.append([line for (line,) in plan if f"on {table}" in line and "Scan" in line])
    return scans


async def test_a_key_is_looked_up_without_reading_the_ledger_of_its_session(postgres: "EmbeddedPostgres") -> None:
    url = await create_migrated_database(postgres, "long_sessions")
    async with await open_pool(url, connections=1) as pool:
        await pool.execute(FILL)
        sessions = ChatSessionsSupabase(pool)
        stored = await sessions.load(str(LONG))
        assert stored is not None
        session = stored.session
        entry = WrittenEntry(
            revision=CHANGES + 1,
            idempotency_key="new",
            change={},
            change_hash="",
            author=None,
            active_agent="guide",
            context_hash=session.context_hash,
            applied_at=session.updated_at,
        )
        after = session.model_copy(update={"revision": entry.revision})
        for entries in ((), (entry,)):
            outcome = await sessions.write(
                base=session,
                keys=("new",),
                entries=entries,
                after=after,
                context_text=canonical(after.context).decode(),
                refusals=None,
                at=session.updated_at,
            )
            assert (outcome.written, outcome.known) == (True, ())
        scans = await read_scans(pool, "with known as", "chat_context_updates")
        assert len(scans) == 2
        for lines in scans:
            assert lines
            assert all("chat_context_updates_chat_session_id_idempotency_key_key" in line for line in lines), lines


async def test_a_message_is_written_without_reading_the_transcript_of_its_session(postgres: "EmbeddedPostgres") -> None:
    url = await create_migrated_database(postgres, "long_transcripts")
    async with await open_pool(url, connections=1) as pool:
        await pool.execute(FILL)
        sessions, pages = ChatSessionsSupabase(pool), ChatPagesSupabase(pool)
        stored = await sessions.load(str(LONG))
        assert stored is not None
        draft = Draft.of(stored.session)
        request = parse(
            SignalChatContext,
            {"tenant_id": "acme", "messages": [{"id": "message 7"}, {}], "remove_messages": ["message 8"]},
        )
        change = Change.of(request, key="new", identity="run/new")
        found: dict[str, StoredMessage] = {}
        for was_written in (False, True):
            transcript = TranscriptDraft(found)
            decision = decide(draft, change, {}, Limits(), datetime.now(UTC), transcript.messages)
            assert isinstance(decision, Applied)
            transcript.apply(decision.transcript)
            outcome = await sessions.write(
                base=draft.session,
                keys=("new",),
                entries=(decision.entry,),
                after=decision.draft.session,
                context_text=None,
                refusals=None,
                at=decision.draft.session.updated_at,
                transcript=transcript.write(),
            )
            assert outcome.written is was_written
            found |= {message.message_id: message for message in outcome.found}
        assert list(found) == ["message 8", "message 7"]
        for cursor in ({}, {"before": encode_cursor(1000, 0)}, {"after": encode_cursor(1000, 0)}):
            wanted = parse(GetChatMessages, {"tenant_id": "acme", "chat_session_id": str(LONG)} | cursor)
            page = await pages.messages(wanted)
            assert page
            assert len(page.messages) == 50
        scans = await read_scans(pool, "public.chat_messages", "chat_messages")
        assert len(scans) == 3
        for lines in scans:
            assert lines
            assert all(
                "chat_messages_pkey" in line or "chat_messages_in_order" in line or "Tid Scan" in line for line in lines
            ), lines
