"""A request and a context fit to the exact byte, and what is stored already can always be made smaller."""

from typing import Any

import pytest
from pydantic import ValidationError

from journeys.canonical_json import canonical
from journeys.chat_session.errors import ContextTooLarge
from journeys.chat_session.limits import KIB, UPPER_BOUNDS, Limits
from journeys.chat_session.rules import check_context, check_context_size, check_request_size
from journeys.errors import InvalidParameter
from tests.support.decided_messages import LIMITS, Story, a_session, applied, code_and_field
from tests.support.documents import nested


@pytest.mark.parametrize("fill", ["x", "\u00e9", "\U0001f600", '"', "\x01"])
def test_a_context_fits_to_the_exact_byte(fill: str) -> None:
    context: dict[str, Any] = {"a": fill * 40}
    size = len(canonical(context))
    fits, too_small = Limits(context_bytes=size), Limits(context_bytes=size - 1)
    check_context(context, fits)
    check_context_size(size, fits)
    with pytest.raises(ContextTooLarge) as refused:
        check_context(context, too_small)
    assert refused.value.field == "context"
    applied(Story(limits=fits).tell(context=context))
    assert code_and_field(Story(limits=too_small).tell(context=context)) == ("CONTEXT_TOO_LARGE", "context")
    grown = Story(session=a_session({"a": [fill]}), limits=Limits(context_bytes=14 + len(canonical(fill))))
    assert code_and_field(grown.tell(append={"a": ["1234"]}))[0] == "CONTEXT_TOO_LARGE"
    assert (
        len(canonical(applied(grown.tell(append={"a": ["123"]})).draft.session.context)) == grown.limits.context_bytes
    )


@pytest.mark.parametrize("size", [1, 500, 128 * KIB, 256 * KIB])
def test_a_request_fits_to_the_exact_byte(size: int) -> None:
    check_request_size(size, Limits(change_bytes=size))
    with pytest.raises(ContextTooLarge) as refused:
        check_request_size(size + 1, Limits(change_bytes=size))
    assert refused.value.field == "context"
    assert str(size) in refused.value.message
    assert str(size + 1) in refused.value.message


def test_the_limits_are_those_of_the_contract_by_default() -> None:
    assert (LIMITS.context_bytes, LIMITS.change_bytes, LIMITS.nesting) == (256 * KIB, 128 * KIB, 32)
    check_request_size(128 * KIB, LIMITS)
    with pytest.raises(ContextTooLarge):
        check_request_size(128 * KIB + 1, LIMITS)
    almost = {"a": "x" * (256 * KIB - len(b'{"a":"","b":1}'))}
    applied(Story(session=a_session(almost)).tell(context={"b": 1}))
    assert code_and_field(Story(session=a_session(almost)).tell(context={"b": 10}))[0] == "CONTEXT_TOO_LARGE"


def test_a_deployment_sets_limits_no_higher_than_a_journey_can_hold() -> None:
    assert Limits(context_bytes=256 * KIB, change_bytes=256 * KIB, nesting=100) == UPPER_BOUNDS
    for name, bound in UPPER_BOUNDS.model_dump().items():
        with pytest.raises(ValidationError):
            Limits(**{name: bound + 1})


@pytest.mark.parametrize("container", [dict, list])
def test_a_new_sessions_context_is_nested_no_deeper_than_allowed(container: type) -> None:
    check_context({"in": nested(31, container)}, LIMITS)
    too_deep = {"in": nested(32, container)}
    with pytest.raises(InvalidParameter) as refused:
        check_context(too_deep, LIMITS)
    assert refused.value.field == "context"
    check_context(too_deep, Limits(nesting=33))


def test_a_stored_context_over_the_limit_can_still_be_handed_over_and_shrunk() -> None:
    story = Story(session=a_session({"large": "x" * 500, "b": 1}), limits=Limits(context_bytes=100))
    assert applied(story.tell(active_agent="liaison_health")).draft.session.active_agent == "liaison_health"
    applied(story.tell(active_agent="guide", idempotency_key="k"))
    applied(story.tell(context={"b": 1}, base_revision=2))
    assert code_and_field(story.tell(context={"b": 2}))[0] == "CONTEXT_TOO_LARGE"
    assert code_and_field(story.tell(active_agent="liaison_work", append={"c": []}))[0] == "CONTEXT_TOO_LARGE"
    assert story.session.active_agent == "guide"
    assert applied(story.tell(context={"large": None})).draft.session.context == {"b": 1}


def test_a_stored_context_nested_too_deeply_can_still_be_changed_elsewhere() -> None:
    story = Story(session=a_session({"deep": nested(60)}))
    applied(story.tell(context={"b": 2}))
    applied(story.tell(active_agent="liaison_health"))
