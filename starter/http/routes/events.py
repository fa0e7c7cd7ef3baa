"""The operation that follows a session."""

import re
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.messages import GetChatMessages
from starter.http.answers import require_acceptable
from starter.http.bodies import read_query
from starter.http.callers import Caller, identify
from starter.http.gateway import Gateway
from starter.http.message_fields import require_session_id
from starter.http.routes.sessions import PATH
from starter.http.store_reads import from_store
from starter.http.stream.events import SessionEvent, write_session
from starter.http.stream.follower import MEDIA_TYPE, EventStream, Opening

MAX_MISSED_REVISIONS: Final = 1000
"""A follower who has missed more gets the whole session anew."""

_REVISION: Final = re.compile("[0-9]{1,16}")


def event_routes(gateway: Gateway) -> APIRouter:
    """The operation that follows a session."""
    router = APIRouter()

    @router.get(PATH + "/{chat_session_id}/events")
    async def follow(request: Request) -> Response:
        caller = await identify(request, gateway.tokens)
        require_acceptable(request, MEDIA_TYPE)
        read_query(request, ())
        session = require_session_id(request.path_params["chat_session_id"])
        opening = await _resume(gateway, caller, session, request.headers.get("last-event-id", ""))
        return EventStream(gateway.poller, caller, session, opening or await _begin(gateway, caller, session))

    return router


async def _resume(gateway: Gateway, caller: Caller, chat_session_id: str, last_event_id: str) -> Opening | None:
    """Go on after the revision that the caller has seen last; None if the session has to be sent anew."""
    if not _REVISION.fullmatch(last_event_id):
        return None
    place = int(last_event_id)
    found = await from_store(
        gateway.poller.in_turn(lambda: gateway.stream_views.look_up(chat_session_id, caller.tenant_id, caller.user_id))
    )
    if found is None or found.lifecycle_state == "DELETED":
        raise SessionNotFound
    if not 0 <= found.revision - place <= MAX_MISSED_REVISIONS:
        return None
    return Opening(b"", place, found.user_id, found.revision)


async def _begin(gateway: Gateway, caller: Caller, chat_session_id: str) -> Opening:
    wanted = GetChatMessages(tenant_id=caller.tenant_id, user_id=caller.user_id, chat_session_id=chat_session_id)
    snapshot = await from_store(gateway.poller.in_turn(lambda: gateway.stream_views.snapshot(wanted)))
    if snapshot is None:
        raise SessionNotFound
    session = snapshot.session
    event = SessionEvent.model_construct(session=session, messages=snapshot.page.messages, older=snapshot.page.older)
    return Opening(write_session(event), session.revision, session.user_id, session.revision)
