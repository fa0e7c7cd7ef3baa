"""`python -m bench.run_worker bare|step|naive`: the worker of a variant."""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from bench.bare_workflow import BareChatSession, bare_get_chat_session
from bench.naive_activities import NaiveActivities
from bench.naive_workflow import NaiveChatSession
from bench.step_workflow import StepChatSession, nothing
from stores.chat_sessions_supabase import ChatSessionsSupabase
from stores.postgres import open_pool
from stores.state_surface_postgres import StateSurfacePostgres
from worker.connection import connect
from worker.journey_worker import journey_worker
from worker.process_lifecycle import run_and_exit, run_service, run_until_signalled
from worker.registry import Journey
from worker.settings import WorkerSettings

_CONNECTIONS: Final = 10
# Pass our own modules through the sandbox; otherwise `naive` would pay to re-import the benchmark package, which no
# real deployment does.
_OWN_MODULES: Final = ("bench", "journeys", "stores")


async def run_empty(workflow: type[BareChatSession]) -> None:
    """Run `bare` or `step` with every setting of the journey's worker, and with its client and plugin."""
    settings = WorkerSettings()
    empty = Journey(workflow, lambda _stores, _settings: [bare_get_chat_session, nothing])
    client = await connect(sandbox=settings.sandbox)
    async with journey_worker(client, settings, journeys=[empty]) as worker, worker:
        await asyncio.Event().wait()


async def run_naive() -> None:
    """Run `naive` with the SDK's defaults."""
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
            workflow_runner=SandboxedWorkflowRunner(
                restrictions=SandboxRestrictions.default.with_passthrough_modules(*_OWN_MODULES)
            ),
        ):
            await asyncio.Event().wait()


_PROGRAMS: Final[dict[str, Callable[[], object]]] = {
    "bare": lambda: run_service(partial(run_empty, BareChatSession)),
    "step": lambda: run_service(partial(run_empty, StepChatSession)),
    # On asyncio's own loop, as by default; the others run on uvloop, as the journey's worker does.
    "naive": lambda: asyncio.run(run_until_signalled(run_naive())),
}

if __name__ == "__main__":
    run_and_exit(_PROGRAMS[sys.argv[1]])
