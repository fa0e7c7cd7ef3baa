"""Nothing acknowledged is lost, nothing is applied twice: whatever is sent again, and wherever a writer dies."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any
from uuid import UUID

import pytest
from pydantic_core import to_json
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.agent_turns import AgentTurns
from activities.chat_session import ChatSessionActivities
from journeys.canonical_json import canonical
from journeys.chat_session.activities import Batch, DecidedBatch, MessageKind, ReceivedMessage, SessionSettings
from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.limits import Limits
from journeys.chat_session.messages import SignalChatContext
from journeys.chat_session.names import JOURNEY_ID, UPDATE, workflow_id
from journeys.chat_session.rules import Applied, Change, Draft, as_known, decide
from journeys.chat_session.session import ChatSessionArtifact, WrittenEntry
from journeys.state_surface import SurfaceArtifact
from stores.chat_session_reads import ChatSessionReads
from stores.chat_sessions_supabase import ChatSessionsSupabase, WriteOutcome
from stores.deletions_supabase import DeletionsSupabase
from stores.state_surface_postgres import StateSurfacePostgres
from tests.support.journeys import PRODUCTION, REPLAYED, Journeys, Json, also_replayed
from tests.support.watching import assert_stored, refusal_code, unexpected_failed_tasks, until_revision, until_waiting

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


# Where a writer may die: the activity alone, on the real stores.

Message = tuple[str, Json]
"""A message's identity, and its request."""


class Writer:
    """A worker's activities, as the journey of one session runs them; `heartbeats` counts their heartbeats."""

    def __init__(self, journeys: Journeys, surface: StateSurfacePostgres | None = None) -> None:
        self._tenant_id = journeys.tenant_id
        self.heartbeats = 0
        self._activities = ChatSessionActivities(
            ChatSessionsSupabase(journeys.supabase),
            ChatSessionReads(journeys.supabase),
            DeletionsSupabase(journeys.supabase),
            surface or StateSurfacePostgres(journeys.state_surface),
            AgentTurns(agents=frozenset({"guide"}), timeout=timedelta(seconds=60)),
            SessionSettings(idle_seconds=60, rollover_messages=500),
        )

    @property
    def writing(self) -> Sequence[Callable[..., Any]]:
        """The activities that write."""
        own = self._activities
        return own.initialize_chat_session, own.load_chat_session, own.update_chat_context

    async def decide(
        self,
        session: ChatSessionArtifact,
        *messages: Message,
        kind: MessageKind | Sequence[MessageKind] = "update",
        at: datetime | None = None,
        attempt: int = 1,
    ) -> DecidedBatch:
        """Decide a batch as the journey of a session hands it over.

        Args:
            session: The session as its journey knows it.
            *messages: The batch.
            kind: The kind of all messages, or a kind for each.
            at: When the batch was begun.
            attempt: The number of the activity's attempt.
        """
        kinds = repeat(kind) if isinstance(kind, str) else kind
        batch = Batch(
            first_run_id="first",
            at=at or datetime.now(UTC),
            messages=tuple(
                ReceivedMessage(identity=identity, kind=each)
                for (identity, _), each in zip(messages, kinds, strict=False)
            ),
            revision=session.revision,
            context_hash=session.context_hash,
        )
        requests = [{"tenant_id": self._tenant_id} | request for _, request in messages]
        environment = ActivityEnvironment()
        environment.info = replace(
            environment.info,
            workflow_id=workflow_id(session.chat_session_id),
            workflow_type=JOURNEY_ID,
            attempt=attempt,
            current_attempt_scheduled_time=datetime.now(UTC) + timedelta(minutes=1),  # after every time in these tests
        )
        environment.on_heartbeat = self._count_heartbeat
        decided: DecidedBatch = await environment.run(
            self._activities.update_chat_context, *(raw(each) for each in (batch, *requests))
        )
        return decided

    def _count_heartbeat(self) -> None:
        self.heartbeats += 1


def raw(value: object) -> RawValue:
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=to_json(value)))


def applied(decided: DecidedBatch) -> list[tuple[int | None, bool]]:
    """Each message's revision, and whether it is a duplicate; checks that none was refused."""
    assert not [outcome.refused for outcome in decided.outcomes if outcome.refused]
    return [(outcome.revision, outcome.duplicate) for outcome in decided.outcomes]


def codes(decided: DecidedBatch) -> list[str | None]:
    return [outcome.refused.code if outcome.refused else None for outcome in decided.outcomes]


async def create_sleeping_session(journeys: Journeys) -> ChatSessionArtifact:
    """Store a session in both stores; its journey sleeps, so that nobody else writes."""
    async with journeys.worker(idle_seconds=0):
        return ChatSessionArtifact.model_validate(await journeys.initialize())


async def as_stored(journeys: Journeys, session: ChatSessionArtifact) -> ChatSessionArtifact:
    row = await journeys.row(session.chat_session_id)
    assert row is not None
    names = ("active_agent", "context", "context_hash", "lifecycle_state", "message_count", "revision", "updated_at")
    return session.model_copy(update={name: row[name] for name in names})


class WriterDiedError(Exception):
    """The process is gone."""


class SurfaceNeverReached(StateSurfacePostgres):
    """A writer of changes dies after Supabase and before this State Surface; it still registers revision 0."""

    async def update(self, artifact: SurfaceArtifact, *, payload_since: int | None = None) -> int | None:
        if artifact.revision:
            raise WriterDiedError
        return await super().update(artifact, payload_since=payload_since)


def keyed(*keys: str) -> list[Message]:
    """Messages with keys of their own, that add a note each."""
    return [(f"run/{key}", {"append": {"notes": [key]}, "idempotency_key": key}) for key in keys]


def keyless(*names: str) -> list[Message]:
    """Messages that differ in their identity alone."""
    return [(f"run/{name}", {"append": {"notes": [0]}}) for name in names]


def on_a_base(*_: str) -> list[Message]:
    """Messages that each name as their base the revision that the message before them makes."""
    return [(f"run/{base}", {"append": {"notes": [0]}, "base_revision": base}) for base in range(3)]


def said(*names: str) -> list[Message]:
    """Messages for the transcript: each adds one, and the first is replaced by the later ones."""
    return [(f"run/{name}", {"messages": [{"text": name}, {"id": "the first", "by": name}]}) for name in names]


@pytest.mark.parametrize("kind", [keyed, keyless, on_a_base, said])
@pytest.mark.parametrize("again_by", ["the same worker", "another worker"])
async def test_a_batch_whose_reply_was_lost_is_written_once(journeys: Journeys, kind: Any, again_by: str) -> None:
    session = await create_sleeping_session(journeys)
    messages = kind("a", "b", "c")
    writer = Writer(journeys)
    first = await writer.decide(session, *messages)
    before = await journeys.snapshot(session.chat_session_id)
    again = await (writer if again_by == "the same worker" else Writer(journeys)).decide(session, *messages)
    # The journey never got the first reply, so to the journey these are no duplicates.
    assert applied(first) == applied(again) == [(1, False), (2, False), (3, False)]
    assert again.loaded
    assert again.loaded == await as_stored(journeys, session)
    assert await journeys.snapshot(session.chat_session_id) == before
    assert [outcome.known.message_ids if outcome.known else outcome.message_ids for outcome in again.outcomes] == [
        outcome.message_ids for outcome in first.outcomes
    ]
    await assert_stored(journeys, session.chat_session_id, 3)


async def test_a_change_whose_reply_was_lost_is_its_senders_although_the_session_was_given_away(
    journeys: Journeys,
) -> None:
    session = await create_sleeping_session(journeys)
    change: Json = {"context": {"a": 1}, "user_id": session.user_id}
    first = await Writer(journeys).decide(session, ("run/a", change))
    given = ("run/b", {"new_user_id": "another"})
    await Writer(journeys).decide(await as_stored(journeys, session), given, kind="edit")
    before = await journeys.snapshot(session.chat_session_id)
    again = await Writer(journeys).decide(session, ("run/a", change))
    assert applied(first) == applied(again) == [(1, False)]
    # Sent anew, it is another message, of a user who no longer owns the session.
    anew = await Writer(journeys).decide(session, ("another run/a", change | {"idempotency_key": "k"}))
    assert codes(anew) == ["SESSION_NOT_FOUND"]
    assert await journeys.snapshot(session.chat_session_id) == before


async def test_a_writer_of_messages_that_dies_between_the_stores_is_made_up_for(journeys: Journeys) -> None:
    """The write that never happened would have left out the payload, so the next write sends it."""
    session = await create_sleeping_session(journeys)
    with pytest.raises(WriterDiedError):
        await Writer(journeys, SurfaceNeverReached(journeys.state_surface)).decide(session, *said("a"))
    decided = await Writer(journeys).decide(session, *said("a", "b"))
    assert applied(decided) == [(1, False), (2, False)]
    snapshot = await journeys.snapshot(session.chat_session_id)
    assert len(snapshot["messages"]) == 3
    await assert_stored(journeys, session.chat_session_id, 2)


@pytest.mark.parametrize("registered", [True, False])
async def test_a_writer_that_dies_between_the_stores_is_made_up_for(journeys: Journeys, registered: bool) -> None:
    session = await create_sleeping_session(journeys)
    if not registered:
        await journeys.state_surface.execute(
            "delete from state_surface.artifacts where artifact_id = $1", UUID(session.chat_session_id)
        )
    messages = keyed("a", "b")
    with pytest.raises(WriterDiedError):
        await Writer(journeys, SurfaceNeverReached(journeys.state_surface)).decide(session, *messages)
    assert (await journeys.row(session.chat_session_id) or {})["revision"] == 2
    assert (await journeys.artifact(session.chat_session_id) or {"revision": 0})["revision"] == 0
    assert applied(await Writer(journeys).decide(session, *messages)) == [(1, False), (2, False)]
    await assert_stored(journeys, session.chat_session_id, 2)


async def test_a_worker_that_reached_one_store_only_does_not_answer_from_its_memory(journeys: Journeys) -> None:
    """The worker's cache holds the session after the first batch; of the failed batch, only the ledger knows."""

    class SurfaceAway(StateSurfacePostgres):
        is_away = False

        async def update(self, artifact: SurfaceArtifact, *, payload_since: int | None = None) -> int | None:
            if self.is_away:
                raise WriterDiedError
            return await super().update(artifact, payload_since=payload_since)

    session = await create_sleeping_session(journeys)
    surface = SurfaceAway(journeys.state_surface)
    writer = Writer(journeys, surface)
    assert applied(await writer.decide(session, *keyed("a"))) == [(1, False)]
    remembered = await as_stored(journeys, session)
    surface.is_away = True
    with pytest.raises(WriterDiedError):
        await writer.decide(remembered, *keyed("b"))
    with pytest.raises(WriterDiedError):
        await writer.decide(remembered, *keyed("b"))
    with pytest.raises(WriterDiedError):
        await writer.decide(remembered, ("run/again", keyed("b")[0][1]))
    surface.is_away = False
    assert applied(await writer.decide(remembered, *keyed("b"))) == [(2, False)]
    await assert_stored(journeys, session.chat_session_id, 2)


@pytest.mark.parametrize("request_", [keyed("a")[0][1], {}], ids=["duplicate", "no-op"])
async def test_what_another_left_between_the_stores_is_registered_before_it_is_answered(
    journeys: Journeys, request_: Json
) -> None:
    """A duplicate is acknowledged as well, so both stores must hold it by then."""
    session = await create_sleeping_session(journeys)
    with pytest.raises(WriterDiedError):
        await Writer(journeys, SurfaceNeverReached(journeys.state_surface)).decide(session, *keyed("a"))
    async with journeys.worker():
        answer = await journeys.update(session.chat_session_id, request_)
        told = (1, True) if request_ else (2, False)
        assert (answer["applied_revision"], answer["duplicate"]) == told
        await assert_stored(journeys, session.chat_session_id, told[0])


async def test_what_a_stale_journey_hands_over_is_made_to_what_is_stored(journeys: Journeys) -> None:
    session = await create_sleeping_session(journeys)
    await Writer(journeys).decide(session, *keyed("a"))
    decided = await Writer(journeys).decide(session, *keyed("b", "c"))
    assert applied(decided) == [(2, False), (3, False)]
    assert decided.loaded is not None
    assert (decided.loaded.revision, decided.loaded.context) == (3, {"notes": ["a", "b", "c"]})
    await assert_stored(journeys, session.chat_session_id, 3)


async def test_a_worker_that_remembers_an_older_session_judges_by_what_is_stored(journeys: Journeys) -> None:
    """Also if it writes nothing, so that no compare-and-set would notice."""
    session = await create_sleeping_session(journeys)
    stale = Writer(journeys)
    await stale.decide(session, *keyed("a"))
    remembered = await as_stored(journeys, session)
    await Writer(journeys).decide(remembered, ("run/b", {"context": {"notes": "no list"}}))
    before = await journeys.snapshot(session.chat_session_id)

    on_what_is_remembered = await stale.decide(remembered, ("run/c", {"base_revision": 1, "context": {"c": 1}}))
    assert codes(on_what_is_remembered) == ["REVISION_CONFLICT"]
    no_array = await stale.decide(remembered, ("run/d", {"append": {"notes": [1]}}))
    assert codes(no_array) == ["INVALID_PARAMETER"]
    assert await journeys.snapshot(session.chat_session_id) == before

    ((_, again),) = keyed("a")
    duplicate = await stale.decide(remembered, ("run/e", again))
    assert applied(duplicate) == [(1, True)]
    assert duplicate.loaded
    assert duplicate.loaded.revision == 2
    on_what_is_stored = await stale.decide(remembered, ("run/f", {"base_revision": 2, "context": {"f": 1}}))
    assert applied(on_what_is_stored) == [(3, False)]
    await assert_stored(journeys, session.chat_session_id, 3)


async def test_of_a_batch_with_a_known_key_the_rest_is_written(journeys: Journeys) -> None:
    session = await create_sleeping_session(journeys)
    await Writer(journeys).decide(session, *keyed("a", "b"))
    base = await as_stored(journeys, session)
    ((_, b),) = keyed("b")
    decided = await Writer(journeys).decide(base, *keyed("c"), ("another run/b", b), *keyed("d"))
    assert applied(decided) == [(3, False), (2, True), (4, False)]
    row = await assert_stored(journeys, session.chat_session_id, 4)
    assert row["context"] == {"notes": ["a", "b", "c", "d"]}
    # The same keys with other changes are conflicts, and no lost reply.
    others: list[Message] = [(f"run/{key}", {"context": {"n": key}, "idempotency_key": key}) for key in ("a", "b")]
    assert codes(await Writer(journeys).decide(session, *others)) == ["IDEMPOTENCY_CONFLICT"] * 2
    await assert_stored(journeys, session.chat_session_id, 4)


async def test_several_writers_at_once_make_one_ledger(journeys: Journeys) -> None:
    session = await create_sleeping_session(journeys)
    for attempt in range(5):
        held, begun = await as_stored(journeys, session), datetime.now(UTC)
        decided = await asyncio.gather(
            *(Writer(journeys).decide(held, *keyed(f"{attempt}/{number}"), at=begun) for number in range(4))
        )
        ((first, _),), ((second, _),), ((third, _),), ((fourth, _),) = map(applied, decided)
        revisions = [number for number in (first, second, third, fourth) if number is not None]
        assert sorted(revisions) == list(range(4 * attempt + 1, 4 * attempt + 5))
        row = await assert_stored(journeys, session.chat_session_id, 4 * attempt + 4)
        notes = {revision: f"{attempt}/{number}" for number, revision in enumerate(revisions)}
        assert row["context"]["notes"][4 * attempt :] == [notes[revision] for revision in sorted(revisions)]


@pytest.mark.parametrize("kind", [keyed, keyless, on_a_base])
async def test_one_batch_in_several_hands_at_once_is_written_once(journeys: Journeys, kind: Any) -> None:
    """As if attempts that were given up for dead were still alive."""
    session = await create_sleeping_session(journeys)
    messages, begun = kind("a", "b", "c"), datetime.now(UTC)
    decided = await asyncio.gather(*(Writer(journeys).decide(session, *messages, at=begun) for _ in range(4)))
    assert [applied(each) for each in decided] == [[(1, False), (2, False), (3, False)]] * 4
    await assert_stored(journeys, session.chat_session_id, 3)


async def test_a_batch_that_takes_a_while_shows_that_it_is_alive(journeys: Journeys) -> None:
    """Otherwise a slow machine's attempt would be given up for dead, and begun anew for ever."""
    session = await create_sleeping_session(journeys)
    writer = Writer(journeys)
    large = {"context": {"refused": ["x" * 40_000]}, "base_revision": 7}
    assert codes(await writer.decide(session, *((f"run/{name}", large) for name in "abc"))) == ["REVISION_CONFLICT"] * 3
    assert writer.heartbeats >= 3


@pytest.mark.parametrize("info", [{"workflow_id": "another"}, {"workflow_type": "another"}, {"workflow_id": None}])
async def test_an_activity_that_writes_runs_in_its_sessions_workflow_alone(journeys: Journeys, info: Json) -> None:
    session = await create_sleeping_session(journeys)
    before = await journeys.snapshot(session.chat_session_id)
    batch = Batch(
        first_run_id="first",
        at=datetime.now(UTC),
        messages=(ReceivedMessage(identity="run/a", kind="update"),),
        revision=session.revision,
        context_hash=session.context_hash,
    )
    request = {"tenant_id": journeys.tenant_id, "context": {"a": 1}}
    own: Json = {"workflow_id": workflow_id(session.chat_session_id), "workflow_type": JOURNEY_ID}
    for activity in Writer(journeys).writing:
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, **own | info)
        with pytest.raises(ApplicationError) as refused:
            await environment.run(activity, raw(batch), raw(request))
        assert (refused.value.type, refused.value.non_retryable) == ("INVALID_PARAMETER", True)
    assert await journeys.snapshot(session.chat_session_id) == before


# The statement alone: its outcome if the decision was made on another base.


async def write(
    journeys: Journeys, session: ChatSessionArtifact, messages: Sequence[Message]
) -> tuple[WriteOutcome, ChatSessionArtifact]:
    """Write the changes that messages make to a session; returns the outcome and the session after them."""
    draft = Draft.of(session)
    entries: list[WrittenEntry] = []
    for identity, request in messages:
        signal = SignalChatContext(tenant_id=session.tenant_id, **request)
        change = Change.of(signal, key=request["idempotency_key"], identity=identity)
        known = {entry.idempotency_key: as_known(entry) for entry in entries}
        decision = decide(draft, change, known, Limits(), datetime.now(UTC))
        assert isinstance(decision, Applied)
        draft = decision.draft
        entries.append(decision.entry)
    outcome = await ChatSessionsSupabase(journeys.supabase).write(
        base=session,
        keys=tuple(entry.idempotency_key for entry in entries),
        entries=entries,
        after=draft.session,
        context_text=canonical(draft.session.context).decode(),
        refusals=None,
        at=draft.session.updated_at,
    )
    return outcome, draft.session


@pytest.mark.parametrize("cached", [True, False])
async def test_what_was_refused_is_not_applied_by_a_worker_that_was_paused(journeys: Journeys, cached: bool) -> None:
    """It resumes a workflow task that another worker has done meanwhile, and the session has changed since."""
    session = await create_sleeping_session(journeys)
    paused, live = Writer(journeys), Writer(journeys)
    begun = datetime.now(UTC)
    archived = ("run/archive", {"lifecycle_state": "ARCHIVED"})
    await live.decide(session, archived, kind="edit", at=begun)
    session = await as_stored(journeys, session)
    if cached:
        await paused.decide(session, at=begun)
    task = begun + timedelta(seconds=1)  # the workflow task that both have
    waiting = keyless("a", "b")
    refused = await live.decide(session, *waiting, at=task)
    assert codes(refused) == ["SESSION_NOT_ACTIVE"] * 2
    reopened = ("run/reopen", {"lifecycle_state": "ACTIVE"})
    await live.decide(session, reopened, kind="edit", at=task + timedelta(seconds=1))
    before = await journeys.snapshot(session.chat_session_id)
    late = await paused.decide(session, *waiting, at=task)
    assert (late.is_superseded, late.outcomes, late.state, late.loaded) == (True, (), None, None)
    assert await journeys.snapshot(session.chat_session_id) == before
    # A writer that is not late may decide them.
    assert applied(await live.decide(session, *waiting, at=task + timedelta(seconds=2))) == [(3, False), (4, False)]


@pytest.mark.parametrize("cached", [True, False])
async def test_what_another_attempt_refused_is_not_applied_by_one_that_was_given_up(
    journeys: Journeys, cached: bool
) -> None:
    """Both have the same batch, which reopens the session behind a change that is refused."""
    session = await create_sleeping_session(journeys)
    paused, live = Writer(journeys), Writer(journeys)
    begun = datetime.now(UTC)
    await live.decide(session, ("run/archive", {"lifecycle_state": "ARCHIVED"}), kind="edit", at=begun)
    session = await as_stored(journeys, session)
    if cached:
        await paused.decide(session, at=begun)
    task = begun + timedelta(seconds=1)
    batch = [*keyless("a"), ("run/reopen", {"lifecycle_state": "ACTIVE"})]
    answered = await live.decide(session, *batch, kind=["update", "edit"], at=task, attempt=2)
    assert codes(answered) == ["SESSION_NOT_ACTIVE", None]
    before = await journeys.snapshot(session.chat_session_id)
    late = await paused.decide(session, *batch, kind=["update", "edit"], at=task, attempt=1)
    assert (late.is_superseded, late.outcomes) == (True, ())
    assert await journeys.snapshot(session.chat_session_id) == before


async def test_a_worker_that_was_paused_between_the_stores_decides_nothing_either(journeys: Journeys) -> None:
    """When it wakes up, the stores no longer hold what it has loaded."""
    session = await create_sleeping_session(journeys)
    begun = datetime.now(UTC)
    live = Writer(journeys)
    await live.decide(session, ("run/archive", {"lifecycle_state": "ARCHIVED"}), kind="edit", at=begun)
    session = await as_stored(journeys, session)
    task = begun + timedelta(seconds=1)
    refused: list[DecidedBatch] = []

    class PausedBefore(StateSurfacePostgres):
        async def update(self, artifact: SurfaceArtifact, *, payload_since: int | None = None) -> int | None:
            if not refused:
                refused.append(await live.decide(session, *keyless("a"), at=task + timedelta(seconds=1)))
                reopened = ("run/reopen", {"lifecycle_state": "ACTIVE"})
                await live.decide(session, reopened, kind="edit", at=task + timedelta(seconds=2))
            return await super().update(artifact, payload_since=payload_since)

    late = await Writer(journeys, PausedBefore(journeys.state_surface)).decide(session, *keyless("a"), at=task)
    assert codes(refused[0]) == ["SESSION_NOT_ACTIVE"]
    assert (late.is_superseded, late.outcomes) == (True, ())
    assert (await journeys.row(session.chat_session_id) or {})["context"] == {}
    await assert_stored(journeys, session.chat_session_id, 2)


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


async def test_a_stale_writer_changes_nothing_and_is_told_so(journeys: Journeys) -> None:
    session = await create_sleeping_session(journeys)
    await write(journeys, session, keyed("a"))
    before = await journeys.snapshot(session.chat_session_id)
    outcome, _ = await write(journeys, session, keyed("b", "c"))
    assert (outcome.written, outcome.is_elsewhere, outcome.revision, outcome.known) == (False, True, 1, ())
    of_another_context = session.model_copy(update={"revision": 1})
    outcome, _ = await write(journeys, of_another_context, keyed("b", "c"))
    assert (outcome.written, outcome.is_elsewhere, outcome.revision, outcome.known) == (False, True, 1, ())
    outcome, _ = await write(journeys, of_another_context, [])
    assert (outcome.written, outcome.is_elsewhere) == (False, True)
    assert await journeys.snapshot(session.chat_session_id) == before


async def test_a_batch_with_a_known_key_is_not_written_at_all(journeys: Journeys) -> None:
    session = await create_sleeping_session(journeys)
    _, after = await write(journeys, session, keyed("a", "b"))
    before = await journeys.snapshot(session.chat_session_id)
    outcome, _ = await write(journeys, after, keyed("c", "b", "d"))
    assert not outcome.written
    assert [(change.idempotency_key, change.revision, change.message) for change in outcome.known] == [
        ("b", 2, "run/b")
    ]
    assert await journeys.snapshot(session.chat_session_id) == before


async def test_of_writers_on_one_base_exactly_one_wins(journeys: Journeys) -> None:
    session = await create_sleeping_session(journeys)
    for attempt in range(5):
        written = await asyncio.gather(*(write(journeys, session, keyed(f"{attempt}/{number}")) for number in range(4)))
        ((_, session),) = [each for each in written if each[0].written]
        losers = [outcome for outcome, _ in written if not outcome.written]
        assert all(outcome.is_elsewhere and not outcome.known for outcome in losers)
        row = await journeys.row(session.chat_session_id) or {}
        assert (row["revision"], row["context"]) == (attempt + 1, session.context)
        assert len(await journeys.ledger(session.chat_session_id)) == attempt + 1


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
