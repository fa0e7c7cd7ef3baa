"""Read a request's body, up to a limit, and its parameters."""

import asyncio
import re
from collections.abc import Collection
from typing import Final

from pydantic import JsonValue
from starlette.requests import ClientDisconnect, Request

from journeys.chat_session.limits import Limits
from journeys.chat_session.rules import check_request_size
from journeys.errors import InvalidParameter
from journeys.messages import read
from starter.http.problems import Problem

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"

MAX_BODY_BYTES: Final = 512 * 1024
"""A body that exceeds a change's own limit, but not this one, gets the change's own error."""

BODY_SECONDS: Final = 15.0
"""How long a body may take to come."""

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_NUMBERS: Final = frozenset({"limit", "after_revision", "at_revision"})

Fields = dict[str, JsonValue]


async def read_body(request: Request, *, limit: int, accepted: Collection[str] = (JSON,)) -> tuple[str, object]:
    """Read a request's media type and its JSON.

    Args:
        request: The request.
        limit: How many bytes a change may have.
        accepted: The media types that the operation takes.

    Raises:
        Problem: The body has another media type, is too large, or does not come.
        ContextTooLarge: The body is larger than a change may be.
        InvalidParameter: The body is no JSON.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in accepted or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("UNSUPPORTED_MEDIA_TYPE", f"send the body as {' or '.join(accepted)}, without an encoding")
    body = await _collect(request)
    check_request_size(len(body), Limits(change_bytes=limit))
    return media_type, read(body)


async def read_fields(request: Request, allowed: Collection[str], *, limit: int) -> Fields:
    """Read a body that is a JSON object.

    Args:
        request: The request.
        allowed: The members that the operation knows.
        limit: How many bytes a change may have.

    Raises:
        Problem: See `read_body`.
        ContextTooLarge: See `read_body`.
        InvalidParameter: The body is no JSON object, or has other members.
    """
    _, body = await read_body(request, limit=limit)
    return check_fields(body, allowed)


def check_fields(body: object, allowed: Collection[str]) -> Fields:
    """Check that a body is a JSON object with no other members than these.

    Raises:
        InvalidParameter: It is not.
    """
    if not isinstance(body, dict):
        raise InvalidParameter("the body must be one JSON object")
    for name in body:
        if name not in allowed:
            raise InvalidParameter(f"unknown field {ascii(name)[:80]}; known are {', '.join(allowed)}")
    return body


def read_query(request: Request, allowed: Collection[str]) -> Fields:
    """Read the parameters of a URL's query; those that are numbers are read as such.

    Raises:
        InvalidParameter: One is unknown, or comes twice.
    """
    fields: Fields = {}
    for name, value in request.query_params.multi_items():
        if name not in allowed:
            known = ", ".join(allowed) or "none"
            raise InvalidParameter(f"unknown parameter {ascii(name)[:80]}; known are {known}")
        if name in fields:
            raise InvalidParameter(f"{name}: comes twice", field=name)
        fields[name] = int(value) if name in _NUMBERS and _INTEGER.fullmatch(value) else value
    return fields


async def _collect(request: Request) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise Problem("REQUEST_TIMEOUT", f"the body did not come within {BODY_SECONDS:.0f} seconds") from None
    except ClientDisconnect:
        raise Problem("REQUEST_TIMEOUT", "the body did not come") from None
    return bytes(body)


def _too_large() -> Problem:
    return Problem("TOO_LARGE", f"the body has more than {MAX_BODY_BYTES} bytes")
