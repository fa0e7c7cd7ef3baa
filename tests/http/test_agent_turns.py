"""Agents over HTTP: a turn is asked for and cancelled, and what an agent writes is seen while it writes."""

from uuid import UUID

import pytest
from temporalio.client import WorkflowExecutionStatus

from journeys.chat_session.agent_turns import agent_turn_id
from stores.partials_supabase import MAX_AGE_SECONDS, PartialsSupabase
from tests.http.conftest import Api
from tests.support.http_gateways import PATH, followed
from tests.support.journeys import Journeys


async def show(api: Api, session: str, text: str, message_id: str = "answer") -> int:
    """Show a partial text, as an agent does while it writes; return the status."""
    partial = {"message_id": message_id, "text": text}
    return (await api.service.post(f"{PATH}/{session}/partials", json=partial)).status_code


async def test_a_user_asks_for_a_turn_and_cancels_it(api: Api, world: Journeys) -> None:
    session = await api.create()
    assert (await api.user.delete(f"{PATH}/{session}/turn")).status_code == 204  # none runs
    asked = await api.user.post(f"{PATH}/{session}/messages", json={"messages": [{"text": "Hello"}], "turn": True})
    assert (asked.status_code, asked.json()["turn_revision"]) == (201, 1)
    turn = world.client.get_workflow_handle(agent_turn_id(session, 1))
    assert (await turn.describe()).status is WorkflowExecutionStatus.RUNNING
    assert (await api.user.delete(f"{PATH}/{session}/turn")).status_code == 204
    events = [event async for event in turn.fetch_history_events()]
    assert any(event.HasField("workflow_execution_cancel_requested_event_attributes") for event in events)
    stranger = await api.service.delete(f"{PATH}/{session}/turn", headers={"x-user-id": "another"})
    assert stranger.status_code == 404


async def test_what_an_agent_writes_is_seen_until_its_answer_stands(api: Api, world: Journeys) -> None:
    session = await api.create()
    async with followed(api.user, session) as stream:
        await stream.take("session")
        assert await show(api, session, "Thr") == 204
        first = await stream.take("partial")
        assert await show(api, session, "Three invoices") == 204
        second = await stream.take("partial")
        async with followed(api.user, session, last=0) as late:  # whoever comes in between sees it as well
            assert (await late.take("partial")).data["text"] == "Three invoices"
        message = {"id": "answer", "role": "assistant", "text": "Three invoices are open."}
        await api.service.post(f"{PATH}/{session}/messages", json={"messages": [message], "author": "guide"})
        answer = await stream.take("change")
        assert await show(api, session, "Three invoices are") == 204  # too late
        assert await show(api, session, "Anything else?", "another answer") == 204
        after = await stream.take("partial")
    assert (first.id, first.data) == (None, {"message_id": "answer", "text": "Thr"})
    assert second.data["text"] == "Three invoices"
    assert answer.data["messages"][0]["id"] == "answer"
    assert after.data["message_id"] == "another answer"
    kept = await world.supabase.fetch(
        "select message_id from public.chat_partials where chat_session_id = $1", UUID(session)
    )
    assert [row["message_id"] for row in kept] == ["another answer"]


async def test_a_text_that_stands_still_is_seen_by_the_first_who_follows_it(api: Api) -> None:
    waiting, other = await api.create(), await api.create()
    async with followed(api.user, other) as earlier:
        await earlier.take("session")
        assert await show(api, waiting, "Let me look") == 204
        assert await show(api, other, "Thr") == 204
        await earlier.take("partial")
        for _ in range(2):  # the second time, its only follower has reloaded the page
            async with followed(api.user, waiting) as stream:
                await stream.take("session")
                assert (await stream.take("partial")).data == {"message_id": "answer", "text": "Let me look"}
        for _ in range(2):  # each writing is shown once, even if it is the same text
            assert await show(api, other, "Three invoices") == 204
            assert (await earlier.take("partial")).data["text"] == "Three invoices"


async def test_nobody_but_services_of_the_tenant_shows_a_text(api: Api) -> None:
    session = await api.create()
    partial = {"message_id": "answer", "text": "Thr"}
    assert (await api.user.post(f"{PATH}/{session}/partials", json=partial)).status_code == 403
    foreign = await api.service.post(f"{PATH}/{session}/partials", json=partial, headers={"x-tenant-id": "another"})
    assert foreign.status_code == 404
    await api.user.patch(f"{PATH}/{session}", json={"lifecycle_state": "ARCHIVED"})
    assert await show(api, session, "Thr") == 409
    await api.user.delete(f"{PATH}/{session}")
    assert await show(api, session, "Thr") == 404


@pytest.mark.parametrize(
    ("partial", "status"),
    [
        ({"message_id": "answer"}, 400),
        ({"message_id": "", "text": "Thr"}, 400),
        ({"message_id": "answer", "text": "\0"}, 400),
        ({"message_id": "answer", "text": "Thr", "more": 1}, 400),
        ({"message_id": "answer", "text": "x" * (64 * 1024 + 1)}, 413),
        ({"message_id": "answer", "text": "ä" * 32 * 1024}, 204),
    ],
    ids=["no text", "no ID", "NUL", "an unknown field", "too large", "as large as it may be"],
)
async def test_a_text_that_does_not_fit_is_refused(api: Api, partial: dict[str, object], status: int) -> None:
    session = await api.create()
    told = await api.service.post(f"{PATH}/{session}/partials", json=partial)
    assert told.status_code == status


async def test_a_deleted_session_keeps_nothing_of_what_was_being_written(api: Api, world: Journeys) -> None:
    session = await api.create()
    assert await show(api, session, "Three invoices") == 204
    await api.user.delete(f"{PATH}/{session}")
    count = "select count(*) from public.chat_partials where chat_session_id = $1"
    assert await world.supabase.fetchval(count, UUID(session)) == 0


async def test_what_an_agent_has_left_unfinished_is_forgotten(world: Journeys) -> None:
    session, store = await world.create_session(), PartialsSupabase(world.supabase)
    for message_id in ("abandoned", "being written"):
        await store.write(session, world.tenant_id, None, message_id=message_id, text="Thr")
    await world.supabase.execute(
        "update public.chat_partials set written_at = written_at - make_interval(secs => $2) "
        "where chat_session_id = $1 and message_id = 'abandoned'",
        UUID(session),
        MAX_AGE_SECONDS,
    )
    await store.forget_old()
    kept = "select message_id from public.chat_partials where chat_session_id = $1"
    assert [row["message_id"] for row in await world.supabase.fetch(kept, UUID(session))] == ["being written"]
