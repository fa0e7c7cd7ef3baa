"""A Temporal worker for the journeys, on its stores."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.worker import Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

from activities.chat_session import ChatSessionActivities
from activities.chat_sessions_supabase import ChatSessionsSupabase
from activities.postgres import open_pool
from activities.state_surface_postgres import StateSurfacePostgres
from worker.harmless_queries import make_queries_harmless
from worker.lean_runner import LeanWorkflowRunner
from worker.search_attributes import require_search_attributes
from worker.settings import WorkerSettings
from worker.untouched_payloads import leave_payloads_alone
from workflows.chat_session import ChatSessionJourney

# A task for a worker that has died goes to another one after this long.
_STICKY_TIMEOUT: Final = timedelta(seconds=1)

# Workflow code only computes, so more threads would take turns. The second is for when one does not yield.
_WORKFLOW_THREADS: Final = 2

# The contract and its libraries are deterministic, and pydantic's classes are costly to make again for every workflow
# instance. What is not named here and reaches a C extension, as asyncpg would, is an error when the worker is built.
_RESTRICTIONS: Final = SandboxRestrictions.default.with_passthrough_modules(
    "contract", "workflows.local_then_durable", "pydantic", "pydantic_core", "annotated_types", "rfc8785"
).with_import_notification_policy(
    SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
    | SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
)


def workflow_runner(*, sandbox: bool) -> WorkflowRunner:
    """What runs workflow code: the sandbox, which notices what is not deterministic, or a third less CPU."""
    return SandboxedWorkflowRunner(restrictions=_RESTRICTIONS) if sandbox else LeanWorkflowRunner()


@asynccontextmanager
async def journey_worker(
    client: Client, settings: WorkerSettings, *, max_cached_workflows: int = 1000
) -> AsyncIterator[Worker]:
    """Make a worker with its store connections; the caller runs it.

    Args:
        client: A client with `worker.payloads.journey_data_converter`.
        settings: How it works.
        max_cached_workflows: Journeys to keep in memory; 0 replays each from its history at every task.

    Raises:
        SearchAttributesMissing: The namespace is not ready.
    """
    await require_search_attributes(client)
    supabase = await open_pool(
        settings.supabase_db_url.get_secret_value(),
        connections=settings.activity_slots,
        transaction_pooler=settings.transaction_pooler,
    )
    surface = await open_pool(
        settings.state_surface_url.get_secret_value(),
        connections=settings.activity_slots,
        transaction_pooler=settings.transaction_pooler,
    )
    activities = ChatSessionActivities(ChatSessionsSupabase(supabase), StateSurfacePostgres(surface), settings.policy)
    leave_payloads_alone()
    threads = ThreadPoolExecutor(_WORKFLOW_THREADS, "workflows")
    try:
        worker = Worker(
            client,
            task_queue=settings.task_queue,
            workflows=[ChatSessionJourney],
            activities=activities.all,
            workflow_runner=workflow_runner(sandbox=settings.sandbox),
            workflow_task_executor=threads,
            max_workflow_task_external_storage_concurrency=1,  # nothing is stored so; more makes a task of each payload
            max_cached_workflows=max_cached_workflows,
            max_concurrent_activities=settings.activity_slots,
            max_concurrent_local_activities=settings.activity_slots,
            sticky_queue_schedule_to_start_timeout=_STICKY_TIMEOUT,
            graceful_shutdown_timeout=settings.graceful_shutdown,
        )
        yield make_queries_harmless(worker)
    finally:
        threads.shutdown(wait=False)
        await supabase.close()
        await surface.close()
