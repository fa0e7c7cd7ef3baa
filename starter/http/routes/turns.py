"""The operation on a session's turns."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from starter.http.answers import empty_response
from starter.http.callers import identify
from starter.http.gateway import Gateway
from starter.http.routes.sessions import PATH


def turn_routes(gateway: Gateway) -> APIRouter:
    """The operation on turns."""
    router = APIRouter()

    @router.delete(PATH + "/{chat_session_id}/turn")
    async def cancel_turn(request: Request) -> Response:
        # No engine runs turns yet, so there is none to cancel.
        caller = await identify(request, gateway.tokens)
        await gateway.changes.find(caller, request.path_params["chat_session_id"])
        return empty_response(204)

    return router
