"""The contract of chat sessions as a Nexus service, for workflows in other namespaces.

    sessions = workflow.create_nexus_client(service=ChatSessionService, endpoint="chat-sessions")
    session = await sessions.execute_operation(
        ChatSessionService.initialize_chat_session,
        InitializeChatSession(tenant_id="acme", user_id="ada", session_name="invoices"),
        schedule_to_close_timeout=timedelta(minutes=5),
    )

The caller's data converter is `temporalio.contrib.pydantic.pydantic_data_converter`. A refused operation raises
`NexusOperationError`; `journeys.failures.from_failure` finds the contract's error in it. An outage delays an operation
until its `schedule_to_close_timeout` has passed.
"""

from nexusrpc import Operation, service

from journeys.chat_session.answers import ChatSessionView, InitializedChatSession, UpdateReceipt
from journeys.chat_session.messages import GetChatSession, InitializeChatSession, SignalChatContext
from journeys.chat_session.names import JOURNEY_ID
from journeys.identifiers import Uuid


class UpdateChatContextOperation(SignalChatContext):
    """Change a session's shared context, transcript or active agent; the answer is a receipt.

    Without `idempotency_key` and `base_revision`, every operation is a new change, and its retries are the same one.

    Attributes:
        chat_session_id: The session's ID.
    """

    chat_session_id: Uuid


@service(name=JOURNEY_ID)
class ChatSessionService:
    """Create, read and change chat sessions. An operation is done once, even if it is retried.

    Attributes:
        initialize_chat_session: Create a session, or find it. `created` may be false if a retry finds the session.
        get_chat_session: Read a session, or the user's most recent one.
        update_chat_context: Change a session, awake or asleep, and answer once both stores hold the change.
    """

    initialize_chat_session: Operation[InitializeChatSession, InitializedChatSession]
    get_chat_session: Operation[GetChatSession, ChatSessionView]
    update_chat_context: Operation[UpdateChatContextOperation, UpdateReceipt]
