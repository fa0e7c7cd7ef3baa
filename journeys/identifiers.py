"""The types of IDs, keys and times in the contract's messages, and how an idempotency key is derived."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from journeys.canonical_json import canonical_hash

MAX_AUTHOR_CHARACTERS = 64

_MAX_IDENTIFIER_BYTES = 255
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NO_CONTROL = r"^[^\u0000-\u001f\u007f-\u009f]*$"  # for JSON Schema, whose texts have no surrogates
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:[0-5]\d)", re.ASCII)


def _without_control_characters(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("has control characters")
    return text


def _at_most_255_bytes(text: str) -> str:
    if len(text.encode()) > _MAX_IDENTIFIER_BYTES:
        raise ValueError(f"must have at most {_MAX_IDENTIFIER_BYTES} bytes of UTF-8")
    return text


def _parse_timestamp(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _RFC_3339.fullmatch(value):
        raise ValueError("must be a time with its zone, for example 2026-01-27T10:05:12Z")
    return datetime.fromisoformat(value.upper())


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None


@dataclass(frozen=True, slots=True)
class Matching:
    """Requires a whole text to match a pattern, both in pydantic and in JSON Schema.

    Attributes:
        pattern: A regular expression that means the same in Python and in ECMAScript.
        words: The error's text.
    """

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        compiled = re.compile(self.pattern, re.ASCII)

        def check(text: str) -> str:
            if not compiled.fullmatch(text):
                raise ValueError(self.words)
            return text

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"pattern": f"^({self.pattern})$"}


def timestamp(moment: datetime) -> str:
    """Write a time as artifacts show it: in UTC, with microseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


Identifier = Annotated[
    str,
    StringConstraints(min_length=1),
    AfterValidator(_without_control_characters),
    AfterValidator(_at_most_255_bytes),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": _MAX_IDENTIFIER_BYTES, "pattern": _NO_CONTROL},
    ),
]
"""An ID that a caller chooses: 1-255 bytes of UTF-8, no control characters. It must fit a search attribute."""

Author = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_AUTHOR_CHARACTERS),
    AfterValidator(_without_control_characters),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_AUTHOR_CHARACTERS, "pattern": _NO_CONTROL}),
]
"""Who made a change: `user`, an agent, a service."""

PrintableAscii = Annotated[str, Matching(r"[\x20-\x7e]{1,128}", "must be 1-128 printable ASCII characters")]
"""1-128 printable ASCII characters."""

IdempotencyKey = PrintableAscii
"""Identifies a change over its retries."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A lower-case hex SHA-256."""

UUID_PATTERN = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

Uuid = Annotated[str, Matching(UUID_PATTERN, "must be a UUID in lower case, with hyphens")]
"""A UUID in lower case, with hyphens."""

Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_parse_timestamp),
    AfterValidator(_to_utc),
    PlainSerializer(timestamp, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": f"^{_RFC_3339.pattern}$"}, mode="validation"),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"},
        mode="serialization",
    ),
]
"""A time: read as RFC 3339 with a zone, written in UTC with microseconds and `Z`."""


def intent_key(intent: str, **scope: str) -> str:
    """The idempotency key of an intent: the hash of its name and scope as canonical JSON.

    Concatenation would give tenant `a` with user `bc` the key of tenant `ab` with user `c`.
    """
    return canonical_hash({"intent": intent, **scope})
