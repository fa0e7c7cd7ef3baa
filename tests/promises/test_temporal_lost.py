"""Temporal's whole database is lost: sessions are in Supabase, and go on from there at their next message."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from embedded import EmbeddedStack
from journeys import ChatSessions
from journeys.client.context_change import ContextChange
from journeys.errors import DatabaseUnavailable, EngineUnavailable
from tests.support.journeys import Journeys
from tests.support.migrated_stack import migrated_stack
from tests.support.polling import eventually
from tests.support.tcp_proxy import ProxiedStores
from tests.support.watching import assert_stored, has_run, until_revision, until_waiting
from tests.support.worker_processes import worker_environment, worker_process

pytestmark = pytest.mark.usefixtures("patient_diagnosis")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
async def stack(folder: Path) -> AsyncIterator[EmbeddedStack]:
    """Servers of these tests' own."""
    async with migrated_stack(folder) as running:
        yield running


@pytest.fixture
async def journeys(stack: EmbeddedStack) -> AsyncIterator[Journeys]:
    client = await Client.connect(stack.addresses.temporal_address)
    async with Journeys.on(stack.addresses, client, client) as world:
        yield world


async def lose_temporal(stack: EmbeddedStack, folder: Path, journeys: Journeys) -> None:
    """Kill Temporal, delete its database, and start it again at the same address."""
    await stack.temporal.kill()
    (folder / "temporal" / "temporal.db").unlink()
    for file in (folder / "temporal").glob("temporal.db-*"):
        file.unlink()
    await stack.temporal.start()
    assert [run async for run in journeys.client.list_workflows()] == []


def patient(journeys: Journeys) -> ChatSessions:
    return journeys.sessions_within(timedelta(seconds=60))


def hasty(journeys: Journeys) -> ChatSessions:
    return journeys.sessions_within(timedelta(seconds=2))


async def create_session_with_notes(journeys: Journeys, count: int) -> str:
    """Change a new session `count` times: each revision adds a note, under the key `note <revision>`."""
    session = await journeys.create_session()
    for revision in range(1, count + 1):
        await journeys.sessions.update_context(
            session,
            tenant_id=journeys.tenant_id,
            append={"notes": [revision]},
            idempotency_key=f"note {revision}",
        )
    return session


async def test_every_session_goes_on_from_supabase_at_its_next_message(
    stack: EmbeddedStack, folder: Path, journeys: Journeys
) -> None:
    tenant_id = journeys.tenant_id
    environment = worker_environment(journeys.addresses, journeys.task_queue)
    async with worker_process(environment) as before:
        updated, signalled, resent = [await create_session_with_notes(journeys, revision) for revision in (0, 2, 3)]
        plain, plainly_signalled, read = [await create_session_with_notes(journeys, revision) for revision in (1, 2, 3)]
        request = journeys.request()
        initialized = await journeys.initialize(request)
        kept = await journeys.snapshot(read)
        await before.kill()
    await lose_temporal(stack, folder, journeys)
    async with worker_process(environment):
        seen = await patient(journeys).get(read, tenant_id=tenant_id)
        assert (seen.revision, seen.context) == (3, {"notes": [1, 2, 3]})
        latest = await patient(journeys).get(tenant_id=tenant_id, user_id=seen.user_id)
        assert latest.chat_session_id == read
        assert await journeys.snapshot(read) == kept

        answer = await patient(journeys).update_context(updated, tenant_id=tenant_id, append={"notes": ["on"]})
        assert (answer.applied_revision, answer.context) == (1, {"notes": ["on"]})
        plainly = await journeys.update(plain, {"append": {"notes": ["on"]}})
        assert (plainly["applied_revision"], plainly["context"]) == (2, {"notes": [1, "on"]})

        await patient(journeys).signal_context(signalled, tenant_id=tenant_id, append={"notes": ["on"]})
        await journeys.signal(plainly_signalled, {"append": {"notes": ["on"]}})
        for each in (signalled, plainly_signalled):
            assert (await until_revision(journeys, each, 3))["context"] == {"notes": [1, 2, "on"]}

        # Temporal has lost all update IDs; the ledger still knows the keys.
        again = await patient(journeys).update_context(
            resent, tenant_id=tenant_id, append={"notes": [2]}, idempotency_key="note 2"
        )
        assert (again.applied_revision, again.duplicate, again.context) == (2, True, {"notes": [1, 2, 3]})
        assert await journeys.initialize(request) == initialized

        for each, revision in {updated: 1, plain: 2, signalled: 3, plainly_signalled: 3, resent: 3, read: 3}.items():
            await assert_stored(journeys, each, revision)


async def test_a_worker_that_lives_through_the_loss_goes_on_serving(
    stack: EmbeddedStack, folder: Path, journeys: Journeys
) -> None:
    async with worker_process(worker_environment(journeys.addresses, journeys.task_queue)):
        session = await create_session_with_notes(journeys, 2)
        await lose_temporal(stack, folder, journeys)
        answer = await patient(journeys).update_context(session, tenant_id=journeys.tenant_id, append={"notes": ["on"]})
        assert (answer.applied_revision, answer.context) == (3, {"notes": [1, 2, "on"]})
        await assert_stored(journeys, session, 3)


async def test_what_supabase_alone_holds_is_acknowledged_only_when_the_state_surface_holds_it_too(
    stack: EmbeddedStack, folder: Path, journeys: Journeys
) -> None:
    change: ContextChange = {
        "tenant_id": journeys.tenant_id,
        "append": {"notes": ["crash"]},
        "idempotency_key": "crash",
    }
    async with ProxiedStores.of(journeys.addresses) as stores:
        environment = worker_environment(journeys.addresses, journeys.task_queue, stores)
        async with worker_process(environment) as victim:
            session = await create_session_with_notes(journeys, 2)
            stores.state_surface.stall()
            caller = asyncio.create_task(hasty(journeys).update_context(session, **change))
            await eventually(lambda: journeys.row(session), lambda row: row is not None and row["revision"] == 3)
            await victim.kill()
        with pytest.raises((DatabaseUnavailable, EngineUnavailable)):
            await caller
        await lose_temporal(stack, folder, journeys)
        artifact = await journeys.artifact(session)
        assert artifact is not None
        assert artifact["revision"] == 2, "the worker was to die between the stores"

        async with worker_process(environment):
            retry = asyncio.create_task(patient(journeys).update_context(session, **change))
            plainly = asyncio.create_task(journeys.update(session, dict(change)))
            await eventually(lambda: has_run(journeys, session))
            await until_waiting(journeys, session)
            with pytest.raises(DatabaseUnavailable):
                await hasty(journeys).update_context(session, **change)
            assert not any(task.done() for task in (retry, plainly))
            assert await journeys.artifact(session) == artifact

            await stores.state_surface.mend()
            answer = await retry
            assert (answer.applied_revision, answer.duplicate) == (3, True)
            again = await plainly
            assert (again["applied_revision"], again["duplicate"]) == (3, True)
            row = await assert_stored(journeys, session, 3)
            assert row["context"] == {"notes": [1, 2, "crash"]}
