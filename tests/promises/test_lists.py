"""The list of a user's or a tenant's sessions has each of them once, page by page."""

from uuid import UUID

import pytest

from journeys.errors import InvalidParameter
from tests.support.artifact import ARTIFACT
from tests.support.journeys import Journeys


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
