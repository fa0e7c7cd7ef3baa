"""A caller who gets no answer in time is told why, and whether the change was accepted."""

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import ActivityExecution, Client
from temporalio.service import RPCError, RPCStatusCode, ServiceClient

from journeys import ChatSessions
from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.names import GET
from journeys.errors import DatabaseUnavailable, EngineUnavailable, InvalidParameter
from tests.support.journeys import Journeys
from tests.support.polling import eventually
from tests.support.tcp_proxy import ProxiedStores
from tests.support.watching import unless_unknown, until_revision

# More updates than the server lets wait for one session.
CALLERS = 15
SOON = timedelta(seconds=2)

pytestmark = pytest.mark.usefixtures("patient_diagnosis")


async def create_and_leave(journeys: Journeys) -> str:
    """A live session without a worker."""
    async with journeys.worker():
        return await journeys.create_session()


async def test_a_task_queue_that_nobody_polls_is_named(journeys: Journeys) -> None:
    queue = f"nobody-{uuid4()}"
    sessions = journeys.sessions_within(SOON, task_queue=queue)

    async def outcome(call: Awaitable[object]) -> str:
        with pytest.raises(EngineUnavailable, match=f"nobody polls task queue '{queue}'") as caught:
            await call
        return caught.value.outcome

    reading, changing, initializing = await asyncio.gather(
        outcome(sessions.get(str(uuid4()), tenant_id=journeys.tenant_id)),
        outcome(sessions.update_context(str(uuid4()), tenant_id=journeys.tenant_id, context={"a": 1})),
        outcome(sessions.initialize(tenant_id=journeys.tenant_id, user_id="ada")),
    )
    assert (reading, changing, initializing) == ("not accepted", "not accepted", "unknown")


class ClosedConnection(ServiceClient):
    """A connection that the server closes, as it does with old ones, under the first call of each kind."""

    def __init__(self, service_client: ServiceClient) -> None:
        super().__init__(service_client.config)
        self._service_client = service_client
        self.cancelled: set[str] = set()

    @property
    def worker_service_client(self) -> Any:
        return self._service_client.worker_service_client

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        self._service_client.update_rpc_metadata(metadata)

    def update_api_key(self, api_key: str | None) -> None:
        self._service_client.update_api_key(api_key)

    async def _rpc_call(self, rpc: str, *arguments: Any, **options: Any) -> Any:
        if rpc not in self.cancelled:
            self.cancelled.add(rpc)
            raise RPCError("operation was canceled", RPCStatusCode.CANCELLED, b"")
        return await self._service_client._rpc_call(rpc, *arguments, **options)


async def test_the_task_queue_that_a_journey_waits_on_is_named(journeys: Journeys) -> None:
    session = await create_and_leave(journeys)
    config = journeys.client.config()
    closed = config["service_client"] = ClosedConnection(journeys.client.service_client)

    async def change(client: Client) -> None:
        elsewhere = ChatSessions(client, task_queue=f"elsewhere-{uuid4()}", deadline=SOON)
        with pytest.raises(EngineUnavailable, match=f"waits on task queue '{journeys.task_queue}'") as caught:
            await elsewhere.update_context(session, tenant_id=journeys.tenant_id, context={"a": 1})
        assert caught.value.outcome == "unknown"
        assert "same idempotency key" in caught.value.message

    await asyncio.gather(change(journeys.client), change(Client(**config)))
    assert {"describe_workflow_execution", "poll_workflow_execution_update"} <= closed.cancelled


async def test_whoever_waits_for_a_store_is_told_whether_the_change_is_accepted(
    journeys: Journeys, stores: ProxiedStores
) -> None:
    sessions = journeys.sessions_within(timedelta(seconds=8))

    async def change(number: int) -> str:
        with pytest.raises((DatabaseUnavailable, EngineUnavailable)) as caught:
            await sessions.update_context(session, tenant_id=journeys.tenant_id, append={"notes": [number]})
        return caught.value.outcome

    async with journeys.worker(**stores.settings):
        session = await journeys.create_session()
        await stores.supabase.refuse()
        outcomes = await asyncio.gather(*map(change, range(CALLERS)))
        accepted = {number for number, outcome in enumerate(outcomes) if outcome == "accepted"}
        refused = {number for number, outcome in enumerate(outcomes) if outcome == "not accepted"}
        assert accepted
        assert refused
        await stores.supabase.mend()
        row = await until_revision(journeys, session, len(accepted))
        last = await journeys.update(session, {"append": {"notes": [CALLERS]}})
    assert accepted <= set(row["context"]["notes"])
    assert not refused & set(last["context"]["notes"])


async def test_a_read_leaves_nothing_in_temporal(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        user = (await journeys.get(session))["user_id"]
        await journeys.sessions.get(tenant_id=journeys.tenant_id, user_id=user)
        await journeys.sessions.history(session, tenant_id=journeys.tenant_id)
        with pytest.raises(SessionNotFound):
            await journeys.sessions.history(str(uuid4()), tenant_id=journeys.tenant_id)
        with pytest.raises(InvalidParameter):
            await journeys.sessions.get(session, tenant_id=journeys.tenant_id, at_revision=99)
        request = {"tenant_id": journeys.tenant_id, "chat_session_id": session}
        kept = await journeys.client.start_activity(
            GET,
            request,
            id=f"kept-{uuid4()}",
            task_queue=journeys.task_queue,
            schedule_to_close_timeout=timedelta(seconds=10),
        )
        await kept.result()

    async def list_records() -> set[str]:
        query = f"TaskQueue = '{journeys.task_queue}'"
        return {record.activity_id async for record in journeys.client.list_activities(query) if await is_there(record)}

    async def is_there(record: ActivityExecution) -> bool:
        # A busy server may delete a record while it still writes the record's row in the list; the row then stays.
        return await unless_unknown(journeys.client.get_activity_handle(record.activity_id).describe()) is not None

    assert await eventually(list_records, lambda found: kept.id in found and len(found) == 1) == {kept.id}
