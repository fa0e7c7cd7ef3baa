"""Queries leave a run as they found it, which the SDK's core (as of 1.35) does not see to in two cases.

A query may come along with a workflow task, and is answered although a local activity of that task still runs. The
activity's marker then stands in this task, but the workflow hears of its result in the next one, after the messages
that came with that. A replay tells it in this task, before them: another order of commands. So here such a query is
left to the server, which asks again when the task is done.

A query may come alone to a worker that does not have the run in memory. What has happened since the last workflow task
is in the history that comes along, and the workflow is told of it there and then: before the task that these events
belong to has begun, at the time of the one before. A replay tells it in its own task. So here such a run is forgotten
once the query is answered.

Either way the run could not be replayed any more, and the session would be stuck as soon as its worker is gone.
"""

import asyncio
from collections import Counter
from typing import Final

from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_completion import Success, WorkflowActivationCompletion
from temporalio.bridge.worker import Worker as BridgeWorker
from temporalio.worker import Worker

_CAME_ALONE: Final = "legacy_query"  # the SDK's documentation has another word


class _HarmlessQueries(BridgeWorker):
    """Answers no query while a local activity of its run is running, and forgets what a query alone has loaded."""

    def __init__(self, bridge: BridgeWorker) -> None:
        super().__init__(bridge._ref)
        self._running: Final[Counter[str]] = Counter()  # local activities, by run
        self._only_replayed: Final[dict[str, int]] = {}  # the time in the run, by run
        self._leaving: Final[set[asyncio.Task[None]]] = set()

    async def poll_workflow_activation(self) -> WorkflowActivation:
        while True:
            activation = await super().poll_workflow_activation()
            run_id = activation.run_id
            self._take_note(activation)
            if not all(job.HasField("query_workflow") for job in activation.jobs):
                return activation
            if any(map(_came_alone, activation.jobs)):
                if run_id in self._only_replayed:
                    self.request_workflow_eviction(run_id)  # which waits for the answer
                return activation
            if self._running[run_id] <= 0:
                return activation
            unanswered = WorkflowActivationCompletion(run_id=run_id, successful=Success())
            leaving = asyncio.create_task(super().complete_workflow_activation(unanswered))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    def _take_note(self, activation: WorkflowActivation) -> None:
        run_id = activation.run_id
        now = activation.timestamp.ToNanoseconds()
        for job in activation.jobs:
            if job.resolve_activity.is_local:
                self._running[run_id] -= 1
            elif job.HasField("initialize_workflow") and activation.is_replaying:
                self._only_replayed[run_id] = now
            elif job.HasField("remove_from_cache"):
                del self._running[run_id]
                self._only_replayed.pop(run_id, None)
        if run_id in self._only_replayed:
            if activation.is_replaying:
                self._only_replayed[run_id] = now
            elif self._only_replayed[run_id] != now:  # a task has begun
                del self._only_replayed[run_id]

    async def complete_workflow_activation(self, comp: WorkflowActivationCompletion) -> None:
        begun = sum(command.HasField("schedule_local_activity") for command in comp.successful.commands)
        if begun:
            self._running[comp.run_id] += begun
        await super().complete_workflow_activation(comp)

    async def finalize_shutdown(self) -> None:
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await super().finalize_shutdown()


def _came_alone(query: WorkflowActivationJob) -> bool:
    return query.query_workflow.query_id == _CAME_ALONE


def make_queries_harmless(worker: Worker) -> Worker:
    """Have a worker answer queries without a trace in its runs."""
    worker._bridge_worker = _HarmlessQueries(worker._bridge_worker)
    return worker
