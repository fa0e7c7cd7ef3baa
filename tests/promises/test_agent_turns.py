"""A change that asks for a turn gives the leading agent exactly one turn, whatever dies in between."""

import asyncio

import pytest
from pydantic import SecretStr, ValidationError
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionDescription, WorkflowFailureError

from activities.agent_turns import AgentTurns
from journeys.chat_session.agent_turns import AgentTurn, agent_turn_id
from journeys.errors import EngineUnavailable
from tests.support.journeys import Journeys, Json, also_replayed
from tests.support.watching import refusal, unless_unknown, until_revision
from worker.settings import WorkerSettings

AGENTS = frozenset({"guide", "liaison_finance"})


async def turns_of(journeys: Journeys, session: str) -> dict[int, WorkflowExecutionDescription]:
    """The session's turns, by the revision that asked for them."""
    found = {}
    for revision in range(1, 12):
        handle = journeys.client.get_workflow_handle(agent_turn_id(session, revision))
        if described := await unless_unknown(handle.describe()):
            found[revision] = described
    return found


async def argument_of(journeys: Journeys, turn: WorkflowExecutionDescription) -> Json:
    events = [event async for event in journeys.client.get_workflow_handle(turn.id).fetch_history_events()]
    started = events[0]
    assert started.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
    (argument,) = await journeys.client.data_converter.decode(
        started.workflow_execution_started_event_attributes.input.payloads
    )
    read: Json = argument
    return read


@also_replayed
async def test_the_agent_that_leads_after_the_change_gets_the_turn_before_the_change_is_acknowledged(
    journeys: Journeys,
) -> None:
    async with journeys.worker(agents=AGENTS):
        session = await journeys.create_session()
        mine = await journeys.update(session, {"messages": [{"text": "Hello"}], "turn": True})
        turns = await turns_of(journeys, session)
        handed = await journeys.update(session, {"active_agent": "liaison_finance", "turn": True})
        await journeys.update(session, {"context": {"a": 1}})
        turns |= await turns_of(journeys, session)
        live = await journeys.get(session)
        entries = await journeys.sessions.history(session, tenant_id=journeys.tenant_id)
    row = await journeys.row(session)
    assert row
    assert list(turns) == [1, 2]
    assert (mine["turn_revision"], handed["turn_revision"]) == (1, 2)
    assert row["turn_revision"] == live["turn_revision"] == 2
    assert [entry.turn for entry in entries] == [False, True, True, False]
    assert [turn.workflow_type for turn in turns.values()] == ["agent_turn", "agent_turn"]
    assert [turn.task_queue for turn in turns.values()] == [
        f"{journeys.task_queue}/guide",
        f"{journeys.task_queue}/liaison_finance",
    ]
    assert await argument_of(journeys, turns[2]) == {
        "tenant_id": journeys.tenant_id,
        "user_id": row["user_id"],
        "chat_session_id": session,
        "active_agent": "liaison_finance",
        "revision": 2,
    }


async def test_a_turn_is_found_by_whose_it_is(journeys: Journeys) -> None:
    async with journeys.worker(agents=AGENTS):
        session = await journeys.create_session()
        await journeys.update(session, {"turn": True})
        turn = (await turns_of(journeys, session))[1]
    found = {pair.key.name: pair.value for pair in turn.typed_search_attributes}
    row = await journeys.row(session)
    assert row
    assert (
        found.items()
        >= {
            "TenantId": journeys.tenant_id,
            "UserId": row["user_id"],
            "ActiveAgent": "guide",
        }.items()
    )


@pytest.mark.parametrize("agents", [frozenset(), frozenset({"liaison_finance"})])
async def test_no_turn_is_asked_of_an_agent_that_takes_none(journeys: Journeys, agents: frozenset[str]) -> None:
    async with journeys.worker(agents=agents):
        session = await journeys.create_session()
        asked = {"messages": [{"text": "Hello"}], "turn": True}
        assert await refusal(journeys.update(session, asked)) == ("INVALID_PARAMETER", "turn")
        assert await turns_of(journeys, session) == {}
        assert (await journeys.get(session))["revision"] == 0


async def test_a_turn_is_no_part_of_the_change_and_a_repetition_starts_none(journeys: Journeys) -> None:
    async with journeys.worker(agents=AGENTS):
        session = await journeys.create_session()
        change = {"messages": [{"text": "Hello"}], "idempotency_key": "k"}
        await journeys.update(session, change | {"turn": True})
        (before,) = (await turns_of(journeys, session)).values()
        for again in (change, change | {"turn": True}):
            assert (await journeys.update(session, again))["duplicate"] is True
        (after,) = (await turns_of(journeys, session)).values()
    assert (before.run_id, after.run_id) == (after.run_id, before.run_id)


async def test_of_changes_that_are_stored_together_the_last_one_has_its_turn(journeys: Journeys) -> None:
    session = await _session_without_a_worker(journeys)
    for number in range(5):
        await journeys.signal(session, {"messages": [{"text": str(number)}], "turn": True})
    await journeys.signal(session, {"active_agent": "liaison_finance"})
    async with journeys.worker(agents=AGENTS):
        await until_revision(journeys, session, 6)
        turns = await turns_of(journeys, session)
    assert list(turns) == [5]
    assert (await argument_of(journeys, turns[5]))["active_agent"] == "guide"


async def test_a_turn_is_made_up_for_if_the_writer_dies_after_it_has_stored_the_change(
    journeys: Journeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, deaths = AgentTurns.start, 3

    async def die_first(self: AgentTurns, turn: AgentTurn) -> None:
        nonlocal deaths
        if deaths:
            deaths -= 1
            raise EngineUnavailable("the agent's turn could not be started")
        await start(self, turn)

    monkeypatch.setattr(AgentTurns, "start", die_first)
    async with journeys.worker(agents=AGENTS):
        session = await journeys.create_session()
        told = await journeys.update(session, {"messages": [{"text": "Hello"}], "turn": True})
        assert (told["applied_revision"], told["duplicate"], deaths) == (1, False, 0)
        assert list(await turns_of(journeys, session)) == [1]


async def test_a_turn_that_nobody_takes_ends_by_itself(journeys: Journeys) -> None:
    async with journeys.worker(agents=AGENTS, turn_seconds=0.5):
        session = await journeys.create_session()
        await journeys.update(session, {"turn": True})
        handle = journeys.client.get_workflow_handle(agent_turn_id(session, 1))
        with pytest.raises(WorkflowFailureError):
            await asyncio.wait_for(handle.result(), 30)


async def _session_without_a_worker(journeys: Journeys) -> str:
    async with journeys.worker():
        return await journeys.create_session()


def test_the_environment_names_the_agents_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNEY_AGENTS", "guide, liaison_finance")
    settings = WorkerSettings(supabase_db_url=SecretStr("postgres://a"), state_surface_url=SecretStr("postgres://a"))
    assert settings.agent_turns.agents == AGENTS
    monkeypatch.setenv("JOURNEY_AGENTS", "guide,Mallory")
    with pytest.raises(ValidationError, match="agents"):
        WorkerSettings(supabase_db_url=SecretStr("postgres://a"), state_surface_url=SecretStr("postgres://a"))
