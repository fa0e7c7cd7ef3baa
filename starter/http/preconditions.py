"""A request's entity tags, idempotency key and preferences, from its headers."""

import re
from dataclasses import dataclass
from typing import Final, Self

from pydantic import JsonValue
from starlette.requests import Request

from journeys.errors import InvalidParameter, RevisionConflict
from starter.http.problems import as_problem

# A number with more digits is beyond the integers that JSON carries exactly.
_REVISION_TAG: Final = re.compile(r'"(0|[1-9][0-9]{0,14})"')
_WEAK: Final = re.compile(r'(?:W/)?("[^"]*")')


def etag(revision: int) -> str:
    """The entity tag of a revision."""
    return f'"{revision}"'


def is_current(request: Request, revision: int) -> bool:
    """Whether `If-None-Match` says that the caller has this revision."""
    given = ",".join(request.headers.getlist("if-none-match"))
    return given.strip() == "*" or etag(revision) in _WEAK.findall(given)


def read_key(request: Request, *, field: str = "idempotency_key") -> str | None:
    """The `Idempotency-Key`; None if there is none.

    Args:
        request: The request.
        field: The key's field in the operation's message.

    Raises:
        InvalidParameter: There are several.
    """
    given = request.headers.getlist("idempotency-key")
    if len(given) > 1:
        raise InvalidParameter(f"{field}: Idempotency-Key comes twice", field=field)
    return given[0] if given else None


def read_if_match(request: Request) -> int | None:
    """The revision that `If-Match` names; None if there is no such header, or if any revision will do.

    Raises:
        Problem: The header names no revision, so no revision matches it.
        InvalidParameter: It is no entity tag, or several.
    """
    if "if-match" not in request.headers:
        return None
    given = ",".join(request.headers.getlist("if-match"))
    if given.strip() == "*":
        return None
    if "," in given:
        raise InvalidParameter("base_revision: If-Match must name one revision", field="base_revision")
    if not _WEAK.fullmatch(given.strip()):
        raise InvalidParameter('base_revision: If-Match must be an ETag in its quotes, like "7"', field="base_revision")
    match = _REVISION_TAG.fullmatch(given.strip())
    if match is None:
        conflict = RevisionConflict(
            'If-Match names no revision; the ETag of a session is like "7"', field="base_revision"
        )
        raise as_problem(conflict, revision_was_a_header=True)
    return int(match[1])


@dataclass(frozen=True, slots=True)
class Preferences:
    """What `Prefer` (RFC 7240) asks for.

    Attributes:
        minimal: Answer a receipt, without the context.
        asynchronous: Do not wait for the change to be applied.
    """

    minimal: bool
    asynchronous: bool

    @classmethod
    def of(cls, request: Request) -> Self:
        """The preferences of a request; unknown ones are ignored."""
        if "prefer" not in request.headers:
            return cls(minimal=False, asynchronous=False)
        wanted = {
            each.partition(";")[0].replace(" ", "").replace('"', "").lower()
            for line in request.headers.getlist("prefer")
            for each in line.split(",")
        }
        return cls(minimal="return=minimal" in wanted, asynchronous="respond-async" in wanted)


@dataclass(frozen=True, slots=True)
class ChangeHeaders:
    """The headers of a change.

    Attributes:
        idempotency_key: Identifies the change.
        base_revision: The revision that the change was written against.
        preferences: The answer that the caller prefers.
    """

    idempotency_key: str | None
    base_revision: int | None
    preferences: Preferences

    @classmethod
    def of(cls, request: Request) -> Self:
        """The headers of a request.

        Raises:
            Problem: See `read_if_match`.
            InvalidParameter: See `read_if_match` and `read_key`.
        """
        return cls(read_key(request), read_if_match(request), Preferences.of(request))

    def merge_into(self, fields: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """The fields of a change, with those that the headers have.

        Raises:
            InvalidParameter: Body and header say different things.
        """
        merged = dict(fields)
        for name, value in (("idempotency_key", self.idempotency_key), ("base_revision", self.base_revision)):
            if value is None:
                continue
            if merged.get(name) not in (None, value):
                raise InvalidParameter(f"{name}: the body and the header differ; send one of them", field=name)
            merged[name] = value
        return merged
