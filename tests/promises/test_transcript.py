"""The transcript: messages are added, replaced, removed and read, once and in order."""

import asyncio
import json
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid5

import pytest
from pydantic_core import from_json
from temporalio.client import ActivityFailureError, WorkflowUpdateFailedError

from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.limits import KIB, MAX_PAGE_BYTES
from journeys.cursors import encode_cursor
from journeys.errors import InvalidParameter
from tests.support.journeys import Journeys, Json, also_replayed, code_and_field, code_of
from tests.support.polling import eventually
from tests.support.watching import until_revision


async def read_transcript(journeys: Journeys, session: str) -> list[Json]:
    """The transcript in Supabase, in order."""
    rows = await journeys.supabase.fetch(
        "select * from public.chat_messages where chat_session_id = $1 order by first_revision, ordinal", UUID(session)
    )
    return [{**row, "body": from_json(row["body"])} for row in rows]


async def read_ids(journeys: Journeys, session: str) -> list[str]:
    return [row["message_id"] for row in await read_transcript(journeys, session)]


def owner_of(artifact: Json) -> str:
    return str(artifact["user_id"])


# Adding, replacing, removing.


@also_replayed
async def test_messages_are_added_in_order_and_the_context_is_left_alone(journeys: Journeys) -> None:
    async with journeys.worker():
        created = await journeys.initialize(journeys.request(context={"topic": "rent"}))
        session = created["chat_session_id"]
        change = {
            "messages": [{"id": "m1", "text": "Hello", "n": 1.5}, {"role": "tool", "id": "m2"}],
            "author": "guide",
        }
        answer = await journeys.update(session, change)
    assert answer["message_ids"] == ["m1", "m2"]
    assert (answer["message_count"], answer["revision"], answer["applied_revision"]) == (2, 1, 1)
    assert answer["context"] == {"topic": "rent"}
    assert answer["context_hash"] == created["context_hash"]
    first, second = await read_transcript(journeys, session)
    assert first["body"] == {"text": "Hello", "n": 1.5}
    assert second["body"] == {}
    assert [(row["first_revision"], row["ordinal"], row["revision"]) for row in (first, second)] == [
        (1, 0, 1),
        (1, 1, 1),
    ]
    assert [(row["role"], row["author"]) for row in (first, second)] == [(None, "guide"), ("tool", "guide")]
    row = await journeys.row(session)
    assert row
    assert row["message_count"] == 2
    assert first["created_at"] == first["updated_at"] == row["updated_at"]


async def test_a_message_without_an_id_gets_one_that_its_sender_can_derive(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        answer = await journeys.update(
            session, {"messages": [{"text": "a"}, {"id": "own"}, {"text": "b"}], "idempotency_key": "key"}
        )
    derived = [str(uuid5(UUID(session), f"key/{index}")) for index in (0, 2)]
    assert answer["message_ids"] == [derived[0], "own", derived[1]]
    assert await read_ids(journeys, session) == answer["message_ids"]


async def test_a_replacement_keeps_place_role_and_author(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.update(
            session, {"messages": [{"id": "a", "role": "tool", "text": 1}, {"id": "b"}], "author": "guide"}
        )
        before = await read_transcript(journeys, session)
        answer = await journeys.update(
            session, {"messages": [{"id": "a", "role": "other", "text": 2}], "author": "liaison_health"}
        )
    after = await read_transcript(journeys, session)
    assert answer["message_count"] == 2
    assert after[1] == before[1]
    kept = ("message_id", "first_revision", "ordinal", "role", "author", "created_at")
    assert {name: after[0][name] for name in kept} == {name: before[0][name] for name in kept}
    assert (after[0]["revision"], after[0]["body"]) == (2, {"text": 2})
    assert after[0]["updated_at"] > before[0]["updated_at"]
    assert after[0]["body_hash"] != before[0]["body_hash"]


async def test_a_removed_message_is_gone_and_a_new_place_is_for_one_that_comes_back(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.update(session, {"messages": [{"id": "a", "secret": "planted"}, {"id": "b"}, {"id": "c"}]})
        answer = await journeys.update(session, {"remove_messages": ["a", "unknown", "a"]})
        assert (answer["message_count"], "message_ids" in answer) == (2, False)
        assert await read_ids(journeys, session) == ["b", "c"]
        answer = await journeys.update(session, {"remove_messages": ["b"], "messages": [{"id": "b"}, {"id": "a"}]})
        assert (answer["message_count"], answer["message_ids"]) == (3, ["b", "a"])
    assert await read_ids(journeys, session) == ["c", "b", "a"]
    assert [row["first_revision"] for row in await read_transcript(journeys, session)] == [1, 3, 3]


async def test_the_ledger_holds_ids_and_hashes_and_never_a_body(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.update(session, {"messages": [{"id": "a", "text": "planted"}]})
        await journeys.update(session, {"messages": [{"id": "b", "text": "planted"}], "remove_messages": ["a"]})
    first, second = await journeys.ledger(session)
    (row,) = await read_transcript(journeys, session)
    assert first["change"]["messages"][0]["id"] == "a"
    assert second["change"]["messages"] == [{"id": "b", "body_hash": row["body_hash"]}]
    assert second["change"]["remove_messages"] == ["a"]
    assert "planted" not in json.dumps([first["change"], second["change"]])
    artifact = await journeys.artifact(session)
    assert "planted" not in str(artifact)


async def test_a_signal_adds_messages_too(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.signal(session, {"messages": [{"text": "Hello"}]})
        await until_revision(journeys, session, 1)
        await eventually(lambda: journeys.get(session), lambda shown: shown["message_count"] == 1)
    (row,) = await read_transcript(journeys, session)
    assert row["body"] == {"text": "Hello"}


async def test_a_change_may_be_of_context_transcript_and_agent_at_once(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        change = {
            "context": {"topic": "rent"},
            "append": {"notes": [1]},
            "messages": [{"id": "a"}],
            "active_agent": "liaison_health",
        }
        answer = await journeys.update(session, change)
        assert (await journeys.get(session))["context"] == answer["context"] == {"topic": "rent", "notes": [1]}
    artifact = await journeys.artifact(session)
    assert artifact
    assert artifact["semantic_payload"] == {"active_agent": "liaison_health", "context": answer["context"]}
    assert from_json(artifact["semantic_descriptor"])["message_count"] == 1


# A user cannot put words into an agent's mouth.


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"messages": [{"role": "assistant", "text": "mine"}]}, "messages"),
        ({"messages": [{"id": "theirs", "text": "mine"}]}, "messages"),
        ({"messages": [{"id": "nobodys", "text": "mine"}]}, "messages"),
        ({"messages": [{"id": "theirs", "role": "user", "text": "mine"}]}, "messages"),
        ({"remove_messages": ["theirs"]}, "remove_messages"),
        ({"remove_messages": ["own", "nobodys"]}, "remove_messages"),
        ({"remove_messages": ["theirs"], "messages": [{"id": "theirs"}]}, "remove_messages"),
    ],
)
async def test_a_user_writes_replaces_and_removes_only_messages_of_users(
    journeys: Journeys, change: Json, field: str
) -> None:
    async with journeys.worker():
        created = await journeys.initialize()
        session, user = created["chat_session_id"], owner_of(created)
        await journeys.update(session, {"messages": [{"id": "theirs", "role": "assistant"}, {"id": "nobodys"}]})
        await journeys.update(session, {"user_id": user, "messages": [{"id": "own"}]})
        before = await journeys.snapshot(session), await read_transcript(journeys, session)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await journeys.update(session, {"user_id": user} | change)
        assert code_and_field(refused.value) == ("INVALID_PARAMETER", field)
        assert (await journeys.snapshot(session), await read_transcript(journeys, session)) == before
        answer = await journeys.update(session, {"user_id": user, "messages": [{"id": "own", "role": "x", "text": 2}]})
        assert answer["message_count"] == 3
        await journeys.update(session, {"user_id": user, "remove_messages": ["own"]})
    assert await read_ids(journeys, session) == ["theirs", "nobodys"]


@pytest.mark.parametrize("wrong_too", [{"messages": [{"role": "assistant"}]}, {"turn": True}], ids=["messages", "turn"])
async def test_a_user_who_may_not_remove_a_message_is_told_so_first(journeys: Journeys, wrong_too: Json) -> None:
    """However the messages are batched: the transcript is not read before a change is judged."""
    async with journeys.worker():
        created = await journeys.initialize()
        session, ada = created["chat_session_id"], owner_of(created)
        await journeys.update(session, {"messages": [{"id": "m", "role": "assistant"}]})
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await journeys.update(session, {"user_id": ada, "remove_messages": ["m"]} | wrong_too)
        assert code_and_field(refused.value) == ("INVALID_PARAMETER", "remove_messages")


async def test_a_user_cannot_lie_in_wait_under_the_id_that_an_answer_will_get(journeys: Journeys) -> None:
    """Otherwise the agent's answer would be shown as the user's own words."""
    async with journeys.worker():
        created = await journeys.initialize()
        session, user = created["chat_session_id"], owner_of(created)
        taken = str(uuid5(UUID(session), "answer/0"))
        await journeys.update(session, {"user_id": user, "messages": [{"id": taken, "text": "mine"}]})
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await journeys.update(session, {"idempotency_key": "answer", "messages": [{"text": "the agent's"}]})
        assert code_and_field(refused.value) == ("INVALID_PARAMETER", "messages")
    assert [row["body"] for row in await read_transcript(journeys, session)] == [{"text": "mine"}]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{}] * 101}, "messages"),
        ({"messages": ["text"]}, "messages"),
        ({"messages": [{"id": ""}]}, "messages"),
        ({"messages": [{"id": "x" * 129}]}, "messages"),
        ({"messages": [{"id": 1}]}, "messages"),
        ({"messages": [{"role": ""}]}, "messages"),
        ({"messages": [{"role": "x" * 65}]}, "messages"),
        ({"messages": [{"id": "a"}, {"id": "a"}]}, "messages"),
        ({"messages": {"id": "a"}}, "messages"),
        ({"remove_messages": []}, "remove_messages"),
        ({"remove_messages": ["x"] * 101}, "remove_messages"),
        ({"remove_messages": [""]}, "remove_messages"),
        ({"remove_messages": [1]}, "remove_messages"),
    ],
)
async def test_what_is_no_message_is_refused_before_it_is_sent(journeys: Journeys, change: Any, field: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        await journeys.sessions.update_context(str(UUID(int=1)), tenant_id=journeys.tenant_id, **change)
    assert refused.value.field == field


# Once, and in order.


async def test_a_repeated_change_adds_nothing_and_is_told_its_ids(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        change = {"messages": [{"text": "a"}, {"text": "b"}], "idempotency_key": "key", "returning": "receipt"}
        first = await journeys.update(session, change)
        await journeys.update(session, {"messages": [{"text": "c"}]})
        again = await journeys.update(session, change)
        assert (again["duplicate"], again["revision"], again["message_count"]) == (True, 1, 3)
        assert again["message_ids"] == first["message_ids"]
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await journeys.update(session, change | {"messages": [{"text": "a"}, {"text": "other"}]})
        assert code_of(refused.value) == "IDEMPOTENCY_CONFLICT"
    assert len(await read_transcript(journeys, session)) == 3


async def test_many_writers_at_once_add_all_their_messages_once(journeys: Journeys) -> None:
    async with journeys.worker(rollover_messages=20):
        session = await journeys.create_session()
        say = journeys.sessions_within(timedelta(seconds=60)).update_context
        tenant = journeys.tenant_id
        await asyncio.gather(
            *(say(session, tenant_id=tenant, messages=[{"id": f"{n}", "n": n}, {"n": n}]) for n in range(40))
        )
    rows = await read_transcript(journeys, session)
    assert sorted(row["body"]["n"] for row in rows) == sorted([*range(40)] * 2)
    assert all((a["first_revision"], a["ordinal"]) < (b["first_revision"], b["ordinal"]) for a, b in pairwise(rows))
    row = await journeys.row(session)
    assert row
    assert (row["message_count"], row["revision"]) == (80, 40)


async def test_a_batch_writes_each_message_at_most_once(journeys: Journeys) -> None:
    """Signals that wait for a worker are decided as one batch."""
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.update(session, {"messages": [{"id": "old", "n": 0}, {"id": "gone"}, {"id": "back"}]})
    changes: list[Json] = [
        {"messages": [{"id": "new", "n": 1}, {"id": "brief"}]},
        {"messages": [{"id": "new", "n": 2}, {"id": "old", "n": 1}]},
        {"remove_messages": ["brief", "gone", "back"]},
        {"messages": [{"id": "old", "n": 2}, {"id": "back", "n": 9}]},
    ]
    for change in changes:
        await journeys.signal(session, change)
    async with journeys.worker():
        await until_revision(journeys, session, 5)
    rows = await read_transcript(journeys, session)
    assert [(row["message_id"], row["first_revision"], row["revision"], row["body"]) for row in rows] == [
        ("old", 1, 5, {"n": 2}),
        ("new", 2, 3, {"n": 2}),
        ("back", 5, 5, {"n": 9}),
    ]
    row = await journeys.row(session)
    assert row
    assert row["message_count"] == 3
    versions = await journeys.supabase.fetch(
        "select distinct xmin::text from public.chat_messages where chat_session_id = $1", UUID(session)
    )
    assert len(versions) == 1


# A message costs by its own size, not by what is stored already.


async def test_a_message_writes_the_context_in_neither_store(journeys: Journeys) -> None:
    """A large value that a statement does not name keeps its TOAST chunk."""
    large = {"notes": ["".join(f"{n:x}" for n in range(9000, 40_000))]}
    where = "select pg_column_toast_chunk_id({column}) from {table} where {key} = $1"
    places = (
        (journeys.supabase, where.format(column="context", table="public.chat_sessions", key="chat_session_id")),
        (
            journeys.state_surface,
            where.format(column="semantic_payload", table="state_surface.artifacts", key="artifact_id"),
        ),
    )

    async def chunks(session: str) -> list[Any]:
        return [await pool.fetchval(query, UUID(session)) for pool, query in places]

    async with journeys.worker():
        session = await journeys.create_session(context=large)
        before = await chunks(session)
        assert None not in before
        await journeys.update(session, {"messages": [{"text": "Hello"}], "context": {}})
        await journeys.update(session, {"context": {"notes": large["notes"]}})
        assert await chunks(session) == before
        await journeys.update(session, {"context": {"more": 1}})
        assert all(a != b for a, b in zip(await chunks(session), before, strict=True))
    artifact = await journeys.artifact(session)
    assert artifact
    assert artifact["revision"] == 3


async def test_a_state_surface_that_is_not_where_it_was_gets_all_of_the_artifact(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session(context={"topic": "rent"})
        await journeys.update(session, {"context": {"n": 1}})
        await journeys.state_surface.execute(
            "update state_surface.artifacts set revision = 0, semantic_payload = '{}' where artifact_id = $1",
            UUID(session),
        )
        await journeys.update(session, {"messages": [{"text": "Hello"}]})
    artifact = await journeys.artifact(session)
    assert artifact
    assert artifact["revision"] == 2
    assert artifact["semantic_payload"] == {"active_agent": "guide", "context": {"topic": "rent", "n": 1}}


# Pages.


async def test_pages_hold_every_message_once_in_either_direction(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        for start in range(0, 25, 5):
            await journeys.update(session, {"messages": [{"id": f"{start + n}"} for n in range(5)]})
        everything = [str(n) for n in range(25)]

        async def read(**more: Any) -> tuple[list[str], str | None, str | None]:
            page = await journeys.sessions.messages(session, tenant_id=journeys.tenant_id, limit=7, **more)
            return [message.id for message in page.messages], page.older, page.newer

        backward, older, newer = await read()
        assert (backward, newer) == (everything[-7:], None)
        while older:
            page, older, newer = await read(before=older)
            assert newer
            backward = page + backward
        assert backward == everything
        forward = page
        assert older is None
        while newer:
            page, older, newer = await read(after=newer)
            assert older
            forward = forward + page
        assert forward == everything


async def test_a_cursor_outlives_its_message(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.update(session, {"messages": [{"id": str(n)} for n in range(4)]})
        sessions, tenant = journeys.sessions, journeys.tenant_id
        page = await sessions.messages(session, tenant_id=tenant, limit=2)
        await journeys.update(session, {"remove_messages": ["2"]})
        older = await sessions.messages(session, tenant_id=tenant, before=page.older)
        assert ([message.id for message in older.messages], older.older) == (["0", "1"], None)
        newer = await sessions.messages(session, tenant_id=tenant, after=older.newer)
        assert [message.id for message in newer.messages] == ["3"]
        none_before = await sessions.messages(session, tenant_id=tenant, before=encode_cursor(1, 0))
        assert (none_before.messages, none_before.older) == ((), None)
        first = await sessions.messages(session, tenant_id=tenant, after=none_before.newer)
        assert [message.id for message in first.messages] == ["0", "1", "3"]
        await journeys.update(session, {"remove_messages": ["0", "1", "3"]})
        empty = await sessions.messages(session, tenant_id=tenant, after=older.newer)
        assert (empty.messages, empty.older, empty.newer) == ((), None, None)


async def test_a_page_has_at_most_768_kib_and_at_least_one_message(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        for n in range(9):
            await journeys.update(
                session, {"messages": [{"id": str(n), "text": "x" * 120 * KIB}], "returning": "receipt"}
            )
        page = await journeys.sessions.messages(session, tenant_id=journeys.tenant_id)
        assert [message.id for message in page.messages] == ["3", "4", "5", "6", "7", "8"]
        assert MAX_PAGE_BYTES / 2 < len(page.model_dump_json().encode()) <= MAX_PAGE_BYTES
        rest = await journeys.sessions.messages(session, tenant_id=journeys.tenant_id, before=page.older)
        assert [message.id for message in rest.messages] == ["0", "1", "2"]
        await journeys.supabase.execute(
            "update public.chat_messages set body = jsonb_build_object('text', repeat('x', 1000000)) "
            "where chat_session_id = $1 and message_id = '8'",
            UUID(session),
        )
        page = await journeys.sessions.messages(session, tenant_id=journeys.tenant_id)
        assert [message.id for message in page.messages] == ["8"]


async def test_a_page_shows_what_was_said_and_by_whom(journeys: Journeys) -> None:
    async with journeys.worker():
        created = await journeys.initialize()
        session, user = created["chat_session_id"], owner_of(created)
        await journeys.update(session, {"user_id": user, "author": "user", "messages": [{"id": "a", "text": "Hello"}]})
        page = await journeys.sessions.messages(session, tenant_id=journeys.tenant_id, user_id=user)
    (message,) = page.messages
    (row,) = await read_transcript(journeys, session)
    assert dict(message) == {
        "id": "a",
        "role": "user",
        "author": "user",
        "revision": 1,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "body": {"text": "Hello"},
    }


async def test_a_stranger_is_told_of_no_transcript(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.update(session, {"messages": [{"text": "private"}]})
        read = journeys.sessions.messages
        with pytest.raises(SessionNotFound):
            await read(session, tenant_id="another")
        with pytest.raises(SessionNotFound):
            await read(session, tenant_id=journeys.tenant_id, user_id="another")
        with pytest.raises(SessionNotFound):
            await read(str(UUID(int=1)), tenant_id=journeys.tenant_id)


@pytest.mark.parametrize("cursor", ["", "x", "WzEsMl0x", "WzEsMiwzXQ", "WyItMSIsMF0", "WzFlOTksMF0", "ü", "A" * 600])
async def test_what_is_no_cursor_is_refused(journeys: Journeys, cursor: str) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        for field in ("before", "after"):
            with pytest.raises(InvalidParameter) as refused:
                await journeys.sessions.messages(session, tenant_id=journeys.tenant_id, **{field: cursor})  # type: ignore[arg-type]
            assert refused.value.field == field
        with pytest.raises(InvalidParameter):
            await journeys.sessions.messages(session, tenant_id=journeys.tenant_id, before="WzEsMl0", after="WzEsMl0")


async def test_the_activity_answers_to_any_client(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.update(session, {"messages": [{"id": "a", "role": "tool", "text": "Hello"}]})
        page = await journeys.run_activity(
            "get_chat_messages", {"tenant_id": journeys.tenant_id, "chat_session_id": session}
        )
        assert set(page) == {"messages", "older", "newer"}
        assert set(page["messages"][0]) == {"id", "role", "author", "revision", "created_at", "updated_at", "body"}
        with pytest.raises(ActivityFailureError) as refused:
            await journeys.run_activity("get_chat_messages", {"tenant_id": "x", "chat_session_id": session})
        assert code_of(refused.value) == "SESSION_NOT_FOUND"
