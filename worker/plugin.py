"""Everything that a worker of the journeys needs besides workflows and activities, in one import.

    client = await Client.connect("localhost:7233", plugins=[JourneyPlugin()])
    worker = Worker(client, task_queue=..., workflows=[...], activities=[...])

A worker takes the plugin from its client. A `Replayer` takes the same plugin.
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

# `journeys` and its libraries are deterministic, and it is costly to create pydantic's classes for every workflow
# instance. If a module that is not named here reaches a C extension, as asyncpg does, creating the worker fails.
_RESTRICTIONS: Final = SandboxRestrictions.default.with_passthrough_modules(
    "journeys",
    "workflows.chat_session_details",
    "workflows.chat_session_erasure",
    "workflows.idle_timer",
    "workflows.inbox",
    "workflows.continue_as_new",
    "workflows.run_activity",
    "workflows.task_budget",
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "jiter",
).with_import_notification_policy(
    SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
    | SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
)


class JourneyPlugin(SimplePlugin):
    """The data converter, the workflow runner, and the work-arounds for the SDK.

    If a parameter declares no type, the converter reads it as plain JSON and never fails. The client's own codec and
    external storage are kept. Every message passes through the codec first. The codec must let a message pass that it
    cannot decode; otherwise the message fails a workflow task.
    """

    def __init__(self, *, sandbox: bool = False) -> None:
        """Make the plugin.

        Args:
            sandbox: Run workflow code in the SDK's sandbox. The sandbox notices code that is not deterministic, and
                costs about 40 % more CPU.

        Raises:
            EngineUnavailable: The work-arounds do not fit the installed release of the SDK.
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
