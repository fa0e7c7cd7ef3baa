"""Nothing acknowledged is lost, nothing is applied twice, and all is in order, whatever is sent again."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.names import UPDATE
from tests.support.journeys import PRODUCTION, REPLAYED, Journeys, Json, also_replayed
from tests.support.watching import (
    assert_stored,
    refusal_code,
    unexpected_failed_tasks,
    until_refusals,
    until_revision,
    until_waiting,
)

A: Json = {"active_agent": "guide", "context": {"mood": "calm"}}
B: Json = {"active_agent": "liaison_finance", "context": {"mood": "busy"}}


@also_replayed
async def test_toggling_is_a_change_each_time_and_a_repetition_is_none(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        answers = [
            await journeys.update(session, change | {"base_revision": revision})
            for revision, change in enumerate([A, B, A])
        ]
        assert [(answer["applied_revision"], answer["duplicate"]) for answer in answers] == [
            (1, False),
            (2, False),
            (3, False),
        ]
        again = await journeys.update(session, A | {"base_revision": 2})
        assert (again["applied_revision"], again["duplicate"], again["revision"]) == (3, True, 3)
        first_again = await journeys.update(session, A | {"base_revision": 0})
        assert (first_again["applied_revision"], first_again["duplicate"]) == (1, True)
        row = await assert_stored(journeys, session, 3)
        assert (row["active_agent"], row["context"]) == ("guide", {"mood": "calm"})


async def test_toggling_without_key_and_base_is_a_change_each_time(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        for change in (A, B, A, B):
            await journeys.signal(session, change)
        answers = [await journeys.update(session, change) for change in (A, B, A)]
        assert [answer["applied_revision"] for answer in answers] == [5, 6, 7]
        await assert_stored(journeys, session, 7)


async def test_one_key_under_several_update_ids_is_one_change(journeys: Journeys) -> None:
    request: Json = {"append": {"notes": [1]}, "idempotency_key": "k"}
    async with journeys.worker():
        session = await journeys.create_session()
        answers = await asyncio.gather(*(journeys.update(session, request, id=f"delivery {n}") for n in range(5)))
        assert {answer["applied_revision"] for answer in answers} == {1}
        assert sorted(answer["duplicate"] for answer in answers) == [False, True, True, True, True]
        row = await assert_stored(journeys, session, 1)
        assert row["context"] == {"notes": [1]}


@pytest.mark.parametrize(("rollover", "mode"), [(500, REPLAYED), (1, PRODUCTION)], ids=str)
async def test_one_key_for_two_changes_is_a_conflict_and_changes_nothing(journeys: Journeys, rollover: int) -> None:
    async with journeys.worker(rollover_messages=rollover):
        session = await journeys.create_session()
        await journeys.update(session, A | {"idempotency_key": "k", "author": "user", "returning": "receipt"})
        assert await refusal_code(journeys.update(session, B | {"idempotency_key": "k"})) == "IDEMPOTENCY_CONFLICT"
        # The author, the base and the form of the answer do not count.
        again = await journeys.update(session, A | {"idempotency_key": "k", "author": "guide", "base_revision": 0})
        assert (again["applied_revision"], again["duplicate"]) == (1, True)
        await assert_stored(journeys, session, 1)


@also_replayed
async def test_one_key_for_two_changes_in_one_batch_is_a_conflict_as_well(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
    for number in (1, 2, 1, 3):  # while no worker is up, so that they come as one batch
        await journeys.signal(session, {"append": {"notes": [number]}, "idempotency_key": "k"})
    await journeys.signal(session, {"append": {"notes": [4]}, "idempotency_key": "l"})
    async with journeys.worker():
        row = await until_revision(journeys, session, 2)
        assert row["context"] == {"notes": [1, 4]}
        shown = await until_refusals(journeys, session, 2)
        assert [each["code"] for each in shown["last"]] == ["IDEMPOTENCY_CONFLICT"] * 2
        await assert_stored(journeys, session, 2)


async def test_keys_are_a_sessions_own(journeys: Journeys) -> None:
    other = journeys.request() | {"tenant_id": f"{journeys.tenant_id}-other"}
    async with journeys.worker():
        ours = await journeys.create_session()
        theirs = (await journeys.initialize(other))["chat_session_id"]
        for session, tenant_id in ((ours, journeys.tenant_id), (theirs, other["tenant_id"])):
            request = A | {"tenant_id": tenant_id, "idempotency_key": "k", "base_revision": 0}
            answer = await journeys.update(session, request, id="the same")
            assert (answer["tenant_id"], answer["applied_revision"], answer["duplicate"]) == (tenant_id, 1, False)


async def test_the_starters_update_ids_give_no_tenant_anothers_answer(journeys: Journeys) -> None:
    """Temporal answers a known update ID to any caller, so another caller's equal request needs another ID."""
    change: Any = {"context": {"mood": "calm"}, "idempotency_key": "k", "base_revision": 0}
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.sessions.update_context(session, tenant_id=journeys.tenant_id, **change)
        with pytest.raises(SessionNotFound):
            await journeys.sessions.update_context(session, tenant_id="another", **change)
        with pytest.raises(SessionNotFound):
            await journeys.sessions.update_context(session, tenant_id=journeys.tenant_id, user_id="another", **change)
        await assert_stored(journeys, session, 1)


async def test_the_ledger_says_of_every_revision_what_made_it(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        answers = [
            await journeys.update(session, {"append": {"notes": [1]}, "author": "user"}),
            await journeys.update(session, B | {"idempotency_key": "k", "author": "guide"}),
            await journeys.update(
                session, {"context": {"a": 1}, "merge_strategy": "replace", "base_revision": 2, "returning": "receipt"}
            ),
        ]
        await journeys.signal(session, {"context": {"a": 2}, "author": "liaison_finance"})
        await until_revision(journeys, session, 4)
        ledger = await journeys.ledger(session)
        assert [entry["author"] for entry in ledger] == ["user", "guide", None, "liaison_finance"]
        assert [entry["active_agent"] for entry in ledger] == ["guide", *["liaison_finance"] * 3]
        assert ledger[1]["idempotency_key"] == "k"
        assert ledger[0]["change"] == {
            "context": None,
            "append": {"notes": [1]},
            "active_agent": None,
            "merge_strategy": "merge",
        }
        for entry, answer in zip(ledger, answers, strict=False):
            assert entry["revision"] == answer["applied_revision"]
            assert entry["context_hash"] == answer["context_hash"]
            assert entry["applied_at"] == datetime.fromisoformat(answer["updated_at"])
        await assert_stored(journeys, session, 4)


@also_replayed
async def test_a_duplicates_receipt_is_as_it_was_and_its_artifact_as_it_is(journeys: Journeys) -> None:
    request = A | {"context": {"mood": "first"}, "idempotency_key": "k"}
    async with journeys.worker(rollover_messages=1):
        session = await journeys.create_session()
        first = await journeys.update(session, request | {"returning": "receipt"})
        later = await journeys.update(session, B)
        receipt = await journeys.update(session, request | {"returning": "receipt"})
        assert receipt == first | {"duplicate": True}
        artifact = await journeys.update(session, request)
        assert artifact == later | {"applied_revision": 1, "duplicate": True}


@also_replayed
async def test_a_clock_that_was_put_back_delays_messages_and_loses_none(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
    await journeys.supabase.execute(
        "update public.chat_sessions set decided_at = now() + interval '2 seconds' where chat_session_id = $1",
        UUID(session),
    )
    async with journeys.worker():  # it has to read the session
        await journeys.signal(session, {"append": {"notes": [1]}})
        answer = await journeys.update(session, {"append": {"notes": [2]}})
        assert (answer["applied_revision"], answer["context"]) == (2, {"notes": [1, 2]})
        await assert_stored(journeys, session, 2)
        assert not unexpected_failed_tasks(await journeys.events(session))


async def test_a_clock_that_was_put_back_by_far_costs_no_history_meanwhile(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
    later = "update public.chat_sessions set decided_at = now() + $2::interval where chat_session_id = $1"
    await journeys.supabase.execute(later, UUID(session), timedelta(hours=1))
    async with journeys.worker():
        await journeys.signal(session, {"append": {"notes": [1]}})
        waiting = await until_waiting(journeys, session, attempt=4)
        assert "clock" in waiting.last_failure.message
        assert len(await journeys.events(session)) < 20
        await journeys.supabase.execute(later, UUID(session), timedelta())
        await until_revision(journeys, session, 1)
        assert not unexpected_failed_tasks(await journeys.events(session))


async def test_messages_reach_the_stores_in_the_order_in_which_they_were_sent(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        handle = journeys.handle(session)
        for number in range(40):
            request = {"tenant_id": journeys.tenant_id, "append": {"notes": [number]}}
            if number % 4 == 3:
                await handle.execute_update(UPDATE, request)
            else:
                await handle.signal(UPDATE, request)
        row = await assert_stored(journeys, session, 40)
        assert row["context"]["notes"] == list(range(40))
