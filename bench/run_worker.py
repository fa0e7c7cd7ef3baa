"""`python -m bench.run_worker bare|step|naive`: the worker of a variant that has none of its own."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final

import uvloop
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from bench.bare_workflow import BareChatSession, bare_get_chat_session
from bench.naive_activities import NaiveActivities
from bench.naive_workflow import NaiveChatSession
from bench.step_workflow import StepChatSession, nothing
from journeys.client.connection import GRPC_COMPRESSION
from stores.chat_sessions_supabase import ChatSessionsSupabase
from stores.postgres import open_pool
from stores.state_surface_postgres import StateSurfacePostgres
from worker.journey_worker import journey_worker
from worker.settings import WorkerSettings

_CONNECTIONS = 10
# To import this package anew for every workflow would be a cost that its place in it makes and not the variant.
_OWN_MODULES = ("starter", "contract", "activities")


async def run_empty(workflow: type[BareChatSession]) -> None:
    """Run `bare` or `step` with every setting of the journey's worker, the sandbox or its absence included."""
    client = await Client.connect(**ClientConfig.load_client_connect_config(), grpc_compression=GRPC_COMPRESSION)
    settings = WorkerSettings()
    # Never run, and on a queue of its own, as the SDK wants it.
    model = settings.model_copy(update={"task_queue": f"{settings.task_queue}-model"})
    async with journey_worker(client, model) as journeys:
        config = journeys.config()
        config["task_queue"] = settings.task_queue
        config["workflows"] = [workflow]
        config["activities"] = [bare_get_chat_session, nothing]
        config["workflow_runner"] = _passing_own_modules(config["workflow_runner"])
        async with Worker(**config):
            await asyncio.Event().wait()


async def run_naive() -> None:
    """Run the naive workflow with the SDK's defaults."""
    settings = WorkerSettings()
    client = await Client.connect(**ClientConfig.load_client_connect_config(), data_converter=pydantic_data_converter)
    async with (
        await open_pool(settings.supabase_db_url.get_secret_value(), connections=_CONNECTIONS) as supabase,
        await open_pool(settings.state_surface_url.get_secret_value(), connections=_CONNECTIONS) as surface,
    ):
        activities = NaiveActivities(ChatSessionsSupabase(supabase), StateSurfacePostgres(surface))
        async with Worker(
            client,
            task_queue=settings.task_queue,
            workflows=[NaiveChatSession],
            activities=[
                activities.create_in_supabase,
                activities.register_in_state_surface,
                activities.write_to_supabase,
                activities.update_in_state_surface,
            ],
            workflow_runner=_passing_own_modules(SandboxedWorkflowRunner()),
        ):
            await asyncio.Event().wait()


def _passing_own_modules(runner: WorkflowRunner) -> WorkflowRunner:
    if not isinstance(runner, SandboxedWorkflowRunner):
        return runner
    restrictions: SandboxRestrictions = runner.restrictions
    return SandboxedWorkflowRunner(restrictions=restrictions.with_passthrough_modules(*_OWN_MODULES))


_RUNS: Final[dict[str, Callable[[], Coroutine[None, None, None]]]] = {
    "bare": partial(run_empty, BareChatSession),
    "step": partial(run_empty, StepChatSession),
    "naive": run_naive,
}
_DEFAULT_LOOP: Final = ("naive",)  # the others have the loop of the journey's worker


async def _until_told(variant: str) -> None:
    task = asyncio.ensure_future(_RUNS[variant]())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=None if sys.argv[1] in _DEFAULT_LOOP else uvloop.new_event_loop) as runner:
        runner.run(_until_told(sys.argv[1]))
