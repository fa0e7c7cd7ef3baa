"""A member that no message has is refused, whatever it is called, and an error can be shown anywhere."""

import math
from typing import Any

import pytest

from journeys.chat_session.messages import (
    GetChatSession,
    InitializeChatSession,
    JourneyArgument,
    SignalChatContext,
)
from journeys.messages import Request
from tests.unit.contract_requests import (
    ARGUMENT,
    ASKED_AT,
    CHANGE,
    GET,
    HOSTILE_NAMES,
    INITIAL,
    INITIALIZE,
    INITIALIZING,
    LEAST,
    MODELS,
    refused,
    refuses,
)


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
    """The sender of a message must not write lines of their own into logs and onto screens."""
    for model, raw in (
        (SignalChatContext, CHANGE | {name: 1}),
        (SignalChatContext, CHANGE | {"append": {name: 1}}),
        (JourneyArgument, INITIALIZING | {"initialize": INITIAL | {name: 1}}),
    ):
        assert refused(model, raw).message.isprintable()
