"""Queries leave a run as they found it, which the SDK's core (as of 1.35) does not see to in two cases.

A query may come along with a workflow task, and is answered although a local activity of that task still runs. The
activity's marker then stands in this task, but the workflow hears of its result in the next one, after the messages
that came with that. A replay tells it in this task, before them: another order of commands. So here such a query is
left to the server, which asks again when the task is done.

A query may come alone to a worker that does not have the run in memory, or an old state of it. What has happened since
the last workflow task is in the history that comes along, and the workflow is told of it there and then, although the
task that these events belong to is another one, which may not have begun or be in other hands. A replay tells it in
its own task, with whatever else came by then. So here such a run is forgotten once the query is answered.

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


class _ReplaySafeQueries(BridgeWorker):
    """Answers no query while a local activity of its run is running, and forgets what a query alone has told a run."""

    def __init__(self, bridge: BridgeWorker) -> None:
        super().__init__(bridge._ref)
        self._running: Final[Counter[str]] = Counter()  # local activities, by run
        # The runs that were replayed, until it is sure that they have a task of their own: how long the history was
        # when they first heard something new, 0 before that.
        self._replayed: Final[dict[str, int]] = {}
        self._leaving: Final[set[asyncio.Task[None]]] = set()

    async def poll_workflow_activation(self) -> WorkflowActivation:
        while True:
            activation = await super().poll_workflow_activation()
            run_id = activation.run_id
            if not all(job.HasField("query_workflow") for job in activation.jobs):
                self._take_note(activation)
                return activation
            if any(map(_came_alone, activation.jobs)):
                if self._replayed.pop(run_id, 0):
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
        for job in activation.jobs:
            if job.resolve_activity.is_local:
                self._running[run_id] -= 1
            elif job.HasField("remove_from_cache"):
                del self._running[run_id]
                self._replayed.pop(run_id, None)
                return
        if activation.is_replaying:
            self._replayed[run_id] = 0
        elif run_id in self._replayed:
            heard_at = self._replayed[run_id]
            # Only what is at the end of a history is new, so of two tasks with something new the first was a real one;
            # and only a real one brings an update that is not accepted yet.
            if 0 < heard_at < activation.history_length or any(job.do_update.run_validator for job in activation.jobs):
                del self._replayed[run_id]
            else:
                self._replayed[run_id] = activation.history_length

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


def answer_queries_replay_safely(worker: Worker) -> Worker:
    """Have a worker answer queries without a trace in its runs."""
    worker._bridge_worker = _ReplaySafeQueries(worker._bridge_worker)
    return worker
