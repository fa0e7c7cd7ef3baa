"""An agent's turn: the workflow that a change with `turn` starts, and that the agent's own worker runs."""

from journeys.chat_session.names import AGENT_TURN_WORKFLOW_ID_PREFIX
from journeys.messages import Record


class AgentTurn(Record):
    """The argument of the workflow `agent_turn`.

    Attributes:
        active_agent: The agent that should act: the one that led after the change.
        revision: The revision that asked for the turn. If the session's `turn_revision` is a later one when the turn
            begins, or before it stores its answer, the turn completes without an answer.
    """

    tenant_id: str
    user_id: str
    chat_session_id: str
    active_agent: str
    revision: int


def agent_turn_id(chat_session_id: str, revision: int) -> str:
    """The turn's workflow ID, and the idempotency key of its answer."""
    return f"{AGENT_TURN_WORKFLOW_ID_PREFIX}{chat_session_id}/{revision}"


def agent_task_queue(task_queue: str, agent: str) -> str:
    """The task queue of an agent's turns, derived from the journeys' task queue."""
    return f"{task_queue}/{agent}"
