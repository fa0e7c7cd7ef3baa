"""Names, payloads and stored rows that other systems rely on, seen with a plain client and JSON alone."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic_core import from_json
from temporalio.client import ActivityFailureError, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from tests.support.artifact import ARTIFACT
from tests.support.journeys import Journeys, Json, also_replayed, code_of, failed_tasks
from tests.support.watching import until_refusals
from tests.surface.plain_requests import (
    TIME,
    hashed,
    identity_of,
    key_of,
    shown,
)


async def resume(journeys: Journeys, chat_session_id: str, **argument: Any) -> None:
    """End the session's run and start it again, as any service does."""
    await journeys.handle(chat_session_id).terminate()
    await journeys.client.start_workflow(
        "journey_coexistence_chat_session",
        {"chat_session_id": chat_session_id, "tenant_id": journeys.tenant_id} | argument,
        id=f"chat-session/{chat_session_id}",
        task_queue=journeys.task_queue,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    )


@also_replayed
async def test_names_and_derived_ids_are_all_it_takes(journeys: Journeys) -> None:
    request = journeys.request()
    chat_session_id = identity_of(request)
    workflow_id = f"chat-session/{chat_session_id}"
    owner = {"tenant_id": request["tenant_id"], "user_id": request["user_id"]}
    async with journeys.worker():
        client = journeys.client
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            "journey_coexistence_chat_session",
            owner | {"chat_session_id": chat_session_id, "initialize": {"requested_at": request["requested_at"]}},
            id=workflow_id,
            task_queue=journeys.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        )
        artifact: Json = await client.execute_update_with_start_workflow(
            "initialize_chat_session", request, start_workflow_operation=start
        )
        handle = client.get_workflow_handle(workflow_id)
        await handle.signal("update_chat_context", owner | {"context": {"signalled": True}})
        updated: Json = await handle.execute_update("update_chat_context", owner | {"context": {"updated": True}})
        queried: Json = await handle.query("get_chat_session", owner)
        read: Json = await client.execute_activity(
            "get_chat_session",
            owner | {"chat_session_id": chat_session_id},
            id=str(uuid4()),
            task_queue=journeys.task_queue,
            start_to_close_timeout=timedelta(seconds=5),
        )
    assert artifact["chat_session_id"] == chat_session_id
    assert updated["context"] == queried["context"] == read["context"] == {"signalled": True, "updated": True}


async def test_initialize_creates_the_row(journeys: Journeys) -> None:
    context = {"topic": "budget", "messages": [{"id": "m1", "text": "Grüße"}]}
    request = journeys.request(active_agent="liaison_finance", context=context)
    async with journeys.worker():
        artifact = await journeys.initialize(request)
    row = await journeys.row(artifact["chat_session_id"])
    assert row
    created_at = row["created_at"]
    assert row == {
        "chat_session_id": UUID(identity_of(request)),
        "tenant_id": request["tenant_id"],
        "user_id": request["user_id"],
        "active_agent": "liaison_finance",
        "context": context,
        "context_hash": hashed(context),
        "revision": 0,
        "title": None,
        "message_count": 0,
        "turn_revision": 0,
        "lifecycle_state": "ACTIVE",
        "deleted_by": None,
        "decided_at": created_at,
        "idempotency_key": key_of(request),
        "refusals": None,
        "created_at": created_at,
        "updated_at": created_at,
    }


@also_replayed
async def test_the_creation_has_an_entry_in_the_ledger_that_names_the_run(journeys: Journeys) -> None:
    request = journeys.request(active_agent="liaison_finance", context={"topic": "budget", "gone": None})
    async with journeys.worker():
        artifact = await journeys.initialize(request)
        chat_session_id = artifact["chat_session_id"]
        first_run_id = (await journeys.handle(chat_session_id).describe()).run_id
        await resume(journeys, chat_session_id)
        await journeys.initialize(request)
    entries = await journeys.supabase.fetch(
        "select * from public.chat_context_updates where chat_session_id = $1", UUID(chat_session_id)
    )
    (entry,) = ({**entry, "change": from_json(entry["change"])} for entry in entries)
    change = {
        "context": {"topic": "budget"},
        "append": None,
        "active_agent": "liaison_finance",
        "merge_strategy": "merge",
    }
    assert entry == {
        "chat_session_id": UUID(chat_session_id),
        "revision": 0,
        "idempotency_key": f"initialize/{first_run_id}",
        "change": change,
        "change_hash": hashed(change),
        "author": None,
        "active_agent": "liaison_finance",
        "context_hash": hashed({"topic": "budget"}),
        "applied_at": datetime.fromisoformat(artifact["created_at"]),
        "message": None,
        "turn": False,
        "context": None,  # the change holds it
        "fold_changes": 0,
        "fold_bytes": 0,
    }


async def test_initialize_registers_the_artifact(journeys: Journeys) -> None:
    context = {"topic": "budget"}
    async with journeys.worker():
        session = await journeys.initialize(journeys.request(context=context, title="Budget of 2026"))
        chat_session_id = session["chat_session_id"]
        run_id = (await journeys.handle(chat_session_id).describe()).run_id
    artifact = await journeys.artifact(chat_session_id)
    row = await journeys.row(chat_session_id)
    assert artifact
    assert row
    descriptor = from_json(artifact.pop("semantic_descriptor"))
    materializations = from_json(artifact.pop("materializations"))
    assert artifact == {
        "artifact_id": UUID(chat_session_id),
        "tenant_id": journeys.tenant_id,
        "artifact_type": "chat_session",
        "lifecycle_state": "ACTIVE",
        "produced_by": {"intent": "initialize_chat_session", "execution_id": run_id},
        "semantic_payload": {"active_agent": "guide", "context": context},
        "parent_artifacts": "[]",
        "revision": 0,
        "created_at": row["created_at"],
        "updated_at": row["created_at"],
    }
    assert descriptor.pop("content")
    assert descriptor == {"title": "Budget of 2026", "message_count": 0}
    assert materializations == [
        {"store": "supabase", "table": table, "chat_session_id": chat_session_id}
        for table in ("public.chat_sessions", "public.chat_messages")
    ]


@also_replayed
async def test_produced_by_names_the_run_that_created_it_for_ever(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        registered = await journeys.artifact(chat_session_id)
        await resume(journeys, chat_session_id)
        await journeys.update(chat_session_id, {"active_agent": "liaison_hr", "context": {"later": 1}})
        run_id = (await journeys.handle(chat_session_id).describe()).run_id
    artifact = await journeys.artifact(chat_session_id)
    assert registered
    assert artifact
    assert registered["produced_by"]["execution_id"] != run_id
    moved_on = {
        "semantic_payload": {"active_agent": "liaison_hr", "context": {"later": 1}},
        "revision": 1,
        "updated_at": artifact["updated_at"],
    }
    assert artifact == registered | moved_on
    assert artifact["updated_at"] > registered["updated_at"]


async def test_an_initialize_brings_up_an_artifact_that_lags_and_leaves_who_produced_it(journeys: Journeys) -> None:
    async with journeys.worker():
        request = journeys.request()
        chat_session_id = (await journeys.initialize(request))["chat_session_id"]
        at_first = await journeys.artifact(chat_session_id)
        await journeys.update(chat_session_id, {"context": {"a": 1}})
        registered = await journeys.artifact(chat_session_id)
        await journeys.handle(chat_session_id).terminate()
        assert at_first
        await journeys.state_surface.execute(
            "update state_surface.artifacts set revision = 0, semantic_payload = $2, updated_at = $3"
            " where artifact_id = $1",
            UUID(chat_session_id),
            json.dumps(at_first["semantic_payload"]),
            at_first["updated_at"],
        )
        assert await journeys.artifact(chat_session_id) == at_first
        await journeys.initialize(request)
    assert registered != at_first
    assert await journeys.artifact(chat_session_id) == registered


async def test_initialize_answers_the_artifact(journeys: Journeys) -> None:
    request = journeys.request()
    before = datetime.now(UTC)
    async with journeys.worker():
        artifact = await journeys.initialize(request)
    created_at = artifact["created_at"]
    assert artifact == {
        "artifact_type": "chat_session",
        "chat_session_id": identity_of(request),
        "tenant_id": request["tenant_id"],
        "user_id": request["user_id"],
        "active_agent": "guide",
        "context": {},
        "lifecycle_state": "ACTIVE",
        "revision": 0,
        "context_hash": hashed({}),
        "title": None,
        "message_count": 0,
        "turn_revision": 0,
        "created_at": created_at,
        "updated_at": created_at,
    }
    assert TIME.fullmatch(created_at)
    assert before <= datetime.fromisoformat(created_at) <= datetime.now(UTC)


@also_replayed
async def test_each_answer_has_exactly_its_fields(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        updated = await journeys.update(chat_session_id, {"context": {"a": 1}})
        receipt = await journeys.update(chat_session_id, {"context": {"a": 2}, "returning": "receipt"})
        queried = await journeys.get(chat_session_id)
        read = await journeys.read(chat_session_id=chat_session_id)
    assert set(updated) == ARTIFACT | {"applied_revision", "duplicate"}
    assert set(receipt) == (ARTIFACT - {"context"}) | {"applied_revision", "duplicate"}
    assert set(queried) == ARTIFACT | {"refusals"}
    assert queried == read
    assert all(TIME.fullmatch(answer["updated_at"]) for answer in (updated, receipt, queried, read))
    assert updated["created_at"] == receipt["created_at"] == read["created_at"]
    assert updated["created_at"] < updated["updated_at"] < receipt["updated_at"] == read["updated_at"]


@also_replayed
async def test_what_is_answered_is_what_both_stores_hold(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        answer = await journeys.update(chat_session_id, {"context": {"a": [1, 2.5, None, "ä"]}})
        row = await journeys.row(chat_session_id)
        artifact = await journeys.artifact(chat_session_id)
    assert row
    assert artifact
    assert row["context"] == artifact["semantic_payload"]["context"] == answer["context"]
    assert row["revision"] == artifact["revision"] == answer["revision"] == answer["applied_revision"] == 1
    assert row["context_hash"] == answer["context_hash"]
    assert row["updated_at"] == artifact["updated_at"] == datetime.fromisoformat(answer["updated_at"])


@also_replayed
async def test_a_signal_changes_the_session(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        await journeys.signal(
            chat_session_id, {"append": {"list": [1]}, "active_agent": "liaison_hr", "author": "liaison_hr"}
        )
        await journeys.signal(chat_session_id, {"append": {"list": [1]}})
        answer = await journeys.update(chat_session_id, {})
    assert answer["context"] == {"list": [1, 1]}
    assert (answer["active_agent"], answer["revision"]) == ("liaison_hr", 3)
    assert [entry["author"] for entry in await journeys.ledger(chat_session_id)] == ["liaison_hr", None, None]


@also_replayed
async def test_query_and_activity_show_the_session_and_the_refusals(journeys: Journeys) -> None:
    async with journeys.worker():
        request = journeys.request(context={"a": 1})
        artifact = await journeys.initialize(request)
        chat_session_id = artifact["chat_session_id"]
        anyone = await journeys.get(chat_session_id)
        owner = await journeys.get(chat_session_id, user_id=request["user_id"])
        read = await journeys.read(chat_session_id=chat_session_id)
        await journeys.signal(chat_session_id, {"active_agent": "boss"})
        await until_refusals(journeys, chat_session_id, 1)
        refused = await journeys.get(chat_session_id)
        read_then = await journeys.read(chat_session_id=chat_session_id)
        latest = await journeys.read(user_id=request["user_id"])
    assert anyone == owner == read == artifact | {"refusals": {"count": 0, "last": []}}
    at = refused["refusals"]["last"][0]["at"]
    assert TIME.fullmatch(at)
    assert refused == artifact | {
        "refusals": {"count": 1, "last": [{"at": at, "code": "INVALID_PARAMETER", "field": "active_agent"}]}
    }
    assert read_then == latest == refused
    row = await journeys.row(chat_session_id)
    assert row
    assert from_json(row["refusals"]) == refused["refusals"]


async def test_the_activity_reads_a_session_that_has_no_run(journeys: Journeys) -> None:
    async with journeys.worker():
        request = journeys.request(context={"a": 1})
        artifact = await journeys.initialize(request)
        chat_session_id = artifact["chat_session_id"]
        await journeys.handle(chat_session_id).terminate()
        before = await journeys.snapshot(chat_session_id)
        by_id = await journeys.read(chat_session_id=chat_session_id)
        as_user = await journeys.read(chat_session_id=chat_session_id, user_id=request["user_id"])
        latest = await journeys.read(user_id=request["user_id"])
    assert by_id == as_user == latest == artifact | {"refusals": {"count": 0, "last": []}}
    assert await journeys.snapshot(chat_session_id) == before


async def test_the_activity_finds_the_most_recent_session(journeys: Journeys) -> None:
    user_id = f"user-{uuid4().hex}"
    now = datetime.now(UTC).replace(microsecond=0)
    stored: list[tuple[UUID, timedelta, timedelta]] = [
        (UUID(int=9 << 64 | uuid4().int >> 64), timedelta(minutes=9), timedelta(minutes=1)),
        (UUID(int=8 << 64 | uuid4().int >> 64), timedelta(minutes=1), timedelta(minutes=2)),
        (UUID(int=6 << 64 | uuid4().int >> 64), timedelta(minutes=2), timedelta(minutes=2)),
        (UUID(int=7 << 64 | uuid4().int >> 64), timedelta(minutes=2), timedelta(minutes=2)),
    ]
    found = []
    async with journeys.worker():
        for chat_session_id, created, updated in stored:
            await journeys.supabase.execute(
                """
                insert into public.chat_sessions (
                  chat_session_id, tenant_id, user_id, active_agent, context, context_hash, revision, lifecycle_state,
                  idempotency_key, created_at, updated_at
                ) values ($1, $2, $3, 'guide', '{}', $4, 0, 'ACTIVE', $5, $6, $7)
                """,
                chat_session_id,
                journeys.tenant_id,
                user_id,
                hashed({}),
                uuid4().hex,
                now + created,
                now + updated,
            )
            found.append((await journeys.read(user_id=user_id))["chat_session_id"])
    assert found == [str(chat_session_id) for chat_session_id, *_ in stored]


@pytest.mark.parametrize("whose", ["other tenant", "other user", "other user by ID", "unknown ID", "unknown user"])
async def test_the_activity_reveals_nobody_elses_session(journeys: Journeys, whose: str) -> None:
    async with journeys.worker():
        request = journeys.request()
        chat_session_id = (await journeys.initialize(request))["chat_session_id"]
        asking: dict[str, Json] = {
            "other tenant": {"tenant_id": "another", "chat_session_id": chat_session_id},
            "other user": {"tenant_id": "another", "user_id": request["user_id"]},
            "other user by ID": {"user_id": "another", "chat_session_id": chat_session_id},
            "unknown ID": {"chat_session_id": str(uuid4())},
            "unknown user": {"user_id": "another"},
        }
        with pytest.raises(ActivityFailureError) as caught:
            await journeys.read(**asking[whose])
    assert code_of(caught.value) == "SESSION_NOT_FOUND"


@also_replayed
async def test_search_attributes_come_from_the_row(journeys: Journeys) -> None:
    async with journeys.worker():
        request = journeys.request()
        chat_session_id = (await journeys.initialize(request))["chat_session_id"]
        at_first = shown(await journeys.handle(chat_session_id).describe())
        await journeys.update(chat_session_id, {"active_agent": "liaison_finance"})
        handed_over = shown(await journeys.handle(chat_session_id).describe())
        await resume(journeys, chat_session_id, tenant_id="claimed", user_id="claimed")
        await journeys.update(chat_session_id, {})
        resumed = shown(await journeys.handle(chat_session_id).describe())
    assert at_first == {"TenantId": journeys.tenant_id, "UserId": request["user_id"], "ActiveAgent": "guide"}
    assert handed_over == resumed == at_first | {"ActiveAgent": "liaison_finance"}


@also_replayed
async def test_the_web_ui_is_told_how_the_session_stands(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        await journeys.signal(chat_session_id, {"active_agent": "boss"})
        await journeys.update(chat_session_id, {"active_agent": "liaison_finance", "context": {"secret": "s3cret"}})
        metadata = await journeys.handle(chat_session_id).query("__temporal_workflow_metadata")
    details = metadata.current_details.replace("*", "").lower()
    assert "liaison_finance" in details
    assert "revision 1" in details
    assert "refused signals: 1, lastly invalid_parameter active_agent" in details
    assert "s3cret" not in details
    assert "boss" not in details
    assert metadata.definition.type == "journey_coexistence_chat_session"
    assert {each.name for each in metadata.definition.update_definitions} == {
        "initialize_chat_session",
        "update_chat_context",
        "update_chat_session",
        "delete_chat_session",
    }
    assert [each.name for each in metadata.definition.signal_definitions] == ["update_chat_context"]
    assert "get_chat_session" in {each.name for each in metadata.definition.query_definitions}


@also_replayed
async def test_a_start_that_initializes_creates_the_session_without_any_update(journeys: Journeys) -> None:
    request = journeys.request()
    chat_session_id = identity_of(request)
    async with journeys.worker():
        handle = await journeys.client.start_workflow(
            "journey_coexistence_chat_session",
            {
                "chat_session_id": chat_session_id,
                "tenant_id": request["tenant_id"],
                "user_id": request["user_id"],
                "initialize": {
                    "requested_at": request["requested_at"],
                    "active_agent": "liaison_hr",
                    "context": {"a": 1},
                },
            },
            id=f"chat-session/{chat_session_id}",
            task_queue=journeys.task_queue,
        )
        answer: Json = await handle.execute_update(
            "update_chat_context", {"tenant_id": request["tenant_id"], "context": {"b": 2}}
        )
    assert answer["context"] == {"a": 1, "b": 2}
    assert (answer["active_agent"], answer["revision"]) == ("liaison_hr", 1)
    row = await journeys.row(chat_session_id)
    assert row
    assert row["idempotency_key"] == key_of(request)


@also_replayed
async def test_an_initialize_update_creates_the_session_in_a_run_that_only_resumes(journeys: Journeys) -> None:
    request = journeys.request(context={"a": 1})
    chat_session_id = identity_of(request)
    async with journeys.worker():
        start = journeys.start({"chat_session_id": chat_session_id, "tenant_id": request["tenant_id"]})
        artifact: Json = await journeys.client.execute_update_with_start_workflow(
            "initialize_chat_session", request, start_workflow_operation=start
        )
        queried = await journeys.get(chat_session_id, user_id=request["user_id"])
    assert artifact.pop("created") is True
    assert queried == artifact | {"refusals": {"count": 0, "last": []}}
    assert artifact["context"] == {"a": 1}
    assert await journeys.row(chat_session_id)
    assert await journeys.artifact(chat_session_id)


@also_replayed
async def test_a_plain_start_resumes_a_stored_session(journeys: Journeys) -> None:
    async with journeys.worker():
        request = journeys.request(context={"a": 1})
        chat_session_id = (await journeys.initialize(request))["chat_session_id"]
        await journeys.update(chat_session_id, {"active_agent": "liaison_hr"})
        before = await journeys.get(chat_session_id)
        kept = await journeys.snapshot(chat_session_id)
        await resume(journeys, chat_session_id)
        resumed = await journeys.initialize(request)
        shown = await journeys.get(chat_session_id)
        same = await journeys.snapshot(chat_session_id)
        after = await journeys.update(chat_session_id, {"context": {"b": 2}})
    assert resumed | {"refusals": {"count": 0, "last": []}} == shown == before
    assert same == kept
    assert after["context"] == {"a": 1, "b": 2}
    assert after["applied_revision"] == 2


@also_replayed
async def test_a_second_initialize_answers_the_session_as_it_is_now(journeys: Journeys) -> None:
    async with journeys.worker():
        request = journeys.request(context={"a": 1})
        chat_session_id = (await journeys.initialize(request))["chat_session_id"]
        await journeys.update(chat_session_id, {"context": {"b": 2}, "active_agent": "liaison_hr"})
        kept = await journeys.snapshot(chat_session_id)
        now = await journeys.read(chat_session_id=chat_session_id)
        live = await journeys.initialize(request | {"context": {"c": 3}, "active_agent": "liaison_it"})
        await journeys.handle(chat_session_id).terminate()
        asleep = await journeys.initialize(request | {"context": {"c": 3}, "active_agent": "liaison_it"})
    assert live == asleep == {name: now[name] for name in ARTIFACT}
    assert now["context"] == {"a": 1, "b": 2}
    assert await journeys.snapshot(chat_session_id) == kept


@also_replayed
async def test_an_explicit_null_is_an_absent_field(journeys: Journeys) -> None:
    async with journeys.worker():
        request = journeys.request(active_agent=None, context=None)
        artifact = await journeys.initialize(request)
        chat_session_id = artifact["chat_session_id"]
        names = ("user_id", "append", "active_agent", "base_revision", "idempotency_key", "author", "merge_strategy")
        answer = await journeys.update(chat_session_id, {"context": {"a": 1}} | dict.fromkeys(names))
        queried = await journeys.get(chat_session_id, user_id=None)
        events = await journeys.events(chat_session_id)
    assert (artifact["active_agent"], artifact["context"]) == ("guide", {})
    assert answer["context"] == queried["context"] == {"a": 1}
    assert failed_tasks(events) == []
