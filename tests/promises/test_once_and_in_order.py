"""Nothing acknowledged is lost, nothing is applied twice: whatever is sent again, and wherever a writer dies."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from temporalio.testing import ActivityEnvironment

from activities.chat_session import ChatSessionActivities
from journeys.chat_session.activities import SessionSettings, WriteChanges, WrittenChanges
from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.limits import Limits
from journeys.chat_session.messages import SignalChatContext
from journeys.chat_session.names import UPDATE
from journeys.chat_session.rules import Applied, Change, as_known, decide
from journeys.chat_session.session import ChatSessionArtifact, LedgerEntry
from journeys.state_surface import SurfaceArtifact
from stores.chat_sessions_supabase import ChatSessionsSupabase
from stores.state_surface_postgres import StateSurfacePostgres
from tests.support.journeys import PRODUCTION, REPLAYED, Journeys, Json, also_replayed
from tests.support.watching import assert_stored, refusal_code, until_revision

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
        # Who makes it, against what, and what is to be answered does not count.
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
        shown = (await journeys.get(session))["refusals"]
        assert [each["code"] for each in shown["last"]] == ["IDEMPOTENCY_CONFLICT"] * 2
        assert shown["count"] == 2
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
    """Temporal answers a known update ID to whoever asks, so the same request from another has to have another."""
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


# Where a writer may die: the activity alone, on the real stores.


def activities(journeys: Journeys, surface: StateSurfacePostgres | None = None) -> ChatSessionActivities:
    return ChatSessionActivities(
        ChatSessionsSupabase(journeys.supabase),
        surface or StateSurfacePostgres(journeys.state_surface),
        SessionSettings(idle_seconds=60, rollover_messages=500),
    )


async def write(journeys: Journeys, batch: WriteChanges, surface: StateSurfacePostgres | None = None) -> WrittenChanges:
    return await ActivityEnvironment().run(activities(journeys, surface).update_chat_context, batch)


async def create_sleeping_session(journeys: Journeys) -> ChatSessionArtifact:
    """Store a session in both stores; its journey sleeps, so that nobody else writes."""
    async with journeys.worker(idle_seconds=0):
        return ChatSessionArtifact.model_validate(await journeys.initialize())


def batch_of(session: ChatSessionArtifact, *requests: Json) -> WriteChanges:
    """The batch that a journey makes of requests."""
    after = session
    entries: list[LedgerEntry] = []
    keys = []
    for request in requests:
        message = SignalChatContext(tenant_id=session.tenant_id, **request)
        change = Change.of(message, message.idempotency_key or "")
        decision = decide(after, change, {entry.idempotency_key: as_known(entry) for entry in entries}, Limits(), now())
        assert isinstance(decision, Applied)
        after = decision.session
        entries.append(decision.entry)
        keys.append(change.key)
    return WriteChanges(base_revision=session.revision, keys=tuple(keys), entries=tuple(entries), session=after)


def now() -> datetime:
    return datetime.now(UTC)


class WriterDiedError(Exception):
    """The process is gone."""


class SurfaceNeverReached(StateSurfacePostgres):
    """Where a writer dies after Supabase and before the State Surface."""

    async def register(self, _: SurfaceArtifact) -> int:
        raise WriterDiedError

    async def update(self, _: SurfaceArtifact) -> int | None:
        raise WriterDiedError


def keyed(*keys: str) -> list[Json]:
    return [{"append": {"notes": [key]}, "idempotency_key": key} for key in keys]


async def test_a_batch_whose_reply_was_lost_is_written_once(journeys: Journeys) -> None:
    session = await create_sleeping_session(journeys)
    batch = batch_of(session, *keyed("a", "b", "c"))
    first = await write(journeys, batch)
    before = await journeys.row(session.chat_session_id), await journeys.ledger(session.chat_session_id)
    again = await write(journeys, batch)
    assert (first.outcome, again.outcome) == ("written", "written")
    assert before == (await journeys.row(session.chat_session_id), await journeys.ledger(session.chat_session_id))
    await assert_stored(journeys, session.chat_session_id, 3)


@pytest.mark.parametrize("registered", [True, False])
async def test_a_writer_that_dies_between_the_stores_is_made_up_for(journeys: Journeys, registered: bool) -> None:
    session = await create_sleeping_session(journeys)
    if not registered:
        await journeys.state_surface.execute(
            "delete from state_surface.artifacts where artifact_id = $1", UUID(session.chat_session_id)
        )
    batch = batch_of(session, *keyed("a", "b"))
    with pytest.raises(WriterDiedError):
        await write(journeys, batch, SurfaceNeverReached(journeys.state_surface))
    assert (await journeys.row(session.chat_session_id) or {})["revision"] == 2
    assert (await journeys.artifact(session.chat_session_id) or {"revision": 0})["revision"] == 0
    assert (await write(journeys, batch)).outcome == "written"
    await assert_stored(journeys, session.chat_session_id, 2)


async def test_what_another_left_between_the_stores_is_registered_before_it_is_answered(journeys: Journeys) -> None:
    """A duplicate and a no-op are acknowledged as well: both stores hold what they answer."""
    session = await create_sleeping_session(journeys)
    with pytest.raises(WriterDiedError):
        await write(journeys, batch_of(session, *keyed("a")), SurfaceNeverReached(journeys.state_surface))
    async with journeys.worker():
        answer = await journeys.update(session.chat_session_id, keyed("a")[0])
        assert (answer["applied_revision"], answer["duplicate"]) == (1, True)
        await assert_stored(journeys, session.chat_session_id, 1)


async def test_a_stale_writer_changes_nothing_and_is_told_what_is_stored(journeys: Journeys) -> None:
    session = await create_sleeping_session(journeys)
    await write(journeys, batch_of(session, *keyed("a")))
    before = await journeys.row(session.chat_session_id), await journeys.ledger(session.chat_session_id)
    outcome = await write(journeys, batch_of(session, *keyed("b", "c")))
    assert (outcome.outcome, outcome.known) == ("stopped", ())
    assert outcome.session is not None
    assert (outcome.session.revision, outcome.session.context) == (1, {"notes": ["a"]})
    assert before == (await journeys.row(session.chat_session_id), await journeys.ledger(session.chat_session_id))
    await assert_stored(journeys, session.chat_session_id, 1)


async def test_a_batch_with_a_known_key_is_not_written_at_all(journeys: Journeys) -> None:
    session = await create_sleeping_session(journeys)
    first = batch_of(session, *keyed("a", "b"))
    await write(journeys, first)
    outcome = await write(journeys, batch_of(first.session, *keyed("c", "b", "d")))
    assert outcome.outcome == "stopped"
    assert [(change.idempotency_key, change.revision) for change in outcome.known] == [("b", 2)]
    await assert_stored(journeys, session.chat_session_id, 2)
    # The same keys for other changes are no lost reply either.
    other = batch_of(session, *({"context": {"n": key}, "idempotency_key": key} for key in ("a", "b")))
    assert (await write(journeys, other)).outcome == "stopped"
    await assert_stored(journeys, session.chat_session_id, 2)


async def test_of_writers_on_one_base_exactly_one_wins(journeys: Journeys) -> None:
    session = await create_sleeping_session(journeys)
    for attempt in range(5):
        row = await journeys.row(session.chat_session_id)
        assert row is not None
        held = session.model_copy(
            update={name: row[name] for name in ("context", "context_hash", "revision", "updated_at")}
        )
        outcomes = await asyncio.gather(
            *(write(journeys, batch_of(held, *keyed(f"{attempt}/{writer}"))) for writer in range(4))
        )
        assert sorted(outcome.outcome for outcome in outcomes) == ["stopped", "stopped", "stopped", "written"]
        await assert_stored(journeys, session.chat_session_id, attempt + 1)


async def test_one_batch_in_several_hands_at_once_is_written_once(journeys: Journeys) -> None:
    """As where an attempt was given up for dead and lives."""
    session = await create_sleeping_session(journeys)
    batch = batch_of(session, *keyed("a", "b"))
    outcomes = await asyncio.gather(*(write(journeys, batch) for _ in range(4)))
    assert {outcome.outcome for outcome in outcomes} == {"written"}
    await assert_stored(journeys, session.chat_session_id, 2)


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
