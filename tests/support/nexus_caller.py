"""A workflow of another team, in a namespace of its own, that uses chat sessions through Nexus."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, NexusOperationError

with workflow.unsafe.imports_passed_through():
    import nexusrpc

    from journeys.chat_session.messages import GetChatSession, InitializeChatSession
    from journeys.chat_session.names import JOURNEY_ID
    from journeys.chat_session.nexus import ChatSessionService, UpdateChatContextOperation
    from journeys.failures import from_failure

PATIENCE = timedelta(seconds=60)


@workflow.defn
class ConversationElsewhere:
    """Opens a session, adds a message, and reads the session."""

    @workflow.run
    async def run(self, endpoint: str, request: InitializeChatSession) -> dict[str, object]:
        sessions = workflow.create_nexus_client(service=ChatSessionService, endpoint=endpoint)
        opened = await sessions.execute_operation(
            ChatSessionService.initialize_chat_session, request, schedule_to_close_timeout=PATIENCE
        )
        said = await sessions.execute_operation(
            ChatSessionService.update_chat_context,
            UpdateChatContextOperation(
                chat_session_id=opened.chat_session_id,
                tenant_id=request.tenant_id,
                messages=[{"text": "Hello"}],
                author="elsewhere",
            ),
            schedule_to_close_timeout=PATIENCE,
        )
        seen = await sessions.execute_operation(
            ChatSessionService.get_chat_session,
            GetChatSession(tenant_id=request.tenant_id, chat_session_id=opened.chat_session_id),
            schedule_to_close_timeout=PATIENCE,
        )
        return {
            "chat_session_id": seen.chat_session_id,
            "revision": seen.revision,
            "message_count": seen.message_count,
            "applied_revision": said.applied_revision,
            "message_ids": said.message_ids,
        }


@workflow.defn
class OperationElsewhere:
    """Sends one operation by its name, and returns its answer or its refusal."""

    @workflow.run
    async def run(self, endpoint: str, operation: str, request: dict[str, object]) -> dict[str, object]:
        sessions = workflow.create_nexus_client(service=JOURNEY_ID, endpoint=endpoint)
        try:
            answer: object = await sessions.execute_operation(operation, request, schedule_to_close_timeout=PATIENCE)
        except NexusOperationError as failure:
            error = from_failure(failure)
            if error is None or not isinstance(failure.cause, nexusrpc.HandlerError):
                raise ApplicationError(f"no code in {failure.cause!r}") from failure
            return {"code": error.code, "field": error.field, "nexus": failure.cause.type.name}
        return {"answer": answer}
