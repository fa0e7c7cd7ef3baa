"""A message fits the contract, or it is refused with the field that is at fault, at every entrance the same way."""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from journeys.canonical_json import canonical
from journeys.chat_session.activities import KnownChange, Outcome, Refused
from journeys.chat_session.answers import (
    ChatSessionView,
    InitializedChatSession,
    UpdatedChatSession,
    UpdateReceipt,
    answer_initialize,
    answer_update,
)
from journeys.chat_session.keys import session_id
from journeys.chat_session.messages import (
    DeleteChatSession,
    GetChatMessages,
    GetChatSession,
    GetChatSessionHistory,
    InitializeChatSession,
    JourneyArgument,
    ListChatSessions,
    SignalChatContext,
    UpdateChatContext,
    UpdateChatSession,
)
from journeys.chat_session.refusals import Refusal, Refusals
from journeys.chat_session.session import ChatSessionArtifact, ChatSessionReceipt
from journeys.errors import ERRORS, DatabaseUnavailable, EngineUnavailable, InvalidParameter, JourneyError
from journeys.failures import as_failure, from_failure, from_query_failure
from journeys.identifiers import timestamp
from journeys.messages import Request, check_form, parse, parse_only, read
from tests.support.documents import documents, nested, texts, thoroughly

# A message's type, what is wrong with it, and the field that it is refused for.
Wrong: TypeAlias = tuple[type[Request], dict[str, Any], str]

SESSION = "31dca87f-efb8-5ac5-b6df-13a4bc321dfd"
ASKED_AT = "2026-01-27T10:05:12Z"

INITIALIZE = {"tenant_id": "acme", "user_id": "ada", "requested_at": ASKED_AT}
INITIAL = {"requested_at": ASKED_AT}
ARGUMENT = {"chat_session_id": SESSION, "tenant_id": "acme"}
INITIALIZING = ARGUMENT | {"user_id": "ada", "initialize": INITIAL}
GET = {"tenant_id": "acme"}
HISTORY = {"tenant_id": "acme", "chat_session_id": SESSION}
CHANGE = {"tenant_id": "acme"}

# Each request with no more than it needs, and with everything it may have.
LEAST: dict[type[Request], dict[str, Any]] = {
    InitializeChatSession: INITIALIZE,
    JourneyArgument: ARGUMENT,
    GetChatSession: GET,
    GetChatSessionHistory: HISTORY,
    GetChatMessages: HISTORY,
    ListChatSessions: GET,
    SignalChatContext: CHANGE,
    UpdateChatContext: CHANGE,
    UpdateChatSession: CHANGE,
    DeleteChatSession: CHANGE,
}
_EVERY_CHANGE: dict[str, Any] = {
    "tenant_id": "acme",
    "user_id": "ada",
    "context": {"topic": "sleep", "gone": None},
    "append": {"messages": [{"id": "m1", "reply_to": None}, None]},
    "messages": [{"id": "m1", "role": "user", "reply_to": None}, {"id": None, "role": None}, {}],
    "remove_messages": ["m1", "m2"],
    "active_agent": "liaison_health",
    "merge_strategy": "replace",
    "base_revision": 3,
    "idempotency_key": "k",
    "author": "guide",
}
MOST: dict[type[Request], dict[str, Any]] = {
    InitializeChatSession: INITIALIZE
    | {"active_agent": "liaison_health", "context": {"topic": None}, "title": "Sleep"},
    JourneyArgument: INITIALIZING | {"initialize": INITIAL | {"active_agent": "guide", "context": {"topic": "x"}}},
    GetChatSession: GET | {"user_id": "ada", "chat_session_id": SESSION},
    GetChatSessionHistory: HISTORY | {"user_id": "ada", "after_revision": 7, "limit": 1000},
    GetChatMessages: HISTORY | {"user_id": "ada", "limit": 200, "before": "x"},
    ListChatSessions: GET | {"user_id": "ada", "lifecycle_state": "ARCHIVED", "limit": 100, "after": "x"},
    UpdateChatSession: CHANGE
    | {"title": "", "lifecycle_state": "ARCHIVED", "new_user_id": "bob", "base_revision": 3, "idempotency_key": "k"}
    | {"author": "desk"},
    DeleteChatSession: CHANGE | {"user_id": "ada", "author": "desk"},
    SignalChatContext: _EVERY_CHANGE,
    UpdateChatContext: _EVERY_CHANGE | {"returning": "receipt"},
}
MODELS = list(LEAST)
HOSTILE_NAMES = [
    "",
    " ",
    "tenant_id ",
    "Tenant_Id",
    "tenant_id\x00",
    "__class__",
    "model_config",
    "model_fields",
    "context.a",
    "x" * 100_000,
    "\x1b[31m",
    "\nSESSION_NOT_FOUND: ",
    "\ud800" * 500,
    "\U000e0001" * 500,
    "\U0001f600" * 500,
    "{0}{field}%s",
]


def raw_value(data: bytes, encoding: bytes | None = b"json/plain") -> RawValue:
    """An argument as a worker hands it on."""
    return RawValue(Payload(metadata={} if encoding is None else {"encoding": encoding}, data=data))


def refused(model: type[Request], raw: object) -> InvalidParameter:
    """The error of a message that does not fit, which keeps to what every such error keeps to."""
    with pytest.raises(InvalidParameter) as raised:
        parse(model, raw)
    check_error(model, raised.value)
    return raised.value


def check_error(model: type[Request], error: InvalidParameter, field: str | None = None) -> None:
    assert field in (None, error.field)
    assert error.code == "INVALID_PARAMETER"
    assert error.field == "" or error.field in model.model_fields
    assert 0 < len(error.message) <= 300
    assert str(error) == f"INVALID_PARAMETER: {error.message}"
    error.message.encode()  # it can be sent


def refuses(model: type[Request], raw: object) -> str:
    """The field that a message is refused for."""
    return refused(model, raw).field


# What fits.


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("examples", [LEAST, MOST], ids=["least", "most"])
def test_a_message_fits_with_what_it_needs_and_with_all_it_may_have(
    model: type[Request], examples: dict[type[Request], dict[str, Any]]
) -> None:
    message = parse(model, examples[model])
    assert isinstance(message, model)
    for name, value in examples[model].items():
        held = getattr(message, name)
        if not isinstance(held, datetime | Request):
            assert canonical(held) == canonical(value)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("examples", [LEAST, MOST], ids=["least", "most"])
def test_a_message_that_is_written_and_read_again_is_the_same(
    model: type[Request], examples: dict[type[Request], dict[str, Any]]
) -> None:
    message = parse(model, examples[model])
    assert parse(model, message.model_dump(mode="json")) == message
    assert parse(model, message.model_dump(mode="json", exclude_none=True)) == message
    assert model.model_validate_json(message.model_dump_json()) == message


@pytest.mark.parametrize("model", MODELS)
def test_a_message_that_was_read_before_is_taken_as_it_is(model: type[Request]) -> None:
    message = parse(model, MOST[model])
    assert parse(model, message) is message


@pytest.mark.parametrize("model", MODELS)
def test_a_message_cannot_be_changed_after_it_was_checked(model: type[Request]) -> None:
    message = parse(model, MOST[model])
    with pytest.raises(ValidationError):
        message.tenant_id = "globex"  # type: ignore[attr-defined]


def test_defaults_are_filled_in() -> None:
    created = parse(InitializeChatSession, INITIALIZE)
    assert (created.active_agent, created.context) == ("guide", {})
    change = parse(UpdateChatContext, CHANGE)
    assert (change.merge_strategy, change.returning) == ("merge", "artifact")
    assert change.change == {"context": None, "append": None, "active_agent": None, "merge_strategy": "merge"}
    assert parse(JourneyArgument, ARGUMENT).initialization is None


def test_an_initializing_argument_is_the_message_it_stands_for() -> None:
    more = {"active_agent": "liaison_health", "context": {"a": [1, None]}}
    argument = parse(JourneyArgument, INITIALIZING | {"initialize": INITIAL | more})
    assert argument.initialization == parse(InitializeChatSession, INITIALIZE | more)


# Null means absent.


@pytest.mark.parametrize("model", MODELS)
def test_null_means_absent(model: type[Request]) -> None:
    optional = {name for name in model.model_fields if name not in LEAST[model]}
    assert parse(model, LEAST[model] | dict.fromkeys(optional)) == parse(model, LEAST[model])
    for name in optional:
        assert parse(model, LEAST[model] | {name: None}) == parse(model, LEAST[model])


@pytest.mark.parametrize("model", MODELS)
def test_what_is_needed_is_missed_absent_or_null(model: type[Request]) -> None:
    for name in LEAST[model]:
        assert refuses(model, LEAST[model] | {name: None}) == name
        assert refuses(model, {field: value for field, value in LEAST[model].items() if field != name}) == name


def test_null_means_absent_inside_initialize_as_well() -> None:
    spelled = INITIALIZING | {"initialize": INITIAL | {"active_agent": None, "context": None}}
    assert parse(JourneyArgument, spelled) == parse(JourneyArgument, INITIALIZING)
    assert refuses(JourneyArgument, INITIALIZING | {"initialize": {"requested_at": None}}) == "initialize"


def test_nulls_inside_documents_are_kept() -> None:
    change = parse(UpdateChatContext, MOST[UpdateChatContext])
    assert change.context == {"topic": "sleep", "gone": None}
    assert change.append == {"messages": [{"id": "m1", "reply_to": None}, None]}
    assert parse(InitializeChatSession, MOST[InitializeChatSession]).context == {"topic": None}


def test_a_new_sessions_context_is_a_patch_of_nothing() -> None:
    asked = parse(InitializeChatSession, INITIALIZE | {"context": {"a": None, "b": {"c": None, "d": [None]}}})
    session = asked.session(datetime(2026, 1, 27, tzinfo=UTC))
    assert session.context == {"b": {"d": [None]}}
    assert session.context_hash == sha256(b'{"b":{"d":[null]}}').hexdigest()


# What does not fit, and the field it is refused for.


def _with(models: type[Request] | Sequence[type[Request]], name: str, *values: Any) -> list[Wrong]:
    """Messages that have one of these values in a field."""
    models = models if isinstance(models, Sequence) else [models]
    return [(model, {name: value}, name) for model in models for value in values]


_NO_OBJECTS: tuple[Any, ...] = (1, True, "x", [], [[]])
_CHANGE, _CREATE = SignalChatContext, InitializeChatSession
_NAMING_A_SESSION = (JourneyArgument, GetChatSession, GetChatSessionHistory, GetChatMessages)
_ODD_NAMES: tuple[Any, ...] = ("", 1, True, [], {})
_ODD_MESSAGES: tuple[Any, ...] = (
    *([], {}, "x", 1, True, ["x"], [None], [[]], [{}] * 101),
    *([{"id": name}] for name in (*_ODD_NAMES, "x" * 129)),
    *([{"role": name}] for name in (*_ODD_NAMES, "x" * 65)),
    *([{"id": "a"}, {"id": "a"}], [{"a": math.nan}], [{"a": 2**53}], [{"a": "\x00"}]),
)
_ODD_IDS = (
    *("", "x", SESSION.upper(), SESSION.replace("-", ""), "{" + SESSION + "}", "urn:uuid:" + SESSION),
    *(SESSION + "\n", " " + SESSION, "chat-session/" + SESSION, 1),
)
_ENGINE_KEYS = ("agent-turn/x", "agent-turn/", "manual/1/x", "journey/1/x", "initialize/x")
_ODD_AGENTS = (
    *("", "Guide", "guide ", " guide", "guide\n", "guides", "guide|liaison_a", 1, True, ["guide"]),
    *("liaison", "liaison_", "liaison_Health", "liaison__health", "liaison_1", "liaison_h-h", "liaison_h h"),
    *("liaison_h\n", "liaison_gr\u00fcn", "xliaison_health"),
)
WRONG: list[Wrong] = [
    # Nothing is converted to the type that is wanted.
    *[
        wrong
        for model in MODELS
        for name in LEAST[model]
        for wrong in _with(model, name, 1, 1.5, True, [], {}, ["x"], "")
    ],
    *_with(_CHANGE, "user_id", 1, True, {}, [], ""),
    *_with([_CHANGE, _CREATE], "context", "{}", [], [[]], 1, True, False, ""),
    *_with(_CHANGE, "append", "{}", [], 1, True),
    *_with(_CHANGE, "append", *({"messages": value} for value in (None, {}, "x", 1, True, {"id": "m1"}))),
    *_with(_CHANGE, "messages", *_ODD_MESSAGES),
    *_with(_CHANGE, "remove_messages", [], {}, "x", 1, True, [1], [None], [""], ["x" * 129], [["x"]], ["x"] * 101),
    *_with([_CREATE, UpdateChatSession], "title", "x" * 201, 1, True, [], {}, "\x00", "\ud800"),
    *_with([ListChatSessions, UpdateChatSession], "lifecycle_state", "", "active", "DELETED", 1, True, []),
    *_with(ListChatSessions, "limit", True, "1", 0, -1, 101, 2**53),
    *_with(GetChatMessages, "limit", True, "1", 0, -1, 201, 2**53),
    *_with([GetChatMessages, ListChatSessions], "after", 1, True, [], {}),
    *_with(GetChatMessages, "before", 1, True, [], {}),
    (GetChatMessages, {"before": "x", "after": "x"}, "after"),
    *_with(UpdateChatSession, "new_user_id", "", "x" * 256, "a\n", 1, True, []),
    (UpdateChatSession, {"user_id": "ada", "new_user_id": "bob"}, "new_user_id"),
    *_with(_CHANGE, "base_revision", True, False, "0", "1", 1.5, [], -1, 2**53, 10**400),
    *_with(GetChatSessionHistory, "after_revision", True, "1", 0.5, -1, 2**53),
    *_with(GetChatSessionHistory, "limit", True, "1", 0, -1, 1001, 2**53),
    *_with([_CHANGE, _CREATE], "active_agent", *_ODD_AGENTS),
    *_with(_CHANGE, "merge_strategy", "", "Merge", "patch", "merge ", 1, True, ["merge"]),
    *_with(UpdateChatContext, "returning", "", "Artifact", "all", 1, False),
    *_with(_CHANGE, "idempotency_key", "", "x" * 129, "k\n", "\tk", "k\x7f", "k\x00", "\u00e9", "\U0001f600", 1, True),
    *_with([_CHANGE, DeleteChatSession], "author", "", "x" * 65, "a\n", "\x00", "\x7f", "\x85", "\ud800", 1, True),
    # The engine's own names.
    *_with([_CHANGE, UpdateChatContext, UpdateChatSession, DeleteChatSession], "author", "manual", "journey"),
    *[
        (model, wrong | {"user_id": "ada"}, name)
        for model, wrong, name in _with(
            [_CHANGE, UpdateChatContext, UpdateChatSession], "idempotency_key", *_ENGINE_KEYS
        )
    ],
    *_with(_NAMING_A_SESSION, "chat_session_id", *_ODD_IDS),
    # What needs something else.
    (SignalChatContext, {"merge_strategy": "replace"}, "context"),
    (SignalChatContext, {"merge_strategy": "replace", "base_revision": 1}, "context"),
    (SignalChatContext, {"merge_strategy": "replace", "base_revision": 1, "append": {"a": []}}, "context"),
    (SignalChatContext, {"merge_strategy": "replace", "context": {}}, "base_revision"),
    (SignalChatContext, {"merge_strategy": "replace", "context": {}, "base_revision": None}, "base_revision"),
    (InitializeChatSession, {"session_name": "n"}, "session_name"),
    *[
        (InitializeChatSession, {"requested_at": None, "session_name": name}, "session_name")
        for name in (*_ODD_NAMES, "x" * 129, "n\n", "\u00e9")
    ],
    (InitializeChatSession, {"requested_at": None}, "requested_at"),
    (JourneyArgument, {"user_id": "ada", "initialize": INITIAL | {"session_name": "n"}}, "initialize"),
    (JourneyArgument, {"initialize": INITIAL}, "user_id"),
    (JourneyArgument, {"user_id": "ada", "initialize": {}}, "initialize"),
    *[
        (model, wrong | {"user_id": "ada"}, name)
        for model, wrong, name in _with(JourneyArgument, "initialize", *_NO_OBJECTS)
    ],
    (JourneyArgument, {"user_id": "ada", "initialize": INITIAL | {"tenant_id": "acme"}}, "initialize"),
    (JourneyArgument, {"user_id": "ada", "initialize": INITIAL | {"active_agent": "x"}}, "initialize"),
    (JourneyArgument, {"user_id": "ada", "initialize": INITIAL | {"context": {"a": math.nan}}}, "initialize"),
    (JourneyArgument, {"user_id": "ada", "initialize": {"requested_at": "2026-01-27T10:05:12"}}, "initialize"),
]


@pytest.mark.parametrize(
    ("model", "wrong", "field"), WRONG, ids=[f"{model.__name__}-{str(wrong)[:60]!a}" for model, wrong, _ in WRONG]
)
def test_what_does_not_fit_is_refused_for_its_field(model: type[Request], wrong: dict[str, Any], field: str) -> None:
    assert refuses(model, LEAST[model] | wrong) == field


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "raw",
    [None, "x", "{}", 1, 1.5, True, [], [{}], b"{}", (), raw_value(b"{}"), object()],
    ids=lambda raw: type(raw).__name__,
)
def test_a_message_is_one_json_object(model: type[Request], raw: object) -> None:
    assert refuses(model, raw) == ""


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("count", [0, 2, 3])
def test_a_call_takes_exactly_one_message(model: type[Request], count: int) -> None:
    argument = raw_value(json.dumps(LEAST[model]).encode())
    assert parse_only(model, [argument]) == parse(model, LEAST[model])
    for function in (check_form, lambda arguments: parse_only(model, arguments)):
        with pytest.raises(InvalidParameter) as raised:
            function([argument] * count)
        check_error(model, raised.value, "")
        assert str(count) in raised.value.message


# How a payload is read.


@pytest.mark.parametrize("data", [b"{}", b" {}", b"\r\n\t {}", b" " * 1000 + b"{", b"{nonsense", b"{\xff"], ids=ascii)
def test_a_form_that_may_be_an_object_is_handed_on_as_it_came(data: bytes) -> None:
    """A workflow looks no further: what takes long to read must not make one of its tasks slow."""
    assert check_form([raw_value(data)]) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b" " * 1000,
        b"[]",
        b"[{}]",
        b"null",
        b"1",
        b'"{}"',
        b"\xef\xbb\xbf{}",
        b"\x0b{}",
        b"\xa0{}",
        b"\x00{}",
    ],
    ids=lambda data: ascii(data)[:30],
)
def test_a_form_that_can_be_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidParameter, match="one JSON object") as raised:
        check_form([raw_value(data)])
    check_error(GetChatSession, raised.value, "")


@pytest.mark.parametrize(
    "encoding",
    [
        None,
        b"",
        b"binary/null",
        b"binary/plain",
        b"binary/encrypted",
        b"json/protobuf",
        b"JSON/PLAIN",
        b"json/plain ",
        b"\xff\xfe\x00",
        b"\n\x1b[31m" * 20,
        b"x" * 10_000,
        "\U000e0001".encode() * 1_000,
    ],
    ids=lambda encoding: ascii(encoding)[:30],
)
def test_what_is_encoded_in_another_way_is_refused_by_its_form(encoding: bytes | None) -> None:
    for data in (b'{"tenant_id":"acme"}', b"", b"\xff"):
        with pytest.raises(InvalidParameter, match="json/plain") as raised:
            check_form([raw_value(data, encoding)])
        check_error(GetChatSession, raised.value, "")
        assert raised.value.message.isprintable()


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b'{"tenant_id":"acme"',
        b'{"tenant_id":"acme"}x',
        b"{tenant_id:1}",
        b"{'tenant_id':'acme'}",
        b'{"a":1,}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":"\xff"}',
        b'{"a":"\xc3"}',
        b'{"a":"\n"}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":inf}',
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"a":' + b"9" * 10_000 + b"}",
    ],
    ids=lambda data: ascii(data)[:30],
)
def test_what_is_no_json_is_refused_when_it_is_read(data: bytes) -> None:
    with pytest.raises(InvalidParameter, match=r"JSON|nested") as raised:
        read(data)
    check_error(GetChatSession, raised.value, "")
    assert raised.value.message.isprintable()
    with pytest.raises(InvalidParameter) as parsed:
        parse_only(GetChatSession, [raw_value(data)])
    assert str(parsed.value) == str(raised.value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"tenant_id":"acme","tenant_id":"acme"}',
        b'{"tenant_id":"acme","tenant\\u005fid":"globex"}',
        b'{"tenant_id":"acme","context":{"a":1,"b":2,"a":1}}',
        b'{"tenant_id":"acme","append":{"a":[{"id":"m1","id":"m2"}]}}',
    ],
)
def test_a_member_name_that_stands_twice_is_refused(data: bytes) -> None:
    """One peer takes the first, another the last: who checked the message may have read another one."""
    with pytest.raises(InvalidParameter, match="twice") as raised:
        parse_only(SignalChatContext, [raw_value(data)])
    check_error(SignalChatContext, raised.value, "")


@pytest.mark.parametrize(
    "data",
    [b'{"a":"\\ud800"}', b'{"\\udfff":1}', b'{"a":"\\ude00\\ud83d"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\\u0000"}'],
)
def test_a_text_that_no_peer_carries_is_refused(data: bytes) -> None:
    request = b'{"tenant_id":"acme","context":' + data + b"}"
    with pytest.raises(InvalidParameter) as raised:
        parse_only(SignalChatContext, [raw_value(request)])
    check_error(SignalChatContext, raised.value, "context")


@pytest.mark.parametrize(
    "number",
    [
        *(b"1e400", b"-1e400", b"1e22", b"9007199254740992", b"123456789012345678901234567890"),
        *(b"1e-101", b"-1e-323", b"1e-324", b"1e-400", b"-0.1e-400", b"0." + b"0" * 400 + b"1"),
    ],
    ids=lambda number: ascii(number)[:30],
)
def test_a_number_that_no_peer_carries_is_refused(number: bytes) -> None:
    request = b'{"tenant_id":"acme","context":{"n":' + number + b"}}"
    with pytest.raises(InvalidParameter) as raised:
        parse_only(SignalChatContext, [raw_value(request)])
    check_error(SignalChatContext, raised.value, "context")


@thoroughly(200)
@given(st.binary(max_size=30), st.sampled_from([b"json/plain", b"", b"binary/null"]) | st.binary(max_size=60))
@example(b"{\xff", b"json/plain")
@example(b"{", "\U000e0001".encode() * 100)
def test_bytes_of_any_kind_and_any_encoding_fit_or_are_refused(data: bytes, encoding: bytes) -> None:
    with pytest.raises(InvalidParameter) as raised:
        parse_only(GetChatSession, [raw_value(data, encoding)])
    check_error(GetChatSession, raised.value)
    assert raised.value.message.isprintable()


@thoroughly(200)
@given(st.text(st.sampled_from('{}[]":,\\ud8dc0123456789eE+-.truefalsn \x00\xff'), max_size=12))
def test_what_nearly_is_json_is_read_as_json_or_refused(text: str) -> None:
    try:
        value = read(text.encode())
    except InvalidParameter as error:
        check_error(GetChatSession, error, "")
    else:
        assert json.loads(text) == value


@thoroughly(150)
@given(documents)
def test_json_is_read_as_it_was_written(document: Any) -> None:
    for ascii_only in (True, False):
        written = json.dumps(document, ensure_ascii=ascii_only)
        assert json.dumps(read(written)) == json.dumps(read(written.encode())) == json.dumps(document)


# Unknown and hostile names.


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: ascii(name)[:30])
def test_an_unknown_field_is_refused_whatever_it_is_called(model: type[Request], name: str) -> None:
    for value in (None, 1, {"a": math.nan}):
        assert refuses(model, LEAST[model] | {name: value}) == ""
        assert refuses(model, {name: value} | LEAST[model]) == ""


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", [0, None, True, 1.5, (), b"tenant_id"], ids=repr)
def test_a_name_that_is_no_text_is_refused(model: type[Request], name: object) -> None:
    raw: dict[Any, Any] = {**LEAST[model], name: 1}
    assert refuses(model, raw) == ""


@pytest.mark.parametrize("name", [0, None, True, ("a",)], ids=repr)
def test_a_name_inside_a_document_is_a_text(name: object) -> None:
    assert refuses(SignalChatContext, CHANGE | {"context": {"a": [{name: 1}]}}) == "context"
    assert refuses(SignalChatContext, CHANGE | {"append": {name: []}}) == "append"


def test_an_unknown_field_of_another_message_is_unknown() -> None:
    assert refuses(SignalChatContext, CHANGE | {"returning": "receipt"}) == ""
    assert refuses(InitializeChatSession, INITIALIZE | {"idempotency_key": "k"}) == ""
    assert refuses(GetChatSession, GET | {"context": {}}) == ""
    assert refuses(JourneyArgument, ARGUMENT | {"requested_at": ASKED_AT}) == ""


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: ascii(name)[:30])
def test_a_hostile_name_further_in_does_not_stretch_or_break_the_error(name: str) -> None:
    assert refuses(SignalChatContext, CHANGE | {"append": {name: {name: name}}}) == "append"
    assert refuses(JourneyArgument, INITIALIZING | {"initialize": INITIAL | {name: name}}) == "initialize"
    assert refuses(SignalChatContext, CHANGE | {"context": {name: {name: math.inf}}}) == "context"


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: ascii(name)[:30])
def test_an_error_is_one_line_that_a_terminal_can_print(name: str) -> None:
    """Who sends a message must not write lines of their own into logs and onto screens."""
    for model, raw in (
        (SignalChatContext, CHANGE | {name: 1}),
        (SignalChatContext, CHANGE | {"append": {name: 1}}),
        (JourneyArgument, INITIALIZING | {"initialize": INITIAL | {name: 1}}),
    ):
        assert refused(model, raw).message.isprintable()


# Identifiers.


@pytest.mark.parametrize("name", ["tenant_id", "user_id"])
@pytest.mark.parametrize("character", ["x", " ", "\u00e9", "\U0001f600", "\u2028", "\ue000", '"', "\u0301"])
def test_an_id_has_up_to_255_bytes_of_any_script(name: str, character: str) -> None:
    most = 255 // len(character.encode())  # a search attribute has no room for more
    for model in (InitializeChatSession, JourneyArgument, SignalChatContext, GetChatSession):
        for length in (1, most):
            assert getattr(parse(model, LEAST[model] | {name: character * length}), name) == character * length
        assert refuses(model, LEAST[model] | {name: character * (most + 1)}) == name


@pytest.mark.parametrize("name", ["tenant_id", "user_id"])
@pytest.mark.parametrize("character", [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))], ids=ascii)
def test_an_id_has_no_control_characters(name: str, character: str) -> None:
    for model in (InitializeChatSession, JourneyArgument, SignalChatContext, GetChatSession):
        assert refuses(model, LEAST[model] | {name: f"a{character}b"}) == name
        assert refuses(model, LEAST[model] | {name: f"ab{character}"}) == name


@pytest.mark.parametrize("key", ["x", " ", "~", "k" * 128, "".join(map(chr, range(0x20, 0x7F)))])
def test_a_key_is_any_printable_ascii(key: str) -> None:
    assert parse(SignalChatContext, CHANGE | {"idempotency_key": key}).idempotency_key == key


@pytest.mark.parametrize("key", _ENGINE_KEYS)
@pytest.mark.parametrize("model", [SignalChatContext, UpdateChatContext])
def test_only_a_service_may_use_the_engines_keys(model: type[SignalChatContext], key: str) -> None:
    assert parse(model, CHANGE | {"idempotency_key": key}).idempotency_key == key
    assert refuses(model, CHANGE | {"idempotency_key": key, "user_id": "ada"}) == "idempotency_key"


@pytest.mark.parametrize("key", ["agent-turn", "Manual/1", " manual/", "a/manual/", "initialized/"])
def test_a_user_may_use_what_only_looks_like_an_engines_key(key: str) -> None:
    assert parse(SignalChatContext, CHANGE | {"idempotency_key": key, "user_id": "ada"}).idempotency_key == key


@pytest.mark.parametrize("author", ["manuals", "Manual", "journey ", "the journey"])
def test_an_author_may_be_called_almost_as_the_engine_is(author: str) -> None:
    assert parse(SignalChatContext, CHANGE | {"author": author}).author == author


@pytest.mark.parametrize("author", ["x", "x" * 64, "\U0001f600" * 64, "liaison_health", "a service (nightly)"])
def test_an_author_has_up_to_64_characters(author: str) -> None:
    assert parse(SignalChatContext, CHANGE | {"author": author}).author == author


@pytest.mark.parametrize("agent", ["guide", "liaison_a", "liaison_health", "liaison_a1_", "liaison_life_2"])
def test_an_agent_is_the_guide_or_a_pillars_liaison(agent: str) -> None:
    assert parse(SignalChatContext, CHANGE | {"active_agent": agent}).active_agent == agent
    assert parse(InitializeChatSession, INITIALIZE | {"active_agent": agent}).active_agent == agent


@pytest.mark.parametrize("revision", [0, 1, 2**53 - 1])
def test_a_revision_is_any_integer_that_every_peer_holds(revision: int) -> None:
    assert parse(SignalChatContext, CHANGE | {"base_revision": revision}).base_revision == revision
    assert parse(GetChatSessionHistory, HISTORY | {"after_revision": revision}).after_revision == revision


# Which JSON comes back as it went in.

FAITHFUL: list[Any] = [
    0,
    -0.0,
    2**53 - 1,
    -(2**53) + 1,
    float(2**53 - 1),
    0.1,
    1e-100,
    -1.5e-100,
    4503599627370495.5,
    1e15,
    True,
    None,
    "",
    "\x01\x1f\x7f\x80\u2028\ufffe\uffff",
    "\U0001f600\ue000\U0010ffff",
    [[], {}, [None]],
    {"": {"": ""}},
]
UNFAITHFUL: list[Any] = [
    math.nan,
    math.inf,
    -math.inf,
    2**53,
    -(2**53),
    float(2**53),
    -float(2**53),
    9007199254740993,
    1e16,
    1e22,
    -1e22,
    1e23,
    1e308,
    9.9e-101,
    -1e-101,
    1e-300,
    5e-324,
    10**400,
    "\x00",
    "a\x00b",
    "\u00e9\x00",
    "\ud800",
    "a\udfff",
    "\ude00\ud83d",
    "\ud83d\ude00"[0],
    b"bytes",
    {1, 2},
    datetime(2026, 1, 27, tzinfo=UTC),
    Ellipsis,
    1j,
]


def places(value: Any) -> list[Wrong]:
    """Messages that carry a value where any JSON may stand."""
    return [
        (SignalChatContext, CHANGE | {"context": {"a": value}}, "context"),
        (UpdateChatContext, CHANGE | {"context": {"a": [{"b": [value]}]}}, "context"),
        (UpdateChatContext, CHANGE | {"append": {"a": [value]}}, "append"),
        (SignalChatContext, CHANGE | {"append": {"a": [{"b": {"c": value}}]}}, "append"),
        (InitializeChatSession, INITIALIZE | {"context": {"a": {"b": value}}}, "context"),
        (JourneyArgument, INITIALIZING | {"initialize": INITIAL | {"context": {"a": value}}}, "initialize"),
    ]


@pytest.mark.parametrize("value", FAITHFUL, ids=lambda value: ascii(value)[:30])
def test_what_every_peer_carries_is_taken(value: Any) -> None:
    for model, raw, _ in places(value):
        message = parse(model, raw)
        assert canonical(value) in canonical(message.model_dump(mode="json"))
    if isinstance(value, str):
        parse(SignalChatContext, CHANGE | {"context": {value: {value: 1}}, "append": {value: []}})


@pytest.mark.parametrize("value", UNFAITHFUL, ids=lambda value: ascii(value)[:30])
def test_what_some_peer_would_mangle_is_refused(value: Any) -> None:
    for model, raw, field in places(value):
        assert refuses(model, raw) == field
    if isinstance(value, str):
        assert refuses(SignalChatContext, CHANGE | {"context": {value: 1}}) == "context"
        assert refuses(SignalChatContext, CHANGE | {"context": {"a": [{value: 1}]}}) == "context"
        assert refuses(SignalChatContext, CHANGE | {"append": {value: []}}) == "append"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "NaN"),
        (-math.inf, "infinities"),
        (1e22, "as a string"),
        (1e-101, "1e-100"),
        ("\x00", "NUL"),
        ("\ud800", "surrogates"),
    ],
    ids=ascii,
)
def test_what_is_wrong_with_a_value_is_said(value: Any, said: str) -> None:
    for model, raw, field in places(value):
        message = refused(model, raw).message
        assert message.startswith(f"{field}: ")
        assert said in message


@pytest.mark.parametrize("value", ["a\x00", "a\ud800", "\udfff"], ids=ascii)
@pytest.mark.parametrize("name", ["tenant_id", "user_id", "author", "idempotency_key", "active_agent"])
def test_what_some_peer_would_mangle_is_refused_in_names_too(name: str, value: str) -> None:
    assert refuses(SignalChatContext, CHANGE | {name: value}) == name


@pytest.mark.parametrize("container", [dict, list])
@pytest.mark.parametrize("levels", [32, 33, 200])
def test_a_reader_takes_what_a_parser_takes_since_nesting_has_a_setting(levels: int, container: type) -> None:
    context = {"in": nested(levels - 1, container)}
    assert parse(SignalChatContext, CHANGE | {"context": context}).context == context
    assert parse(InitializeChatSession, INITIALIZE | {"context": context}).context == context


@pytest.mark.parametrize("container", [dict, list])
def test_a_change_is_nested_no_deeper_than_a_deployment_allows(container: type) -> None:
    for depth in (2, 32, 33):
        for name, fits, too_deep in (
            ("context", {"in": nested(depth - 1, container)}, {"in": nested(depth, container)}),
            ("append", {"in": [nested(depth - 2, container)] * (depth > 2)}, {"in": [nested(depth - 1, container)]}),
        ):
            assert getattr(parse(SignalChatContext, CHANGE | {name: fits}, depth=depth), name) == fits
            with pytest.raises(InvalidParameter, match="nested") as raised:
                parse(SignalChatContext, CHANGE | {name: too_deep}, depth=depth)
            check_error(SignalChatContext, raised.value, name)


@pytest.mark.parametrize("container", [dict, list])
@pytest.mark.parametrize("levels", [201, 500, 100_000])
def test_what_is_nested_without_end_is_refused(levels: int, container: type) -> None:
    deep = nested(levels - 1, container)
    assert refuses(SignalChatContext, CHANGE | {"context": {"in": deep}}) == "context"
    assert refuses(SignalChatContext, CHANGE | {"append": {"in": [deep]}}) == "append"
    assert refuses(InitializeChatSession, INITIALIZE | {"context": {"in": deep}}) == "context"
    assert refuses(JourneyArgument, INITIALIZING | {"initialize": INITIAL | {"context": {"in": deep}}}) == "initialize"
    assert refuses(SignalChatContext, CHANGE | {"tenant_id": deep}) == "tenant_id"


def test_what_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert refuses(SignalChatContext, CHANGE | {"context": endless}) == "context"


# Times.


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-27T10:05:12Z", "2026-01-27T10:05:12.000000Z"),
        ("2026-01-27T10:05:12z", "2026-01-27T10:05:12.000000Z"),
        ("2026-01-27t10:05:12z", "2026-01-27T10:05:12.000000Z"),
        ("2026-01-27 10:05:12Z", "2026-01-27T10:05:12.000000Z"),
        ("2026-01-27T10:05:12+00:00", "2026-01-27T10:05:12.000000Z"),
        ("2026-01-27T10:05:12-00:00", "2026-01-27T10:05:12.000000Z"),
        ("2026-01-27T10:05:12+05:30", "2026-01-27T04:35:12.000000Z"),
        ("2026-01-27T23:05:12-11:00", "2026-01-28T10:05:12.000000Z"),
        ("2026-01-27T10:05:12+23:59", "2026-01-26T10:06:12.000000Z"),
        ("2026-01-27T10:05:12.5Z", "2026-01-27T10:05:12.500000Z"),
        ("2026-01-27T10:05:12.000001Z", "2026-01-27T10:05:12.000001Z"),
        ("2026-01-27T10:05:59.999999999Z", "2026-01-27T10:05:59.999999Z"),
        ("2028-02-29T23:59:59Z", "2028-02-29T23:59:59.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("0001-01-01T00:00:00-01:00", "0001-01-01T01:00:00.000000Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z"),
    ],
)
def test_a_time_is_any_form_of_rfc_3339_and_written_in_one(text: str, moment: str) -> None:
    asked = parse(InitializeChatSession, INITIALIZE | {"requested_at": text})
    assert asked.requested_at
    assert asked.requested_at.tzinfo is UTC
    assert timestamp(asked.requested_at) == moment
    assert asked.model_dump(mode="json")["requested_at"] == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-27T10:05:12",
        "2026-01-27 10:05:12",
        "2026-01-27",
        "10:05:12Z",
        "2026-01-27T10:05Z",
        "2026-01-27T10Z",
        "20260127T100512Z",
        "2026-W05-2T10:05:12Z",
        "2026-027T10:05:12Z",
        "2026-01-27T10:05:12+0530",
        "2026-01-27T10:05:12+05",
        "2026-01-27T10:05:12+05:30:15",
        "2026-01-27T10:05:12+24:00",
        "2026-01-27T10:05:12+05:60",
        "2026-01-27T10:05:12-00:99",
        "2026-01-27T10:05:12 Z",
        "2026-01-27T10:05:12.Z",
        "2026-01-27T10:05:12,5Z",
        "2026-01-27_10:05:12Z",
        "2026-01-27T10:05:60Z",
        "2016-12-31T23:59:60Z",
        "2026-01-27T24:00:00Z",
        "2026-01-27T10:60:00Z",
        "2026-02-29T10:05:12Z",
        "2026-13-01T10:05:12Z",
        "2026-00-01T10:05:12Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        "-2026-01-27T10:05:12Z",
        "2026-01-27T10:05:12Z\n",
        " 2026-01-27T10:05:12Z",
        "2026-01-27T10:05:12Z[Europe/Berlin]",
        "\u0662\u0660\u0662\u0666-01-27T10:05:12Z",
        "2026-01-27T10:05:12\u017f",
        "1769508312",
        "now",
        "",
        1769508312,
        1769508312.5,
        True,
        ["2026-01-27T10:05:12Z"],
        {"seconds": 1},
    ],
    ids=ascii,
)
def test_what_is_no_time_with_its_zone_is_refused(text: Any) -> None:
    assert refuses(InitializeChatSession, INITIALIZE | {"requested_at": text}) == "requested_at"
    assert refuses(JourneyArgument, INITIALIZING | {"initialize": {"requested_at": text}}) == "initialize"


def test_a_session_is_not_created_in_the_future() -> None:
    now = datetime(2026, 1, 27, 10, 0, tzinfo=UTC)
    for ahead, fits in ((-365 * 86400.0, True), (0, True), (299, True), (300, True), (300.000001, False), (1e9, False)):
        asked_at = timestamp(now + timedelta(seconds=ahead))
        asked = parse(InitializeChatSession, INITIALIZE | {"requested_at": asked_at})
        if fits:
            asked.check(session_id(asked.key), now)
        else:
            with pytest.raises(InvalidParameter, match="five minutes") as raised:
                asked.check(session_id(asked.key), now)
            assert raised.value.field == "requested_at"


def test_the_far_future_is_only_too_far_ahead() -> None:
    asked = parse(InitializeChatSession, INITIALIZE | {"requested_at": "9999-12-31T23:59:59Z"})
    with pytest.raises(InvalidParameter, match="five minutes"):
        asked.check(session_id(asked.key), datetime(2026, 1, 27, tzinfo=UTC))


@pytest.mark.parametrize(
    "other",
    [{"tenant_id": "globex"}, {"user_id": "eve"}, {"requested_at": "2026-01-27T10:06:00Z"}, {"tenant_id": "acm"}],
)
def test_a_session_is_only_created_under_the_id_that_is_derived(other: dict[str, Any]) -> None:
    now = datetime(2026, 1, 27, 10, 6, tzinfo=UTC)
    asked, different = (parse(InitializeChatSession, each) for each in (INITIALIZE, INITIALIZE | other))
    asked.check(session_id(asked.key), now)
    with pytest.raises(InvalidParameter) as raised:
        different.check(session_id(asked.key), now)
    assert raised.value.field == "requested_at"


def test_a_new_session_is_as_it_was_asked_for() -> None:
    now = datetime(2026, 1, 27, 10, 5, 13, 42, tzinfo=UTC)
    asked = parse(InitializeChatSession, INITIALIZE | {"context": {"b": 1.0, "a": None, "c": [None]}})
    written = asked.session(now).model_dump(mode="json")
    assert written == {
        "artifact_type": "chat_session",
        "chat_session_id": SESSION,
        "tenant_id": "acme",
        "user_id": "ada",
        "active_agent": "guide",
        "context": {"b": 1.0, "c": [None]},
        "lifecycle_state": "ACTIVE",
        "revision": 0,
        "context_hash": sha256(b'{"b":1,"c":[null]}').hexdigest(),
        "title": None,
        "message_count": 0,
        "turn_revision": 0,
        "created_at": "2026-01-27T10:05:13.000042Z",
        "updated_at": "2026-01-27T10:05:13.000042Z",
    }


def test_artifact_and_receipt_have_the_fields_that_are_promised() -> None:
    receipt = {
        "artifact_type",
        "chat_session_id",
        "tenant_id",
        "user_id",
        "title",
        "active_agent",
        "lifecycle_state",
        "revision",
        "context_hash",
        "message_count",
        "turn_revision",
        "created_at",
        "updated_at",
    }
    artifact = receipt | {"context"}
    assert set(ChatSessionArtifact.model_fields) == artifact
    assert set(ChatSessionView.model_fields) == artifact | {"refusals"}
    assert set(InitializedChatSession.model_fields) == artifact | {"created"}
    assert set(UpdateReceipt.model_fields) == receipt | {"applied_revision", "duplicate", "message_ids"}
    assert set(UpdatedChatSession.model_fields) == artifact | {"applied_revision", "duplicate", "message_ids"}
    assert set(Refusal.model_fields) == {"at", "code", "field"}


def test_what_a_newer_engine_adds_to_an_answer_is_ignored() -> None:
    artifact = parse(InitializeChatSession, INITIALIZE).session(datetime(2026, 1, 27, tzinfo=UTC))
    written = artifact.model_dump(mode="json") | {"mood": "good"}
    assert ChatSessionArtifact.model_validate(written) == artifact


# Anything at all.

_field_names = sorted({name for model in MODELS for name in model.model_fields})
_odd_values: st.SearchStrategy[Any] = (
    st.floats()
    | st.integers()
    | st.text(st.characters())
    | st.binary(max_size=3)
    | st.sampled_from([ASKED_AT, SESSION, "guide", "merge", "replace", "receipt", {}, [], 0, 1, (), (1,), {1}])
    | st.datetimes()
)
_anything: st.SearchStrategy[Any] = st.recursive(
    _odd_values | st.none() | st.booleans(),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(texts | st.sampled_from(_field_names), children, max_size=3)
        | st.dictionaries(st.integers() | st.none() | st.text(st.characters(), max_size=2), children, max_size=2)
        | st.tuples(children)
    ),
    max_leaves=6,
)


@thoroughly(300)
@given(st.sampled_from(MODELS), _anything)
def test_anything_at_all_fits_or_is_refused(model: type[Request], raw: Any) -> None:
    try:
        assert isinstance(parse(model, raw), model)
    except InvalidParameter as error:
        check_error(model, error)


@thoroughly(400)
@given(st.sampled_from(MODELS), st.dictionaries(st.sampled_from(_field_names), _anything, max_size=2), st.booleans())
def test_a_good_message_with_anything_in_it_fits_or_is_refused(
    model: type[Request], odd: dict[str, Any], whole: bool
) -> None:
    raw = (MOST if whole else LEAST)[model] | {name: value for name, value in odd.items() if name in model.model_fields}
    try:
        message = parse(model, raw)
    except InvalidParameter as error:
        check_error(model, error)
    else:
        assert parse(model, message.model_dump(mode="json")) == message


@thoroughly(100)
@given(st.dictionaries(texts, documents, max_size=3))
def test_a_document_comes_through_unchanged_or_not_at_all(context: dict[str, Any]) -> None:
    try:
        change = parse(SignalChatContext, CHANGE | {"context": context})
    except InvalidParameter as error:
        check_error(SignalChatContext, error, "context")
    else:
        assert canonical(change.context) == canonical(context)
        again = SignalChatContext.model_validate_json(change.model_dump_json())
        assert canonical(again.context) == canonical(context)


# How errors travel.


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_comes_through_temporal_as_it_was(code: str) -> None:
    failure = as_failure(ERRORS[code]("context: is odd", field="context"))
    assert (failure.type, failure.message, list(failure.details)) == (code, "context: is odd", [{"field": "context"}])
    assert failure.non_retryable is (code not in (DatabaseUnavailable.code, EngineUnavailable.code))
    outer = RuntimeError("update failed")
    outer.__cause__ = failure
    for found in (from_failure(failure), from_failure(outer)):
        assert isinstance(found, JourneyError)
        assert (found.code, found.message, found.field) == (code, "context: is odd", "context")


@pytest.mark.parametrize("code", ERRORS)
def test_the_error_of_a_query_comes_through_in_its_message(code: str) -> None:
    error = ERRORS[code]("context: is odd")
    found = from_query_failure(str(error))
    assert found is not None
    assert (found.code, found.message) == (code, "context: is odd")


def test_an_error_that_only_a_newer_release_knows_keeps_its_text() -> None:
    failure = ApplicationError("turn: is odd", {"field": "turn"}, type="A_NEWER_CODE", non_retryable=True)
    for found in (from_failure(failure), Refused(code="A_NEWER_CODE", text="turn: is odd", field="turn").error):
        assert type(found) is InvalidParameter
        assert (found.message, found.field) == ("turn: is odd", "turn")


def test_what_is_no_error_of_the_contract_is_not_taken_for_one() -> None:
    assert from_failure(None) is None
    assert from_failure(ApplicationError("x", type="SOMETHING_ELSE")) is None
    assert from_failure(ApplicationError("x", {"field": "f"})) is None
    assert from_failure(ApplicationError("x", "f", type="SOMETHING_ELSE")) is None
    assert from_failure(RuntimeError("INVALID_PARAMETER: x")) is None
    for message in ("", "it failed: badly", "invalid_parameter: x", "INVALID_PARAMETERS: x"):
        assert from_query_failure(message) is None


def test_refused_signals_are_counted_and_the_last_ten_are_shown() -> None:
    refusals = Refusals()
    for number in range(25):
        at = datetime(2026, 1, 27, 10, 5, number, tzinfo=UTC)
        refusal = Refusal(at=at, code="INVALID_PARAMETER", field="context")
        refusals = refusals.plus(Refusals(count=1, last=(refusal,)))
        assert refusals.count == number + 1
        assert [each.at.second for each in refusals.last] == list(range(max(0, number - 9), number + 1))
    shown = refusals.model_dump(mode="json")
    assert set(shown) == {"count", "last"}
    assert shown["last"][-1] == {"at": "2026-01-27T10:05:24.000000Z", "code": "INVALID_PARAMETER", "field": "context"}


def test_refusals_of_two_sources_are_counted_together() -> None:
    def so_many(count: int, hour: int) -> Refusals:
        last = [Refusal(at=datetime(2026, 1, 27, hour, n, tzinfo=UTC), code="C", field="") for n in range(count)]
        return Refusals(count=count, last=tuple(last[-10:]))

    both = so_many(7, 10).plus(so_many(6, 11))
    assert both.count == 13
    assert [(each.at.hour, each.at.minute) for each in both.last] == [
        *((10, minute) for minute in range(3, 7)),
        *((11, minute) for minute in range(6)),
    ]
    assert so_many(12, 10).plus(so_many(25, 11)).last == so_many(25, 11).last
    assert so_many(3, 10).plus(Refusals()) == Refusals().plus(so_many(3, 10)) == so_many(3, 10)


# What an update is answered.


_NOW = ChatSessionReceipt(
    chat_session_id=SESSION,
    tenant_id="acme",
    user_id="ada",
    active_agent="guide",
    revision=9,
    context_hash="9" * 64,
    created_at=datetime(2026, 1, 27, 8, tzinfo=UTC),
    updated_at=datetime(2026, 1, 27, 10, tzinfo=UTC),
)
_CONTEXT: dict[str, Any] = {"a": [1]}


def test_a_change_that_was_just_made_is_answered_with_the_session_as_it_is_now() -> None:
    """Other changes of its batch are in both stores by then."""
    receipt = answer_update(Outcome(revision=7), _NOW, None)
    assert type(receipt) is UpdateReceipt
    more = {"applied_revision": 7, "duplicate": False, "message_ids": None}
    assert dict(receipt) == {**_NOW.model_dump(), **more}
    artifact = answer_update(Outcome(revision=7), _NOW, _CONTEXT)
    assert type(artifact) is UpdatedChatSession
    assert dict(artifact) == {**_NOW.model_dump(), "context": _CONTEXT, **more}


@pytest.mark.parametrize("duplicate", [False, True])
def test_a_change_that_was_there_before_has_a_receipt_of_then_and_an_artifact_of_now(*, duplicate: bool) -> None:
    then = KnownChange(
        revision=7,
        idempotency_key="k",
        change_hash="c" * 64,
        active_agent="liaison_health",
        context_hash="a" * 64,
        applied_at=datetime(2026, 1, 27, 9, tzinfo=UTC),
        message="run/update",
    )
    outcome = Outcome(revision=7, known=then, duplicate=duplicate)
    told = {"applied_revision": 7, "duplicate": duplicate, "message_ids": None}
    assert dict(answer_update(outcome, _NOW, None)) == {
        **_NOW.model_dump(),
        **told,
        "revision": 7,
        "active_agent": "liaison_health",
        "context_hash": "a" * 64,
        "updated_at": then.applied_at,
    }
    assert dict(answer_update(outcome, _NOW, _CONTEXT)) == {**_NOW.model_dump(), "context": _CONTEXT, **told}


@pytest.mark.parametrize("created", [False, True])
def test_an_initialization_is_answered_with_the_session_and_whether_it_created_it(*, created: bool) -> None:
    answer = answer_initialize(_NOW, _CONTEXT, created=created)
    assert answer.model_dump() == {**_NOW.model_dump(), "context": _CONTEXT, "created": created}
