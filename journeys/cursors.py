"""Cursors: the end of a page, as an opaque text that stays valid if the item there is deleted."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from journeys.errors import InvalidParameter

_MAX_LENGTH: Final = 512

Place = TypeVar("Place")


def encode_cursor(*place: object) -> str:
    """Write a place as a cursor."""
    return urlsafe_b64encode(to_json(place)).decode().rstrip("=")


def decode_cursor(cursor: str, kind: TypeAdapter[Place], *, field: str) -> Place:
    """Read a cursor's place.

    Args:
        cursor: The cursor that a caller sends.
        kind: The type of the place.
        field: The request's field that has the cursor.

    Raises:
        InvalidParameter: The text is no cursor of this kind.
    """
    try:
        if len(cursor) > _MAX_LENGTH:
            raise ValueError
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return kind.validate_json(urlsafe_b64decode(padded))
    except (ValueError, ValidationError):
        raise InvalidParameter(
            f"{field}: is no cursor of this list; send one that a page has given", field=field
        ) from None
