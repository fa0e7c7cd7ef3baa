"""A worker reads every payload without an exception: what is no JSON becomes a message that does not fit."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.contrib.pydantic import pydantic_data_converter

from journeys.canonical_json import canonical, canonical_hash
from journeys.chat_session.activities import (
    AcceptedChange,
    LoadedSession,
    LoadSession,
    SessionSettings,
    WriteChanges,
    WrittenChanges,
)
from journeys.chat_session.answers import Refusals
from journeys.chat_session.continuation import CarriedState
from journeys.chat_session.messages import GetChatSession, InitializeChatSession, SignalChatContext, UpdateChatContext
from journeys.errors import InvalidParameter
from journeys.i_json import Unreadable
from journeys.messages import Record, parse
from tests.support.documents import documents, nested, thoroughly
from worker.payloads import JourneyPayloadConverter, journey_data_converter

JSON = b"json/plain"
CONVERTER = JourneyPayloadConverter()


def read(data: bytes, encoding: bytes | None = JSON) -> object:
    """What a handler without a type hint is given."""
    return CONVERTER.from_payload(payload(data, encoding))


def payload(data: bytes, encoding: bytes | None = JSON) -> Payload:
    return Payload(metadata={} if encoding is None else {"encoding": encoding}, data=data)


def reason(read: object) -> str:
    """Why a payload is unreadable, after checking that it is refused as a message."""
    assert isinstance(read, Unreadable), read
    for model in (GetChatSession, SignalChatContext, UpdateChatContext):
        with pytest.raises(InvalidParameter) as refused:
            parse(model, read)
        assert refused.value.field == ""
        assert len(refused.value.message) <= 300
        assert refused.value.message.isprintable()
        refused.value.message.encode()
    return read.reason


@thoroughly(200)
@given(st.binary(max_size=30), st.sampled_from([JSON, b"", b"binary/null", b"json/protobuf"]) | st.binary(max_size=60))
@example(b"\xff", b"\xff\xfe")
@example(b"", "\U000e0001".encode() * 100)
@example(b"", b"\n\x1b[31m" * 20)
def test_bytes_of_any_kind_and_any_encoding_never_raise(data: bytes, encoding: bytes) -> None:
    value = read(data, encoding)
    if encoding == b"binary/null":
        assert value is None
    elif encoding != JSON:
        reason(value)


@thoroughly(200)
@given(st.text(st.sampled_from('{}[]":,\\ud8dc0123456789eE+-.truefalsn \x00\xff'), max_size=12))
def test_what_nearly_is_json_never_raises(text: str) -> None:
    value = read(text.encode())
    if isinstance(value, Unreadable):
        reason(value)
    else:
        json.loads(text)


@thoroughly(150)
@given(documents)
def test_json_is_read_as_it_was_written(document: Any) -> None:
    assert json.dumps(read(json.dumps(document).encode())) == json.dumps(document)
    assert json.dumps(read(json.dumps(document, ensure_ascii=False).encode())) == json.dumps(document)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"nul",
        b"{",
        b'{"tenant_id":"acme"',
        b'{"tenant_id":"acme"}x',
        b"{tenant_id:1}",
        b"{'tenant_id':'acme'}",
        b'{"a":1,}',
        b'{"a":01}',
        b'{"a":+1}',
        b'"\xff"',
        b'{"a":"\xc3"}',
        b'{"a":"\xed\xa0\x80"}',
        "{}".encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b'{"a":"\n"}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":"\\ude00\\ud83d"}',
        b'{"a":"\\ud83dx"}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":inf}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"1" * 10_000,
        b'{"a":' + b"9" * 10_000 + b"}",
        b"\x1f\x8b\x08",
        b"\x00" * 1_000,
    ],
    ids=lambda data: ascii(data)[:30],
)
def test_what_is_no_json_is_unreadable(data: bytes) -> None:
    assert "JSON" in reason(read(data))


@pytest.mark.parametrize(
    "encoding",
    [
        None,
        b"",
        b"binary/plain",
        b"binary/encrypted",
        b"json/protobuf",
        b"binary/protobuf",
        b"JSON/PLAIN",
        b"json/plain ",
        b"\xff\xfe\x00",
        b"x" * 10_000,
        "\U000e0001".encode() * 1_000,
    ],
    ids=lambda encoding: ascii(encoding)[:30],
)
def test_what_is_encoded_in_another_way_is_unreadable(encoding: bytes | None) -> None:
    for data in (b'{"tenant_id":"acme"}', b"", b"\xff"):
        assert "json/plain" in reason(read(data, encoding))


@pytest.mark.parametrize(
    "number", [b"1e400", b"-1e400", b"1e22", b"9007199254740992", b"123456789012345678901234567890"]
)
def test_a_number_that_no_peer_carries_is_refused_if_not_unreadable(number: bytes) -> None:
    value = read(b'{"tenant_id":"acme","context":{"n":' + number + b"}}")
    with pytest.raises(InvalidParameter):
        parse(SignalChatContext, value)


@pytest.mark.parametrize("data", [b"", b"\xff", b"{}", b"null"])
def test_null_is_null_however_it_is_written(data: bytes) -> None:
    assert read(data, b"binary/null") is None
    assert read(b"null") is None


def test_each_payload_is_read_for_itself_and_none_is_lost() -> None:
    payloads = [payload(b"1"), payload(b"\xff"), payload(b"", b"binary/null"), payload(b"{}", b"binary/encrypted")]
    values = CONVERTER.from_payloads([*payloads, payload(b'{"a":[null]}')])
    assert [type(value) for value in values] == [int, Unreadable, type(None), Unreadable, dict]
    assert CONVERTER.from_payloads([]) == []


def test_what_other_clients_write_is_read() -> None:
    request = {"tenant_id": "acme", "context": {"text": "H\u00e9llo \U0001f600", "n": [1, 1.5, True, None]}}
    for converter in (pydantic_data_converter, journey_data_converter()):
        written = converter.payload_converter.to_payloads([request])
        assert CONVERTER.from_payloads(written) == [request]
        assert parse(SignalChatContext, CONVERTER.from_payloads(written)[0]).context == request["context"]


def test_the_engines_own_messages_are_read_as_their_types() -> None:
    wanted = LoadSession(chat_session_id="31dca87f-efb8-5ac5-b6df-13a4bc321dfd", at=datetime(2026, 1, 27, tzinfo=UTC))
    written = CONVERTER.to_payloads([wanted])
    assert CONVERTER.from_payloads(written, [LoadSession]) == [wanted]
    assert CONVERTER.from_payloads(written) == [wanted.model_dump(mode="json")]


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
    now = datetime(2026, 1, 27, 10, 5, 12, 345678, tzinfo=UTC)
    asked = {"tenant_id": "acme", "user_id": "ada", "requested_at": "2026-01-27T10:05:12Z"}
    session = parse(InitializeChatSession, asked).session(now)
    session = session.model_copy(update={"context": context, "context_hash": canonical_hash(context)})
    settings = SessionSettings(idle_seconds=3600, rollover_messages=500)
    signal = parse(SignalChatContext, {"tenant_id": "acme", "context": {"a": None}, "append": {"m": [None]}})
    records: list[Record] = [
        LoadedSession(session=session, settings=settings, advanced_from=3),
        WriteChanges(base_revision=0, keys=("k",), entries=(), session=session),
        WrittenChanges(outcome="stopped", session=session),
        CarriedState(
            session=session,
            settings=settings,
            signals=(AcceptedChange(request=signal, key="k"),),
            signals_seen=1,
            refusals=Refusals(),
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


async def test_a_data_converter_reads_so_from_end_to_end() -> None:
    values = await journey_data_converter().decode([payload(b"\xff"), payload(b'{"a":1}')])
    assert isinstance(values[0], Unreadable)
    assert values[1] == {"a": 1}
