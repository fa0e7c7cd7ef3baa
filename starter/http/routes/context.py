"""The operation on a session's shared context."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from journeys.chat_session.messages import UpdateChatContext
from journeys.errors import InvalidParameter
from journeys.messages import parse
from starter.http.answers import require_acceptable
from starter.http.bodies import JSON, MERGE_PATCH, Fields, check_fields, read_body
from starter.http.callers import identify
from starter.http.gateway import Gateway
from starter.http.message_fields import add_sender
from starter.http.preconditions import ChangeHeaders
from starter.http.routes.sessions import PATH

# Over HTTP, `Prefer` replaces `returning`.
CHANGE_FIELDS: Final = tuple(
    name for name in UpdateChatContext.model_fields if name not in ("tenant_id", "user_id", "returning")
)


def context_routes(gateway: Gateway) -> APIRouter:
    """The operation on the context."""
    router = APIRouter()

    @router.patch(PATH + "/{chat_session_id}/context")
    async def update_context(request: Request) -> Response:
        caller = await identify(request, gateway.tokens)
        require_acceptable(request)
        headers = ChangeHeaders.of(request)
        media_type, body = await read_body(
            request, limit=gateway.settings.max_change_bytes, accepted=(JSON, MERGE_PATCH)
        )
        fields = _as_patch(body) if media_type == MERGE_PATCH else check_fields(body, CHANGE_FIELDS)
        message = parse(UpdateChatContext, add_sender(caller, headers.merge_into(fields)))
        receipt = await gateway.changes.update_context(caller, request.path_params["chat_session_id"], message, headers)
        return await gateway.changes.answer(caller, receipt, headers)

    return router


def _as_patch(body: object) -> Fields:
    if not isinstance(body, dict):
        raise InvalidParameter("context: the patch must be a JSON object", field="context")
    return {"context": body}
