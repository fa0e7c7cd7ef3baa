"""What a change does to the context, the ledger and the answer, whoever sends it."""

import asyncio
from datetime import datetime
from uuid import UUID

from tests.support.journeys import Journeys, Json, also_replayed
from tests.surface.plain_requests import (
    hashed,
)


@also_replayed
async def test_a_merge_patches_deeply(journeys: Journeys) -> None:
    context = {"keep": {"a": 1, "b": {"c": 2}}, "list": [1, 2], "gone": 1}
    async with journeys.worker():
        chat_session_id = await journeys.create_session(context=context)
        answer = await journeys.update(
            chat_session_id, {"context": {"keep": {"b": {"d": 3}}, "list": [3], "gone": None, "new": {"x": None}}}
        )
    assert answer["context"] == {"keep": {"a": 1, "b": {"c": 2, "d": 3}}, "list": [3], "new": {}}
    assert (answer["applied_revision"], answer["duplicate"]) == (1, False)


@also_replayed
async def test_an_append_adds_and_replaces_by_id(journeys: Journeys) -> None:
    context = {"messages": [{"id": "m1", "text": "old", "by": "user"}, "no id"]}
    sent = [{"id": "m2", "text": "first"}, {"id": "m1", "text": "new"}, {"id": "m2", "text": "last"}, {"id": 2}]
    async with journeys.worker():
        chat_session_id = await journeys.create_session(context=context)
        answer = await journeys.update(chat_session_id, {"append": {"messages": sent, "created": ["x"]}})
        again = await journeys.update(chat_session_id, {"append": {"messages": [{"id": "m1", "text": "new"}]}})
    assert answer["context"] == {
        "messages": [{"id": "m1", "text": "new"}, "no id", {"id": "m2", "text": "last"}, {"id": 2}],
        "created": ["x"],
    }
    assert again["context"] == answer["context"]
    assert again["revision"] == answer["revision"] + 1


async def test_an_append_meets_the_patched_context(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session(context={"list": [1]})
        answer = await journeys.update(chat_session_id, {"context": {"list": [2]}, "append": {"list": [3]}})
    assert answer["context"] == {"list": [2, 3]}


@also_replayed
async def test_the_conversation_is_handed_over(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        there = await journeys.update(chat_session_id, {"active_agent": "liaison_finance"})
        back = await journeys.update(chat_session_id, {"active_agent": "guide"})
        again = await journeys.update(chat_session_id, {"active_agent": "liaison_finance"})
        kept = await journeys.update(chat_session_id, {"context": {"a": 1}})
    assert [each["active_agent"] for each in (there, back, again, kept)] == [
        "liaison_finance",
        "guide",
        "liaison_finance",
        "liaison_finance",
    ]
    assert [each["applied_revision"] for each in (there, back, again, kept)] == [1, 2, 3, 4]


async def test_a_replacement_leaves_nothing_of_the_context(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session(context={"old": 1})
        answer = await journeys.update(
            chat_session_id, {"merge_strategy": "replace", "context": {"new": 2, "no": None}, "base_revision": 0}
        )
    assert answer["context"] == {"new": 2}
    assert answer["applied_revision"] == 1


@also_replayed
async def test_the_ledger_keeps_each_change_and_its_author(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        await journeys.update(
            chat_session_id, {"context": {"a": 1}, "author": "guide", "idempotency_key": "first"}, id="an update"
        )
        answer = await journeys.update(
            chat_session_id, {"append": {"list": [2]}, "active_agent": "liaison_hr", "base_revision": 1}, id="another"
        )
        signalled = {"context": {"b": 3}, "author": "liaison_hr", "base_revision": 2}
        await journeys.signal(chat_session_id, signalled)
        last = await journeys.update(chat_session_id, {}, id="the last")
        run_id = (await journeys.handle(chat_session_id).describe()).run_id
    merged = {"context": {"a": 1}, "append": None, "active_agent": None, "merge_strategy": "merge"}
    appended = {"context": None, "append": {"list": [2]}, "active_agent": "liaison_hr", "merge_strategy": "merge"}
    by_signal = {"context": {"b": 3}, "append": None, "active_agent": None, "merge_strategy": "merge"}
    nothing = by_signal | {"context": None}

    def key(state: Json) -> str:
        return hashed({"chat_session_id": chat_session_id, "context_hash": hashed(state)})

    first, second, third, fourth = await journeys.ledger(chat_session_id)
    assert first == {
        "chat_session_id": UUID(chat_session_id),
        "revision": 1,
        "idempotency_key": "first",
        "change": merged,
        "change_hash": hashed(merged),
        "author": "guide",
        "active_agent": "guide",
        "context_hash": hashed({"a": 1}),
        "applied_at": first["applied_at"],
        "message": f"{run_id}/an update",
        "turn": False,
    }
    assert second == {
        "chat_session_id": UUID(chat_session_id),
        "revision": 2,
        "idempotency_key": key({"author": None, "base_revision": 1, "change": appended}),
        "change": appended,
        "change_hash": hashed(appended),
        "author": None,
        "active_agent": "liaison_hr",
        "context_hash": hashed({"a": 1, "list": [2]}),
        "applied_at": datetime.fromisoformat(answer["updated_at"]),
        "message": f"{run_id}/another",
        "turn": False,
    }
    assert third["idempotency_key"] == key({"author": "liaison_hr", "base_revision": 2, "change": by_signal})
    assert (third["author"], third["message"]) == ("liaison_hr", f"{run_id}/1")
    assert fourth == fourth | {
        "revision": 4,
        "idempotency_key": key({"change": nothing, "message": "the last"}),
        "change": nothing,
        "context_hash": last["context_hash"],
        "message": f"{run_id}/the last",
    }


@also_replayed
async def test_a_change_sent_again_is_a_duplicate(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        change = {"context": {"a": 1}, "idempotency_key": "once"}
        first = await journeys.update(chat_session_id, change | {"returning": "receipt"})
        later = await journeys.update(chat_session_id, {"context": {"a": 2}, "active_agent": "liaison_hr"})
        receipt = await journeys.update(chat_session_id, change | {"returning": "receipt", "author": "someone"})
        artifact = await journeys.update(chat_session_id, change | {"base_revision": 0})
    assert receipt == first | {"duplicate": True}
    assert artifact == later | {"applied_revision": 1, "duplicate": True}
    assert len(await journeys.ledger(chat_session_id)) == 2


@also_replayed
async def test_without_a_key_the_base_makes_a_change_the_same(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        based = [await journeys.update(chat_session_id, {"context": {"a": 1}, "base_revision": 0}) for _ in range(2)]
        toggled = [await journeys.update(chat_session_id, {"context": {"a": each}}) for each in (2, 1, 2)]
    assert [each["duplicate"] for each in based] == [False, True]
    assert not any(each["duplicate"] for each in toggled)
    assert [each["applied_revision"] for each in based + toggled] == [1, 1, 2, 3, 4]


@also_replayed
async def test_a_change_that_changes_nothing_is_a_revision_all_the_same(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session(context={"flag": True})
        same = await journeys.update(chat_session_id, {"context": {"flag": True}, "active_agent": "guide"})
        nothing = await journeys.update(chat_session_id, {})
        based = await journeys.update(chat_session_id, {"base_revision": 2})
        other = await journeys.update(chat_session_id, {"context": {"flag": 1}})
        keyed = await journeys.update(chat_session_id, {"context": {"flag": 1}, "idempotency_key": "k"})
        again = await journeys.update(chat_session_id, {"context": {"flag": 1}, "idempotency_key": "k"})
    answers = [same, nothing, based, other, keyed]
    assert [each["revision"] for each in answers] == [each["applied_revision"] for each in answers] == [1, 2, 3, 4, 5]
    assert not any(each["duplicate"] for each in answers)
    assert again == keyed | {"duplicate": True}
    assert same["context_hash"] == nothing["context_hash"] == based["context_hash"] == hashed({"flag": True})
    assert other["context"]["flag"] is not True
    assert [entry["revision"] for entry in await journeys.ledger(chat_session_id)] == [1, 2, 3, 4, 5]


@also_replayed
async def test_a_change_is_answered_with_the_session_as_it_is_after_its_batch(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
    waiting = [
        asyncio.create_task(
            journeys.update(chat_session_id, {"append": {"list": [each]}, "returning": returning, "author": returning})
        )
        for each, returning in enumerate(["artifact", "receipt", "artifact", "receipt", "artifact"])
    ]
    async with journeys.worker():
        answers = [await update for update in waiting]
    assert sorted(each["applied_revision"] for each in answers) == [1, 2, 3, 4, 5]
    hashes = {entry["revision"]: entry["context_hash"] for entry in await journeys.ledger(chat_session_id)}
    for each, answer in enumerate(answers):
        assert answer["revision"] >= answer["applied_revision"]
        assert answer["context_hash"] == hashes[answer["revision"]]
        assert not answer["duplicate"]
        if "context" in answer:
            assert answer["context_hash"] == hashed(answer["context"])
            assert len(answer["context"]["list"]) == answer["revision"]
            assert each in answer["context"]["list"]
