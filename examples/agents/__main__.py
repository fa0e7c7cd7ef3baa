"""`python -m examples.agents`: run the agents until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import os
import sys

from examples.agents.roster import agent_names
from journeys.errors import JourneyError


def main() -> int:
    """Run the program; its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.agents",
        description="Run the example agents until SIGTERM or Ctrl-C.",
        epilog="Environment variables configure them; docs/settings.md lists them.",
    )
    parser.add_argument("--names", action="store_true", help="print the agents' names for JOURNEY_AGENTS, and end")
    if parser.parse_args().names:
        print(",".join(agent_names()))
        return 0

    from examples.agents.run_agents import run_agents  # noqa: PLC0415 - it takes a second

    try:
        asyncio.run(run_agents())
    except JourneyError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Threads of Temporal's SDK sometimes crash a Python that ends in its own way.
    os._exit(status)
