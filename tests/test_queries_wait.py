"""A session that is read while it is changed goes on at another worker."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest
from temporalio.service import RPCError

from contract.chat_session import GET, workflow_id
from starter import ChatSessions
from tests.journeys import Journeys
from tests.replaying import replayer

_SESSIONS = 4
_CALLERS = 3
_CHANGES = 25


@pytest.fixture
def max_cached_workflows() -> int:
    """A worker that keeps its journeys does not notice by itself that they cannot be replayed."""
    return 1000


async def test_a_session_that_is_read_while_it_is_changed_can_be_replayed(journeys: Journeys) -> None:
    sessions = ChatSessions(journeys.client, task_queue=journeys.task_queue, deadline=timedelta(seconds=60))
    answered = 0

    async def change(session: str, caller: int) -> None:
        for number in range(_CHANGES):
            for _ in range(2):  # the second finds the first in the ledger: a local activity that is soon done
                await sessions.update_context(
                    session,
                    tenant_id=journeys.tenant_id,
                    context={f"caller {caller}": number},
                    idempotency_key=f"{caller}/{number}",
                    returning="receipt",
                )

    async def ask(session: str) -> None:
        nonlocal answered
        handle = journeys.client.get_workflow_handle(workflow_id(session))
        while True:
            with suppress(RPCError):
                await handle.query(GET, {"tenant_id": journeys.tenant_id}, rpc_timeout=timedelta(seconds=2))
                answered += 1

    async def read(session: str) -> None:
        revision = 0
        while True:
            view = await sessions.get(session, tenant_id=journeys.tenant_id)
            assert view.revision >= revision
            revision = view.revision

    async with journeys.worker(rollover_messages=1000):
        created = [await journeys.initialize(journeys.asked(user_id=f"user {number}")) for number in range(_SESSIONS)]
        ids = [session["chat_session_id"] for session in created]
        asking = [asyncio.create_task(each(session)) for session in ids for each in (ask, read)]
        try:
            await asyncio.gather(*(change(session, caller) for session in ids for caller in range(_CALLERS)))
        finally:
            for each in asking:
                each.cancel()
            ended = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
        histories = [await journeys.client.get_workflow_handle(workflow_id(session)).fetch_history() for session in ids]
    assert answered
    for history in histories:
        await replayer().replay_workflow(history)
