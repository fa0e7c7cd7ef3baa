"""Asks agents to act: each change that asks for a turn starts a workflow on the agent's task queue."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio import activity
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from journeys.chat_session.agent_turns import AgentTurn, agent_task_queue, agent_turn_id
from journeys.chat_session.names import AGENT_TURN_ID
from journeys.errors import EngineUnavailable
from journeys.search_attributes import ACTIVE_AGENT, TENANT_ID, USER_ID

_START_TIMEOUT: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class AgentTurns:
    """Starts the turns of agents.

    Attributes:
        agents: The agents that take turns.
        timeout: How long a turn may take, its wait for an agent included.
    """

    agents: Set[str]
    timeout: timedelta

    async def start(self, turn: AgentTurn) -> None:
        """Start a turn, unless it was started before. This is called in an activity, and again if that is retried.

        Raises:
            EngineUnavailable: Temporal did not start the turn.
        """
        try:
            await activity.client().start_workflow(
                AGENT_TURN_ID,
                turn,
                id=agent_turn_id(turn.chat_session_id, turn.revision),
                task_queue=agent_task_queue(activity.info().task_queue, turn.active_agent),
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                execution_timeout=self.timeout,
                rpc_timeout=_START_TIMEOUT,
                search_attributes=TypedSearchAttributes(
                    [
                        SearchAttributePair(TENANT_ID, turn.tenant_id),
                        SearchAttributePair(USER_ID, turn.user_id),
                        SearchAttributePair(ACTIVE_AGENT, turn.active_agent),
                    ]
                ),
                static_summary=f"{turn.active_agent} answers revision {turn.revision}",
            )
        except WorkflowAlreadyStartedError:
            pass
        except RPCError:
            raise EngineUnavailable("the agent's turn could not be started") from None
