"""The workers, each in a process of its own that never outlives the benchmark."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from bench.stores import StoreUrls
from embedded.supervised_process import SupervisedProcess

_GRACE_SECONDS: Final = 15.0
_COMMANDS: Final = {
    "bare": ("-m", "bench.run_worker", "bare"),
    "step": ("-m", "bench.run_worker", "step"),
    "naive": ("-m", "bench.run_worker", "naive"),
    "journey": ("-m", "worker"),
}


def settings_from(addresses: Mapping[str, str]) -> dict[str, str]:
    """An environment with these settings and no others of Temporal or the journeys."""
    ours = ("JOURNEY_", "TEMPORAL_", "SUPABASE_", "STATE_SURFACE_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**inherited, "TEMPORAL_CONFIG_FILE": os.devnull, **addresses}


def supervised_pid(directory: Path) -> int:
    """The process that a `SupervisedProcess` runs in a directory."""
    return int((directory / "server.lock").read_text().split()[0])


@asynccontextmanager
async def run_workers(
    client: Client,
    folder: Path,
    stores: Mapping[str, StoreUrls],
    *,
    address: str,
    name: str,
    variants: Collection[str] = tuple(_COMMANDS),
) -> AsyncIterator[dict[str, int]]:
    """Run a worker for each of some variants.

    Args:
        client: Connected to the server.
        folder: For their logs.
        stores: By variant.
        address: Of the server.
        name: Distinguishes these workers and their task queues from others of the run.
        variants: By default all that have a worker.

    Yields:
        The process IDs by variant, after all workers poll.
    """
    async with AsyncExitStack() as stack:
        started: dict[str, SupervisedProcess] = {}
        for variant in variants:
            urls = stores.get(variant, stores["journey"])
            environment = settings_from(
                {
                    "TEMPORAL_ADDRESS": address,
                    "TEMPORAL_NAMESPACE": client.namespace,
                    "SUPABASE_DB_URL": urls.supabase,
                    "STATE_SURFACE_URL": urls.state_surface,
                    "JOURNEY_TASK_QUEUE": task_queue(variant, name),
                    "JOURNEY_LOG_LEVEL": "WARNING",
                }
            )
            process = SupervisedProcess(
                f"the worker of {variant}",
                folder / f"{name}-{variant}",
                stop_signal=signal.SIGTERM,
                grace_seconds=_GRACE_SECONDS,
            )
            stack.push_async_callback(process.stop)
            async with process.claim_directory(mode=0o700):
                await process.start([sys.executable, *_COMMANDS[variant]], environment=environment)
            started[variant] = process

        for variant, process in started.items():
            queue = task_queue(variant, name)

            async def polls(queue: str = queue) -> bool:
                return await _has_poller(client, queue)

            await process.wait_until_ready(polls)
        yield {variant: supervised_pid(process.directory) for variant, process in started.items()}


def task_queue(variant: str, name: str) -> str:
    return f"benchmark-{name}-{variant}"


async def _has_poller(client: Client, queue: str) -> bool:
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    return bool(described.pollers)
