"""What a worker of the journeys needs besides workflows and activities, in one import.

    client = await Client.connect("localhost:7233", plugins=[JourneyPlugin()])
    worker = Worker(client, task_queue=..., workflows=[...], activities=[...])

A client with this plugin makes every worker on it a safe one; a `Replayer` takes the same plugin.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from temporalio.plugin import SimplePlugin
from temporalio.worker import ReplayerConfig, Worker, WorkerConfig, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

from worker.payloads import journey_data_converter
from worker.sdk_patches import require_sdk_version
from worker.sdk_patches.release_start_input import ReleasingWorkflowRunner
from worker.sdk_patches.replay_safe_queries import answer_queries_replay_safely
from worker.sdk_patches.skip_payload_visitors import skip_payload_visitors

# `journeys` and its libraries are deterministic, and pydantic's classes are costly to make again for every workflow
# instance. A module that is not named here and reaches a C extension, as asyncpg would, is an error when the worker is
# built.
_RESTRICTIONS: Final = SandboxRestrictions.default.with_passthrough_modules(
    "journeys",
    "workflows.idle_timer",
    "workflows.inbox",
    "workflows.rollover",
    "workflows.run_activity",
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "rfc8785",
).with_import_notification_policy(
    SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
    | SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
)


class JourneyPlugin(SimplePlugin):
    """Converter, workflow runner and work-arounds of the SDK.

    The converter reads what declares no type as plain JSON and never fails on it; a codec or an external storage of the
    client's own converter is kept. With a codec, every message passes through it first: it must let pass what it cannot
    decode, or such a message fails a workflow task.
    """

    def __init__(self, *, sandbox: bool = False) -> None:
        """Make the plugin.

        Args:
            sandbox: Run workflow code in the SDK's sandbox. It notices code that is not deterministic, at about 40 %
                more CPU.

        Raises:
            EngineUnavailable: The installed SDK is not the release that the work-arounds fit.
        """
        require_sdk_version()
        runner: WorkflowRunner = (
            SandboxedWorkflowRunner(restrictions=_RESTRICTIONS) if sandbox else ReleasingWorkflowRunner()
        )
        super().__init__("JourneyPlugin", data_converter=journey_data_converter, workflow_runner=runner)

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """See the base class."""
        skip_payload_visitors()
        return super().configure_worker(config)

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        """See the base class."""
        skip_payload_visitors()
        return super().configure_replayer(config)

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:  # noqa: A002
        """See the base class."""
        answer_queries_replay_safely(worker)
        await super().run_worker(worker, next)
