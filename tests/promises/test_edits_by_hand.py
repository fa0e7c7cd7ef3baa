"""Somebody edits the stores by hand: the journey notices, and goes on from what is stored."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic_core import to_json
from temporalio.client import WorkflowExecutionStatus

from journeys.canonical_json import canonical_hash
from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.limits import KIB
from journeys.chat_session.names import ARTIFACT_TYPE
from tests.promises.changed_sessions import awake_or_asleep, create_changed_session
from tests.support.documents import nested
from tests.support.journeys import Journeys, Json, also_replayed, note
from tests.support.watching import (
    assert_stored,
    failure_code,
    refusal_code,
    until_refusals,
    until_revision,
    until_status,
)


async def edit(journeys: Journeys, session: str, **columns: Any) -> None:
    """Change columns of a session's row, and nothing else."""
    assignments = ", ".join(f"{name} = ${place}" for place, name in enumerate(columns, 2))
    values = [to_json(value).decode() if isinstance(value, dict) else value for value in columns.values()]
    await journeys.supabase.execute(
        f"update public.chat_sessions set {assignments} where chat_session_id = $1", UUID(session), *values
    )


@awake_or_asleep
@pytest.mark.parametrize(
    ("edited", "agent", "context"),
    [
        ({"context": {"by": "hand"}}, "guide", {"by": "hand"}),
        ({"active_agent": "liaison_manual"}, "liaison_manual", {"by": "journey"}),
        ({"context": {"by": "hand"}, "active_agent": "liaison_manual"}, "liaison_manual", {"by": "hand"}),
    ],
    ids=["context", "agent", "both"],
)
async def test_an_edit_is_noticed_and_the_next_change_is_made_to_it(
    journeys: Journeys, idle_seconds: int, edited: Json, agent: str, context: Json
) -> None:
    async with journeys.worker(idle_seconds=idle_seconds):
        session = await create_changed_session(journeys, asleep=not idle_seconds)
        await edit(journeys, session, **edited)
        stale = {"append": {"notes": [1]}, "base_revision": 1}
        assert await refusal_code(journeys.update(session, stale)) == "REVISION_CONFLICT"
        answer = await journeys.update(session, stale | {"base_revision": 2})
        after = context | {"notes": [1]}
        assert (answer["applied_revision"], answer["active_agent"], answer["context"]) == (3, agent, after)
        assert answer["context_hash"] == canonical_hash(after)
        await assert_stored(journeys, session, 3)
        ledger = await journeys.ledger(session)
        assert [entry["author"] for entry in ledger] == [None, "manual", None]
        assert ledger[1]["context_hash"] == canonical_hash(context)
        assert ledger[1]["change"] == {
            "context": edited.get("context"),
            "append": None,
            "active_agent": edited.get("active_agent"),
            "merge_strategy": "replace" if "context" in edited else "merge",
        }


@also_replayed
async def test_a_live_journey_goes_on_from_a_state_title_and_owner_set_by_hand(journeys: Journeys) -> None:
    request = journeys.request()
    old, new = request["user_id"], "another owner"
    async with journeys.worker():
        session = (await journeys.initialize(request))["chat_session_id"]
        await journeys.update(session, {"context": {"by": "journey"}})
        run_id = (await journeys.handle(session).describe()).run_id

        await edit(journeys, session, lifecycle_state="ARCHIVED")
        assert await refusal_code(journeys.update(session, {"context": {"a": 1}})) == "SESSION_NOT_ACTIVE"
        assert (await journeys.get(session))["lifecycle_state"] == "ARCHIVED"
        await edit(journeys, session, lifecycle_state="ACTIVE")
        answer = await journeys.update(session, {"append": {"notes": [1]}})
        assert (answer["applied_revision"], answer["lifecycle_state"]) == (4, "ACTIVE")

        await edit(journeys, session, title="by hand", user_id=new)
        assert await refusal_code(journeys.update(session, {"user_id": old})) == "SESSION_NOT_FOUND"
        assert (await journeys.get(session, user_id=new))["title"] == "by hand"
        answer = await journeys.update(session, {"append": {"notes": [2]}, "user_id": new})
        assert (answer["applied_revision"], answer["title"], answer["user_id"]) == (6, "by hand", new)
        assert answer["context"] == {"by": "journey", "notes": [1, 2]}
        edited = await journeys.edit(session, {"title": "by journey"})
        assert (edited["applied_revision"], edited["user_id"]) == (7, new)

        await assert_stored(journeys, session, 7)
        by_hand = [(each["revision"], each["change"]) for each in await journeys.ledger(session) if each["author"]]
        assert by_hand == [
            (2, {"lifecycle_state": "ARCHIVED"}),
            (3, {"lifecycle_state": "ACTIVE"}),
            (5, {"title": "by hand", "new_user_id": new}),
        ]
        assert (await journeys.handle(session).describe()).run_id == run_id


@awake_or_asleep
@pytest.mark.parametrize("first", ["the new owner", "the old owner", "an initialization by the old owner"])
async def test_a_session_whose_owner_was_changed_serves_the_new_one_from_then_on(
    journeys: Journeys, idle_seconds: int, first: str
) -> None:
    request = journeys.request()
    old, new = request["user_id"], f"new-{uuid4().hex}"
    async with journeys.worker(idle_seconds=idle_seconds):
        session = await create_changed_session(journeys, request, asleep=not idle_seconds)
        await edit(journeys, session, user_id=new)
        (manual,) = [entry for entry in await journeys.ledger(session) if entry["author"] == "manual"]
        assert (manual["revision"], manual["change"]) == (2, {"new_user_id": new})

        if first == "the old owner":
            assert await refusal_code(journeys.update(session, note(0, user_id=old))) == "SESSION_NOT_FOUND"
        elif first != "the new owner":
            assert await refusal_code(journeys.initialize(request)) == "SESSION_NOT_FOUND"
        answer = await journeys.update(session, note(1, user_id=new))
        assert (answer["user_id"], answer["applied_revision"]) == (new, 3)
        assert await refusal_code(journeys.update(session, note(2, user_id=old))) == "SESSION_NOT_FOUND"

        seen = await journeys.sessions.get(session, tenant_id=journeys.tenant_id, user_id=new)
        assert (seen.user_id, seen.context) == (new, {"by": "journey", "notes": [1]})
        with pytest.raises(SessionNotFound):
            await journeys.sessions.get(session, tenant_id=journeys.tenant_id, user_id=old)
        await assert_stored(journeys, session, 3)
        if idle_seconds:
            shown = (await journeys.handle(session).describe()).typed_search_attributes
            assert [pair.value for pair in shown if pair.key.name == "UserId"] == [new]


async def test_a_signal_of_the_new_owner_finds_the_session_as_well(journeys: Journeys) -> None:
    request = journeys.request()
    async with journeys.worker():
        session = await create_changed_session(journeys, request)
        await edit(journeys, session, user_id="other")
        await journeys.signal(session, note(0, user_id=request["user_id"]))
        await journeys.signal(session, note(1, user_id="other"))
        row = await until_revision(journeys, session, 3)
        assert row["context"] == {"by": "journey", "notes": [1]}
        await until_refusals(journeys, session, 1)


async def test_a_context_and_an_owner_changed_at_once_are_one_revision(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await create_changed_session(journeys)
        await edit(journeys, session, user_id="other", context={})
        answer = await journeys.update(session, note(1, user_id="other"))
        assert (answer["applied_revision"], answer["context"]) == (3, {"notes": [1]})
        ledger = await journeys.ledger(session)
        assert ledger[1]["change"] == {
            "context": {},
            "append": None,
            "active_agent": None,
            "merge_strategy": "replace",
            "new_user_id": "other",
        }


@pytest.mark.parametrize("revision", [{}, {"revision": 2}], ids=["alone", "with a revision"])
@pytest.mark.parametrize("column", [{"tenant_id": "other"}, {"chat_session_id": uuid4()}], ids=["tenant", "ID"])
async def test_nobody_changes_a_sessions_tenant_or_id(journeys: Journeys, column: Json, revision: Json) -> None:
    async with journeys.worker():
        session = await create_changed_session(journeys)
        before = await journeys.snapshot(session)
        with pytest.raises(asyncpg.RestrictViolationError, match="cannot be changed"):
            await edit(journeys, session, **column, **revision)
        assert await journeys.snapshot(session) == before
        assert (await journeys.update(session, note(1)))["applied_revision"] == 2


@also_replayed
@awake_or_asleep
async def test_a_signal_finds_an_edit_as_well(journeys: Journeys, idle_seconds: int) -> None:
    async with journeys.worker(idle_seconds=idle_seconds):
        session = await create_changed_session(journeys, asleep=not idle_seconds)
        await edit(journeys, session, context={"by": "hand"})
        await edit(journeys, session, context={"by": "hand", "again": True})
        await journeys.signal(session, {"append": {"notes": [1]}})
        row = await until_revision(journeys, session, 4)
        assert row["context"] == {"by": "hand", "again": True, "notes": [1]}
        await assert_stored(journeys, session, 4)
        assert [entry["author"] for entry in await journeys.ledger(session)] == [None, "manual", "manual", None]


async def test_the_hash_of_an_edit_is_mended_by_the_load(journeys: Journeys) -> None:
    request = journeys.request()
    async with journeys.worker(idle_seconds=0):
        session = (await journeys.initialize(request))["chat_session_id"]
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        await edit(journeys, session, context={"by": "hand"})
        assert (await journeys.row(session) or {})["context_hash"] is None
        again = await journeys.initialize(request)
        assert (again["revision"], again["context"]) == (1, {"by": "hand"})
        row = await assert_stored(journeys, session, 1)
        assert row["context_hash"] == again["context_hash"] == canonical_hash({"by": "hand"})


async def test_a_no_op_and_a_duplicate_answer_what_is_stored(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.update(session, {"context": {"by": "journey"}, "idempotency_key": "k"})
        await edit(journeys, session, context={"by": "hand"})
        no_op = await journeys.update(session, {"context": {"by": "hand"}})
        assert (no_op["revision"], no_op["applied_revision"], no_op["duplicate"]) == (3, 3, False)
        await edit(journeys, session, context={"by": "hand", "again": True})
        duplicate = await journeys.update(session, {"context": {"by": "journey"}, "idempotency_key": "k"})
        assert (duplicate["revision"], duplicate["applied_revision"], duplicate["duplicate"]) == (4, 1, True)
        assert duplicate["context"] == {"by": "hand", "again": True}
        await assert_stored(journeys, session, 4)


async def test_initializing_a_session_that_lives_answers_it_as_it_is_stored(journeys: Journeys) -> None:
    request = journeys.request()
    async with journeys.worker():
        session = (await journeys.initialize(request))["chat_session_id"]
        await edit(journeys, session, context={"by": "hand"})
        again = await journeys.initialize(request)
        assert (again["revision"], again["context"]) == (1, {"by": "hand"})
        await assert_stored(journeys, session, 1)


@also_replayed
@pytest.mark.parametrize("message", ["update", "signal"])
async def test_a_row_that_is_gone_ends_the_journey_and_stays_gone(journeys: Journeys, message: str) -> None:
    async with journeys.worker():
        session = await create_changed_session(journeys)
        await journeys.supabase.execute("delete from public.chat_sessions where chat_session_id = $1", UUID(session))
        if message == "update":
            assert await refusal_code(journeys.update(session, {"context": {"a": 1}})) == "SESSION_NOT_FOUND"
        else:
            await journeys.signal(session, {"context": {"a": 1}})
        assert await failure_code(journeys, session) == "SESSION_NOT_FOUND"
        assert await journeys.row(session) is None
        assert await journeys.ledger(session) == []
        assert await refusal_code(journeys.update(session, {"context": {"a": 1}})) == "SESSION_NOT_FOUND"
        assert await journeys.row(session) is None


async def test_a_row_that_is_gone_is_not_answered_for(journeys: Journeys) -> None:
    """An answer is what both stores hold, so an initialization gets no artifact of a session without a row."""
    request = journeys.request()
    async with journeys.worker():
        session = (await journeys.initialize(request))["chat_session_id"]
        await journeys.supabase.execute("delete from public.chat_sessions where chat_session_id = $1", UUID(session))
        assert await refusal_code(journeys.initialize(request)) == "SESSION_NOT_FOUND"
        assert await journeys.row(session) is None


@awake_or_asleep
async def test_a_state_surface_that_is_ahead_is_gone_on_above(journeys: Journeys, idle_seconds: int) -> None:
    """As after a restore of Supabase from an older backup."""
    async with journeys.worker(idle_seconds=idle_seconds):
        session = await create_changed_session(journeys)
        for number in range(2, 5):
            await journeys.update(session, {"append": {"notes": [number]}})
        if not idle_seconds:
            await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        context = {"by": "journey", "notes": [2]}
        async with journeys.supabase.acquire() as connection, connection.transaction():
            await connection.execute(
                "delete from public.chat_context_updates where chat_session_id = $1 and revision > 2", UUID(session)
            )
            await connection.execute(
                "update public.chat_sessions set revision = 2, context = $2, context_hash = $3 "
                "where chat_session_id = $1",
                UUID(session),
                to_json(context).decode(),
                canonical_hash(context),
            )
        answer = await journeys.update(session, {"append": {"notes": ["after"]}, "author": "user"})
        assert (answer["applied_revision"], answer["context"]) == (6, {"by": "journey", "notes": [2, "after"]})
        ledger = await journeys.ledger(session)
        assert [(entry["revision"], entry["author"]) for entry in ledger] == [
            (1, None),
            (2, None),
            (5, "journey"),
            (6, "user"),
        ]
        row, artifact = await journeys.row(session), await journeys.artifact(session)
        assert row is not None
        assert artifact is not None
        assert row["revision"] == artifact["revision"] == 6
        assert artifact["semantic_payload"]["context"] == row["context"] == answer["context"]
        if idle_seconds:
            described = await journeys.handle(session).describe()
            assert described.status is WorkflowExecutionStatus.RUNNING
            assert "ahead" in await read_details(journeys, session)


async def read_details(journeys: Journeys, session: str) -> str:
    """The details that the Web UI shows of the running journey."""
    metadata = await journeys.handle(session).query("__temporal_workflow_metadata")
    shown: str = metadata["currentDetails"] if isinstance(metadata, dict) else metadata.current_details
    return shown


@awake_or_asleep
async def test_an_artifact_that_is_missing_is_registered_again(journeys: Journeys, idle_seconds: int) -> None:
    async with journeys.worker(idle_seconds=idle_seconds):
        session = await create_changed_session(journeys, asleep=not idle_seconds)
        await journeys.state_surface.execute(
            "delete from state_surface.artifacts where artifact_id = $1", UUID(session)
        )
        await journeys.update(session, {"append": {"notes": [1]}})
        await assert_stored(journeys, session, 2)
        artifact = await journeys.artifact(session)
        assert artifact is not None
        assert (artifact["artifact_type"], artifact["tenant_id"]) == (ARTIFACT_TYPE, journeys.tenant_id)


@awake_or_asleep
@pytest.mark.parametrize(
    "context",
    ['{"n": 1e22}', to_json(nested(41)).decode(), to_json({"text": "x" * 300 * KIB}).decode()],
    ids=["1e22", "nesting", "size"],
)
async def test_a_stored_context_outside_the_limits_loads_and_can_be_changed(
    journeys: Journeys, idle_seconds: int, context: str
) -> None:
    async with journeys.worker(idle_seconds=idle_seconds):
        session = await create_changed_session(journeys, asleep=not idle_seconds)
        await edit(journeys, session, context=context)
        row = await journeys.row(session)
        assert row is not None
        answer = await journeys.update(session, {"active_agent": "liaison_finance"})
        assert (answer["applied_revision"], answer["context"]) == (3, row["context"])
        shorter = dict.fromkeys(row["context"]) | {"short": True}
        answer = await journeys.update(session, {"context": shorter})
        assert (answer["applied_revision"], answer["context"]) == (4, {"short": True})
        await assert_stored(journeys, session, 4)


async def test_a_change_beside_a_number_outside_the_limits_leaves_it_alone(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await create_changed_session(journeys)
        await edit(journeys, session, context='{"n": 1e22, "m": -1e300, "k": 0.5}')
        answer = await journeys.update(session, {"append": {"notes": [1]}})
        assert answer["applied_revision"] == 3
        row = await assert_stored(journeys, session, 3)
        assert row["context"] == {"n": 10**22, "m": -(10**300), "k": 0.5, "notes": [1]}
        assert await refusal_code(journeys.update(session, {"context": {"n": 1e22}})) == "INVALID_PARAMETER"
