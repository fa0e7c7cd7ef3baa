"""The command `journey worker`."""

from starter.cli.command import run_service


def worker() -> None:
    """Run a worker until SIGTERM or Ctrl-C. It then finishes what it has begun.

    Environment variables configure it: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE
    and so on, SUPABASE_DB_URL, STATE_SURFACE_URL, JOURNEY_*.

    Run as many workers as you like on one task queue.
    """
    from worker.run_worker import run_worker  # noqa: PLC0415 - the other commands start sooner without it

    run_service(run_worker)
