"""Two releases on one task queue: this one reads what a newer one has written, or leaves it alone."""

import asyncio
from typing import Any

import pytest
from pydantic import JsonValue, ValidationError
from pydantic_core import to_json
from temporalio.api.history.v1 import HistoryEvent

from activities import chat_session_batches
from activities.chat_session_batches import BatchDecider
from journeys import ChatSessionView, InvalidParameter, __version__
from journeys.chat_session.activities import Batch, DecidedBatch, SessionState
from journeys.chat_session.continuation import CarriedState
from journeys.chat_session.limits import MAX_CHANGE_BYTES
from journeys.errors import ERRORS, JourneyError
from tests.support.journeys import Journeys, also_replayed, failed_tasks
from tests.support.polling import eventually
from tests.support.stalls import Stall, anew_after_a_stall, has_failed_locally
from tests.support.watching import assert_stored, until_refusals

NOW = "2026-01-27T10:05:12.000000Z"
SESSION: dict[str, Any] = {
    "chat_session_id": "31dca87f-efb8-5ac5-b6df-13a4bc321dfd",
    "tenant_id": "acme",
    "user_id": "ada",
    "active_agent": "guide",
    "revision": 3,
    "context_hash": "0" * 64,
    "created_at": NOW,
    "updated_at": NOW,
    "context": {"a": {"b": 1}},
}
SETTINGS: dict[str, Any] = {"limits": {"change_bytes": 1000}, "idle_seconds": 1, "rollover_messages": 2}
REFUSALS = {"count": 1, "last": [{"at": NOW, "code": "A_NEWER_CODE", "field": "turn"}]}
KNOWN = {
    "revision": 2,
    "idempotency_key": "k",
    "change_hash": "0" * 64,
    "active_agent": "guide",
    "context_hash": None,
    "applied_at": NOW,
}
WRITTEN: dict[type[Batch | DecidedBatch | CarriedState | ChatSessionView], dict[str, Any]] = {
    Batch: {"first_run_id": "run", "at": NOW, "messages": [{"identity": "i", "kind": "signal"}], "refusals": REFUSALS},
    DecidedBatch: {
        "at": NOW,
        "outcomes": [{"refused": {"code": "A_NEWER_CODE", "text": "t"}}, {"revision": 2, "known": KNOWN}],
        "state": {"revision": 3, "message_count": 1},
        "loaded": SESSION,
        "settings": SETTINGS,
        "refusals": REFUSALS,
    },
    CarriedState: {
        "session": SESSION,
        "context_bytes": 13,
        "settings": SETTINGS,
        "signals": [{"identity": "i", "kind": "signal", "data": "e30="}],
        "signals_seen": 1,
        "refusals": REFUSALS,
        "created_for": None,
    },
    ChatSessionView: SESSION | {"refusals": REFUSALS},
}


def with_newer_fields(written: JsonValue) -> JsonValue:
    """The same with one more field in every record, as a newer release would write it."""
    if isinstance(written, list):
        return [with_newer_fields(each) for each in written]
    if not isinstance(written, dict):
        return written
    records = {name: value if name == "context" else with_newer_fields(value) for name, value in written.items()}
    return records | {"newer": {"anything": 1}}


@pytest.mark.parametrize("record", WRITTEN)
def test_fields_that_only_a_newer_release_knows_are_ignored(record: type[DecidedBatch]) -> None:
    newer = with_newer_fields(WRITTEN[record])
    assert newer != WRITTEN[record]
    assert record.model_validate_json(to_json(newer)) == record.model_validate_json(to_json(WRITTEN[record]))


def test_values_that_only_a_newer_release_knows_cannot_be_read() -> None:
    """So a release must read a new value before a later release writes it: see docs/reliability.md."""
    settings = {"limits": {"change_bytes": MAX_CHANGE_BYTES + 1}}
    with pytest.raises(ValidationError):
        SessionState.model_validate_json('{"revision": 1, "lifecycle_state": "FROZEN"}')
    with pytest.raises(ValidationError):
        DecidedBatch.model_validate_json(to_json({"settings": SETTINGS | settings}))
    with pytest.raises(ValidationError):
        Batch.model_validate_json(to_json(WRITTEN[Batch] | {"messages": [{"identity": "i", "kind": "newer"}]}))


@pytest.fixture
def newer_error(monkeypatch: pytest.MonkeyPatch) -> JourneyError:
    """Have the activities refuse every change with an error of a newer release, which a workflow does not know."""

    class NewerError(JourneyError):
        code = "A_NEWER_CODE"

    del ERRORS[NewerError.code]
    error = NewerError("turn: is odd", field="turn")
    monkeypatch.setattr(chat_session_batches, "decide", lambda *_, **__: error)
    return error


async def test_history_names_the_release_that_did_each_workflow_task(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.update(session, {"context": {"a": 1}})
        events = await journeys.events(session)
    done = [each for each in events if each.HasField("workflow_task_completed_event_attributes")]
    assert len(done) >= 2
    assert {each.workflow_task_completed_event_attributes.worker_version.build_id for each in done} == {__version__}


@also_replayed
async def test_a_refusal_that_only_a_newer_release_knows_is_told_and_harms_no_session(
    journeys: Journeys, newer_error: JourneyError, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, tenant = journeys.sessions, journeys.tenant_id
    async with journeys.worker():
        session = await journeys.create_session()
        with pytest.raises(InvalidParameter) as refused:
            await sessions.update_context(session, tenant_id=tenant, context={"a": 1})
        assert (refused.value.message, refused.value.field) == (newer_error.message, newer_error.field)
        await journeys.signal(session, {"context": {"a": 2}})
        refusals = await until_refusals(journeys, session, 1)
        assert refusals["last"][0]["code"] == newer_error.code
        monkeypatch.undo()
        assert (await journeys.update(session, {"context": {"a": 3}}))["context"] == {"a": 3}
        assert failed_tasks(await journeys.events(session)) == []


@also_replayed
async def test_a_result_with_a_newer_releases_fields_is_served_and_carried_over(
    journeys: Journeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = BatchDecider.decide

    class NewerBatch(DecidedBatch):
        newer: dict[str, int]

    async def decide_newer(self: BatchDecider, payloads: list[bytes]) -> DecidedBatch:
        decided = await decide(self, payloads)
        return NewerBatch(**dict(decided), newer={"anything": 1})

    monkeypatch.setattr(BatchDecider, "decide", decide_newer)
    async with journeys.worker(rollover_messages=2):
        session = await journeys.create_session()
        for number in range(5):
            answer = await journeys.update(session, {"append": {"notes": [number]}})
        assert answer["context"] == {"notes": [0, 1, 2, 3, 4]}
        await assert_stored(journeys, session, 5)
        assert failed_tasks(await journeys.events(session)) == []


@anew_after_a_stall
async def test_a_result_that_this_release_cannot_read_waits_for_a_worker_that_can(
    journeys: Journeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = BatchDecider.decide

    async def decide_newer(self: BatchDecider, payloads: list[bytes]) -> DecidedBatch:
        decided = await decide(self, payloads)
        assert decided.state
        state = decided.state.model_copy(update={"lifecycle_state": "FROZEN"})
        return decided.model_copy(update={"state": state})

    async def events() -> list[HistoryEvent]:
        found = await journeys.events(session)
        if has_failed_locally(found):  # then the result is a regular activity's, which is never asked again
            raise Stall
        return found

    async with journeys.worker():
        session = await journeys.create_session()
        with monkeypatch.context() as newer:
            newer.setattr(BatchDecider, "decide", decide_newer)
            updating = asyncio.create_task(journeys.update(session, {"context": {"a": 1}}))
            await eventually(events, failed_tasks)
            assert not updating.done()
        await eventually(events, lambda _: updating.done())
        answer = await updating
        assert (answer["applied_revision"], answer["duplicate"]) == (1, False)
        await assert_stored(journeys, session, 1)
