"""A Temporal worker for the journeys, on its stores."""

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final

from pydantic import SecretStr
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

from journeys import __version__
from journeys.retry_policies import STICKY_TIMEOUT
from stores import chat_sessions_supabase, state_surface_postgres
from stores.postgres import Pool, Rights, check_store, open_pool
from worker.registry import JOURNEYS, Journey, Stores
from worker.search_attributes import require_search_attributes
from worker.settings import WorkerSettings

# Workflow code only computes, so more threads would only wait for each other. The second thread works if the first one
# is blocked.
_WORKFLOW_THREADS: Final = 2

# History names the release at each workflow task. Without this, the SDK would name a hash of every loaded module there.
_RELEASE: Final = WorkerDeploymentConfig(WorkerDeploymentVersion("journeys", __version__), use_worker_versioning=False)


@asynccontextmanager
async def journey_worker(
    client: Client,
    settings: WorkerSettings,
    *,
    journeys: Sequence[Journey] = JOURNEYS,
    max_cached_workflows: int = 1000,
) -> AsyncIterator[Worker]:
    """Make a worker and its connections to the stores. The caller runs it.

    Args:
        client: A client with `worker.plugin.JourneyPlugin`.
        settings: The worker's settings.
        journeys: The journeys that the worker runs.
        max_cached_workflows: How many runs stay in memory. With 0, a run is replayed at each of its workflow tasks.

    Raises:
        SearchAttributesMissing: The namespace lacks search attributes.
        InvalidParameter: A store turns this worker away: user, password, database, a parameter or the role's rights.
    """
    await require_search_attributes(client)
    async with (
        _store(settings, "supabase_db_url", chat_sessions_supabase.STORE, chat_sessions_supabase.RIGHTS) as supabase,
        _store(
            settings, "state_surface_url", state_surface_postgres.STORE, state_surface_postgres.RIGHTS
        ) as state_surface,
    ):
        stores = Stores(supabase, state_surface)
        threads = ThreadPoolExecutor(_WORKFLOW_THREADS, "workflows")
        try:
            yield Worker(
                client,
                task_queue=settings.task_queue,
                deployment_config=_RELEASE,
                workflows=[journey.workflow for journey in journeys],
                activities=[each for journey in journeys for each in journey.activities(stores, settings)],
                nexus_service_handlers=[
                    journey.nexus_service(client, settings) for journey in journeys if journey.nexus_service
                ],
                workflow_task_executor=threads,
                # There is no external storage, and a higher number would create an asyncio task for each payload.
                max_workflow_task_external_storage_concurrency=1,
                max_cached_workflows=max_cached_workflows,
                max_concurrent_activities=settings.activity_slots,
                max_concurrent_local_activities=settings.activity_slots,
                sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
                graceful_shutdown_timeout=settings.graceful_shutdown,
            )
        finally:
            threads.shutdown(wait=False)


@asynccontextmanager
async def _store(settings: WorkerSettings, setting: str, store: str, rights: Rights) -> AsyncIterator[Pool]:
    url: SecretStr = getattr(settings, setting)
    pool = await open_pool(
        url.get_secret_value(),
        connections=settings.activity_slots,
        transaction_pooler=settings.transaction_pooler,
        store=store,
        rights=rights,
    )
    try:
        await check_store(pool, url.get_secret_value(), store=store, setting=setting.upper())
        yield pool
    finally:
        await pool.close()
