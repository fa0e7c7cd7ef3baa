"""The payloads of hostile messages, made from the documents that `make hostile` sends."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from pydantic import JsonValue

from journeys.chat_session.limits import KIB, Limits
from tests.hostile.documents import (
    FOREIGN,
    SHAPES,
    changes,
    escaped,
    filled,
    with_text,
)

BULK: Final = "bulk"
"""The member of a context that holds what is large. Many changes remove it, so that the context stays small enough."""

_ESCAPED: Final = "escaped letters"
DOCUMENTS: Final = (*SHAPES, _ESCAPED)
_CHANGE_BYTES: Final = Limits().change_bytes
LEGAL_BYTES: Final = (20 * KIB, 60 * KIB, _CHANGE_BYTES - KIB)
"""Sizes of documents whose messages are within the limit, the last one only just."""

EXCESSIVE_BYTES: Final = (_CHANGE_BYTES + KIB, 200 * KIB, 500 * KIB)
"""Sizes of documents whose messages are over the limit, the first one only just."""

_MEGABYTES: Final = {"nearly 1 MB", "a tenant of nearly 1 MB"}
MALFORMED: Final[Mapping[str, str]] = {
    name: code for name, code in changes({})[1].items() if name not in FOREIGN | _MEGABYTES
}
"""Messages that do not fit the contract, and the code of each. If the tenant can be read, it is the session's."""


@cache
def document(name: str, size: int) -> JsonValue:
    """The document that makes a message large. It is cached: do not change it."""
    return "A" * (size // 6) if name == _ESCAPED else filled(name, size)


@cache
def _text(name: str, size: int) -> str:
    content = document(name, size)
    return escaped(str(content)) if name == _ESCAPED else json.dumps(content, separators=(",", ":"))


def large(fields: Mapping[str, Any], name: str, size: int) -> Sequence[Any]:
    """The arguments of a message whose context also holds a document."""
    members = json.dumps(fields.get("context") or {}, separators=(",", ":"))[1:-1]
    bulk = f"{json.dumps(BULK)}:{_text(name, size)}"
    return [with_text(dict(fields), "context", "{" + ",".join(filter(None, (members, bulk))) + "}")]


def malformed(fields: Mapping[str, Any], name: str) -> Sequence[Any]:
    """The arguments of a message that does not fit the contract."""
    return changes(dict(fields))[0][name]
