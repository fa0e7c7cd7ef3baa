"""The worker process: one worker for each agent's task queue, all with the same workflow and activities."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Final

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model
from temporalio.client import Client
from temporalio.worker import Worker

from examples.agents.agent_turn import AgentTurnWorkflow
from examples.agents.partials import Partials
from examples.agents.roster import Roster
from examples.agents.scripted_model import scripted_model
from examples.agents.settings import AgentSettings
from examples.agents.turn_activities import TurnActivities
from examples.agents.writer import Writer
from journeys import ChatSessions
from journeys.chat_session.agent_turns import agent_task_queue
from journeys.errors import InvalidParameter
from journeys.retry_policies import STICKY_TIMEOUT

# A cancellation comes with the answer to a heartbeat, so the SDK must not hold heartbeats back for long.
_HEARTBEAT_INTERVAL: Final = timedelta(seconds=0.5)
# A turn that is interrupted after this time goes on in the next process.
_GRACEFUL_SHUTDOWN: Final = timedelta(seconds=2)

ModelOf = Callable[[str], Model]
"""The model of an agent, by the agent's name."""


def choose_models(settings: AgentSettings, roster: Roster) -> ModelOf:
    """The model that the settings name, for all agents; without one, each agent's script.

    Raises:
        InvalidParameter: There is no such model, or its package or key is missing.
    """
    if settings.agent_model is None:
        return lambda agent: scripted_model(agent, roster)
    try:
        model = infer_model(settings.agent_model)
    except (UserError, ImportError) as error:
        raise InvalidParameter(f"JOURNEY_AGENT_MODEL: {error}") from None
    return lambda _: model


@asynccontextmanager
async def agent_workers(
    client: Client, settings: AgentSettings, roster: Roster, model_of: ModelOf
) -> AsyncIterator[None]:
    """Run all agents until the context ends.

    Args:
        client: A client of the journeys' namespace, with pydantic's data converter.
        settings: The agents' settings.
        roster: The agents.
        model_of: The model of each agent.
    """
    async with AsyncExitStack() as running:
        partials = None
        if settings.gateway_url and settings.gateway_token:
            partials = Partials(settings.gateway_url, settings.gateway_token.get_secret_value())
            running.push_async_callback(partials.close)
        activities = TurnActivities(
            ChatSessions(client, task_queue=settings.task_queue),
            {agent: Writer(agent, roster, model_of(agent)) for agent in roster},
            partials,
        )
        workers = [
            Worker(
                client,
                task_queue=agent_task_queue(settings.task_queue, agent),
                workflows=[AgentTurnWorkflow],
                activities=[activities.read_conversation, activities.write_answer, activities.store_answer],
                max_concurrent_activities=settings.agent_slots,
                max_heartbeat_throttle_interval=_HEARTBEAT_INTERVAL,
                sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
                graceful_shutdown_timeout=_GRACEFUL_SHUTDOWN,
            )
            for agent in roster
        ]
        for worker in workers:
            await running.enter_async_context(worker)
        try:
            yield
        finally:
            await asyncio.gather(*(worker.shutdown() for worker in workers))
