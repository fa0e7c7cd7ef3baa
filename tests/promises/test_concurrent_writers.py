"""Writers that are late, paused, stale, many at once, or in no workflow of the session: the session has one ledger."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from journeys.canonical_json import canonical
from journeys.chat_session.activities import Batch, DecidedBatch, ReceivedMessage
from journeys.chat_session.limits import Limits
from journeys.chat_session.messages import SignalChatContext
from journeys.chat_session.names import JOURNEY_ID, workflow_id
from journeys.chat_session.rules import Applied, Change, Draft, as_known, decide
from journeys.chat_session.session import ChatSessionArtifact, WrittenEntry
from journeys.state_surface import SurfaceArtifact
from stores.chat_sessions_supabase import ChatSessionsSupabase, WriteOutcome
from stores.state_surface_postgres import StateSurfacePostgres
from tests.promises.batch_writer import (
    Message,
    Writer,
    applied,
    codes,
    create_sleeping_session,
    keyed,
    keyless,
    on_a_base,
    raw,
    read_session,
)
from tests.support.journeys import Journeys, Json
from tests.support.watching import assert_stored


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
    remembered = await read_session(journeys, session)
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
    base = await read_session(journeys, session)
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
        held, begun = await read_session(journeys, session), datetime.now(UTC)
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


@pytest.mark.parametrize("cached", [True, False])
async def test_what_was_refused_is_not_applied_by_a_worker_that_was_paused(journeys: Journeys, cached: bool) -> None:
    """It resumes a workflow task that another worker has done meanwhile, and the session has changed since."""
    session = await create_sleeping_session(journeys)
    paused, live = Writer(journeys), Writer(journeys)
    begun = datetime.now(UTC)
    archived = ("run/archive", {"lifecycle_state": "ARCHIVED"})
    await live.decide(session, archived, kind="edit", at=begun)
    session = await read_session(journeys, session)
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
    session = await read_session(journeys, session)
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
    session = await read_session(journeys, session)
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
