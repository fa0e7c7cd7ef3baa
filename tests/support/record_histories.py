"""Record what each kind of run leaves in Temporal, for `tests/promises/test_replay.py` to replay.

    python -m tests.support.record_histories

It starts the embedded servers in a temporary directory, lets the journey as it is now live through each kind of run,
and writes `tests/histories/<kind>.json`. A journey that already runs must be able to go on under a new release, so
record again only after a change of the workflow that is meant to leave running journeys behind, or to add a kind:
then name the kinds (`python -m tests.support.record_histories cancel resume`), and the others stay as they were.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from journeys.chat_session.names import ERASURE_WORKFLOW_ID_PREFIX, workflow_id
from tests.support.journeys import Journeys, Json
from tests.support.migrated_stack import migrated_stack
from tests.support.paths import HISTORIES
from tests.support.polling import eventually
from tests.support.tcp_proxy import ProxiedStores
from tests.support.watching import runs, send_update, until_revision, until_status, until_waiting
from worker.plugin import JourneyPlugin

IDENTITY = "journey"

# Fields that would give the machine away: stack traces hold its paths. Replay ignores these fields.
_LEFT_OUT = frozenset({"stackTrace"})

Kind = Callable[[Journeys], Awaitable[str]]


async def create_update_signal(journeys: Journeys) -> str:
    async with journeys.worker():
        session = await _create_session(journeys)
        await journeys.update(session, {"append": {"messages": [{"id": "1", "text": "hello"}]}, "author": "user"})
        await journeys.signal(session, {"context": {"topic": "taxes"}, "author": "guide"})
        await until_revision(journeys, session, 2)
        await journeys.update(session, {"context": {"topic": "taxes"}, "returning": "receipt"})
    return session


async def hand_over(journeys: Journeys) -> str:
    async with journeys.worker():
        session = await _create_session(journeys)
        for agent in ("liaison_finance", "guide", "liaison_finance"):
            await journeys.update(session, {"active_agent": agent, "context": {"led by": agent}})
    return session


async def conversation(journeys: Journeys) -> str:
    async with journeys.worker():
        session = await _create_session(journeys)
        await journeys.update(session, {"messages": [{"id": "1", "text": "Hello"}], "returning": "receipt"})
        await journeys.signal(session, {"messages": [{"text": "Hello!"}], "author": "guide"})
        await until_revision(journeys, session, 2)
        await journeys.update(session, {"remove_messages": ["1"], "context": {"topic": "taxes"}})
        await journeys.edit(session, {"title": "Taxes", "new_user_id": "ada", "lifecycle_state": "ARCHIVED"})
    return session


async def deletion(journeys: Journeys) -> str:
    async with journeys.worker():
        session = await _create_session(journeys)
        await journeys.update(session, {"messages": [{"text": "Hello"}], "returning": "receipt"})
        await journeys.delete(session)
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        erasure = journeys.client.get_workflow_handle(ERASURE_WORKFLOW_ID_PREFIX + session)

        async def is_erasing() -> bool:
            return bool((await erasure.describe()).raw_description.pending_activities)

        await eventually(is_erasing)
    # Without a worker the erasure waits; otherwise it would remove the history that is to be recorded.
    return session


async def outage(journeys: Journeys) -> str:
    async with ProxiedStores.of(journeys.addresses) as stores, journeys.worker(**stores.settings):
        session = await _create_session(journeys)
        await stores.supabase.refuse()
        update = await send_update(journeys, session, {"append": {"notes": [1]}})
        await journeys.signal(session, {"append": {"notes": [2]}})
        await until_waiting(journeys, session)
        await stores.supabase.mend()
        await update.result()
        await until_revision(journeys, session, 2)
    return session


async def idle_in_an_outage(journeys: Journeys) -> str:
    """The idle timer fires while the journey waits for a store, in a workflow task that leads to nothing."""
    async with (
        ProxiedStores.of(journeys.addresses) as stores,
        journeys.worker(idle_seconds=1, rollover_messages=3, **stores.settings),
    ):
        session = await _create_session(journeys)
        await stores.supabase.refuse()
        await journeys.signal(session, {"append": {"notes": [1]}})
        await until_waiting(journeys, session)

        async def last_events() -> list[int]:
            return [event.event_type for event in (await journeys.events(session))[-4:]]

        fired = EventType.EVENT_TYPE_TIMER_FIRED
        await eventually(
            last_events,
            lambda events: events[0] == fired and events[-1] == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        )
        await journeys.signal(session, {"append": {"notes": [2]}})
        await stores.supabase.mend()
        await until_revision(journeys, session, 2)
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
    return session


async def continue_as_new(journeys: Journeys) -> str:
    async with journeys.worker(rollover_messages=2):
        session = await _create_session(journeys)
        for number in range(6):
            await journeys.update(session, {"append": {"notes": [number]}})
    return session


async def refused_signals(journeys: Journeys) -> str:
    async with journeys.worker():
        session = await _create_session(journeys)
        await journeys.signal(session, {"surprise": True})
        await journeys.signal(session, {"tenant_id": "another", "context": {"a": 1}})
        await journeys.signal(session, {"append": {"notes": [1]}})
        await until_revision(journeys, session, 1)
        await journeys.update(session, {"context": {"a": 1}, "idempotency_key": "k"})
    return session


async def burst(journeys: Journeys) -> str:
    async with journeys.worker(rollover_messages=1000):
        session = await _create_session(journeys)
    for number in range(130):  # more than a batch, so that the second one is a regular activity
        await journeys.signal(session, {"append": {"notes": [number]}})
    async with journeys.worker(rollover_messages=1000):
        await until_revision(journeys, session, 130)
        await journeys.update(session, {"context": {"last": True}})
    return session


async def resume(journeys: Journeys) -> str:
    async with journeys.worker(idle_seconds=0):
        session = await _create_session(journeys)
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        await journeys.update(session, {"append": {"notes": [1]}})
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
    return session


async def wake(journeys: Journeys) -> str:
    async with journeys.worker(idle_seconds=0):
        session = await _create_session(journeys)
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        await journeys.signal(session, {"append": {"notes": [1]}})
        await until_revision(journeys, session, 1)
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
    return session


async def cancel(journeys: Journeys) -> str:
    async with journeys.worker():
        session = await _create_session(journeys)
    await journeys.signal(session, {"append": {"notes": [1]}})
    await journeys.handle(session).cancel()
    async with journeys.worker():
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
    return session


async def session_not_found(journeys: Journeys) -> str:
    session = journeys.identity(journeys.request())
    async with journeys.worker():
        await journeys.signal(session, {"context": {"a": 1}})
        await until_status(journeys, session, WorkflowExecutionStatus.FAILED)
    return session


KINDS: Mapping[str, Kind] = {
    kind.__name__: kind
    for kind in (
        create_update_signal,
        hand_over,
        conversation,
        deletion,
        outage,
        idle_in_an_outage,
        continue_as_new,
        refused_signals,
        burst,
        resume,
        wake,
        cancel,
        session_not_found,
    )
}


async def record(kinds: Mapping[str, Kind]) -> dict[str, list[Json]]:
    """Live through each kind of run; returns its runs' histories, as JSON that says nothing about this machine."""
    with tempfile.TemporaryDirectory() as folder:
        async with migrated_stack(Path(folder)) as stack:
            addresses = stack.addresses
            client = await Client.connect(addresses.temporal_address, identity=IDENTITY)
            worker_client = await Client.connect(
                addresses.temporal_address, identity=IDENTITY, plugins=[JourneyPlugin()]
            )
            recorded = {}
            for name, kind in kinds.items():
                async with Journeys.on(
                    addresses, client, worker_client, task_queue="coexistence-journeys", tenant_id="acme"
                ) as journeys:
                    recorded[name] = await _read_histories(journeys, await kind(journeys))
            return recorded


async def _create_session(journeys: Journeys) -> str:
    return await journeys.create_session(context={"topic": "none yet"})


async def _read_histories(journeys: Journeys, session: str) -> list[Json]:
    found = [
        (workflow_id(session), events[0].workflow_execution_started_event_attributes.original_execution_run_id)
        for events in await runs(journeys, session)
    ]
    erasure = ERASURE_WORKFLOW_ID_PREFIX + session
    with suppress(RPCError):
        found.append((erasure, (await journeys.client.get_workflow_handle(erasure).describe()).run_id))
    histories = []
    for identity, run_id in found:
        handle = journeys.client.get_workflow_handle(identity, run_id=run_id)
        history = (await handle.fetch_history()).to_json_dict()
        histories.append({"workflow_id": identity, "history": _clean(history)})
        if (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
            await handle.terminate()
    return histories


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _clean(item) for name, item in value.items() if name not in _LEFT_OUT}
    return [_clean(item) for item in value] if isinstance(value, list) else value


async def main(names: list[str]) -> None:
    """Record the kinds that are named, or all of them."""
    HISTORIES.mkdir(exist_ok=True)
    for name, histories in (await record({name: KINDS[name] for name in names or KINDS})).items():
        text = json.dumps({"recorded_at": datetime.now(UTC).date().isoformat(), "runs": histories}, indent=1)
        (HISTORIES / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
