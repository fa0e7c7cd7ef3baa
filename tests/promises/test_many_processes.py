"""Two hundred starters in eight processes, with one key: one workflow, one row, one artifact, one ID."""

import asyncio
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from pydantic_core import from_json

from journeys.chat_session.names import workflow_id
from tests.support.commands import command_process, read_line
from tests.support.journeys import Journeys, Json
from tests.support.polling import eventually
from tests.support.starters import Order
from tests.support.watching import runs, unexpected_failed_tasks
from tests.support.worker_processes import worker_environment, worker_process

PROCESSES = 8
STARTERS = 25


async def run_starters(journeys: Journeys, request: Json, ahead: list[float]) -> list[Json]:
    """Run processes full of starters, each process with its own clock; returns the starters' answers."""
    async with AsyncExitStack() as exits:
        processes = []
        for seconds in ahead:
            order = Order(
                address=journeys.addresses.temporal_address,
                task_queue=journeys.task_queue,
                starters=STARTERS,
                request=request,
                ahead_seconds=seconds,
            )
            command = (sys.executable, "-m", "tests.support.starters", order.model_dump_json())
            processes.append(await exits.enter_async_context(command_process(*command)))
        async with asyncio.timeout(60):
            for process in processes:
                assert await read_line(process.stdout) == "ready\n"
        async with asyncio.timeout(60):
            said = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
        assert [process.returncode for process in processes] == [0] * len(processes)
        answers = [from_json(line) for output, _ in said for line in output.splitlines() if line.startswith(b"{")]
        assert len(answers) == len(ahead) * STARTERS
        return answers


async def assert_one(journeys: Journeys, request: Json, artifacts: list[Json]) -> None:
    assert [artifact.pop("created") for artifact in artifacts].count(True) == 1
    assert artifacts == [artifacts[0]] * len(artifacts)
    session = artifacts[0]["chat_session_id"]
    assert session == journeys.identity(request)
    rows = "select chat_session_id::text from public.chat_sessions where tenant_id = $1"
    registered = "select artifact_id::text from state_surface.artifacts where tenant_id = $1"
    assert [row[0] for row in await journeys.supabase.fetch(rows, journeys.tenant_id)] == [session]
    assert [row[0] for row in await journeys.state_surface.fetch(registered, journeys.tenant_id)] == [session]
    assert await journeys.ledger(session) == []

    async def list_ids() -> set[str]:
        return {run.id async for run in journeys.client.list_workflows(f"TenantId = '{journeys.tenant_id}'")}

    assert await eventually(list_ids) == {workflow_id(session)}
    histories = await runs(journeys, session)
    begun = [events[0].workflow_execution_started_event_attributes for events in histories]
    assert [bool(run.continued_execution_run_id) for run in begun] == [False] + [True] * (len(begun) - 1)
    assert not [event for events in histories for event in unexpected_failed_tasks(events)]


async def test_two_hundred_starters_in_eight_processes_share_one_session(journeys: Journeys) -> None:
    request = journeys.request()
    environment = worker_environment(journeys.addresses, journeys.task_queue)
    async with worker_process(environment), worker_process(environment):
        await assert_one(journeys, request, await run_starters(journeys, request, [0.0] * PROCESSES))


async def test_they_share_it_on_both_sides_of_a_minute_boundary(journeys: Journeys) -> None:
    """By their clocks, half of the processes are already past the boundary."""
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    request = journeys.request(requested_at=(minute + timedelta(seconds=59.9)).isoformat())
    environment = worker_environment(journeys.addresses, journeys.task_queue)
    async with worker_process(environment), worker_process(environment):
        await assert_one(journeys, request, await run_starters(journeys, request, [0.0, 60.0, 0.0, 60.0]))
