"""The agents as a process: read the settings, connect, and poll."""

import asyncio
import logging
import signal
import sys

from examples.agents.roster import read_roster
from examples.agents.settings import AgentSettings
from examples.agents.worker import agent_workers, choose_models
from journeys.client.connection import connect
from journeys.client.settings import read_settings


async def run_agents() -> None:
    """Run the agents with the environment's settings until SIGTERM or Ctrl-C.

    Raises:
        EngineUnavailable: Temporal cannot be reached.
        InvalidParameter: A setting is not valid.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    settings = read_settings(AgentSettings)
    roster = read_roster()
    models = choose_models(settings, roster)
    async with agent_workers(await connect(), settings, roster, models):
        logging.getLogger(__name__).info("polling for %s", ", ".join(roster))
        await stop.wait()
