"""What an attack must not have done, and how long the workflow's activations took."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, WorkflowInstance, WorkflowInstanceDetails

from journeys.chat_session.names import workflow_id
from tests.hostile.matrix import Attack
from tests.support.polling import eventually
from tests.support.watching import runs
from worker.plugin import JourneyPlugin
from worker.sdk_patches.release_start_input import ReleasingWorkflowRunner
from workflows.chat_session import ChatSessionJourney

# The server fails a task by itself if messages come as the run closes, or if more is buffered than it holds.
_OF_THE_SERVER = {
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
}


@dataclass
class Stopwatch(ReleasingWorkflowRunner):
    """A runner that measures the activations of the runs that it replays, in seconds."""

    activations: list[float] = field(default_factory=list)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        activate = instance.activate

        def measured(act: object) -> object:
            began = time.perf_counter()
            try:
                return activate(act)  # type: ignore[arg-type]
            finally:
                self.activations.append(time.perf_counter() - began)

        instance.activate = measured  # type: ignore[method-assign, assignment]
        return instance


@dataclass(frozen=True)
class Finding:
    """What became of one attack.

    Attributes:
        broken: The promises that were broken, in words; none if all is well.
        seconds: How long it took until all was applied and an update answered.
        longest_ms: The longest activation in a replay of all runs.
    """

    broken: tuple[str, ...]
    seconds: float
    longest_ms: float


async def inspect(attack: Attack, *, may_time_out: bool) -> Finding:
    """Wait until all is applied, and look at everything that the attack may have harmed.

    Args:
        attack: It is over.
        may_time_out: Whether the worker was paused, so that its workflow tasks timed out.
    """
    journeys, session = attack.journeys, attack.session
    began = time.monotonic()
    broken: list[str] = []

    async def seen() -> list[int]:
        row = await journeys.row(session)
        found: list[int] = row["context"].get("seen", []) if row else []
        return found

    stored = await eventually(seen, lambda found: len(found) >= len(attack.sent), within=120)
    if stored != attack.sent:
        broken.append("signals are lost, doubled or out of order")
    answered = await journeys.update(session, {"context": {"alive": True}, "returning": "receipt"})
    if answered["duplicate"]:
        broken.append("an update is taken for another one")
    seconds = time.monotonic() - began
    histories = await runs(journeys, session)
    for events in histories:
        for event in events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                cause = event.workflow_task_failed_event_attributes.cause
                if cause not in _OF_THE_SERVER:
                    broken.append(f"a workflow task failed: {WorkflowTaskFailedCause.Name(cause)}")
            elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT and not may_time_out:
                broken.append("a workflow task timed out")
            elif event.event_type in (
                EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
                EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
                EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
            ):
                broken.append(f"a run ended: {EventType.Name(event.event_type)}")
    stopwatch = Stopwatch()
    for events in histories:
        error = await _replay(WorkflowHistory(workflow_id(session), events), stopwatch)
        if error:
            broken.append(f"a run cannot be replayed: {error}")
    return Finding(tuple(broken), seconds, max(stopwatch.activations, default=0) * 1000)


async def _replay(history: WorkflowHistory, stopwatch: Stopwatch) -> Exception | None:
    plugin = JourneyPlugin()
    plugin.workflow_runner = stopwatch
    replayer = Replayer(workflows=[ChatSessionJourney], plugins=[plugin])
    return (await replayer.replay_workflow(history, raise_on_replay_failure=False)).replay_failure


def verdict(findings: Sequence[Finding]) -> str:
    """One line about all of them."""
    broken = sum(bool(finding.broken) for finding in findings)
    return f"{len(findings) - broken} passed, {broken} failed"
