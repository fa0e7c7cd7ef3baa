"""Put the OpenAPI document together."""

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Final

from starter.http.openapi import examples
from starter.http.openapi.operations import DEV_TOKEN, OPERATIONS, Answer, Operation
from starter.http.openapi.schemas import Schema, all_schemas, query_description, query_schema, ref
from starter.http.problems import MEDIA_TYPE, STATUS, problem_details

_DESCRIPTION: Final = """\
Chat sessions that are created once and never lose an update.

A signed-in user's token says tenant and user. A service's token (`service_role`) acts for the tenant in `X-Tenant-Id`
and, if it is there, for the user in `X-User-Id`; an agent leaves the user out.

Every request that changes something can be sent again under the same `Idempotency-Key` after a lost answer. Errors are
RFC 9457 problems; programs decide by their `code`. After 503, `outcome` says whether the change was accepted.

What has `GET` also has `HEAD`, apart from the stream.
"""

# The problems that every operation with a token may answer.
_OF_EVERY_CALL: Final = ("INVALID_PARAMETER", "UNAUTHENTICATED", "FORBIDDEN", "KEYS_UNAVAILABLE")

_HEADERS: Final[dict[str, tuple[str, str]]] = {
    "Idempotency-Key": (
        "Identifies the change: it is applied once, however often it is sent under this key. 1-128 printable ASCII "
        "characters.",
        "message m1",
    ),
    "If-Match": (
        "The `ETag` that the change was written against, with its quotes; unless it is the current one, the change is "
        "refused with 412.",
        '"2"',
    ),
    "If-None-Match": ("The `ETag` that you have.", '"2"'),
    "Prefer": ("`return=minimal`: a receipt, without the context. `respond-async`: do not wait.", "return=minimal"),
    "Last-Event-ID": (
        "The last `id` that you have seen. With one that is no revision of the session, the stream begins with "
        "`session`.",
        "2",
    ),
    "X-Tenant-Id": (
        "The tenant that a service acts for, in UTF-8; needed with a service's token, ignored with a user's.",
        examples.TENANT,
    ),
    "X-User-Id": ("The user that a service acts for, in UTF-8; ignored with a user's token.", examples.USER),
}
_PATH_PARAMETERS: Final = {
    "chat_session_id": ("The session's ID.", examples.SESSION_ID),
    "message_id": ("The message's ID, percent-encoded.", "m1"),
}
_PATH_SCHEMAS: Final[dict[str, Schema]] = {
    "chat_session_id": {"type": "string", "format": "uuid"},
    "message_id": {"type": "string", "minLength": 1, "maxLength": 128},
}
_OUTCOMES: Final = {
    "DATABASE_UNAVAILABLE": "not accepted",
    "TOO_MANY_REQUESTS": "not accepted",
    "ENGINE_UNAVAILABLE": "unknown",
}
_ANSWER_HEADERS: Final = {
    "ETag": ("The session's revision, in quotes.", '"2"'),
    "Location": ("The session's address.", f"/v1/chat-sessions/{examples.SESSION_ID}"),
    "Preference-Applied": ("What was done of `Prefer`.", "respond-async"),
    "Content-Location": ("The session's own address.", f"/v1/chat-sessions/{examples.SESSION_ID}"),
}


def openapi_document(*, version: str, has_dev_tokens: bool) -> dict[str, Any]:
    """Make the document.

    Args:
        version: The version of the interface.
        has_dev_tokens: Whether the gateway issues tokens for development.
    """
    operations = (*OPERATIONS, DEV_TOKEN) if has_dev_tokens else OPERATIONS
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Coexistence Journeys", "version": version, "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": all_schemas(has_dev_tokens=has_dev_tokens),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _describe(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tags": ["gateway" if operation.is_open else "chat sessions"],
        "operationId": operation.name,
        "summary": operation.summary,
        "description": operation.description,
        "parameters": list(_parameters(operation)),
        "responses": {str(status): _answer(answer) for status, answer in operation.answers.items()}
        | _problems(operation),
        "security": [] if operation.is_open else [{"token": []}],
    }
    if operation.bodies:
        described["requestBody"] = {
            "required": True,
            "content": {
                media_type: {
                    "schema": ref(body.schema) if body.schema else {"type": "object", "additionalProperties": True},
                    "example": body.example,
                }
                for media_type, body in operation.bodies.items()
            },
        }
    return described


def _parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", operation.path):
        description, example = _PATH_PARAMETERS[name]
        yield _parameter("path", name, description, _PATH_SCHEMAS[name], example) | {"required": True}
    for name in operation.query:
        assert operation.query_of
        described = query_description(operation.query_of, name)
        yield {
            "in": "query",
            "name": name,
            "description": described,
            "schema": query_schema(operation.query_of, name),
        }
    who = () if operation.is_open else ("X-Tenant-Id", "X-User-Id")
    for name in (*operation.headers, *who):
        description, example = _HEADERS[name]
        yield _parameter("header", name, description, {"type": "string"}, example)


def _parameter(place: str, name: str, description: str, schema: Schema, example: str) -> dict[str, Any]:
    return {"in": place, "name": name, "description": description, "schema": schema, "example": example}


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        described["headers"] = {
            name: {"description": description, "schema": {"type": "string"}, "example": example}
            for name in answer.headers
            for description, example in [_ANSWER_HEADERS[name]]
        }
    if answer.example is not None:
        schemas = [ref(name) for name in answer.schemas]
        schema = {"type": "string"} if not schemas else schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        described["content"] = {answer.media_type: {"schema": schema, "example": answer.example}}
    return described


def _problems(operation: Operation) -> dict[str, Any]:
    errors = operation.errors if operation.is_open else (*operation.errors, *_OF_EVERY_CALL)
    cases = {(STATUS[code], code) for code in errors}
    if not operation.is_open:
        cases.add((431, "TOO_LARGE"))
    if "If-Match" in operation.headers:
        cases.add((412, "REVISION_CONFLICT"))
    return {
        str(status): _problem_answer(status, [code for _, code in same], operation.details)
        for status, same in groupby(sorted(cases), key=lambda case: case[0])
    }


def _problem_answer(status: int, codes: list[str], details: Mapping[str, str]) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if status in (429, 503):
        headers["Retry-After"] = {"description": "Seconds.", "schema": {"type": "string"}, "example": "1"}
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}, "example": "Bearer"}
    return {
        "description": ", ".join(f"`{code}`" for code in codes),
        **({"headers": headers} if headers else {}),
        "content": {
            MEDIA_TYPE: {
                "schema": ref("ProblemDetails"),
                "examples": {code: {"value": _example(status, code, details.get(code))} for code in codes},
            }
        },
    }


def _example(status: int, code: str, own_detail: str | None) -> dict[str, Any]:
    detail, field = examples.PROBLEMS[code]
    details = problem_details(code, own_detail or detail, field=field, status=status)
    shown = details.model_dump(exclude_none=True)
    return shown | ({"outcome": _OUTCOMES[code]} if code in _OUTCOMES else {})
