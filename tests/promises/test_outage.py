"""While a store is down, accepted messages wait, show that they wait, and are then applied in order."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowQueryFailedError

from embedded import EmbeddedPostgres, EmbeddedStack
from journeys.canonical_json import canonical_hash
from journeys.chat_session.limits import KIB
from journeys.chat_session.names import UPDATE
from journeys.errors import DatabaseUnavailable
from tests.support.databases import connection_to, create_migrated_database, with_login
from tests.support.journeys import PRODUCTION, Journeys, also_replayed, note
from tests.support.tcp_proxy import ProxiedStores, TcpProxy
from tests.support.watching import (
    assert_no_failed_task,
    assert_stored,
    count,
    refusal_code,
    send_initialize,
    send_update,
    unexpected_failed_tasks,
    until_revision,
    until_status,
    until_waiting,
)

pytestmark = pytest.mark.usefixtures("patient_diagnosis")

_MANY = 600
_LARGE = 20


@pytest.fixture
def down(stores: ProxiedStores, request: pytest.FixtureRequest) -> TcpProxy:
    """The store that is going to be down; Supabase unless a test names another."""
    proxy: TcpProxy = getattr(stores, getattr(request, "param", "supabase"))
    return proxy


either_store = pytest.mark.parametrize("down", ["supabase", "state_surface"], indirect=True)


@pytest.fixture(scope="module")
async def own_database(postgres: EmbeddedPostgres) -> str:
    """A database with both stores, which only these tests use and may damage."""
    return await create_migrated_database(postgres, "damaged")


@pytest.fixture
async def damaged(
    stack: EmbeddedStack, client: Client, worker_clients: Mapping[bool, Client], own_database: str
) -> AsyncIterator[Journeys]:
    """Journeys on the database that tests may damage."""
    addresses = replace(stack.addresses, supabase_db_url=own_database, state_surface_url=own_database)
    async with Journeys.on(addresses, client, worker_clients[PRODUCTION.sandbox]) as world:
        yield world


@also_replayed
@either_store
async def test_signals_and_updates_wait_for_the_store_and_are_applied_in_order(
    journeys: Journeys, stores: ProxiedStores, down: TcpProxy
) -> None:
    async with journeys.worker(**stores.settings):
        session = await journeys.create_session()
        before = len(await journeys.events(session))
        await down.refuse()
        updates = []
        for number in range(16):
            if number % 2:
                await journeys.signal(session, note(number))
            else:
                updates.append(await send_update(journeys, session, note(number)))
        await until_waiting(journeys, session)
        await down.mend()
        answers = [await asyncio.wait_for(update.result(), 30) for update in updates]

        row = await until_revision(journeys, session, 16)
        assert row["context"] == {"notes": list(range(16))}
        assert [answer["applied_revision"] for answer in answers] == [1, 3, 5, 7, 9, 11, 13, 15]
        await assert_stored(journeys, session, 16)

        events = (await journeys.events(session))[before:]
        assert not unexpected_failed_tasks(events)
        # Each message costs its own event and a workflow task of three events; an update also its completion.
        own = 3 * 16 + count(
            events,
            EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
            EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
            EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
        )
        # The outage costs at most eight. One more for each message would be noticed, and a busy machine costs a few.
        assert len(events) - own < 8 + 8


@either_store
async def test_waiting_costs_no_history_and_shows_what_it_waits_for(
    journeys: Journeys, stores: ProxiedStores, down: TcpProxy
) -> None:
    async with journeys.worker(**stores.settings):
        session = await journeys.create_session()
        await down.refuse()
        await journeys.signal(session, note(1))
        waiting = await until_waiting(journeys, session)
        before = len(await journeys.events(session))
        assert waiting.last_failure.application_failure_info.type == "DATABASE_UNAVAILABLE"
        store = "Supabase" if down is stores.supabase else "State Surface"
        assert store in waiting.last_failure.message
        assert "refused" in waiting.last_failure.message or "Connect call failed" in waiting.last_failure.message

        await until_waiting(journeys, session, attempt=waiting.attempt + 2)
        assert len(await journeys.events(session)) == before

        await down.mend()
        await until_revision(journeys, session, 1)


async def test_what_is_down_from_the_first_is_created_when_it_is_back(
    journeys: Journeys, stores: ProxiedStores
) -> None:
    request = journeys.request(context={"topic": "taxes"})
    session = journeys.identity(request)
    await stores.supabase.refuse()
    async with journeys.worker(**stores.settings):
        initialize = await send_initialize(journeys, request)
        await journeys.signal(session, note(1))
        await until_waiting(journeys, session)
        with pytest.raises(WorkflowQueryFailedError) as failure:
            await journeys.get(session)
        assert str(failure.value).startswith("DATABASE_UNAVAILABLE")

        await stores.supabase.mend()
        assert (await asyncio.wait_for(initialize.result(), 30))["chat_session_id"] == session
        row = await until_revision(journeys, session, 1)
        assert row["context"]["notes"] == [1]


async def test_a_query_answers_what_both_stores_hold(journeys: Journeys, stores: ProxiedStores) -> None:
    async with journeys.worker(**stores.settings):
        session = await journeys.create_session()
        await journeys.update(session, note(1))
        await stores.state_surface.refuse()  # Supabase goes ahead, and the answer must not
        update = await send_update(journeys, session, note(2))
        await until_waiting(journeys, session)
        assert (await journeys.row(session) or {})["revision"] == 2
        shown = await journeys.get(session)
        assert (shown["revision"], shown["context"]) == (1, {"notes": [1]})

        await stores.state_surface.mend()
        await asyncio.wait_for(update.result(), 30)
        assert (await journeys.get(session))["revision"] == 2


@either_store
async def test_a_caller_who_cannot_wait_is_told_and_the_change_is_applied_after(
    journeys: Journeys, stores: ProxiedStores, down: TcpProxy
) -> None:
    hasty = journeys.sessions_within(timedelta(seconds=2))
    async with journeys.worker(**stores.settings):
        session = await journeys.create_session()
        await down.refuse()
        await journeys.signal(session, note(0))
        await until_waiting(journeys, session)  # the caller might give up before the first attempts have failed
        with pytest.raises(DatabaseUnavailable):
            await hasty.update_context(
                session, tenant_id=journeys.tenant_id, append={"notes": [1]}, idempotency_key="once"
            )
        await down.mend()
        await until_revision(journeys, session, 2)
        again = await journeys.sessions.update_context(
            session, tenant_id=journeys.tenant_id, append={"notes": [1]}, idempotency_key="once"
        )
        assert again.applied_revision == 2
        row = await assert_stored(journeys, session, 2)
        assert row["context"] == {"notes": [0, 1]}


@either_store
async def test_a_sleeping_session_accepts_messages_while_a_store_is_down(
    journeys: Journeys, stores: ProxiedStores, down: TcpProxy
) -> None:
    async with journeys.worker(**stores.settings, idle_seconds=0):
        session = await journeys.create_session()
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        await down.refuse()
        await journeys.sessions.signal_context(session, tenant_id=journeys.tenant_id, append={"notes": [1]})
        await until_waiting(journeys, session)
        await down.mend()
        row = await until_revision(journeys, session, 1)
        assert row["context"] == {"notes": [1]}


async def test_connections_that_break_under_load_lose_nothing_and_repeat_nothing(
    journeys: Journeys, stores: ProxiedStores
) -> None:
    sessions = journeys.sessions_within(timedelta(seconds=60))
    async with journeys.worker(**stores.settings):
        session = await journeys.create_session()

        async def talk(speaker: int) -> list[int]:
            revisions = []
            for number in range(12):
                answer = await sessions.update_context(
                    session, tenant_id=journeys.tenant_id, append={"notes": [[speaker, number]]}, returning="receipt"
                )
                revisions.append(answer.applied_revision)
                if number % 3 == speaker:
                    stores.supabase.cut()
                elif number % 4 == speaker:
                    stores.state_surface.cut()
            return revisions

        revisions = await asyncio.gather(*(talk(speaker) for speaker in range(4)))
        row = await assert_stored(journeys, session, 48)
        notes = row["context"]["notes"]
        assert sorted(notes) == [[speaker, number] for speaker in range(4) for number in range(12)]
        for speaker, answered in enumerate(revisions):
            assert [notes[revision - 1] for revision in answered] == [[speaker, number] for number in range(12)]


@either_store
async def test_a_lost_reply_is_found_out_and_not_written_again(
    journeys: Journeys, stores: ProxiedStores, down: TcpProxy
) -> None:
    async with journeys.worker(**stores.settings):
        session = await journeys.create_session()
        await journeys.update(session, note(1))
        down.lose_replies()
        update = await send_update(journeys, session, note(2))
        await until_waiting(journeys, session)
        assert (await journeys.row(session) or {})["revision"] == 2, "the request itself has arrived"
        await down.mend()
        answer = await asyncio.wait_for(update.result(), 30)
        assert (answer["applied_revision"], answer["duplicate"]) == (2, False)
        row = await assert_stored(journeys, session, 2)
        assert row["context"] == {"notes": [1, 2]}


@either_store
async def test_connections_that_fall_silent_hold_up_nothing_once_the_store_answers_others(
    journeys: Journeys, stores: ProxiedStores, down: TcpProxy
) -> None:
    """As behind a firewall that forgets its connections, or a database that has moved to another host."""
    async with journeys.worker(**stores.settings, activity_slots=2):
        session = await journeys.create_session()
        down.stall()
        update = await send_update(journeys, session, note(1))
        waiting = await until_waiting(journeys, session, attempt=2)
        assert waiting.last_failure.application_failure_info.type == "DATABASE_UNAVAILABLE"
        await down.mend()
        answer = await asyncio.wait_for(update.result(), 30)
        assert answer["applied_revision"] == 1
        for number in range(2, 5):
            await asyncio.wait_for(journeys.update(session, note(number)), 30)
        await assert_stored(journeys, session, 4)


@pytest.mark.parametrize("rollover", [500, 1500], ids=["rolling over", "one run"])
async def test_all_signals_that_temporal_accepted_during_an_outage_are_applied(
    journeys: Journeys, stores: ProxiedStores, rollover: int
) -> None:
    """However many there are: a signal is refused for its content, never for the signals before it."""
    async with journeys.worker(**stores.settings, rollover_messages=rollover):
        session = await journeys.create_session()
        await stores.supabase.refuse()
        handle = journeys.handle(session)
        for start in range(0, _MANY, 50):
            signals = (
                {"tenant_id": journeys.tenant_id, "append": {"n": [number]}} for number in range(start, start + 50)
            )
            await asyncio.gather(*(handle.signal(UPDATE, signal) for signal in signals))
        last = await send_update(journeys, session, {"context": {"last": True}})
        await until_waiting(journeys, session)
        await stores.supabase.mend()

        assert (await asyncio.wait_for(last.result(), 120))["applied_revision"] == _MANY + 1
        row = await until_revision(journeys, session, _MANY + 1)
        assert sorted(row["context"]["n"]) == list(range(_MANY))
        await assert_stored(journeys, session, _MANY + 1)
        assert (await journeys.get(session))["refusals"]["count"] == 0
        await assert_no_failed_task(journeys, session)


@pytest.mark.parametrize("letter", ["x", "\N{GRINNING FACE}", '"', "\x7f"], ids=["ascii", "astral", "quotes", "del"])
@pytest.mark.parametrize("rollover", [500, 1], ids=["one run", "rolling over"])
async def test_large_signals_that_waited_are_applied_in_order_whatever_the_script(
    journeys: Journeys, stores: ProxiedStores, letter: str, rollover: int
) -> None:
    """More than fits into one activity's argument, or into the next run's."""
    text = letter * (60 * KIB // (len(json.dumps(letter)) - 2))
    async with journeys.worker(**stores.settings, rollover_messages=rollover):
        session = await journeys.create_session()
        large = {"filler": "f" * 60 * KIB}
        for part in range(2):
            await journeys.update(session, {"context": {f"part {part}": large}})
        stored = 2
        await stores.supabase.refuse()
        for number in range(_LARGE):
            await journeys.signal(session, {"context": {"text": text}, "append": {"notes": [number]}})
        await until_waiting(journeys, session)
        await stores.supabase.mend()

        row = await until_revision(journeys, session, stored + _LARGE)
        assert row["context"]["notes"] == list(range(_LARGE))
        await assert_stored(journeys, session, stored + _LARGE)
        answer = await journeys.update(session, {"append": {"notes": ["after"]}})
        assert answer["revision"] == stored + _LARGE + 1
        assert (await journeys.get(session))["refusals"]["count"] == 0
        await assert_no_failed_task(journeys, session)


@asynccontextmanager
async def renamed_table(url: str, role: str) -> AsyncIterator[None]:
    async with connection_to(url) as connection:
        await connection.execute("alter table public.chat_sessions rename to chat_sessions_elsewhere")
        yield
        await connection.execute("alter table public.chat_sessions_elsewhere rename to chat_sessions")


@asynccontextmanager
async def revoked_grant(url: str, role: str) -> AsyncIterator[None]:
    async with connection_to(url) as connection:
        await connection.execute(f"revoke update on public.chat_sessions from {role}")
        yield
        await connection.execute(f"grant update on public.chat_sessions to {role}")


@asynccontextmanager
async def worker_role(url: str) -> AsyncIterator[tuple[str, str]]:
    """A role with the privileges that a worker needs, and the URL to connect as this role."""
    role = f"worker_{uuid4().hex}"
    async with connection_to(url) as connection:
        await connection.execute(f"create role {role} login bypassrls password 'secret'")
        await connection.execute(f"grant usage on schema public, state_surface to {role}")
        await connection.execute(f"grant all on all tables in schema public, state_surface to {role}")
        yield role, with_login(url, role, "secret")
        await connection.execute(f"drop owned by {role}; drop role {role}")


@pytest.mark.parametrize(("damage", "state"), [(renamed_table, "42P01"), (revoked_grant, "42501")])
async def test_a_missing_table_or_permission_waits_and_shows_until_somebody_mends_it(
    damaged: Journeys, own_database: str, damage: Any, state: str
) -> None:
    async with worker_role(own_database) as (role, url), damaged.worker(supabase_db_url=SecretStr(url)):
        session = await damaged.create_session()
        async with damage(own_database, role):
            update = await send_update(damaged, session, note(1))
            waiting = await until_waiting(damaged, session)
            assert waiting.last_failure.application_failure_info.type == "DATABASE_UNAVAILABLE"
            assert state in waiting.last_failure.message
        assert (await asyncio.wait_for(update.result(), 30))["applied_revision"] == 1
        await assert_stored(damaged, session, 1)


@asynccontextmanager
async def constraint(url: str, table: str, condition: str) -> AsyncIterator[None]:
    async with connection_to(url) as connection:
        await connection.execute(f"alter table {table} add constraint unwanted check ({condition}) not valid")
        try:
            yield
        finally:
            await connection.execute(f"alter table {table} drop constraint if exists unwanted")


@pytest.mark.parametrize(
    ("table", "condition"),
    [
        ("public.chat_context_updates", "author is distinct from 'mallory'"),
        ("public.chat_sessions", "not context ? 'mallory'"),
    ],
    ids=["author", "content"],
)
async def test_a_data_error_refuses_the_change_that_causes_it_and_no_other(
    damaged: Journeys, own_database: str, table: str, condition: str
) -> None:
    async with damaged.worker():
        session = await damaged.create_session()
    mallory = {"author": "mallory", "context": {"mallory": True}}
    async with constraint(own_database, table, condition):
        await damaged.handle(session).signal(UPDATE, "no object")
        for number in range(12):  # while no worker is up, so that they come as one batch
            await damaged.signal(session, note(number) | (mallory if number in (3, 7) else {}))
        async with damaged.worker():
            answer = await asyncio.wait_for(damaged.update(session, note(12)), 30)
            assert (answer["applied_revision"], answer["duplicate"]) == (11, False)
            assert await refusal_code(damaged.update(session, note(13) | mallory)) == "INVALID_PARAMETER"
            row = await assert_stored(damaged, session, 11)
            assert row["context"] == {"notes": [0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12]}
            shown = (await damaged.get(session))["refusals"]
            assert [each["code"] for each in shown["last"]] == ["INVALID_PARAMETER"] * 3
            assert shown["count"] == 3
            assert not unexpected_failed_tasks(await damaged.events(session))


async def test_a_data_error_refuses_the_change_that_woke_the_session_and_not_the_session(
    damaged: Journeys, own_database: str
) -> None:
    async with damaged.worker(idle_seconds=0):
        session = await damaged.create_session()
        await until_status(damaged, session, WorkflowExecutionStatus.COMPLETED)
        async with constraint(own_database, "public.chat_context_updates", "author is distinct from 'mallory'"):
            assert await refusal_code(damaged.update(session, note(0) | {"author": "mallory"})) == "INVALID_PARAMETER"
        await until_status(damaged, session, WorkflowExecutionStatus.COMPLETED)
        assert (await damaged.update(session, note(1)))["context"] == {"notes": [1]}
        await assert_stored(damaged, session, 1)


async def test_a_data_error_refuses_the_initialization_that_causes_it_and_not_the_run(
    damaged: Journeys, own_database: str
) -> None:
    request = damaged.request()
    async with damaged.worker():
        async with constraint(own_database, "public.chat_sessions", "not context ? 'mallory'"):
            refused = damaged.initialize(request | {"context": {"mallory": True}})
            assert await refusal_code(refused) == "INVALID_PARAMETER"
            assert await damaged.row(damaged.identity(request)) is None
            assert (await damaged.initialize(request))["context"] == {}
        await assert_stored(damaged, damaged.identity(request), 0)


async def test_what_supabase_holds_is_not_refused_afterwards(damaged: Journeys, own_database: str) -> None:
    """A refused change has changed nothing, so a change that only the State Surface rejects has to wait."""
    async with damaged.worker():
        session = await damaged.create_session()
        async with constraint(own_database, "state_surface.artifacts", "not semantic_payload -> 'context' ? 'mallory'"):
            update = await send_update(damaged, session, {"context": {"mallory": True}})
            waiting = await until_waiting(damaged, session)
            assert waiting.last_failure.application_failure_info.type == "DATABASE_UNAVAILABLE"
            assert "23514" in waiting.last_failure.message
        assert (await asyncio.wait_for(update.result(), 30))["applied_revision"] == 1
        row = await assert_stored(damaged, session, 1)
        assert row["context_hash"] == canonical_hash({"mallory": True})
