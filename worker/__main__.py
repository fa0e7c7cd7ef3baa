"""`python -m worker`: run a worker, as `journey worker` does."""

import argparse
import sys

from worker.process_lifecycle import exit_on_errors, run_and_exit, run_service
from worker.run_worker import run_worker


def main() -> None:
    """Run a worker until SIGTERM or Ctrl-C."""
    argparse.ArgumentParser(
        prog="python -m worker",
        description="Run a worker until SIGTERM or Ctrl-C. It then finishes what it has begun.",
        epilog="Environment variables configure it: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and so on, SUPABASE_DB_URL, "
        "STATE_SURFACE_URL, JOURNEY_*. docs/settings.md lists all of them.",
    ).parse_args()
    with exit_on_errors(lambda error: print(error, file=sys.stderr)):
        run_service(run_worker)


if __name__ == "__main__":
    run_and_exit(main)
