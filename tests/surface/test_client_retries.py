"""How the Python client acts if Temporal or a worker is away or refuses a call, and what it says at its deadline."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    QueryWorkflowInput,
    SignalWorkflowInput,
    StartWorkflowUpdateInput,
    StartWorkflowUpdateWithStartInput,
    WorkflowUpdateHandle,
)
from temporalio.service import RPCError, RPCStatusCode

from journeys import (
    EngineUnavailable,
)
from tests.support.client_calls import CALLS, starter
from tests.support.journeys import Journeys
from tests.support.polling import eventually
from tests.support.tcp_proxy import TcpProxy
from tests.support.watching import has_run


class Refusing(Interceptor):
    """A server that refuses each kind of call a few times; `update_ids` are those that it was sent."""

    def __init__(self, status: RPCStatusCode, times: int, text: str = "refused") -> None:
        self.status = status
        self.text = text
        self.times = times
        self.update_ids: list[str | None] = []
        self.refused: Counter[str] = Counter()

    def again(self) -> None:
        """Begin to refuse anew."""
        self.refused.clear()

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002
        return _RefusingCalls(next, self)


class _RefusingCalls(OutboundInterceptor):
    def __init__(self, following: OutboundInterceptor, refusing: Refusing) -> None:
        super().__init__(following)
        self._refusing = refusing

    def _refuse(self, call: str) -> None:
        self._refusing.refused[call] += 1
        if self._refusing.refused[call] <= self._refusing.times:
            raise RPCError(self._refusing.text, self._refusing.status, b"")

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:  # noqa: A002
        self._refusing.update_ids.append(input.update_id)
        self._refuse("update")
        return await super().start_workflow_update(input)

    async def start_update_with_start_workflow(
        self,
        input: StartWorkflowUpdateWithStartInput,  # noqa: A002
    ) -> WorkflowUpdateHandle[Any]:
        self._refusing.update_ids.append(input.update_workflow_input.update_id)
        self._refuse("update with start")
        return await super().start_update_with_start_workflow(input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:  # noqa: A002
        self._refuse("signal")
        await super().signal_workflow(input)

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:  # noqa: A002
        self._refuse("query")
        return await super().query_workflow(input)


@pytest.mark.parametrize("call", CALLS)
async def test_without_a_worker_the_engine_is_unavailable(journeys: Journeys, call: str) -> None:
    with pytest.raises(EngineUnavailable):
        await CALLS[call](starter(journeys, seconds=0.5), str(uuid4()), journeys.tenant_id)


async def test_a_live_journey_takes_signals_without_a_worker(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.sessions.initialize(tenant_id=journeys.tenant_id, user_id="ada")
    identity = session.chat_session_id
    await journeys.sessions.signal_context(identity, tenant_id=journeys.tenant_id, context={"signalled": True})
    for call in ("get", "update"):
        with pytest.raises(EngineUnavailable):
            await CALLS[call](starter(journeys, seconds=0.5), identity, journeys.tenant_id)
    async with journeys.worker():
        updated = await journeys.sessions.update_context(identity, tenant_id=journeys.tenant_id)
    assert updated.context["signalled"] is True


@pytest.mark.parametrize("call", CALLS)
async def test_without_temporal_the_engine_is_unavailable(journeys: Journeys, call: str) -> None:
    client = await Client.connect("127.0.0.1:1", lazy=True)
    with pytest.raises(EngineUnavailable):
        await CALLS[call](starter(journeys, seconds=0.3, client=client), str(uuid4()), journeys.tenant_id)


async def test_when_temporal_goes_away_the_engine_is_unavailable_by_the_deadline(journeys: Journeys) -> None:
    async with journeys.worker(), TcpProxy.before(f"tcp://{journeys.addresses.temporal_address}") as network:
        client = await Client.connect(f"127.0.0.1:{urlsplit(network.url).port}")
        sessions = starter(journeys, seconds=30, client=client)
        identity = (await sessions.initialize(tenant_id=journeys.tenant_id, user_id="ada")).chat_session_id
        await network.refuse()
        hasty = starter(journeys, seconds=0.2, client=client)
        for call in CALLS.values():
            async with asyncio.timeout(5):  # ample: a call has a second more, to find out why it is late
                with pytest.raises(EngineUnavailable):
                    await call(hasty, identity, journeys.tenant_id)


# The server's error for the 10,001st signal of a run. After the run continues as new, it accepts the same signal.
SIGNALS_EXCEEDED = "exceeded workflow execution limit for signal events"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("FAILED_PRECONDITION", "refused"),
        ("RESOURCE_EXHAUSTED", "refused"),
        ("UNAVAILABLE", "refused"),
        ("ABORTED", "refused"),
        ("INVALID_ARGUMENT", SIGNALS_EXCEEDED),
    ],
)
async def test_a_passing_refusal_is_retried_under_the_same_update_id(
    journeys: Journeys, status: str, text: str
) -> None:
    refusing = Refusing(RPCStatusCode[status], times=3, text=text)
    client = await Client.connect(journeys.addresses.temporal_address, interceptors=[refusing])
    sessions, tenant = starter(journeys, seconds=30, client=client), journeys.tenant_id
    async with journeys.worker():
        identity = (await sessions.initialize(tenant_id=tenant, user_id="ada")).chat_session_id
        initializing, refusing.update_ids = refusing.update_ids, []
        refusing.again()
        updated = await sessions.update_context(identity, tenant_id=tenant, append={"list": [1]})
        updating = refusing.update_ids
        await sessions.signal_context(identity, tenant_id=tenant, append={"list": [2]})
        await journeys.update(identity, {})  # by now the signal is decided on
        view = await sessions.get(identity, tenant_id=tenant)
    assert (len(initializing), len(set(initializing))) == (4, 1)
    assert (len(updating), len(set(updating))) == (4, 1)
    assert updated.applied_revision == 1
    assert view.context == {"list": [1, 2]}


async def test_another_refusal_is_told_at_once(journeys: Journeys) -> None:
    refusing = Refusing(RPCStatusCode.INVALID_ARGUMENT, times=3)
    client = await Client.connect(journeys.addresses.temporal_address, interceptors=[refusing])
    with pytest.raises(EngineUnavailable) as refused:
        await CALLS["signal"](starter(journeys, seconds=30, client=client), str(uuid4()), journeys.tenant_id)
    assert refusing.refused["signal"] == 1
    assert refused.value.outcome == "not accepted"


async def test_a_signal_that_was_only_refused_is_not_accepted(journeys: Journeys) -> None:
    refusing = Refusing(RPCStatusCode.INVALID_ARGUMENT, times=1000, text=SIGNALS_EXCEEDED)
    client = await Client.connect(journeys.addresses.temporal_address, interceptors=[refusing])
    with pytest.raises(EngineUnavailable) as refused:
        await CALLS["signal"](starter(journeys, seconds=0.5, client=client), str(uuid4()), journeys.tenant_id)
    assert refusing.refused["signal"] > 1
    assert refused.value.outcome == "not accepted"


async def test_the_starters_update_ids_are_the_contracts(journeys: Journeys) -> None:
    """Each call has its own. The ledger knows a repetition, which is answered with the session as it is now."""
    refusing = Refusing(RPCStatusCode.UNAVAILABLE, times=0)
    client = await Client.connect(journeys.addresses.temporal_address, interceptors=[refusing])
    sessions, tenant = starter(journeys, seconds=10, client=client), journeys.tenant_id
    requested_at = datetime.now(UTC)
    answers = []
    async with journeys.worker():
        for _ in range(2):
            session = await sessions.initialize(tenant_id=tenant, user_id="ada", requested_at=requested_at)
            identity = session.chat_session_id
            answers += [
                await sessions.update_context(identity, tenant_id=tenant, context={"a": 1}, idempotency_key="k"),
                await sessions.update_context(identity, tenant_id=tenant, context={"a": 2}, base_revision=1),
                await sessions.update_context(identity, tenant_id=tenant, context={"a": 3}),
            ]
    assert (session.created, session.revision) == (False, 3)
    assert [each.applied_revision for each in answers] == [1, 2, 3, 1, 2, 4]
    assert [each.duplicate for each in answers] == [False, False, False, True, True, False]
    assert [each.context for each in answers[3:]] == [{"a": 3}] * 3
    sent = [str(update_id).partition("/") for update_id in refusing.update_ids]
    intents = ["initialize_chat_session", *["update_chat_context"] * 3]
    assert [intent for intent, *_ in sent] == intents * 2
    calls = [UUID(call) for *_, call in sent]
    assert len(set(calls)) == 8
    assert [(str(call), call.version) for call in calls] == [(call, 4) for *_, call in sent]


async def test_a_call_outlasts_an_outage_of_temporal_that_ends_before_its_deadline(journeys: Journeys) -> None:
    async with journeys.worker(), TcpProxy.before(f"tcp://{journeys.addresses.temporal_address}") as network:
        client = await Client.connect(f"127.0.0.1:{urlsplit(network.url).port}")
        sessions = starter(journeys, seconds=60, client=client)
        identity = (await sessions.initialize(tenant_id=journeys.tenant_id, user_id="ada")).chat_session_id
        await network.refuse()
        waiting = asyncio.create_task(
            sessions.update_context(identity, tenant_id=journeys.tenant_id, append={"list": [1]})
        )
        with pytest.raises(EngineUnavailable):
            await starter(journeys, seconds=0.2, client=client).history(identity, tenant_id=journeys.tenant_id)
        await network.mend()
        updated = await waiting
    assert updated.context["list"] == [1]


async def test_a_start_that_was_not_answered_in_time_still_creates_the_session(journeys: Journeys) -> None:
    asked = journeys.request("ada")

    async def has_started() -> bool:
        with pytest.raises(EngineUnavailable):
            await starter(journeys, seconds=0.5).initialize(**asked, context={"a": 1})
        return await has_run(journeys, journeys.identity(asked))

    await eventually(has_started)
    async with journeys.worker():
        session = await journeys.sessions.initialize(**asked)
    assert (session.context, session.revision) == ({"a": 1}, 0)
