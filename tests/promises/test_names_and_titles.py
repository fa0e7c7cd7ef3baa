"""A session is found again by its caller's name for it, and has a title."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import WorkflowUpdateFailedError

from journeys.chat_session.keys import named_session_key, session_id
from journeys.errors import InvalidParameter
from tests.support.journeys import Journeys, also_replayed, code_and_field


@also_replayed
async def test_a_name_is_one_session_whenever_it_is_asked_for(journeys: Journeys) -> None:
    sessions, tenant = journeys.sessions, journeys.tenant_id
    async with journeys.worker():
        asked = [
            sessions.initialize(tenant_id=tenant, user_id="ada", session_name=name)
            for name in ("taxes", "rent", "taxes", "taxes")
        ]
        answers = await asyncio.gather(*asked)
        again = await sessions.initialize(tenant_id=tenant, user_id="ada", session_name="taxes", title="ignored")
        other = await sessions.initialize(tenant_id=tenant, user_id="bob", session_name="taxes")
    first, rent, *others = [answer.chat_session_id for answer in answers]
    assert {first, again.chat_session_id} == {first, *others}
    assert len({first, rent, other.chat_session_id}) == 3
    assert first == session_id(named_session_key(tenant, "ada", "taxes"))
    assert (again.created, again.title) == (False, None)


async def test_a_title_is_stored_and_shown_and_an_empty_one_is_none(journeys: Journeys) -> None:
    sessions, tenant = journeys.sessions, journeys.tenant_id
    async with journeys.worker():
        titled = await sessions.initialize(tenant_id=tenant, user_id="ada", session_name="a", title="Steuern 2026 ✓")
        bare = await sessions.initialize(tenant_id=tenant, user_id="ada", session_name="b", title="")
        seen = await sessions.get(titled.chat_session_id, tenant_id=tenant)
        read = await journeys.read(chat_session_id=titled.chat_session_id)
    assert titled.title == seen.title == read["title"] == "Steuern 2026 ✓"
    assert bare.title is None
    row = await journeys.row(titled.chat_session_id)
    artifact = await journeys.artifact(titled.chat_session_id)
    assert row
    assert row["title"] == titled.title
    assert artifact
    assert "Steuern 2026 ✓" in artifact["semantic_descriptor"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"session_name": "a", "requested_at": "2026-01-27T10:05:12Z"}, "session_name"),
        ({"session_name": ""}, "session_name"),
        ({"session_name": "x" * 129}, "session_name"),
        ({"session_name": "naïve"}, "session_name"),
        ({"session_name": "a", "title": "x" * 201}, "title"),
    ],
)
async def test_a_name_or_title_that_does_not_fit_is_refused(journeys: Journeys, asked: Any, field: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        await journeys.sessions.initialize(tenant_id=journeys.tenant_id, user_id="ada", **asked)
    assert refused.value.field == field


async def test_another_names_session_is_not_initialized(journeys: Journeys) -> None:
    async with journeys.worker():
        created = await journeys.initialize()
        request = {"tenant_id": journeys.tenant_id, "user_id": created["user_id"], "session_name": "x"}
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await journeys.handle(created["chat_session_id"]).execute_update("initialize_chat_session", request)
        assert code_and_field(refused.value) == ("INVALID_PARAMETER", "session_name")


async def test_a_title_that_is_changed_by_hand_is_noticed(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.supabase.execute(
            "update public.chat_sessions set title = 'by hand' where chat_session_id = $1", UUID(session)
        )
        answer = await journeys.update(session, {"messages": [{"text": "Hello"}]})
        assert (answer["title"], answer["revision"]) == ("by hand", 2)
    assert [(entry["author"], entry["change"].get("title")) for entry in await journeys.ledger(session)] == [
        ("manual", "by hand"),
        (None, None),
    ]
    artifact = await journeys.artifact(session)
    assert artifact
    assert "by hand" in artifact["semantic_descriptor"]
