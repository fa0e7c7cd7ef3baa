"""The operations on sessions: create, list, read, change, delete."""

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from journeys.chat_session.messages import (
    GetChatSession,
    InitializeChatSession,
    ListChatSessions,
    UpdateChatSession,
)
from journeys.messages import parse
from starter.http.answers import PRIVATE, READ, empty_response, json_response, require_acceptable
from starter.http.bodies import read_fields, read_query
from starter.http.callers import identify
from starter.http.gateway import Gateway
from starter.http.message_fields import add_sender, read_target
from starter.http.preconditions import ChangeHeaders, etag, is_current, read_if_match, read_key
from starter.http.problems import Problem
from starter.http.store_reads import from_store

PATH: Final = "/v1/chat-sessions"

_SENDER: Final = ("tenant_id", "user_id")
INITIALIZE_FIELDS: Final = tuple(name for name in InitializeChatSession.model_fields if name not in _SENDER)
UPDATE_FIELDS: Final = tuple(name for name in UpdateChatSession.model_fields if name not in _SENDER)
LIST_PARAMETERS: Final = ("lifecycle_state", "limit", "after")


def session_routes(gateway: Gateway) -> APIRouter:
    """The operations on sessions."""
    router = APIRouter()
    _add_reads(router, gateway)
    _add_changes(router, gateway)
    return router


def _add_changes(router: APIRouter, gateway: Gateway) -> None:
    limit = gateway.settings.max_change_bytes

    @router.post(PATH)
    async def initialize(request: Request) -> Response:
        caller = await identify(request, gateway.tokens)
        require_acceptable(request)
        fields = await read_fields(request, INITIALIZE_FIELDS, limit=limit)
        user_id = caller.require_user()
        key = read_key(request, field="session_name")
        if key is not None and fields.get("session_name") is None and fields.get("requested_at") is None:
            fields["session_name"] = key
        wanted = fields | {"tenant_id": caller.tenant_id, "user_id": user_id}
        if fields.get("session_name") is None and fields.get("requested_at") is None:
            wanted["requested_at"] = datetime.now(UTC).isoformat()
        message = parse(InitializeChatSession, wanted)
        session = await gateway.sessions.initialize(**dict(message))
        headers = {"location": f"{PATH}/{session.chat_session_id}", "etag": etag(session.revision)}
        return json_response(session, status=201 if session.created else 200, headers=headers)

    @router.patch(PATH + "/{chat_session_id}")
    async def update(request: Request) -> Response:
        caller = await identify(request, gateway.tokens)
        require_acceptable(request)
        headers = ChangeHeaders.of(request)
        fields = headers.merge_into(await read_fields(request, UPDATE_FIELDS, limit=limit))
        if fields.get("new_user_id") is not None and not caller.is_service:
            raise Problem("FORBIDDEN", "only a service changes the owner of a session", field="new_user_id")
        message = parse(UpdateChatSession, add_sender(caller, fields))
        receipt = await gateway.changes.update_session(caller, request.path_params["chat_session_id"], message, headers)
        return await gateway.changes.answer(caller, receipt, headers)

    @router.delete(PATH + "/{chat_session_id}")
    async def delete(request: Request) -> Response:
        caller = await identify(request, gateway.tokens)
        await gateway.changes.delete(caller, request.path_params["chat_session_id"], read_if_match(request))
        return empty_response(204)


def _add_reads(router: APIRouter, gateway: Gateway) -> None:
    @router.api_route(PATH, methods=READ)
    async def list_sessions(request: Request) -> Response:
        caller = await identify(request, gateway.tokens)
        require_acceptable(request)
        wanted = read_query(request, LIST_PARAMETERS) | caller.sender
        return json_response(await from_store(gateway.reads.list(parse(ListChatSessions, wanted))))

    @router.api_route(PATH + "/latest", methods=READ)
    async def latest(request: Request) -> Response:
        caller = await identify(request, gateway.tokens)
        require_acceptable(request)
        read_query(request, ())
        wanted = GetChatSession(tenant_id=caller.tenant_id, user_id=caller.require_user())
        session = await from_store(gateway.reads.get(wanted))
        # Another session may be the latest one next time, at the same revision, so there is no ETag.
        place = {"content-location": f"{PATH}/{session.chat_session_id}"}
        return json_response(session, headers=PRIVATE | place, exclude={"refusals"})

    @router.api_route(PATH + "/{chat_session_id}", methods=READ)
    async def get(request: Request) -> Response:
        caller = await identify(request, gateway.tokens)
        require_acceptable(request)
        wanted = read_query(request, ("at_revision",)) | read_target(request, caller)
        message = parse(GetChatSession, wanted)
        session = await from_store(gateway.reads.get(message))
        if message.at_revision is not None:
            # Title, owner and state are as they are now, so the revision does not name this representation.
            return json_response(session, exclude={"refusals"})
        headers = PRIVATE | {"etag": etag(session.revision)}
        if is_current(request, session.revision):
            return empty_response(304, headers)
        return json_response(session, headers=headers, exclude={"refusals"})
