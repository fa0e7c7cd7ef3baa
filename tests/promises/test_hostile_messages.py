"""Whatever a caller sends, however encoded, gets an error of the contract, and the journey goes on."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import (
    ActivityFailureError,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.service import RPCError

from journeys.retry_policies import WORKFLOW_TASK_TIMEOUT
from tests.hostile.documents import (
    CHANGE_BYTES,
    FOREIGN,
    LARGE,
    SECRET,
    TOO_LARGE,
    UNFAITHFUL,
    changes,
    misfit_codes,
    misfits,
    raw,
    with_text,
)
from tests.promises.forged_state import forged_state
from tests.support.journeys import Journeys, Json, also_replayed, code_of, failed_tasks
from tests.support.watching import assert_no_failed_task, assert_stored, refusal_code


async def check_it_goes_on(journeys: Journeys, chat_session_id: str, kept: Json) -> None:
    """Nothing was changed, no workflow task has failed, and the next change is applied."""
    assert await journeys.snapshot(chat_session_id) == kept
    before = await journeys.get(chat_session_id)
    answer = await journeys.update(chat_session_id, {"context": {"good": before["revision"]}})
    assert answer["applied_revision"] == before["revision"] + 1
    assert answer["context"] == before["context"] | {"good": before["revision"]}
    await assert_no_failed_task(journeys, chat_session_id)
    description = await journeys.handle(chat_session_id).describe()
    assert description.status is WorkflowExecutionStatus.RUNNING


def check_refusals_reveal_nothing(refusals: Json, count: int) -> None:
    """Refusals are counted, and the last ten shown, without anything that was sent."""
    assert refusals["count"] == count
    assert len(refusals["last"]) == min(count, 10)
    known = {"", "tenant_id", "user_id", "context", "append", "active_agent", "merge_strategy", "base_revision"}
    for refusal in refusals["last"]:
        assert set(refusal) == {"at", "code", "field"}
        assert refusal["code"] in {"INVALID_PARAMETER", "CONTEXT_TOO_LARGE", "SESSION_NOT_FOUND"}
        assert refusal["field"] in known
    assert SECRET not in json.dumps(refusals)


@also_replayed
async def test_no_update_harms_the_journey(journeys: Journeys) -> None:
    async with journeys.worker(rollover_messages=20):
        chat_session_id = await journeys.create_session(context={"a": 0})
        kept = await journeys.snapshot(chat_session_id)
        handle = journeys.handle(chat_session_id)
        sent, codes = changes({"tenant_id": journeys.tenant_id})
        outcomes = {
            name: await refusal_code(handle.execute_update("update_chat_context", args=arguments))
            for name, arguments in sent.items()
        }
        assert outcomes == codes
        await check_it_goes_on(journeys, chat_session_id, kept)


async def test_no_initialize_harms_the_journey(journeys: Journeys) -> None:
    async with journeys.worker(rollover_messages=1000):
        request = journeys.request(context={"a": 0})
        chat_session_id = (await journeys.initialize(request))["chat_session_id"]
        kept = await journeys.snapshot(chat_session_id)
        handle = journeys.handle(chat_session_id)
        sent = misfits(request)
        for name, text in UNFAITHFUL.items():
            sent[f"context: {name}"] = [with_text(request, "context", text)]
            sent[f"requested_at: {name}"] = [with_text(request, "requested_at", text)]
        codes = misfit_codes(sent)
        sent["nearly 1 MB"] = [with_text(request, "context", TOO_LARGE["nearly 1 MB"])]
        codes["nearly 1 MB"] = "CONTEXT_TOO_LARGE"
        outcomes = {
            name: await refusal_code(handle.execute_update("initialize_chat_session", args=arguments))
            for name, arguments in sent.items()
        }
        assert outcomes == codes
        await check_it_goes_on(journeys, chat_session_id, kept)


@also_replayed
async def test_no_signal_harms_the_journey(journeys: Journeys) -> None:
    async with journeys.worker(rollover_messages=20):
        chat_session_id = await journeys.create_session(context={"a": 0})
        handle = journeys.handle(chat_session_id)
        sent, _ = changes({"tenant_id": journeys.tenant_id})
        changed = 0

        async def until_decided() -> None:
            nonlocal changed
            await journeys.update(chat_session_id, {"context": {"a": 0}})  # by now the signals are decided on
            changed += 1

        own = 0
        for number, (name, arguments) in enumerate(sent.items(), 1):
            # The server itself fails a workflow task during which too much arrives, so large signals meet none.
            if name in LARGE:
                await until_decided()
            await handle.signal("update_chat_context", args=arguments)
            own += name not in FOREIGN
            if name in LARGE or number % 10 == 0:
                await until_decided()
            if number % 10 == 0:
                check_refusals_reveal_nothing((await journeys.get(chat_session_id))["refusals"], own)
        await until_decided()
        check_refusals_reveal_nothing((await journeys.get(chat_session_id))["refusals"], own)
        assert own == len(sent) - len(FOREIGN)
        row = await assert_stored(journeys, chat_session_id, changed)
        assert row["context"] == {"a": 0}
        check_refusals_reveal_nothing(json.loads(row["refusals"]), own)
        await check_it_goes_on(journeys, chat_session_id, await journeys.snapshot(chat_session_id))


async def test_no_query_harms_the_journey(journeys: Journeys) -> None:
    async with journeys.worker(rollover_messages=1000):
        chat_session_id = await journeys.create_session(context={"a": 0})
        kept = await journeys.snapshot(chat_session_id)
        handle = journeys.handle(chat_session_id)
        events = await journeys.events(chat_session_id)
        sent = misfits({"tenant_id": journeys.tenant_id})
        codes = misfit_codes(sent)
        for name, arguments in sent.items():
            with pytest.raises(WorkflowQueryFailedError) as caught:
                await handle.query("get_chat_session", args=arguments)
            assert str(caught.value).startswith(f"{codes[name]}: "), name
        assert await journeys.events(chat_session_id) == events
        await check_it_goes_on(journeys, chat_session_id, kept)


@pytest.mark.parametrize("activity", ["get_chat_session", "get_chat_session_history"])
async def test_no_message_harms_a_reading_activity(journeys: Journeys, activity: str) -> None:
    async with journeys.worker(rollover_messages=1000):
        chat_session_id = await journeys.create_session()
        kept = await journeys.snapshot(chat_session_id)
        fitting = {"tenant_id": journeys.tenant_id, "chat_session_id": chat_session_id}
        outcomes = {}
        for name, arguments in misfits(fitting).items():
            with pytest.raises(ActivityFailureError) as caught:
                await journeys.client.execute_activity(
                    activity,
                    args=arguments,
                    id=str(uuid4()),
                    task_queue=journeys.task_queue,
                    schedule_to_close_timeout=timedelta(seconds=10),
                )
            outcomes[name] = code_of(caught.value)
        assert outcomes == misfit_codes(outcomes)
        await check_it_goes_on(journeys, chat_session_id, kept)


async def run_until_closed(journeys: Journeys, chat_session_id: str, arguments: Sequence[Any]) -> str | None:
    """Start a session's journey with these arguments; returns the code of its run's failure, None if it completes."""
    handle = await journeys.client.start_workflow(
        "journey_coexistence_chat_session",
        args=arguments,
        id=f"chat-session/{chat_session_id}",
        task_queue=journeys.task_queue,
        task_timeout=WORKFLOW_TASK_TIMEOUT,
    )
    try:
        await handle.result()
    except WorkflowFailureError as error:
        assert failed_tasks([event async for event in handle.fetch_history_events()]) == []
        return code_of(error)
    return None


async def test_no_argument_wedges_a_run(journeys: Journeys) -> None:
    sent: dict[str, tuple[str, Sequence[Any]]] = {}
    for name in misfits({}):
        request = journeys.request()
        sent[name] = journeys.identity(request), misfits(journeys.argument(request))[name]
    codes = dict.fromkeys(sent, "INVALID_PARAMETER")
    for name, text in (UNFAITHFUL | TOO_LARGE).items():
        request = journeys.request()
        initialize = '{"requested_at":' + json.dumps(request["requested_at"]) + ',"context":' + text + "}"
        sent[f"context: {name}"] = (
            journeys.identity(request),
            [with_text(journeys.argument(request), "initialize", initialize)],
        )
        codes[f"context: {name}"] = "INVALID_PARAMETER"
    async with journeys.worker(rollover_messages=1000):
        assert {name: await run_until_closed(journeys, *each) for name, each in sent.items()} == codes
    count = "select count(*) from public.chat_sessions where tenant_id = $1"
    assert await journeys.supabase.fetchval(count, journeys.tenant_id) == 0


async def test_state_that_a_caller_makes_up_is_not_believed(journeys: Journeys) -> None:
    request = journeys.request()
    chat_session_id = journeys.identity(request)
    nobody = journeys.identity(journeys.request())
    async with journeys.worker(rollover_messages=1000, idle_seconds=0):
        await journeys.initialize(request)
        kept = await journeys.snapshot(chat_session_id)
        await journeys.handle(chat_session_id).result()
        for session, code in ((chat_session_id, None), (nobody, "SESSION_NOT_FOUND")):
            argument = {"chat_session_id": session, "tenant_id": "another"}
            assert await run_until_closed(journeys, session, [argument, forged_state(session)]) in (
                code,
                "INVALID_PARAMETER",
            )
        assert await journeys.snapshot(chat_session_id) == kept
        assert await journeys.row(nobody) is None
        shown = (await journeys.handle(chat_session_id).describe()).search_attributes
        assert shown["TenantId"] == [journeys.tenant_id]


@also_replayed
async def test_a_stored_session_is_served_whatever_the_argument(journeys: Journeys) -> None:
    async with journeys.worker(rollover_messages=1000, idle_seconds=0):
        chat_session_id = await journeys.create_session(context={"a": 0})
        await journeys.handle(chat_session_id).result()
        kept = await journeys.snapshot(chat_session_id)
        argument = {"chat_session_id": chat_session_id, "tenant_id": journeys.tenant_id}
        for arguments in misfits(argument).values():
            assert await run_until_closed(journeys, chat_session_id, arguments) is None
        assert await journeys.snapshot(chat_session_id) == kept
    async with journeys.worker(rollover_messages=1000):
        assert (await journeys.update(chat_session_id, {"context": {"b": 1}}))["context"] == {"a": 0, "b": 1}


async def test_an_initialization_that_is_refused_for_its_size_creates_nothing(journeys: Journeys) -> None:
    """The start's argument carries the same context."""
    async with journeys.worker():
        for size in (CHANGE_BYTES, 2 * CHANGE_BYTES, 3 * CHANGE_BYTES):
            request = journeys.request(context={"a": "x" * size})
            assert await refusal_code(journeys.initialize(request)) == "CONTEXT_TOO_LARGE"
            assert await journeys.row(journeys.identity(request)) is None


async def test_no_update_id_harms_the_journey(journeys: Journeys) -> None:
    """The ledger stores the update ID."""
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        revision = 0
        refused = set()
        for update_id in ("\x00", "\ufffe", "x" * 900, "/", '"', "\N{GRINNING FACE}" * 100, "a b"):
            try:
                answer = await journeys.update(chat_session_id, {"context": {"a": 1}}, id=update_id)
            except WorkflowUpdateFailedError as error:
                refused.add(code_of(error))
            except RPCError as error:
                refused.add(error.status.name)
            else:
                revision += 1
                assert answer["applied_revision"] == revision
        assert revision > 4
        assert refused <= {"INVALID_PARAMETER", "INVALID_ARGUMENT"}
        await check_it_goes_on(journeys, chat_session_id, await journeys.snapshot(chat_session_id))


async def test_names_that_the_journey_does_not_have_do_no_harm(journeys: Journeys) -> None:
    async with journeys.worker(rollover_messages=1000):
        chat_session_id = await journeys.create_session(context={"a": 0})
        kept = await journeys.snapshot(chat_session_id)
        handle = journeys.handle(chat_session_id)
        for name in ("get_chat_session", "no such name", "x" * 500):
            await handle.signal(name, raw(b"{"))
            with pytest.raises(WorkflowUpdateFailedError):
                await handle.execute_update(name, raw(b"{"))
        for name in ("update_chat_context", "no such name"):
            with pytest.raises(WorkflowQueryFailedError):
                await handle.query(name, raw(b"{"))
        await check_it_goes_on(journeys, chat_session_id, kept)


@also_replayed
async def test_a_burst_of_good_and_bad_signals_applies_the_good_in_order(journeys: Journeys) -> None:
    tenant: Json = {"tenant_id": journeys.tenant_id}
    bad = [arguments for name, arguments in misfits(tenant).items() if name not in LARGE]
    bad += [
        [{"tenant_id": SECRET}],
        [tenant | {"context": {SECRET: "x" * CHANGE_BYTES}}],
        [tenant | {"append": {"list": {}}}],
    ]
    async with journeys.worker(rollover_messages=1000):
        chat_session_id = await journeys.create_session()
        handle = journeys.handle(chat_session_id)
        for each, arguments in enumerate(bad):
            await handle.signal("update_chat_context", tenant | {"append": {"list": [each]}})
            await handle.signal("update_chat_context", args=arguments)
        answer = await journeys.update(chat_session_id, {})
        assert answer["context"] == {"list": list(range(len(bad)))}
        assert answer["revision"] == len(bad) + 1
        own = len(bad) - len(FOREIGN) - 1
        check_refusals_reveal_nothing((await journeys.get(chat_session_id))["refusals"], own)
        await check_it_goes_on(journeys, chat_session_id, await journeys.snapshot(chat_session_id))


@also_replayed
async def test_a_burst_of_good_and_bad_updates_answers_each(journeys: Journeys) -> None:
    async with journeys.worker(rollover_messages=1000):
        chat_session_id = await journeys.create_session()
        handle = journeys.handle(chat_session_id)
        bad: list[Sequence[Any]] = [
            [raw(b"{")],
            [],
            [{"tenant_id": SECRET}],
            [{"tenant_id": journeys.tenant_id, "x": 1}],
        ]
        good = [{"tenant_id": journeys.tenant_id, "context": {str(each): each}} for each in range(4)]
        outcomes, answers = await asyncio.gather(
            asyncio.gather(*(refusal_code(handle.execute_update("update_chat_context", args=each)) for each in bad)),
            asyncio.gather(*(handle.execute_update("update_chat_context", each) for each in good)),
        )
        assert outcomes == ["INVALID_PARAMETER", "INVALID_PARAMETER", "SESSION_NOT_FOUND", "INVALID_PARAMETER"]
        assert sorted(each["applied_revision"] for each in answers) == [1, 2, 3, 4]
        await check_it_goes_on(journeys, chat_session_id, await journeys.snapshot(chat_session_id))


@also_replayed
async def test_what_waits_when_a_worker_comes_does_no_harm(journeys: Journeys) -> None:
    """Everything arrives in the run's first workflow task, before anything is loaded."""
    request = journeys.request(context={"a": 0})
    chat_session_id = journeys.identity(request)
    handle = await journeys.client.start_workflow(
        "journey_coexistence_chat_session",
        journeys.argument(request),
        id=f"chat-session/{chat_session_id}",
        task_queue=journeys.task_queue,
        task_timeout=WORKFLOW_TASK_TIMEOUT,
    )
    sent, _ = changes({"tenant_id": journeys.tenant_id})
    for arguments in sent.values():
        await handle.signal("update_chat_context", args=arguments)
    await handle.signal("update_chat_context", {"tenant_id": journeys.tenant_id, "context": {"b": 1}})
    texts = [UNFAITHFUL["NaN"], UNFAITHFUL["33 levels"], TOO_LARGE["128 KiB"], TOO_LARGE["nearly 1 MB"]]
    updates = [
        asyncio.create_task(
            refusal_code(
                handle.execute_update(
                    "update_chat_context", with_text({"tenant_id": journeys.tenant_id}, "context", text)
                )
            )
        )
        for text in texts
    ]
    async with journeys.worker(rollover_messages=1000):
        assert await asyncio.gather(*updates) == [
            "INVALID_PARAMETER",
            "INVALID_PARAMETER",
            "CONTEXT_TOO_LARGE",
            "CONTEXT_TOO_LARGE",
        ]
        answer = await journeys.update(chat_session_id, {})
        assert answer["context"] == {"a": 0, "b": 1}
        assert answer["revision"] == 2
        check_refusals_reveal_nothing((await journeys.get(chat_session_id))["refusals"], len(sent) - len(FOREIGN))
        await check_it_goes_on(journeys, chat_session_id, await journeys.snapshot(chat_session_id))
