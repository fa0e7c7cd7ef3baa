"""An error comes through Temporal as it was raised; refused signals are counted."""

from datetime import UTC, datetime

import pytest
from temporalio.exceptions import ApplicationError

from journeys.chat_session.activities import Refused
from journeys.chat_session.refusals import Refusal, Refusals
from journeys.errors import ERRORS, DatabaseUnavailable, EngineUnavailable, InvalidParameter, JourneyError
from journeys.failures import as_failure, from_failure, from_query_failure

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
    def refused_signals(count: int, hour: int) -> Refusals:
        last = [Refusal(at=datetime(2026, 1, 27, hour, n, tzinfo=UTC), code="C", field="") for n in range(count)]
        return Refusals(count=count, last=tuple(last[-10:]))

    both = refused_signals(7, 10).plus(refused_signals(6, 11))
    assert both.count == 13
    assert [(each.at.hour, each.at.minute) for each in both.last] == [
        *((10, minute) for minute in range(3, 7)),
        *((11, minute) for minute in range(6)),
    ]
    assert refused_signals(12, 10).plus(refused_signals(25, 11)).last == refused_signals(25, 11).last
    assert refused_signals(3, 10).plus(Refusals()) == Refusals().plus(refused_signals(3, 10)) == refused_signals(3, 10)
