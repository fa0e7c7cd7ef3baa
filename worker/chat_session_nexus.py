"""The Nexus service of chat sessions, as a worker serves it: a thin layer over the client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Final

from nexusrpc import HandlerError, HandlerErrorType
from nexusrpc.handler import StartOperationContext, service_handler, sync_operation
from temporalio.client import Client
from temporalio.converter import DataConverter

from journeys.chat_session.answers import ChatSessionView, InitializedChatSession, UpdateReceipt
from journeys.chat_session.errors import SessionNotActive, SessionNotFound
from journeys.chat_session.limits import Limits
from journeys.chat_session.messages import GetChatSession, InitializeChatSession
from journeys.chat_session.names import JOURNEY_ID
from journeys.chat_session.nexus import UpdateChatContextOperation
from journeys.chat_session.rules import check_arguments
from journeys.client.chat_sessions import ChatSessions
from journeys.errors import (
    DatabaseUnavailable,
    EngineUnavailable,
    IdempotencyConflict,
    JourneyError,
    RevisionConflict,
)
from journeys.failures import as_failure
from journeys.messages import RequestType, parse, read

# Temporal waits ten seconds for an operation's answer, its way through the task queue included.
_DEADLINE: Final = timedelta(seconds=8)

_TYPES: Final = {
    SessionNotFound.code: HandlerErrorType.NOT_FOUND,
    SessionNotActive.code: HandlerErrorType.CONFLICT,
    RevisionConflict.code: HandlerErrorType.CONFLICT,
    IdempotencyConflict.code: HandlerErrorType.CONFLICT,
    DatabaseUnavailable.code: HandlerErrorType.UNAVAILABLE,
    EngineUnavailable.code: HandlerErrorType.UNAVAILABLE,
}


@service_handler(name=JOURNEY_ID)
class ChatSessionNexusService:
    """Handles the operations of `journeys.chat_session.nexus.ChatSessionService`.

    An operation takes its request unread, as a workflow's handlers do. If the SDK read it, the error for a request that
    does not fit would have neither code nor field.
    """

    def __init__(self, client: Client, *, task_queue: str, limits: Limits) -> None:
        """Serve the sessions whose journeys poll a task queue.

        Args:
            client: The worker's client. Requests go through a converter of their own, because the worker's converter
                hands on answers unread.
            task_queue: The task queue.
            limits: How large a request may be.
        """
        plain = Client(
            client.service_client,
            namespace=client.namespace,
            data_converter=replace(
                DataConverter.default,
                payload_codec=client.data_converter.payload_codec,
                external_storage=client.data_converter.external_storage,
            ),
        )
        self._sessions = ChatSessions(plain, task_queue=task_queue, deadline=_DEADLINE)
        self._limits = limits

    @sync_operation
    async def initialize_chat_session(self, _: StartOperationContext, argument: object) -> InitializedChatSession:
        """Create a session, or find it."""
        async with _nexus_errors():
            request = self._read(InitializeChatSession, argument)
            return await self._sessions.initialize(
                tenant_id=request.tenant_id,
                user_id=request.user_id,
                requested_at=request.requested_at,
                session_name=request.session_name,
                active_agent=request.active_agent,
                context=request.context,
                title=request.title,
            )

    @sync_operation
    async def get_chat_session(self, _: StartOperationContext, argument: object) -> ChatSessionView:
        """Read a session, awake or asleep."""
        async with _nexus_errors():
            request = self._read(GetChatSession, argument)
            return await self._sessions.get(
                request.chat_session_id,
                tenant_id=request.tenant_id,
                user_id=request.user_id,
                at_revision=request.at_revision,
            )

    @sync_operation
    async def update_chat_context(self, context: StartOperationContext, argument: object) -> UpdateReceipt:
        """Change a session, and answer once both stores hold the change."""
        async with _nexus_errors():
            request = self._read(UpdateChatContextOperation, argument)
            change = request.model_dump(exclude={"chat_session_id"}, exclude_none=True, exclude_defaults=True)
            # Nexus keeps the request's ID over its retries. With a base, the engine derives the key from the change.
            if request.idempotency_key is None and request.base_revision is None:
                change["idempotency_key"] = f"nexus/{context.request_id}"
            return await self._sessions.update_context(request.chat_session_id, returning="receipt", **change)

    def _read(self, model: type[RequestType], argument: object) -> RequestType:
        return parse(model, read(check_arguments([argument], self._limits)), is_own=True)


@asynccontextmanager
async def _nexus_errors() -> AsyncIterator[None]:
    """Raise the contract's errors as Nexus knows them; the cause is the application failure whose type is the code."""
    try:
        yield
    except JourneyError as error:
        kind = _TYPES.get(error.code, HandlerErrorType.BAD_REQUEST)
        raise HandlerError(str(error), type=kind) from as_failure(error)
