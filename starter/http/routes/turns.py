"""The operations on the turns of a session's agents."""

from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import AfterValidator
from starlette import requests
from starlette.responses import Response

from journeys.chat_session.errors import ContextTooLarge, SessionNotActive, SessionNotFound
from journeys.chat_session.limits import KIB
from journeys.chat_session.messages import MessageId
from journeys.i_json import check_i_json
from journeys.messages import Request, parse
from starter.http.answers import empty_response
from starter.http.bodies import read_fields
from starter.http.callers import identify
from starter.http.gateway import Gateway
from starter.http.message_fields import require_session_id
from starter.http.routes.sessions import PATH
from starter.http.store_reads import from_store
from starter.http.turn_cancellation import cancel_agent_turn

_MAX_TEXT_BYTES: Final = 64 * KIB


def _check_text(text: str) -> str:
    check_i_json(text, field="text", depth=1)
    if len(text.encode()) > _MAX_TEXT_BYTES:
        raise ContextTooLarge(f"the text has more than {_MAX_TEXT_BYTES} bytes", field="text")
    return text


class PartialText(Request):
    """What an agent has written so far of its answer.

    Attributes:
        message_id: The ID that the answer will have.
        text: At most 64 KiB of UTF-8.
    """

    message_id: MessageId
    text: Annotated[str, AfterValidator(_check_text)]


def turn_routes(gateway: Gateway) -> APIRouter:
    """The operations on turns."""
    router = APIRouter()

    @router.delete(PATH + "/{chat_session_id}/turn")
    async def cancel_turn(request: requests.Request) -> Response:
        caller = await identify(request, gateway.tokens)
        chat_session_id = request.path_params["chat_session_id"]
        found = await gateway.changes.find(caller, chat_session_id)
        if found.turn_revision:
            await cancel_agent_turn(gateway.client, chat_session_id, found.turn_revision)
        return empty_response(204)

    @router.post(PATH + "/{chat_session_id}/partials")
    async def show_partial(request: requests.Request) -> Response:
        caller = await identify(request, gateway.tokens)
        caller.require_service()
        session = require_session_id(request.path_params["chat_session_id"])
        fields = await read_fields(request, tuple(PartialText.model_fields), limit=gateway.settings.max_change_bytes)
        partial = parse(PartialText, fields)
        writing = gateway.partials.write(
            session, caller.tenant_id, caller.user_id, message_id=partial.message_id, text=partial.text
        )
        state = await from_store(writing)
        if state is None:
            raise SessionNotFound
        if state != "ACTIVE":
            raise SessionNotActive
        return empty_response(204)

    return router
