"""JSON comes back from every store and peer as it went in, or it is refused."""

import math
from collections import OrderedDict
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.canonical_json import canonical
from journeys.chat_session.messages import (
    InitializeChatSession,
    JourneyArgument,
    SignalChatContext,
    UpdateChatContext,
)
from journeys.errors import InvalidParameter
from journeys.messages import parse
from tests.support.documents import documents, nested, thoroughly
from tests.unit.contract_requests import (
    CHANGE,
    INITIAL,
    INITIALIZE,
    INITIALIZING,
    Wrong,
    check_error,
    refused,
    refuses,
)

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
    """Messages that carry a value where any JSON is allowed."""
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
    for name in ("again", "and again"):  # the second member doubles the places at each level
        endless[name] = endless
        assert refuses(SignalChatContext, CHANGE | {"context": endless}) == "context"


@thoroughly()
@given(st.lists(documents, min_size=1), st.sampled_from([value for value in UNFAITHFUL if value is not ...]), st.data())
def test_one_value_that_some_peer_would_mangle_is_found_among_any(
    document: list[Any], value: Any, data: st.DataObject
) -> None:
    place: list[Any] | dict[str, Any] = document
    while True:
        if isinstance(place, list):
            place.insert(data.draw(st.integers(0, len(place))), value)
            below = [each for each in place if isinstance(each, list | dict)]
        else:
            place["wrong"] = value
            below = [each for each in place.values() if isinstance(each, list | dict)]
        assert refuses(SignalChatContext, CHANGE | {"append": {"list": document}}) == "append"
        if not below:
            return
        if isinstance(place, list):
            place.remove(value)
        else:
            del place["wrong"]
        place = data.draw(st.sampled_from(below))


@pytest.mark.parametrize("value", [math.nan, "\x00", 2**53, {"\ud800": 1}], ids=ascii)
def test_the_last_of_very_many_values_is_looked_at(value: Any) -> None:
    many = [[], [*range(200_000), value]]
    assert refuses(SignalChatContext, CHANGE | {"context": {"a": many}}) == "context"
    assert refuses(SignalChatContext, CHANGE | {"append": {"a": [[0]] * 200_000 + [value]}}) == "append"


class _Text(str):
    __slots__ = ()


class _Number(float):
    pass


class _Colour(StrEnum):
    RED = "red"


class _Count(IntEnum):
    TWO = 2
    TOO_MANY = 2**53


def test_what_extends_a_type_of_json_is_taken_for_that_type() -> None:
    """A Python service may have types of its own; what it sends is JSON all the same."""
    context = {"colour": _Colour.RED, _Text("count"): [_Count.TWO, _Number(0.5)], "more": OrderedDict(a=_Text("b"))}
    message = parse(SignalChatContext, CHANGE | {"context": context})
    assert canonical(message.context) == b'{"colour":"red","count":[2,0.5],"more":{"a":"b"}}'
    for wrong in (_Text("\x00"), _Number("nan"), _Number(1e22), _Count.TOO_MANY, OrderedDict({_Text("\ud800"): 1})):
        assert refuses(SignalChatContext, CHANGE | {"context": {"a": [wrong]}}) == "context"
