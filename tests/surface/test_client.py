"""`from journeys import ChatSessions`: the answers and errors that a Python service gets, whatever its client."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import JsonValue
from temporalio.client import (
    Client,
)
from temporalio.contrib.pydantic import pydantic_data_converter

from journeys import (
    ChatSessionArtifact,
    ChatSessions,
    ChatSessionView,
    ContextTooLarge,
    IdempotencyConflict,
    InvalidParameter,
    JourneyError,
    RevisionConflict,
    SessionNotFound,
    UpdatedChatSession,
    UpdateReceipt,
)
from journeys.chat_session.answers import InitializedChatSession
from tests.support.client_calls import BY_ID, starter
from tests.support.journeys import Journeys, also_replayed
from tests.support.watching import has_run

LONE: dict[str, JsonValue] = {"a": ["\ud800"]}
NAN: dict[str, JsonValue] = {"a": float("nan")}


@also_replayed
async def test_a_service_initializes_changes_and_reads(journeys: Journeys) -> None:
    tenant = journeys.tenant_id
    async with journeys.worker():
        sessions = journeys.sessions
        session = await sessions.initialize(tenant_id=tenant, user_id="ada", context={"topic": "budget"})
        identity = session.chat_session_id
        updated = await sessions.update_context(
            identity, tenant_id=tenant, context={"a": 1}, active_agent="liaison_finance", author="guide"
        )
        receipt = await sessions.update_context(
            identity, tenant_id=tenant, user_id="ada", append={"messages": [{"id": "m1"}]}, returning="receipt"
        )
        await sessions.signal_context(identity, tenant_id=tenant, append={"messages": [{"id": "m2"}]}, author="user")
        replaced = await sessions.update_context(
            identity, tenant_id=tenant, context={"b": 2}, merge_strategy="replace", base_revision=3
        )
        view = await sessions.get(identity, tenant_id=tenant, user_id="ada")
        latest = await sessions.get(tenant_id=tenant, user_id="ada")
        history = await sessions.history(identity, tenant_id=tenant)
    assert type(session) is InitializedChatSession
    assert isinstance(session, ChatSessionArtifact)
    assert session.created is True
    assert (session.revision, session.active_agent, session.context) == (0, "guide", {"topic": "budget"})
    assert type(updated) is UpdatedChatSession
    assert (updated.applied_revision, updated.duplicate) == (1, False)
    assert (updated.active_agent, updated.context) == ("liaison_finance", {"topic": "budget", "a": 1})
    assert type(receipt) is UpdateReceipt
    assert (receipt.applied_revision, receipt.revision) == (2, 2)
    assert replaced.context == {"b": 2}
    assert type(view) is ChatSessionView
    assert (view.context, view.revision) == ({"b": 2}, 4)
    assert view.refusals
    assert view.refusals.count == 0
    assert latest == view
    assert [(entry.revision, entry.author) for entry in history] == [
        (0, None),
        (1, "guide"),
        (2, None),
        (3, "user"),
        (4, None),
    ]
    assert history[4].change == {
        "context": {"b": 2},
        "append": None,
        "active_agent": None,
        "merge_strategy": "replace",
    }


async def test_a_second_initialize_is_told_that_it_created_nothing(journeys: Journeys) -> None:
    asked: dict[str, Any] = {"tenant_id": journeys.tenant_id, "user_id": "ada", "requested_at": datetime.now(UTC)}
    async with journeys.worker():
        first = await journeys.sessions.initialize(**asked)
        await journeys.sessions.update_context(
            first.chat_session_id, tenant_id=journeys.tenant_id, context={"a": 1}, active_agent="liaison_hr"
        )
        again = await journeys.sessions.initialize(**asked, context={"b": 2}, active_agent="liaison_it")
    assert again.chat_session_id == first.chat_session_id
    assert (first.created, again.created) == (True, False)
    assert (again.context, again.active_agent, again.revision) == ({"a": 1}, "liaison_hr", 1)


@pytest.mark.parametrize("converter", ["default", "pydantic"])
async def test_any_plain_json_client_will_do(journeys: Journeys, converter: str) -> None:
    address = journeys.addresses.temporal_address
    client = (
        await Client.connect(address)
        if converter == "default"
        else await Client.connect(address, data_converter=pydantic_data_converter)
    )
    sessions = ChatSessions(client, task_queue=journeys.task_queue)
    tenant = journeys.tenant_id
    async with journeys.worker():
        session = await sessions.initialize(tenant_id=tenant, user_id="ada", requested_at=datetime.now(UTC))
        identity = session.chat_session_id
        updated = await sessions.update_context(identity, tenant_id=tenant, context={"a": None, "b": [1.5, "ü"]})
        await sessions.signal_context(identity, tenant_id=tenant, active_agent="liaison_hr")
        receipt = await sessions.update_context(identity, tenant_id=tenant, returning="receipt")
        live = await sessions.get(identity, tenant_id=tenant)
        await journeys.handle(identity).terminate()
        stored = await sessions.get(identity, tenant_id=tenant)
        history = await sessions.history(identity, tenant_id=tenant)
        with pytest.raises(SessionNotFound):
            await sessions.get(identity, tenant_id="another")
        with pytest.raises(RevisionConflict):
            await sessions.update_context(identity, tenant_id=tenant, context={}, base_revision=9)
    assert updated.context == {"b": [1.5, "ü"]}
    assert (receipt.active_agent, receipt.revision) == ("liaison_hr", 3)
    assert live == stored
    assert [entry.revision for entry in history] == [0, 1, 2, 3]


@also_replayed
async def test_a_session_that_sleeps_is_read_without_waking_it(journeys: Journeys) -> None:
    async with journeys.worker(idle_seconds=0):
        session = await journeys.sessions.initialize(tenant_id=journeys.tenant_id, user_id="ada", context={"a": 1})
        handle = journeys.handle(session.chat_session_id)
        await handle.result()
        run_id = (await handle.describe()).run_id
        view = await journeys.sessions.get(session.chat_session_id, tenant_id=journeys.tenant_id)
        latest = await journeys.sessions.get(tenant_id=journeys.tenant_id, user_id="ada")
        history = await journeys.sessions.history(session.chat_session_id, tenant_id=journeys.tenant_id)
        with pytest.raises(SessionNotFound):
            await journeys.sessions.get(session.chat_session_id, tenant_id=journeys.tenant_id, user_id="bob")
        assert (await handle.describe()).run_id == run_id
    assert view == latest
    assert view.model_dump(exclude={"refusals"}) == session.model_dump(exclude={"created"})
    assert view.refusals is not None
    assert view.refusals.count == 0
    assert [entry.revision for entry in history] == [0]


@also_replayed
async def test_a_session_that_sleeps_is_resumed_by_a_change(journeys: Journeys) -> None:
    async with journeys.worker(idle_seconds=0):
        sessions, tenant = journeys.sessions, journeys.tenant_id
        identity = (await sessions.initialize(tenant_id=tenant, user_id="ada", context={"a": 1})).chat_session_id
        runs = set()
        for each in range(3):
            await journeys.handle(identity).result()
            updated = await sessions.update_context(identity, tenant_id=tenant, context={"updated": each})
            assert updated.context["updated"] == each
            runs.add((await journeys.handle(identity).describe()).run_id)
        await journeys.handle(identity).result()
        await sessions.signal_context(identity, tenant_id=tenant, context={"signalled": True})
        await journeys.handle(identity).result()
        view = await sessions.get(identity, tenant_id=tenant)
    assert len(runs) == 3
    assert view.context == {"a": 1, "updated": 2, "signalled": True}
    assert view.revision == 4


@also_replayed
async def test_updates_to_a_journey_that_keeps_closing_are_all_answered_once(journeys: Journeys) -> None:
    async with journeys.worker(idle_seconds=0):
        sessions = starter(journeys, seconds=30)
        tenant = journeys.tenant_id
        identity = (await sessions.initialize(tenant_id=tenant, user_id="ada")).chat_session_id
        revisions = []
        for each in range(20):
            updated = await sessions.update_context(identity, tenant_id=tenant, append={"list": [each]})
            revisions.append(updated.applied_revision)
    assert revisions == list(range(1, 21))
    assert updated.context == {"list": list(range(20))}


Refused = Callable[[], Coroutine[Any, Any, object]]


@pytest.mark.parametrize("call", BY_ID)
async def test_a_made_up_id_is_not_found_and_leaves_no_run(journeys: Journeys, call: str) -> None:
    identity = str(uuid4())
    async with journeys.worker():
        with pytest.raises(SessionNotFound):
            await BY_ID[call](journeys.sessions, identity, journeys.tenant_id)
        assert not await has_run(journeys, identity)


@pytest.mark.parametrize("call", BY_ID)
async def test_a_foreign_session_is_not_found_and_not_woken(journeys: Journeys, call: str) -> None:
    async with journeys.worker(idle_seconds=0):
        session = await journeys.sessions.initialize(tenant_id=journeys.tenant_id, user_id="ada")
        handle = journeys.handle(session.chat_session_id)
        await handle.result()
        run_id = (await handle.describe()).run_id
        with pytest.raises(SessionNotFound):
            await BY_ID[call](journeys.sessions, session.chat_session_id, "another")
        assert (await handle.describe()).run_id == run_id


async def test_each_error_is_its_exception(journeys: Journeys) -> None:
    tenant = journeys.tenant_id
    async with journeys.worker():
        sessions = journeys.sessions
        identity = (await sessions.initialize(tenant_id=tenant, user_id="ada", context={"text": "t"})).chat_session_id
        await sessions.update_context(identity, tenant_id=tenant, context={"a": 1}, idempotency_key="used")
        kept = await journeys.snapshot(identity)
        wanted: list[tuple[type[JourneyError], str, Refused]] = [
            (
                InvalidParameter,
                "active_agent",
                partial(sessions.update_context, identity, tenant_id=tenant, active_agent="x"),
            ),
            (
                InvalidParameter,
                "append",
                partial(sessions.update_context, identity, tenant_id=tenant, append={"text": [1]}),
            ),
            (InvalidParameter, "tenant_id", partial(sessions.update_context, identity, tenant_id="")),
            (InvalidParameter, "context", partial(sessions.update_context, identity, tenant_id=tenant, context=LONE)),
            (InvalidParameter, "context", partial(sessions.signal_context, identity, tenant_id=tenant, context=NAN)),
            (InvalidParameter, "context", partial(sessions.initialize, tenant_id=tenant, user_id="ada", context=LONE)),
            (InvalidParameter, "chat_session_id", partial(sessions.update_context, "no UUID", tenant_id=tenant)),
            (InvalidParameter, "chat_session_id", partial(sessions.get, "no UUID", tenant_id=tenant)),
            (InvalidParameter, "user_id", partial(sessions.get, tenant_id=tenant)),
            (InvalidParameter, "author", partial(sessions.signal_context, identity, tenant_id=tenant, author="")),
            (
                InvalidParameter,
                "author",
                partial(sessions.update_context, identity, tenant_id=tenant, author="manual"),
            ),
            (
                InvalidParameter,
                "idempotency_key",
                partial(sessions.update_context, identity, tenant_id=tenant, user_id="ada", idempotency_key="manual/1"),
            ),
            (InvalidParameter, "limit", partial(sessions.history, identity, tenant_id=tenant, limit=0)),
            (
                InvalidParameter,
                "requested_at",
                partial(sessions.initialize, tenant_id=tenant, user_id="ada", requested_at=datetime(2026, 1, 27)),  # noqa: DTZ001
            ),
            (
                InvalidParameter,
                "requested_at",
                partial(
                    sessions.initialize,
                    tenant_id=tenant,
                    user_id="eve",
                    requested_at=datetime.now(UTC) + timedelta(minutes=6),
                ),
            ),
            (
                ContextTooLarge,
                "context",
                partial(sessions.update_context, identity, tenant_id=tenant, context={"a": "x" * 131072}),
            ),
            (
                ContextTooLarge,
                "context",
                partial(sessions.initialize, tenant_id=tenant, user_id="eve", context={"a": "x" * 262144}),
            ),
            (
                RevisionConflict,
                "base_revision",
                partial(
                    sessions.update_context,
                    identity,
                    tenant_id=tenant,
                    context={},
                    merge_strategy="replace",
                    base_revision=0,
                ),
            ),
            (
                RevisionConflict,
                "base_revision",
                partial(sessions.update_context, identity, tenant_id=tenant, active_agent="guide", base_revision=0),
            ),
            (
                IdempotencyConflict,
                "idempotency_key",
                partial(sessions.update_context, identity, tenant_id=tenant, context={"a": 2}, idempotency_key="used"),
            ),
            (SessionNotFound, "", partial(sessions.update_context, identity, tenant_id=tenant, user_id="bob")),
            (SessionNotFound, "", partial(sessions.get, tenant_id=tenant, user_id="bob")),
        ]
        for error, field, call in wanted:
            with pytest.raises(error) as caught:
                await call()
            assert type(caught.value) is error
            assert caught.value.field == field
            assert str(caught.value) == f"{error.code}: {caught.value.message}"
        assert await journeys.snapshot(identity) == kept


async def test_nulls_in_a_patch_reach_the_journey(journeys: Journeys) -> None:
    sessions, tenant = journeys.sessions, journeys.tenant_id
    async with journeys.worker():
        context: dict[str, Any] = {"draft": "x", "mood": {"since": 1, "name": "calm"}}
        session = await sessions.initialize(tenant_id=tenant, user_id="ada", context=context)
        updated = await sessions.update_context(
            session.chat_session_id,
            tenant_id=tenant,
            context={"draft": None, "mood": {"since": None}},
            append={"list": [None]},
            author=None,
        )
    assert updated.context == {"mood": {"name": "calm"}, "list": [None]}


@pytest.mark.parametrize("callers", [10, 40])
async def test_concurrent_updates_of_one_session_are_all_answered(journeys: Journeys, callers: int) -> None:
    async with journeys.worker():
        sessions = starter(journeys, seconds=60)
        tenant = journeys.tenant_id
        identity = (await sessions.initialize(tenant_id=tenant, user_id="ada")).chat_session_id
        answers = await asyncio.gather(
            *(
                sessions.update_context(
                    identity, tenant_id=tenant, append={"messages": [{"id": str(each)}]}, returning="receipt"
                )
                for each in range(callers)
            )
        )
        view = await sessions.get(identity, tenant_id=tenant)
    assert sorted(answer.applied_revision for answer in answers) == list(range(1, callers + 1))
    messages = view.context["messages"]
    assert isinstance(messages, list)
    assert len(messages) == callers
    assert len(await journeys.ledger(identity)) == callers


@also_replayed
async def test_concurrent_reads_of_one_session_are_all_answered(journeys: Journeys) -> None:
    async with journeys.worker():
        sessions, tenant = journeys.sessions, journeys.tenant_id
        identity = (await sessions.initialize(tenant_id=tenant, user_id="ada")).chat_session_id
        views, updates = await asyncio.gather(
            asyncio.gather(*(sessions.get(identity, tenant_id=tenant) for _ in range(12))),
            asyncio.gather(
                *(sessions.update_context(identity, tenant_id=tenant, context={"n": each}) for each in range(5))
            ),
        )
    assert {view.chat_session_id for view in views} == {identity}
    assert {view.revision for view in views} <= set(range(6))
    assert sorted(update.applied_revision for update in updates) == [1, 2, 3, 4, 5]


async def test_the_same_request_twice_is_one_change_only_with_a_key_or_base(journeys: Journeys) -> None:
    async with journeys.worker():
        sessions, tenant = journeys.sessions, journeys.tenant_id
        identity = (await sessions.initialize(tenant_id=tenant, user_id="ada")).chat_session_id
        free = [await sessions.update_context(identity, tenant_id=tenant, append={"free": [1]}) for _ in range(2)]
        keyed = [
            await sessions.update_context(identity, tenant_id=tenant, append={"keyed": [1]}, idempotency_key="k")
            for _ in range(2)
        ]
        based = [
            await sessions.update_context(identity, tenant_id=tenant, append={"based": [1]}, base_revision=3)
            for _ in range(2)
        ]
        view = await sessions.get(identity, tenant_id=tenant)
    assert [each.applied_revision for each in free + keyed + based] == [1, 2, 3, 3, 4, 4]
    assert view.context == {"free": [1, 1], "keyed": [1], "based": [1]}


async def test_history_comes_whole_from_as_many_pages_as_it_takes(journeys: Journeys) -> None:
    tenant = journeys.tenant_id
    async with journeys.worker():
        session = await journeys.sessions.initialize(tenant_id=tenant, user_id="ada")
        identity = session.chat_session_id
        change = {"context": {"a": "x" * 60_000}, "append": None, "active_agent": None, "merge_strategy": "merge"}
        await journeys.supabase.execute(
            """
            insert into public.chat_context_updates (
              chat_session_id, revision, idempotency_key, change, change_hash, active_agent, context_hash, applied_at
            )
            select $1, n, 'key-' || n, $2, repeat('0', 64), 'guide', repeat('0', 64), now()
            from generate_series(1, 40) as n
            """,
            UUID(identity),
            json.dumps(change),
        )
        whole = await journeys.sessions.history(identity, tenant_id=tenant)
        later = await journeys.sessions.history(identity, tenant_id=tenant, after_revision=37)
        first = await journeys.sessions.history(identity, tenant_id=tenant, limit=25)
        middle = await journeys.sessions.history(identity, tenant_id=tenant, after_revision=10, limit=3)
        page = await journeys.client.execute_activity(
            "get_chat_session_history",
            {"tenant_id": tenant, "chat_session_id": identity},
            id=str(uuid4()),
            task_queue=journeys.task_queue,
            start_to_close_timeout=timedelta(seconds=5),
        )
    assert [entry.revision for entry in whole] == list(range(41))
    assert whole[-1].change == change
    assert [entry.revision for entry in later] == [38, 39, 40]
    assert [entry.revision for entry in first] == list(range(25))
    assert [entry.revision for entry in middle] == [11, 12, 13]
    assert page["complete"] is False
    assert 0 < len(page["entries"]) < 25


async def test_a_history_is_its_users_alone(journeys: Journeys) -> None:
    sessions, tenant = journeys.sessions, journeys.tenant_id
    async with journeys.worker():
        identity = (await sessions.initialize(tenant_id=tenant, user_id="ada")).chat_session_id
        await sessions.update_context(identity, tenant_id=tenant, context={"a": 1})
        own = await sessions.history(identity, tenant_id=tenant, user_id="ada")
        assert own == await sessions.history(identity, tenant_id=tenant)
        for tenant_id, user_id in ((tenant, "bob"), ("another", "ada"), ("another", None)):
            with pytest.raises(SessionNotFound):
                await sessions.history(identity, tenant_id=tenant_id, user_id=user_id)
    assert [entry.revision for entry in own] == [0, 1]


async def test_people_see_what_a_run_is(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.sessions.initialize(tenant_id=journeys.tenant_id, user_id="ada")
        description = await journeys.handle(session.chat_session_id).describe()
        events = await journeys.events(session.chat_session_id)
    assert await description.static_summary()
    timeout = events[0].workflow_execution_started_event_attributes.workflow_task_timeout
    assert timeout.ToTimedelta() == timedelta(seconds=1.5)
