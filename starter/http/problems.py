"""Errors as RFC 9457 problems: the contract's, and those of requests that never reach the contract."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.responses import Response
from temporalio.exceptions import ApplicationError

from journeys.chat_session.errors import ContextTooLarge, SessionNotActive, SessionNotFound
from journeys.errors import (
    Acceptance,
    DatabaseUnavailable,
    EngineUnavailable,
    IdempotencyConflict,
    InvalidParameter,
    JourneyError,
    RevisionConflict,
)
from journeys.failures import from_failure
from journeys.messages import Record

MEDIA_TYPE: Final = "application/problem+json"

_TYPE_PREFIX: Final = "urn:coexistence-journeys:problem:"
_RETRY_SECONDS: Final = "1"

STATUS: Final[dict[str, int]] = {
    InvalidParameter.code: 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    SessionNotFound.code: 404,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "REQUEST_TIMEOUT": 408,
    SessionNotActive.code: 409,
    RevisionConflict.code: 409,
    ContextTooLarge.code: 413,
    "TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    IdempotencyConflict.code: 422,
    "TOO_MANY_REQUESTS": 429,
    "INTERNAL_ERROR": 500,
    DatabaseUnavailable.code: 503,
    EngineUnavailable.code: 503,
    "KEYS_UNAVAILABLE": 503,
}
"""The status of each code. `REVISION_CONFLICT` is 412 if the revision came as `If-Match`, and `TOO_LARGE` is 431 if the
request's head is too large."""

_HEADERS: Final[dict[int, dict[str, str]]] = {
    401: {"www-authenticate": "Bearer"},
    429: {"retry-after": _RETRY_SECONDS},
    503: {"retry-after": _RETRY_SECONDS},
}

# What callers read of an outage, because the errors' own texts name hosts, task queues and the database's errors.
_OUTAGES: Final[dict[str, str]] = {
    DatabaseUnavailable.code: "a store cannot be reached now",
    EngineUnavailable.code: "the engine cannot be reached now",
}
_ADVICE: Final[dict[Acceptance, str]] = {
    "accepted": "the change is accepted and will be judged; do not send it again without its idempotency key",
    "not accepted": "nothing was accepted; send the request again",
    "unknown": "a change may have been accepted; send it again under the same idempotency key",
}


class ProblemDetails(Record):
    """The body of every error.

    Attributes:
        type: A URI of the kind of problem; it ends with the code.
        title: The status in words.
        status: The status of the answer.
        detail: What was wrong with this request.
        code: What programs decide by.
        field: The field of the request that is at fault; empty if no single field is.
        outcome: Of an outage: whether the change that was sent is accepted.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str = ""
    outcome: Acceptance | None = None


class Problem(Exception):  # noqa: N818 - an answer that a handler raises
    """An answer that is an error, with a code of the gateway's own."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str = "",
        status: int | None = None,
        outcome: Acceptance | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.details = problem_details(code, detail, field=field, status=status, outcome=outcome)
        self.headers = headers or {}


def problem_details(
    code: str, detail: str, *, field: str = "", status: int | None = None, outcome: Acceptance | None = None
) -> ProblemDetails:
    """Describe a problem.

    Args:
        code: One of `STATUS`.
        detail: What was wrong.
        field: The field at fault.
        status: Another status than the code's usual one.
        outcome: Whether the change is accepted, if this is an outage.
    """
    status = status or STATUS[code]
    return ProblemDetails(
        type=_TYPE_PREFIX + code,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        field=field,
        outcome=outcome,
    )


def as_problem(error: JourneyError, *, revision_was_a_header: bool = False) -> Problem:
    """The problem of an error of the contract."""
    if isinstance(error, DatabaseUnavailable | EngineUnavailable):
        detail = f"{_OUTAGES[error.code]}; {_ADVICE[error.outcome]}"
        return Problem(error.code, detail, outcome=error.outcome)
    status = 412 if revision_was_a_header and isinstance(error, RevisionConflict) else None
    return Problem(error.code, error.message, field=error.field, status=status)


def as_contract_error(failure: ApplicationError) -> JourneyError:
    """The contract's error in a store's failure; a store that cannot be read has accepted nothing."""
    error = from_failure(failure)
    if error is None or isinstance(error, DatabaseUnavailable):
        return DatabaseUnavailable(failure.message, outcome="not accepted")
    return error


def problem_response(details: ProblemDetails, headers: Mapping[str, str] | None = None) -> Response:
    """The answer with a problem as its body."""
    return Response(
        encode_problem(details),
        status_code=details.status,
        headers={**_HEADERS.get(details.status, {}), "cache-control": "no-store", **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def encode_problem(details: ProblemDetails) -> bytes:
    """A problem as the body of an answer."""
    return details.model_dump_json(exclude_none=True).encode()
