"""A worker as a process: read the settings, configure logs, connect, and poll."""

import asyncio
import gc
import logging

from journeys.client.settings import read_settings
from worker.connection import connect
from worker.journey_worker import journey_worker
from worker.logs import configure_logs
from worker.settings import WorkerSettings


async def run_worker() -> None:
    """Run a worker with the environment's settings until it is cancelled. It then finishes what it has begun.

    Raises:
        EngineUnavailable: Temporal cannot be reached, or the namespace lacks search attributes.
        InvalidParameter: A setting is not valid.
    """
    settings = read_settings(WorkerSettings)
    configure_logs(settings.log_format, settings.log_level)
    client = await connect(sandbox=settings.sandbox, metrics_address=settings.metrics_address)
    async with journey_worker(client, settings) as worker, worker:
        logging.getLogger(__name__).info(
            "polling", extra={"task_queue": settings.task_queue, "namespace": client.namespace}
        )
        # The objects that exist by now stay. Without this, the garbage collector would visit all of them again and
        # again, because a message or a context is ten thousand new objects: up to half of what such a message costs.
        gc.freeze()
        await asyncio.Event().wait()
