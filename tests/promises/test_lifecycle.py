"""A session has a title, is archived and reopened, and is given to another user: changes like any other."""

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from pydantic_core import from_json
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError

from journeys.chat_session.errors import SessionNotActive, SessionNotFound
from journeys.errors import IdempotencyConflict, InvalidParameter, RevisionConflict
from tests.support.artifact import ARTIFACT
from tests.support.journeys import Journeys, also_replayed, code_and_field
from tests.support.watching import until_admitted, until_status


@also_replayed
async def test_an_edit_is_a_revision_in_both_stores_and_in_the_ledger(journeys: Journeys) -> None:
    async with journeys.worker():
        created = await journeys.initialize(journeys.request(context={"topic": "rent"}))
        session = created["chat_session_id"]
        answer = await journeys.edit(session, {"title": "Rent", "lifecycle_state": "ARCHIVED", "author": "desk"})
        assert set(answer) == ARTIFACT - {"context"} | {"applied_revision", "duplicate"}
        assert (answer["title"], answer["lifecycle_state"], answer["applied_revision"]) == ("Rent", "ARCHIVED", 1)
        assert answer["context_hash"] == created["context_hash"]
        live = await journeys.get(session)
        assert (live["title"], live["lifecycle_state"], live["context"]) == ("Rent", "ARCHIVED", {"topic": "rent"})
        answer = await journeys.edit(session, {"title": ""})
        assert (answer["title"], answer["lifecycle_state"]) == (None, "ARCHIVED")
        assert (await journeys.get(session))["title"] is None
    first, second = await journeys.ledger(session)
    assert (first["change"], first["author"]) == ({"title": "Rent", "lifecycle_state": "ARCHIVED"}, "desk")
    assert (second["change"], second["revision"]) == ({"title": ""}, 2)
    row, artifact = await journeys.row(session), await journeys.artifact(session)
    assert row
    assert artifact
    assert (row["title"], row["lifecycle_state"], row["revision"]) == (None, "ARCHIVED", 2)
    assert (artifact["lifecycle_state"], artifact["revision"]) == ("ARCHIVED", 2)
    assert from_json(artifact["semantic_descriptor"])["title"] is None
    assert artifact["semantic_payload"] == {"active_agent": "guide", "context": {"topic": "rent"}}


async def test_an_archived_session_takes_no_changes_is_read_and_can_be_reopened(journeys: Journeys) -> None:
    sessions, tenant = journeys.sessions, journeys.tenant_id
    async with journeys.worker():
        session = (await sessions.initialize(tenant_id=tenant, user_id="ada", session_name="a")).chat_session_id
        said: dict[str, Any] = {"tenant_id": tenant, "messages": [{"text": "Hello"}], "idempotency_key": "said"}
        await sessions.update_context(session, **said)
        await sessions.update_session(session, tenant_id=tenant, user_id="ada", lifecycle_state="ARCHIVED")
        refused: tuple[Any, ...] = ({"context": {"a": 1}}, {"messages": [{}]}, {"active_agent": "liaison_hr"}, {})
        for change in refused:
            with pytest.raises(SessionNotActive):
                await sessions.update_context(session, tenant_id=tenant, **change)
        again = await sessions.update_context(session, **said)
        assert (again.duplicate, again.lifecycle_state) == (True, "ARCHIVED")
        assert len((await sessions.messages(session, tenant_id=tenant)).messages) == 1
        found = await sessions.initialize(tenant_id=tenant, user_id="ada", session_name="a")
        assert (found.lifecycle_state, found.created) == ("ARCHIVED", False)
        with pytest.raises(SessionNotFound):
            await sessions.get(tenant_id=tenant, user_id="ada")
        assert not (await sessions.list(tenant_id=tenant, user_id="ada")).sessions
        archived = await sessions.list(tenant_id=tenant, user_id="ada", lifecycle_state="ARCHIVED")
        assert [each.chat_session_id for each in archived.sessions] == [session]
        reopened = await sessions.update_session(session, tenant_id=tenant, lifecycle_state="ACTIVE")
        assert (reopened.revision, reopened.lifecycle_state) == (3, "ACTIVE")
        await sessions.update_context(session, tenant_id=tenant, messages=[{"text": "again"}])


async def test_a_session_that_is_given_away_is_the_new_owners_at_once(journeys: Journeys) -> None:
    sessions, tenant = journeys.sessions, journeys.tenant_id
    async with journeys.worker(idle_seconds=0):
        anonymous = await sessions.initialize(tenant_id=tenant, user_id="anonymous", session_name="a")
        session = anonymous.chat_session_id
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        given = await sessions.update_session(session, tenant_id=tenant, new_user_id="ada")
        assert (given.user_id, given.revision) == ("ada", 1)
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        shown = (await journeys.handle(session).describe()).search_attributes
        assert shown["UserId"] == ["ada"]
        await sessions.update_context(session, tenant_id=tenant, user_id="ada", messages=[{"text": "mine"}])
        with pytest.raises(SessionNotFound):
            await sessions.update_context(session, tenant_id=tenant, user_id="anonymous", messages=[{"text": "x"}])
        with pytest.raises(SessionNotFound):
            await sessions.initialize(tenant_id=tenant, user_id="anonymous", session_name="a")
        assert (await sessions.get(tenant_id=tenant, user_id="ada")).chat_session_id == session
        assert not (await sessions.list(tenant_id=tenant, user_id="anonymous")).sessions


@also_replayed
async def test_the_old_owner_is_not_answered_with_what_the_new_one_says(journeys: Journeys) -> None:
    """All updates wait for a worker, which finds them together."""
    request = journeys.request()
    async with journeys.worker():
        session = (await journeys.initialize(request))["chat_session_id"]
    ada = {"user_id": request["user_id"]}
    waiting = []
    for update_id, call in {
        "changed": partial(journeys.update, session, ada | {"context": {"a": 1}}),
        "found": partial(journeys.initialize, request),
        "given": partial(journeys.edit, session, {"new_user_id": "bob"}),
        "new": partial(journeys.update, session, {"user_id": "bob", "context": {"b": 2}}),
        "old": partial(journeys.update, session, ada | {"context": {"c": 3}}),
    }.items():
        waiting.append(asyncio.create_task(call(id=update_id)))
        await until_admitted(journeys, session, update_id)  # one after the other
    async with journeys.worker():
        changed, found, given, new, old = await asyncio.gather(*waiting, return_exceptions=True)
    for answer in (changed, found):
        assert not isinstance(answer, BaseException)
        assert (answer["user_id"], answer["context"], answer["revision"]) == (request["user_id"], {"a": 1}, 1)
    for answer, revision in ((given, 2), (new, 3)):
        assert not isinstance(answer, BaseException)
        assert (answer["user_id"], answer["applied_revision"]) == ("bob", revision)
    assert isinstance(old, WorkflowUpdateFailedError)
    assert code_and_field(old)[0] == "SESSION_NOT_FOUND"


async def test_a_user_gives_nothing_away(journeys: Journeys) -> None:
    async with journeys.worker():
        created = await journeys.initialize()
        session, user = created["chat_session_id"], created["user_id"]
        before = await journeys.snapshot(session)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await journeys.edit(session, {"user_id": user, "new_user_id": "eve"})
        assert code_and_field(refused.value) == ("INVALID_PARAMETER", "new_user_id")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await journeys.edit(session, {"user_id": "eve", "title": "mine"})
        assert code_and_field(refused.value) == ("SESSION_NOT_FOUND", "")
        assert await journeys.snapshot(session) == before


async def test_an_edit_counts_once_and_only_on_its_base(journeys: Journeys) -> None:
    sessions, tenant = journeys.sessions, journeys.tenant_id
    async with journeys.worker():
        session = await journeys.create_session()
        first = await sessions.update_session(session, tenant_id=tenant, title="a", idempotency_key="k")
        await sessions.update_session(session, tenant_id=tenant, title="b", base_revision=1)
        again = await sessions.update_session(session, tenant_id=tenant, title="a", idempotency_key="k")
        assert (first.duplicate, again.duplicate, again.applied_revision, again.title) == (False, True, 1, "b")
        with pytest.raises(IdempotencyConflict):
            await sessions.update_session(session, tenant_id=tenant, title="c", idempotency_key="k")
        with pytest.raises(RevisionConflict):
            await sessions.update_session(session, tenant_id=tenant, title="c", base_revision=1)
        with pytest.raises(InvalidParameter):
            await sessions.update_session(session, tenant_id=tenant, title="c", author="manual")


async def test_a_title_rewrites_the_context_in_neither_store(journeys: Journeys) -> None:
    large = {"notes": ["".join(f"{n:x}" for n in range(9000, 40_000))]}
    row = "select pg_column_toast_chunk_id(context) from public.chat_sessions where chat_session_id = $1"
    artifact = "select pg_column_toast_chunk_id(semantic_payload) from state_surface.artifacts where artifact_id = $1"
    async with journeys.worker():
        session = await journeys.create_session(context=large)

        async def places() -> tuple[Any, Any]:
            identity = UUID(session)
            return await journeys.supabase.fetchval(row, identity), await journeys.state_surface.fetchval(
                artifact, identity
            )

        before = await places()
        assert None not in before
        await journeys.edit(session, {"title": "Notes"})
        assert await places() == before
        assert (await journeys.get(session))["context"] == large
