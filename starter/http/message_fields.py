"""The fields of a message that a request does not have in its body: the session in its path, and its sender."""

import re
from typing import Final

from pydantic import JsonValue
from starlette.requests import Request

from journeys.chat_session.errors import SessionNotFound
from journeys.errors import InvalidParameter
from journeys.identifiers import UUID_PATTERN
from starter.http.bodies import Fields
from starter.http.callers import USER_AUTHOR, Caller

_UUID: Final = re.compile(UUID_PATTERN)


def require_session_id(text: str) -> str:
    """The ID of a session from a path.

    Raises:
        SessionNotFound: No session can have it.
    """
    if not _UUID.fullmatch(text):
        raise SessionNotFound
    return text


def read_target(request: Request, caller: Caller) -> dict[str, JsonValue]:
    """The fields of a read that say which session it is about, and who reads.

    Raises:
        SessionNotFound: No session can have the ID.
    """
    return caller.sender | {"chat_session_id": require_session_id(request.path_params["chat_session_id"])}


def add_sender(caller: Caller, fields: Fields) -> dict[str, JsonValue]:
    """The fields of a change, with tenant, user and author.

    Raises:
        InvalidParameter: A user names an author.
    """
    sender = caller.sender
    if not caller.is_service:
        if fields.get("author") is not None:
            raise InvalidParameter("author: a user's own change has the author 'user'; leave it out", field="author")
        sender["author"] = USER_AUTHOR
    return fields | sender
