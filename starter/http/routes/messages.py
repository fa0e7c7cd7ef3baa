"""The operations on a session's transcript and on its ledger."""

from typing import Final

from fastapi import APIRouter
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from journeys.chat_session.messages import GetChatMessages, GetChatSessionHistory, UpdateChatContext
from journeys.errors import InvalidParameter
from journeys.messages import parse
from starter.http.answers import READ, empty_response, json_response, require_acceptable
from starter.http.bodies import read_fields, read_query
from starter.http.callers import identify
from starter.http.gateway import Gateway
from starter.http.message_fields import add_sender, read_target
from starter.http.preconditions import ChangeHeaders
from starter.http.routes.sessions import PATH
from starter.http.store_reads import from_store

MESSAGES_FIELDS: Final = ("messages", "turn", "author")
PAGE_PARAMETERS: Final = ("limit", "before", "after")
HISTORY_PARAMETERS: Final = ("after_revision", "limit")

ENGINE_FIELDS: Final = {"message"}
"""The fields of a ledger entry that only the engine itself needs."""

_MESSAGES: Final = PATH + "/{chat_session_id}/messages"


class _AnyText(PathConvertor):
    """The whole rest of a path. Starlette's own `path` ends at a line break, and would yield another message's ID."""

    regex = r"[\s\S]*"


register_url_convertor("any_text", _AnyText())


def message_routes(gateway: Gateway) -> APIRouter:
    """The operations on transcript and ledger."""
    router = APIRouter()

    @router.post(_MESSAGES)
    async def add_messages(request: Request) -> Response:
        caller = await identify(request, gateway.tokens)
        require_acceptable(request)
        headers = ChangeHeaders.of(request)
        fields = await read_fields(request, MESSAGES_FIELDS, limit=gateway.settings.max_change_bytes)
        if fields.get("messages") is None:
            raise InvalidParameter("messages: is needed", field="messages")
        message = parse(UpdateChatContext, add_sender(caller, headers.merge_into(fields)))
        receipt = await gateway.changes.update_context(caller, request.path_params["chat_session_id"], message, headers)
        return await gateway.changes.answer(caller, receipt, headers, status=201)

    @router.api_route(_MESSAGES, methods=READ)
    async def get_messages(request: Request) -> Response:
        caller = await identify(request, gateway.tokens)
        require_acceptable(request)
        wanted = read_query(request, PAGE_PARAMETERS) | read_target(request, caller)
        return json_response(await from_store(gateway.reads.messages(parse(GetChatMessages, wanted))))

    # A message's ID may have slashes, which look like the path's own once it is decoded.
    @router.delete(_MESSAGES + "/{message_id:any_text}")
    async def remove_message(request: Request) -> Response:
        caller = await identify(request, gateway.tokens)
        headers = ChangeHeaders.of(request)
        fields = headers.merge_into({"remove_messages": [request.path_params["message_id"]]})
        message = parse(UpdateChatContext, add_sender(caller, fields))
        receipt = await gateway.changes.update_context(caller, request.path_params["chat_session_id"], message, headers)
        if receipt is None:
            return await gateway.changes.answer(caller, receipt, headers)
        return empty_response(204)

    @router.api_route(PATH + "/{chat_session_id}/history", methods=READ)
    async def get_history(request: Request) -> Response:
        caller = await identify(request, gateway.tokens)
        require_acceptable(request)
        wanted = read_query(request, HISTORY_PARAMETERS) | read_target(request, caller)
        history = await from_store(gateway.reads.history(parse(GetChatSessionHistory, wanted)))
        return json_response(history)

    return router
