"""A message fits the contract, or it is refused with the field at fault, in the same way at every entrance."""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from journeys.canonical_json import canonical
from journeys.chat_session.answers import (
    ChatSessionView,
    InitializedChatSession,
    UpdatedChatSession,
    UpdateReceipt,
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
from journeys.chat_session.refusals import Refusal
from journeys.chat_session.session import ChatSessionArtifact
from journeys.errors import InvalidParameter
from journeys.messages import Request, check_form, parse, parse_only, read
from tests.support.documents import documents, texts, thoroughly
from tests.unit.contract_requests import (
    ARGUMENT,
    ASKED_AT,
    CHANGE,
    ENGINE_KEYS,
    INITIAL,
    INITIALIZE,
    INITIALIZING,
    LEAST,
    MODELS,
    MOST,
    SESSION,
    Wrong,
    check_error,
    raw_value,
    refuses,
)

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
_ODD_AGENTS = (
    *("", "Guide", "guide ", " guide", "guide\n", "guides", "guide|liaison_a", 1, True, ["guide"]),
    *("liaison", "liaison_", "liaison_Health", "liaison__health", "liaison_1", "liaison_h-h", "liaison_h h"),
    *("liaison_h\n", "liaison_gr\u00fcn", "xliaison_health"),
)
WRONG: list[Wrong] = [
    # No value is converted to the type of its field.
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
            [_CHANGE, UpdateChatContext, UpdateChatSession], "idempotency_key", *ENGINE_KEYS
        )
    ],
    *_with(_NAMING_A_SESSION, "chat_session_id", *_ODD_IDS),
    # Fields that need another field.
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


# Who owns the parts of a message.


@thoroughly(300)
@given(
    st.sampled_from(MODELS),
    st.dictionaries(st.sampled_from(_field_names), documents | st.sampled_from([{}, [], [{}], {"a": []}]), max_size=2),
)
def test_a_message_that_is_kept_is_the_message_that_would_be_copied(model: type[Request], odd: dict[str, Any]) -> None:
    """The engine does not copy a message that it has read itself; its checks and its result must be the same."""
    raw = LEAST[model] | {name: value for name, value in odd.items() if name in model.model_fields}

    def outcome(*, is_own: bool) -> str:
        try:
            return repr(parse(model, read(json.dumps(raw)), is_own=is_own))
        except InvalidParameter as error:
            return f"{error.field}: {error}"

    assert outcome(is_own=True) == outcome(is_own=False)


def test_a_callers_message_stays_as_it_was_whatever_becomes_of_its_parts() -> None:
    """A client may send it again after the caller has gone on with its own objects."""
    raw = {"tenant_id": "acme", "context": {"a": [1]}, "append": {"b": [{}]}, "messages": [{"c": []}]}
    message = parse(UpdateChatContext, raw)
    before = message.model_dump_json()
    raw["context"]["a"].append(2)  # type: ignore[index]
    raw["append"]["b"][0]["x"] = 1  # type: ignore[index]
    raw["messages"][0]["c"].append(1)  # type: ignore[index]
    assert message.model_dump_json() == before


def test_a_message_that_nobody_else_holds_is_not_copied() -> None:
    """Copies would take most of the time that a large message takes."""
    raw: Any = read('{"tenant_id":"acme","context":{"a":[1]},"append":{"b":[{}]},"messages":[{"c":[]}]}')
    message = parse(SignalChatContext, raw, is_own=True)
    assert message.context is raw["context"]
    assert message.append is not None
    assert message.append["b"] is raw["append"]["b"]
    assert message.messages is not None
    assert message.messages[0] is raw["messages"][0]
