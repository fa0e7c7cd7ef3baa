"""A worker reads the engine's own payloads as their types, and hands untrusted ones on as they came."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.common import RawValue
from temporalio.contrib.pydantic import pydantic_data_converter

from journeys.canonical_json import canonical, canonical_hash
from journeys.chat_session.activities import (
    Batch,
    DecidedBatch,
    KnownChange,
    Outcome,
    ReceivedMessage,
    Refused,
    SessionSettings,
    SessionState,
)
from journeys.chat_session.continuation import CarriedMessage, CarriedState
from journeys.chat_session.messages import InitializeChatSession, SignalChatContext
from journeys.chat_session.refusals import Refusal, Refusals
from journeys.messages import Record, parse, parse_only
from tests.support.documents import nested, thoroughly
from worker.payloads import JourneyPayloadConverter, journey_data_converter

JSON = b"json/plain"
CONVERTER = JourneyPayloadConverter()
_UNTYPED: list[type] = [object]
NOW = datetime(2026, 1, 27, 10, 5, 12, 345678, tzinfo=UTC)


def payload(data: bytes, encoding: bytes | None = JSON) -> Payload:
    return Payload(metadata={} if encoding is None else {"encoding": encoding}, data=data)


@thoroughly(200)
@given(st.binary(max_size=30), st.sampled_from([JSON, b"", b"binary/null", b"json/protobuf"]) | st.binary(max_size=60))
@example(b"\xff", b"\xff\xfe")
@example(b"", "\U000e0001".encode() * 100)
@example(b"[" * 10_000, JSON)
@example(b"9" * 10_000, JSON)
def test_whatever_was_sent_is_handed_on_unread(data: bytes, encoding: bytes) -> None:
    sent = payload(data, encoding)
    for hints in (None, _UNTYPED):
        [handed_on] = CONVERTER.from_payloads([sent], hints)
        assert isinstance(handed_on, RawValue)
        assert handed_on.payload == sent


def test_each_payload_is_handed_on_for_itself_and_none_is_lost() -> None:
    """Temporal knows the types of the parameters that are declared, which may be fewer than what was sent."""
    sent = [payload(b"1"), payload(b"\xff", None), payload(b"", b"binary/null"), payload(b'{"a":[null]}')]
    for hints in (None, [], _UNTYPED, _UNTYPED * 4):
        values = CONVERTER.from_payloads(sent, hints)
        assert [value.payload for value in values if isinstance(value, RawValue)] == sent
    assert CONVERTER.from_payloads([]) == []


def test_what_is_handed_on_is_written_again_as_it_came() -> None:
    """A workflow gives its messages to an activity, however large, without having read them."""
    sent = [payload(b'{"a": 1.0,  "a":2}'), payload(b"\xff\x00", b"binary/encrypted"), payload(b"", None)]
    assert CONVERTER.to_payloads(CONVERTER.from_payloads(sent)) == sent


def test_what_other_clients_write_is_read() -> None:
    request = {"tenant_id": "acme", "context": {"text": "H\u00e9llo \U0001f600", "n": [1, 1.5, True, None]}}
    for converter in (pydantic_data_converter, journey_data_converter()):
        written = converter.payload_converter.to_payloads([request])
        assert parse_only(SignalChatContext, CONVERTER.from_payloads(written)).context == request["context"]


def test_the_engines_own_messages_are_read_as_their_types() -> None:
    batch = Batch(
        first_run_id="run",
        at=NOW,
        messages=(ReceivedMessage(identity="run/1", kind="signal"),),
        revision=3,
        context_hash="a" * 64,
        refusals=Refusals(count=1, last=(Refusal(at=NOW, code="INVALID_PARAMETER", field="context"),)),
    )
    written = CONVERTER.to_payloads([batch, RawValue(payload(b'{"a":1}'))])
    read, handed_on = CONVERTER.from_payloads(written, [Batch])
    assert read == batch
    assert isinstance(handed_on, RawValue)
    assert handed_on.payload.data == b'{"a":1}'


@pytest.mark.parametrize("hint", [Batch, DecidedBatch, CarriedState])
@pytest.mark.parametrize("data", [b"{", b"\xff", b"[]", b'{"at":"yesterday"}'])
def test_what_is_none_of_the_engines_own_messages_is_not_taken_for_one(hint: type[Record], data: bytes) -> None:
    with pytest.raises(ValueError, match=hint.__name__):
        CONVERTER.from_payloads([payload(data)], [hint])


def test_what_has_its_usual_value_is_left_out_of_a_history() -> None:
    """Every acknowledged update adds an outcome to its run's history."""
    written = DecidedBatch(at=NOW, outcomes=(Outcome(revision=7),)).model_dump(mode="json")
    assert written == {"at": "2026-01-27T10:05:12.345678Z", "outcomes": [{"revision": 7}]}
    assert Outcome(refused=Refused(code="C", text="t"), duplicate=True).model_dump(mode="json") == {
        "refused": {"code": "C", "text": "t", "field": ""},
        "duplicate": True,
    }


@pytest.mark.parametrize(
    "context",
    [
        {"n": [2**53, -(10**22), 10**400, 1e22, 1e300, 5e-324, -0.0]},
        {"in": nested(150)},
        {"in": nested(150, list)},
        {"large": "x" * 600_000},
        {"\ue000": None, "\U0001f600": [None, True, 1, 1.0]},
    ],
    ids=["numbers", "deep", "deep arrays", "large", "odd"],
)
def test_a_stored_context_outside_the_limits_still_passes_between_activity_and_journey(context: dict[str, Any]) -> None:
    asked = {"tenant_id": "acme", "user_id": "ada", "requested_at": "2026-01-27T10:05:12Z"}
    session = parse(InitializeChatSession, asked).session(NOW)
    session = session.model_copy(update={"context": context, "context_hash": canonical_hash(context)})
    settings = SessionSettings(idle_seconds=3600, rollover_messages=500)
    state = SessionState(revision=1, context_hash=session.context_hash, active_agent="guide", updated_at=NOW)
    known = KnownChange(
        revision=1,
        idempotency_key="k",
        change_hash="c" * 64,
        active_agent="guide",
        context_hash=None,
        applied_at=NOW,
        message="run/1",
    )
    refusals = Refusals(count=11, last=(Refusal(at=NOW, code="SESSION_NOT_FOUND", field=""),))
    outcomes = (
        Outcome(refused=Refused(code="INVALID_PARAMETER", text="context: is odd", field="context")),
        Outcome(revision=1, known=known, duplicate=True, returning="artifact"),
        Outcome(created=True),
        Outcome(revision=2),
    )
    records: list[Record] = [
        DecidedBatch(at=NOW, outcomes=outcomes, loaded=session, settings=settings, advanced_from=3, refusals=refusals),
        DecidedBatch(at=NOW, outcomes=outcomes, state=state, context_bytes=7),
        DecidedBatch(at=NOW, failure=Refused(code="SESSION_NOT_FOUND", text="no such session")),
        CarriedState(
            session=session,
            context_bytes=7,
            settings=settings,
            signals=(CarriedMessage(identity="run/1", kind="signal", data=b"{\xff\x00}"),),
            signals_seen=1,
            refusals=refusals,
            created_for=None,
        ),
    ]
    for record in records:
        [read] = CONVERTER.from_payloads(CONVERTER.to_payloads([record]), [type(record)])
        assert isinstance(read, type(record))
        assert canonical(read.model_dump(mode="json")) == canonical(record.model_dump(mode="json"))
        assert read == record


def test_what_temporal_itself_asks_of_a_worker_still_encodes() -> None:
    [written] = journey_data_converter().payload_converter.to_payloads(
        [WorkflowMetadata(current_details="**guide** leads")]
    )
    assert written.metadata["encoding"] == b"json/protobuf"
    assert written.metadata["messageType"] == b"temporal.api.sdk.v1.WorkflowMetadata"
    assert json.loads(written.data) == {"currentDetails": "**guide** leads"}


async def test_a_data_converter_hands_on_so_from_end_to_end() -> None:
    sent = [payload(b"\xff"), payload(b'{"a":1}')]
    values = await journey_data_converter().decode(sent)
    assert [value.payload for value in values if isinstance(value, RawValue)] == sent
    assert await journey_data_converter().encode(values) == sent
