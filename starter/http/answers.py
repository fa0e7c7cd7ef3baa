"""Write answers, and check that the caller accepts their media type."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel
from pydantic.main import IncEx
from starlette.requests import Request
from starlette.responses import Response

from starter.http.bodies import JSON
from starter.http.problems import Problem

PRIVATE: Final = {"cache-control": "private, no-cache"}
"""For answers that a browser may keep if it asks each time whether they are current."""

READ: Final = ["GET", "HEAD"]
"""The methods of everything that is read, apart from the stream. The server sends no body to HEAD."""

_NO_STORE: Final = {"cache-control": "no-store"}


def json_response(
    answer: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None, exclude: IncEx | None = None
) -> Response:
    """An answer as JSON."""
    return Response(
        answer.model_dump_json(exclude=exclude),
        status_code=status,
        headers={**_NO_STORE, **(headers or {})},
        media_type=JSON,
    )


def empty_response(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An answer without a body."""
    return Response(status_code=status, headers={**_NO_STORE, **(headers or {})})


def require_acceptable(request: Request, media_type: str = JSON) -> None:
    """Check that the caller accepts answers of a media type.

    Raises:
        Problem: It does not.
    """
    accept = ",".join(request.headers.getlist("accept"))
    if accept in ("", "*/*", media_type):
        return
    ranges = {media_type, media_type.partition("/")[0] + "/*", "*/*"}
    # The most specific range decides.
    quality = {
        name.strip(): _quality(parameters)
        for each in accept.lower().split(",")
        for name, _, parameters in [each.strip().partition(";")]
        if name.strip() in ranges
    }
    best = max(quality, key=lambda name: (name != "*/*", "*" not in name), default=None)
    if best is None or quality[best] == 0:
        raise Problem("NOT_ACCEPTABLE", f"the answer is {media_type}, which the header Accept leaves out")


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 1
    return 1
