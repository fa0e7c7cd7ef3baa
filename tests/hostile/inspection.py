"""What an attack must not have done, and how long the workflow's activations took."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from temporalio.api.enums.v1 import EventType, TimeoutType, WorkflowTaskFailedCause
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, WorkflowInstance, WorkflowInstanceDetails

from journeys.chat_session.names import workflow_id
from tests.hostile.attack import Attack, Target
from tests.support.watching import runs, unexpected_failed_tasks
from worker.plugin import JourneyPlugin
from worker.sdk_patches.release_start_input import ReleasingWorkflowRunner
from workflows.chat_session import ChatSessionJourney


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
    """The outcome of one attack.

    Attributes:
        broken: The promises that were broken, in words; none if all is well.
        seconds: How long it took until all was applied and an update of every session answered.
        activations: How long each activation took in a replay of all runs, in seconds.
        neighbours: How long each update of other sessions took meanwhile, in seconds.
    """

    broken: tuple[str, ...]
    seconds: float
    activations: tuple[float, ...]
    neighbours: tuple[float, ...] = ()


async def inspect(attack: Attack, *, may_time_out: bool) -> Finding:
    """Wait until all is applied, and look at everything that the attack may have harmed.

    Args:
        attack: An attack that is over.
        may_time_out: Whether the worker was paused, so that its workflow tasks timed out.
    """
    began = time.monotonic()
    broken = [each for found in await asyncio.gather(*map(_check_session, attack.targets)) for each in found]
    seconds = time.monotonic() - began
    stopwatch = Stopwatch()
    for target in attack.targets:
        broken += await _check_runs(target, stopwatch, may_time_out=may_time_out)
    for neighbour in attack.neighbours:
        broken += neighbour.failed
    neighbours = tuple(each for neighbour in attack.neighbours for each in neighbour.seconds)
    return Finding(tuple(dict.fromkeys(broken)), seconds, tuple(stopwatch.activations), neighbours)


async def _check_session(target: Target) -> list[str]:
    """What is wrong with a session once it has applied all changes and answered an update."""
    broken = []
    if await target.until_applied() != target.sent:
        broken.append("changes are lost, doubled or out of order")
    answered = await target.journeys.update(target.session, {"context": {"alive": True}, "returning": "receipt"})
    if answered["duplicate"]:
        broken.append("an update is taken for another one")
    return broken


async def _check_runs(target: Target, stopwatch: Stopwatch, *, may_time_out: bool) -> list[str]:
    """What is wrong with a session's runs."""
    broken = []
    histories = await runs(target.journeys, target.session)
    for events in histories:
        for event in unexpected_failed_tasks(events):
            cause = event.workflow_task_failed_event_attributes.cause
            broken.append(f"a workflow task failed: {WorkflowTaskFailedCause.Name(cause)}")
        for event in events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT and not may_time_out:
                kind = event.workflow_task_timed_out_event_attributes.timeout_type
                # A task that no worker has begun leaves the sticky queue, as if this worker were dead.
                if kind != TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START:
                    broken.append(f"a workflow task timed out: {TimeoutType.Name(kind)}")
            elif event.event_type in (
                EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
                EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
                EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
            ):
                broken.append(f"a run ended: {EventType.Name(event.event_type)}")
    for events in histories:
        error = await _replay(WorkflowHistory(workflow_id(target.session), events), stopwatch)
        if error:
            broken.append(f"a run cannot be replayed: {error}")
    return broken


async def _replay(history: WorkflowHistory, stopwatch: Stopwatch) -> Exception | None:
    plugin = JourneyPlugin()
    plugin.workflow_runner = stopwatch
    replayer = Replayer(workflows=[ChatSessionJourney], plugins=[plugin])
    return (await replayer.replay_workflow(history, raise_on_replay_failure=False)).replay_failure


def percentile(seconds: Sequence[float], rank: float) -> float:
    """The percentile of `rank` (0 to 1) by nearest rank, in milliseconds; 0 if there are no durations."""
    ordered = sorted(seconds)
    return ordered[max(math.ceil(rank * len(ordered)), 1) - 1] * 1000 if ordered else 0.0


def verdict(findings: Sequence[Finding]) -> list[str]:
    """A summary of all findings, with the goals for the reference machine."""
    broken = sum(bool(finding.broken) for finding in findings)
    activations = [each for finding in findings for each in finding.activations]
    neighbours = [each for finding in findings for each in finding.neighbours]
    lines = [
        f"{len(activations)} activations: longest {percentile(activations, 1):.0f} ms (goal 400 ms), "
        f"p99 {percentile(activations, 0.99):.1f} ms (goal 50 ms)"
    ]
    if neighbours:
        lines.append(
            f"{len(neighbours)} updates of other sessions meanwhile: median {percentile(neighbours, 0.5):.0f} ms, "
            f"p95 {percentile(neighbours, 0.95):.0f} ms (goal 500 ms)"
        )
    return [*lines, f"{len(findings) - broken} passed, {broken} failed"]
