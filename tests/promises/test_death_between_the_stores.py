"""Wherever a writer dies between Supabase, the State Surface and its answer, each change is there once."""

from typing import Any
from uuid import UUID

import pytest

from journeys.state_surface import SurfaceArtifact
from stores.state_surface_postgres import StateSurfacePostgres
from tests.promises.batch_writer import (
    Writer,
    applied,
    codes,
    create_sleeping_session,
    keyed,
    keyless,
    on_a_base,
    read_session,
    said,
)
from tests.support.journeys import Journeys, Json
from tests.support.watching import assert_stored


class WriterDiedError(Exception):
    """The process is gone."""


class SurfaceNeverReached(StateSurfacePostgres):
    """A writer of changes dies after Supabase and before this State Surface; it still registers revision 0."""

    async def update(self, artifact: SurfaceArtifact, *, payload_since: int | None = None) -> int | None:
        if artifact.revision:
            raise WriterDiedError
        return await super().update(artifact, payload_since=payload_since)


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
    assert again.loaded == await read_session(journeys, session)
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
    await Writer(journeys).decide(await read_session(journeys, session), given, kind="edit")
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
    remembered = await read_session(journeys, session)
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
