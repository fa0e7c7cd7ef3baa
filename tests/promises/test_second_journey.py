"""A second journey needs a contract, activities, a workflow and one line in the registry: nothing else is touched."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import PayloadCodec

from journeys.failures import from_failure
from tests.support.journeys import Journeys, also_replayed
from tests.support.pillar_briefing.activities import prepare_briefing
from tests.support.pillar_briefing.contract import JOURNEY_ID, Briefing, BriefingWithdrawn, Prepared
from tests.support.pillar_briefing.workflow import PillarBriefingJourney
from tests.support.watching import until_revision
from worker.journey_worker import journey_worker
from worker.plugin import JourneyPlugin
from worker.registry import JOURNEYS, Journey
from worker.settings import WorkerSettings

REGISTRY = (*JOURNEYS, Journey(PillarBriefingJourney, lambda _stores, _settings: [prepare_briefing]))
DUE = datetime(2026, 1, 27, 10, 5, tzinfo=UTC)


class ReversingCodec(PayloadCodec):
    """A toy codec: it reverses the bytes of each payload, and decodes only payloads that it has encoded."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata={"encoding": b"reversed"}, data=each.SerializeToString()[::-1]) for each in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload.FromString(each.data[::-1]) if each.metadata.get("encoding") == b"reversed" else each
            for each in payloads
        ]


ENCODED = replace(pydantic_data_converter, payload_codec=ReversingCodec())


@asynccontextmanager
async def both_journeys(journeys: Journeys, worker_client: Client | None = None) -> AsyncIterator[None]:
    """A worker as production has it, with one more line in its registry."""
    settings = WorkerSettings(
        supabase_db_url=SecretStr(journeys.addresses.supabase_db_url),
        state_surface_url=SecretStr(journeys.addresses.state_surface_url),
        task_queue=journeys.task_queue,
    )
    client = worker_client or journeys.worker_client
    cached = journeys.mode.max_cached_workflows
    async with journey_worker(client, settings, journeys=REGISTRY, max_cached_workflows=cached) as worker, worker:
        yield


def briefing(topic: str = "rents") -> Briefing:
    return Briefing(briefing_id=uuid4(), topic=topic, due_at=DUE)


async def live_through(client: Client, task_queue: str) -> None:
    """Start a briefing, postpone it, ask when it is due, name its reader, and read it."""
    wanted = briefing()
    handle = await client.start_workflow(
        JOURNEY_ID, wanted, id=f"pillar-briefing/{wanted.briefing_id}", task_queue=task_queue, result_type=Prepared
    )
    later = DUE + timedelta(days=3)
    assert await handle.execute_update(PillarBriefingJourney.postpone, args=[uuid4(), later]) == later
    assert await handle.query(PillarBriefingJourney.due, uuid4()) == later
    await handle.signal(PillarBriefingJourney.name_reader, None)
    prepared = await handle.result()
    assert prepared == Prepared(briefing_id=wanted.briefing_id, text="rents for None by 2026-01-30")
    assert isinstance(prepared.briefing_id, UUID)


@also_replayed
async def test_a_journey_with_a_typed_run_and_typed_handlers_runs_beside_the_first(journeys: Journeys) -> None:
    client = await Client.connect(journeys.addresses.temporal_address, data_converter=pydantic_data_converter)
    async with both_journeys(journeys):
        await live_through(client, journeys.task_queue)
        session = await journeys.initialize()
        assert (await journeys.update(session["chat_session_id"], {"context": {"a": 1}}))["context"] == {"a": 1}


@pytest.mark.parametrize("sandbox", [False, True], ids=["production", "sandbox"])
async def test_a_payload_codec_reaches_every_message_of_both_journeys(journeys: Journeys, sandbox: bool) -> None:
    address = journeys.addresses.temporal_address
    client = await Client.connect(address, data_converter=ENCODED)
    worker_client = await Client.connect(address, data_converter=ENCODED, plugins=[JourneyPlugin(sandbox=sandbox)])
    async with both_journeys(journeys, worker_client):
        await live_through(client, journeys.task_queue)
        encoded = replace(journeys, client=client)
        session = (await encoded.initialize())["chat_session_id"]
        await encoded.update(session, {"context": {"secret": "xylophone"}})
        await encoded.signal(session, {"context": {"topic": "rents"}})
        await until_revision(encoded, session, 2)
        seen = await encoded.sessions.get(session, tenant_id=journeys.tenant_id)
        assert seen.context == {"secret": "xylophone", "topic": "rents"}
        read = await encoded.read(chat_session_id=session)
        assert read["context"] == {"secret": "xylophone", "topic": "rents"}
        kept = await encoded.handle(session).fetch_history()
        assert not [event for event in kept.events if b"xylophone" in event.SerializeToString()]


async def test_an_error_of_its_own_travels_as_the_first_journeys_do(journeys: Journeys) -> None:
    client = await Client.connect(journeys.addresses.temporal_address, data_converter=pydantic_data_converter)
    async with both_journeys(journeys):
        wanted = briefing("withdrawn")
        handle = await client.start_workflow(
            JOURNEY_ID, wanted, id=f"pillar-briefing/{wanted.briefing_id}", task_queue=journeys.task_queue
        )
        await handle.signal(PillarBriefingJourney.name_reader, "ada")
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        error = from_failure(failed.value)
        assert isinstance(error, BriefingWithdrawn)
        assert error.field == "topic"
