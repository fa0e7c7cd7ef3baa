"""Exactly one initialization is told that it created the session, also if its first answer was lost."""

import asyncio
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from tests.support.artifact import ARTIFACT
from tests.support.journeys import Journeys, Json, also_replayed
from tests.support.watching import refusal, runs, until_admitted


def argument_of(journeys: Journeys, request: Json) -> Json:
    """The workflow's argument that asks for the same as an initialize request."""
    initial = {name: value for name, value in request.items() if name not in ("tenant_id", "user_id")}
    return {
        "chat_session_id": journeys.identity(request),
        "tenant_id": request["tenant_id"],
        "user_id": request["user_id"],
        "initialize": initial,
    }


async def initialize(journeys: Journeys, request: Json, **options: Any) -> Json:
    """Update-with-start `initialize_chat_session`; returns the whole answer."""
    answer: Json = await journeys.client.execute_update_with_start_workflow(
        "initialize_chat_session",
        request,
        start_workflow_operation=journeys.start(argument_of(journeys, request)),
        **options,
    )
    return answer


async def start(journeys: Journeys, argument: Json) -> WorkflowHandle[Any, Any]:
    """Start the session's journey without any update."""
    return await journeys.client.start_workflow(
        "journey_coexistence_chat_session",
        argument,
        id=f"chat-session/{argument['chat_session_id']}",
        task_queue=journeys.task_queue,
    )


@also_replayed
async def test_the_first_initialization_created_the_session_and_no_other_did(journeys: Journeys) -> None:
    async with journeys.worker():
        request = journeys.request(context={"a": 1})
        first = await initialize(journeys, request)
        second = await initialize(journeys, request)
        await journeys.update(first["chat_session_id"], {"context": {"b": 2}})
        third = await initialize(journeys, request | {"context": {"c": 3}})
    assert set(first) == ARTIFACT | {"created"}
    assert first["created"] is True
    assert second == first | {"created": False}
    assert (third["created"], third["revision"], third["context"]) == (False, 1, {"a": 1, "b": 2})


@also_replayed
async def test_of_many_at_once_exactly_one_created_the_session(journeys: Journeys) -> None:
    request = journeys.request()
    waiting = [asyncio.create_task(initialize(journeys, request)) for _ in range(8)]
    async with journeys.worker():
        answers = await asyncio.gather(*waiting)
    assert sorted(each["created"] for each in answers) == [False] * 7 + [True]
    assert len({each["chat_session_id"] for each in answers}) == 1


@also_replayed
async def test_a_retry_of_the_creating_call_still_hears_it(journeys: Journeys) -> None:
    """The client keeps the call's update ID over its retries."""
    async with journeys.worker():
        request = journeys.request()
        answers = [await initialize(journeys, request, id="the first call") for _ in range(3)]
        other = await initialize(journeys, request, id="another call")
    assert [each["created"] for each in answers] == [True] * 3
    assert other["created"] is False


@also_replayed
async def test_the_first_initialization_of_a_run_that_created_by_its_argument_hears_it(journeys: Journeys) -> None:
    """A client that gave up before its update reached the journey has created the session all the same."""
    async with journeys.worker():
        request = journeys.request(context={"a": 1})
        await start(journeys, argument_of(journeys, request))
        changed = await journeys.update(journeys.identity(request), {"context": {"b": 2}})
        first = await initialize(journeys, request)
        second = await initialize(journeys, request)
    assert changed["applied_revision"] == 1
    assert (first["created"], second["created"]) == (True, False)
    assert first["context"] == {"a": 1, "b": 2}


@also_replayed
async def test_an_initialization_that_was_refused_has_not_heard_it(journeys: Journeys) -> None:
    async with journeys.worker():
        request = journeys.request()
        handle = await start(journeys, argument_of(journeys, request))
        wrongs: list[Any] = [{"user_id": "another"}, {"active_agent": "boss"}, {"tenant_id": "another"}]
        for wrong in wrongs:
            update = handle.execute_update("initialize_chat_session", request | wrong)
            assert (await refusal(update))[0] == "INVALID_PARAMETER"
        assert (await refusal(handle.execute_update("initialize_chat_session", [])))[0] == "INVALID_PARAMETER"
        assert (await initialize(journeys, request))["created"] is True
        assert (await initialize(journeys, request))["created"] is False


@also_replayed
async def test_the_first_of_a_batch_that_is_not_refused_hears_it(journeys: Journeys) -> None:
    request = journeys.request()
    handle = await start(journeys, argument_of(journeys, request))
    waiting = []
    for update_id, sent in {"bad": request | {"active_agent": "boss"}, "good": request, "later": request}.items():
        waiting.append(asyncio.create_task(handle.execute_update("initialize_chat_session", sent, id=update_id)))
        await until_admitted(journeys, journeys.identity(request), update_id)  # one after the other
    async with journeys.worker():
        assert (await refusal(waiting[0])) == ("INVALID_PARAMETER", "active_agent")
        answers = [await each for each in waiting[1:]]
    assert [each["created"] for each in answers] == [True, False]


@also_replayed
async def test_another_run_has_not_created_the_session(journeys: Journeys) -> None:
    async with journeys.worker():
        request = journeys.request()
        await start(journeys, argument_of(journeys, request))
        chat_session_id = journeys.identity(request)
        await journeys.update(chat_session_id, {})
        await journeys.handle(chat_session_id).terminate()
        again = await initialize(journeys, request)
    assert again["created"] is False
    assert again["revision"] == 1


async def test_another_run_has_not_created_a_session_that_sleeps(journeys: Journeys) -> None:
    async with journeys.worker(idle_seconds=0):
        request = journeys.request()
        first = await initialize(journeys, request)
        await journeys.handle(first["chat_session_id"]).result()
        again = await initialize(journeys, request)
    assert again == first | {"created": False}


@also_replayed
@pytest.mark.parametrize("told", [False, True], ids=["not told yet", "told"])
async def test_a_run_that_continues_knows_whether_it_was_told(journeys: Journeys, *, told: bool) -> None:
    async with journeys.worker(rollover_messages=1):
        request = journeys.request()
        chat_session_id = journeys.identity(request)
        await start(journeys, argument_of(journeys, request))
        if told:
            assert (await initialize(journeys, request))["created"] is True
        for each in range(4):
            await journeys.update(chat_session_id, {"context": {"a": each}})
        assert len(await runs(journeys, chat_session_id)) > 1
        answers = [await initialize(journeys, request) for _ in range(2)]
    assert [each["created"] for each in answers] == [not told, False]


@also_replayed
async def test_a_session_that_a_plain_start_finds_was_created_by_an_initialization_of_its_run(
    journeys: Journeys,
) -> None:
    request = journeys.request()
    resuming = {"chat_session_id": journeys.identity(request), "tenant_id": request["tenant_id"]}
    async with journeys.worker():
        answer: Json = await journeys.client.execute_update_with_start_workflow(
            "initialize_chat_session", request, start_workflow_operation=journeys.start(resuming)
        )
        again = await initialize(journeys, request)
    assert (answer["created"], again["created"]) == (True, False)


@also_replayed
async def test_the_context_is_a_patch_of_nothing(journeys: Journeys) -> None:
    context = {"a": None, "b": {"c": None, "d": {"e": None}, "list": [None, {"f": None}]}}
    by_update, by_argument = (journeys.request(context=context) for _ in range(2))
    async with journeys.worker():
        updated = await initialize(journeys, by_update)
        await start(journeys, argument_of(journeys, by_argument))
        started = await initialize(journeys, by_argument)
    for answer in (updated, started):
        assert answer["context"] == {"b": {"d": {}, "list": [None, {"f": None}]}}
        row, artifact = (
            await journeys.row(answer["chat_session_id"]),
            await journeys.artifact(answer["chat_session_id"]),
        )
        assert row
        assert artifact
        assert row["context"] == artifact["semantic_payload"]["context"] == answer["context"]
        assert row["context_hash"] == answer["context_hash"]
