"""How Temporal carries the contract's errors: as application errors whose type is the code."""

from temporalio.exceptions import ApplicationError

from journeys.errors import ERRORS, DatabaseUnavailable, EngineUnavailable, JourneyError, error_of


def as_failure(error: JourneyError) -> ApplicationError:
    """Convert an error of the contract to an application error. Its only detail is `{"field": ...}`.

    An activity is retried only if a store or Temporal is unavailable; every other error is non-retryable.
    """
    return ApplicationError(
        error.message,
        {"field": error.field},
        type=error.code,
        non_retryable=not isinstance(error, DatabaseUnavailable | EngineUnavailable),
    )


def from_failure(failure: BaseException | None) -> JourneyError | None:
    """Find the contract's error in a Temporal failure or in its causes; None if there is none.

    A newer release may have an error whose code is not known here. It is recognized by its detail.
    """
    while failure is not None:
        if isinstance(failure, ApplicationError):
            detail = failure.details[0] if failure.details else None
            field = detail.get("field") if isinstance(detail, dict) else None
            if failure.type in ERRORS or (failure.type and isinstance(field, str)):
                return error_of(failure.type, failure.message, field=field if isinstance(field, str) else "")
        failure = failure.__cause__
    return None


def from_query_failure(message: str) -> JourneyError | None:
    """Find the contract's error in the message of a failed query: `CODE: message` is all that arrives."""
    code, _, text = message.partition(": ")
    return ERRORS[code](text) if code in ERRORS else None
