"""The names of the journey Chat Session Management, for clients in any language."""

from typing import Final

JOURNEY_ID: Final = "journey_coexistence_chat_session"
"""The workflow type."""

DEFAULT_TASK_QUEUE: Final = "coexistence-journeys"

INITIALIZE: Final = "initialize_chat_session"
GET: Final = "get_chat_session"
UPDATE: Final = "update_chat_context"
EDIT: Final = "update_chat_session"
DELETE: Final = "delete_chat_session"
HISTORY: Final = "get_chat_session_history"
MESSAGES: Final = "get_chat_messages"
LIST: Final = "list_chat_sessions"
LOAD: Final = "load_chat_session"

READING_ACTIVITIES: Final = (GET, HISTORY, MESSAGES)
"""The activities that run standalone, under the IDs `<intent>/<chat_session_id or ->/<uuid4>`."""

ERASURE_ID: Final = "journey_coexistence_chat_session_erasure"
"""The type of the workflow that removes what Temporal keeps of a deleted session."""

ERASE: Final = "erase_chat_session"

AGENT_TURN_ID: Final = "agent_turn"
"""The type of the workflow in which an agent acts."""

ARTIFACT_TYPE: Final = "chat_session"
DEFAULT_AGENT: Final = "guide"
WORKFLOW_ID_PREFIX: Final = "chat-session/"
ERASURE_WORKFLOW_ID_PREFIX: Final = "chat-session-erasure/"
AGENT_TURN_WORKFLOW_ID_PREFIX: Final = "agent-turn/"


def workflow_id(chat_session_id: str) -> str:
    """The ID of the workflow that runs a session's journey."""
    return WORKFLOW_ID_PREFIX + chat_session_id
