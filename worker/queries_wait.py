"""Queries wait for the local activities of their run.

A query may come along with a workflow task, and the SDK's core (as of 1.35) has it answered although a local activity
of that task still runs. The activity's marker then stands in this task, but the workflow hears of its result in the
next one, after the messages that came with that. A replay tells it in this task, before them: another order of
commands, so the run can never be replayed again, and the session is stuck as soon as its worker is gone.

A query that is not answered stays with the server, which asks again when the task is done.
"""

import asyncio
from collections import Counter
from typing import Final

from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_completion import Success, WorkflowActivationCompletion
from temporalio.bridge.worker import Worker as BridgeWorker
from temporalio.worker import Worker

_CAME_ALONE: Final = "legacy"


class _QueriesWait(BridgeWorker):
    """Leaves queries unanswered while a local activity of their run has not been told of."""

    def __init__(self, bridge: BridgeWorker) -> None:
        super().__init__(bridge._ref)
        self._running: Final[Counter[str]] = Counter()  # local activities, by run
        self._leaving: Final[set[asyncio.Task[None]]] = set()

    async def poll_workflow_activation(self) -> WorkflowActivation:
        while True:
            activation = await super().poll_workflow_activation()
            run_id = activation.run_id
            for job in activation.jobs:
                if job.resolve_activity.is_local:
                    self._running[run_id] -= 1
                elif job.HasField("remove_from_cache"):
                    del self._running[run_id]
            if self._running[run_id] <= 0 or not all(map(_came_with_a_task, activation.jobs)):
                return activation
            unanswered = WorkflowActivationCompletion(run_id=run_id, successful=Success())
            leaving = asyncio.create_task(super().complete_workflow_activation(unanswered))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def complete_workflow_activation(self, comp: WorkflowActivationCompletion) -> None:
        begun = sum(command.HasField("schedule_local_activity") for command in comp.successful.commands)
        if begun:
            self._running[comp.run_id] += begun
        await super().complete_workflow_activation(comp)

    async def finalize_shutdown(self) -> None:
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await super().finalize_shutdown()


def _came_with_a_task(job: WorkflowActivationJob) -> bool:
    """Whether it is a query beside other work; one that came alone is answered by itself, and harmless."""
    return job.HasField("query_workflow") and job.query_workflow.query_id != _CAME_ALONE


def let_queries_wait(worker: Worker) -> Worker:
    """Have a worker answer no query while a local activity of its run is running."""
    worker._bridge_worker = _QueriesWait(worker._bridge_worker)
    return worker
