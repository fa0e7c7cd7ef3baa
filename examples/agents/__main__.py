"""`python -m examples.agents`: run the agents until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import logging
import os
import signal
import sys

from examples.agents.roster import agent_names, read_roster
from examples.agents.settings import AgentSettings
from journeys.client.connection import connect
from journeys.client.settings import read_settings
from journeys.errors import JourneyError


async def run() -> None:
    """Run the agents with the environment's settings.

    Raises:
        EngineUnavailable: Temporal cannot be reached.
        InvalidParameter: A setting is not valid.
    """
    # Not above: `--names` also works without pydantic-ai.
    from examples.agents.worker import agent_workers, choose_models  # noqa: PLC0415

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = read_settings(AgentSettings)
    roster = read_roster()
    models = choose_models(settings, roster)
    async with agent_workers(await connect(), settings, roster, models):
        logging.getLogger(__name__).info("polling for %s", ", ".join(roster))
        await stop.wait()


def main() -> int:
    """Run the program; its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.agents",
        description="Run the example agents until SIGTERM or Ctrl-C.",
        epilog="Environment variables configure them; docs/agents.md lists them.",
    )
    parser.add_argument("--names", action="store_true", help="print the agents' names for JOURNEY_AGENTS, and end")
    if parser.parse_args().names:
        print(",".join(agent_names()))
        return 0
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        asyncio.run(run())
    except JourneyError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Threads of Temporal's SDK sometimes crash a Python that ends in its own way.
    os._exit(status)
