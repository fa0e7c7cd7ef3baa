"""Cancel the turns of agents."""

from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from journeys.chat_session.agent_turns import agent_turn_id
from journeys.errors import EngineUnavailable

_RPC_TIMEOUT: Final = timedelta(seconds=5)


async def cancel_agent_turn(client: Client, chat_session_id: str, revision: int) -> None:
    """Cancel the turn that a revision has asked for, if it runs.

    Raises:
        EngineUnavailable: Temporal cannot be reached.
    """
    try:
        await client.get_workflow_handle(agent_turn_id(chat_session_id, revision)).cancel(rpc_timeout=_RPC_TIMEOUT)
    except RPCError as failure:
        if failure.status is not RPCStatusCode.NOT_FOUND:
            raise EngineUnavailable("the turn cannot be cancelled now") from None
