"""A session is found again: by its caller's name for it, by its title, and in the list of its user's sessions."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import WorkflowUpdateFailedError

from journeys.chat_session.keys import named_session_key, session_id
from journeys.errors import InvalidParameter
from tests.support.artifact import ARTIFACT
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


# Lists.


async def test_a_list_has_each_session_once_and_the_latest_change_first(journeys: Journeys) -> None:
    sessions, tenant = journeys.sessions, journeys.tenant_id
    async with journeys.worker():
        created = [
            (await sessions.initialize(tenant_id=tenant, user_id=user, session_name=str(n))).chat_session_id
            for user in ("ada", "bob")
            for n in range(5)
        ]
        await sessions.update_context(created[2], tenant_id=tenant, messages=[{"text": "Hello"}])
        expected = [created[2], *(each for each in reversed(created) if each != created[2])]

        async def read(user_id: str | None) -> list[str]:
            page = await sessions.list(tenant_id=tenant, user_id=user_id, limit=3)
            found = [session.chat_session_id for session in page.sessions]
            while page.next:
                assert len(page.sessions) == 3
                page = await sessions.list(tenant_id=tenant, user_id=user_id, limit=3, after=page.next)
                found += [session.chat_session_id for session in page.sessions]
            return found

        assert await read(None) == expected
        assert await read("ada") == [each for each in expected if each in created[:5]]
        assert await read("eve") == []
        assert not (await sessions.list(tenant_id=tenant, lifecycle_state="ARCHIVED")).sessions
        assert not (await sessions.list(tenant_id="another")).sessions
        answer = await journeys.run_activity("list_chat_sessions", {"tenant_id": tenant, "user_id": "ada", "limit": 1})
    assert set(answer) == {"sessions", "next"}
    (listed,) = answer["sessions"]
    assert set(listed) == ARTIFACT - {"context"}
    assert (listed["chat_session_id"], listed["message_count"], listed["revision"]) == (created[2], 1, 1)


async def test_sessions_that_were_changed_at_one_moment_are_all_listed(journeys: Journeys) -> None:
    sessions, tenant = journeys.sessions, journeys.tenant_id
    async with journeys.worker():
        created = {await journeys.create_session() for _ in range(5)}
        await journeys.supabase.execute(
            "update public.chat_sessions set updated_at = now(), created_at = now() where tenant_id = $1", tenant
        )
        first = await sessions.list(tenant_id=tenant, limit=2)
        second = await sessions.list(tenant_id=tenant, limit=2, after=first.next)
        third = await sessions.list(tenant_id=tenant, limit=2, after=second.next)
    assert third.next is None
    listed = [session.chat_session_id for page in (first, second, third) for session in page.sessions]
    assert (len(listed), set(listed)) == (5, created)


async def test_one_session_that_somebody_edited_does_not_hide_the_others(journeys: Journeys) -> None:
    async with journeys.worker():
        edited, other = await journeys.create_session(), await journeys.create_session()
        await journeys.supabase.execute(
            'update public.chat_sessions set context = \'{"by": "hand"}\' where chat_session_id = $1', UUID(edited)
        )
        page = await journeys.sessions.list(tenant_id=journeys.tenant_id)
    assert [session.chat_session_id for session in page.sessions] == [edited, other]
    assert page.sessions[0].context_hash is None


@pytest.mark.parametrize(
    "edited",
    ["updated_at = 'infinity'", "updated_at = '-infinity'", "created_at = 'infinity'", "revision = 9007199254740992"],
)
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_a_session_that_cannot_be_read_is_left_out_of_a_list_and_hides_no_other(
    journeys: Journeys, edited: str, limit: int
) -> None:
    sessions, tenant = journeys.sessions, journeys.tenant_id
    async with journeys.worker():
        created = [await journeys.create_session() for _ in range(4)]
        for misfit in created[1:3]:
            await journeys.supabase.execute(
                f"update public.chat_sessions set {edited} where chat_session_id = $1", UUID(misfit)
            )
        page = await sessions.list(tenant_id=tenant, limit=limit)
        listed = [session.chat_session_id for session in page.sessions]
        while page.next:
            page = await sessions.list(tenant_id=tenant, limit=limit, after=page.next)
            listed += [session.chat_session_id for session in page.sessions]
        assert listed == [created[3], created[0]]
        with pytest.raises(InvalidParameter, match=edited.partition(" ")[0]):
            await sessions.get(created[1], tenant_id=tenant, at_revision=0)


@pytest.mark.parametrize("after", ["x", "WzEsMl0", "WyIyMDI2IiwiMjAyNiIsIngiXQ"])
async def test_what_is_no_cursor_of_a_list_is_refused(journeys: Journeys, after: str) -> None:
    async with journeys.worker():
        with pytest.raises(InvalidParameter) as refused:
            await journeys.sessions.list(tenant_id=journeys.tenant_id, after=after)
    assert refused.value.field == "after"
