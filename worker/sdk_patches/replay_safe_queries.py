"""Queries leave no trace in a run, so that another worker can replay it.

Symptom: a nondeterminism error at the next replay; the session hangs as soon as its worker is gone.
Cause, in the SDK's core:
    1. A query that comes with a workflow task is answered while a local activity of that task still runs. History then
       records the activity's marker in this task, but the workflow gets the result in the next one, after the messages
       that came with that. A replay delivers the result in this task, before them.
    2. A query that comes alone, to a worker that does not hold the run or holds an old state of it, brings the whole
       history. The core delivers all of it at once, also the events of a workflow task that has not begun or that
       another worker has. A replay delivers them in that task, with whatever else came by then.
Mend: in case 1 leave the query to the server, which asks again when the task is done. In case 2 evict the run once the
    query is answered.
Upstream: no public issue on queries found. sdk-python issues 1578 and 1881 report other local activities that a replay
    delivers in another order.
Delete it when: the test passes without it.
Test: `tests/promises/test_replay_safe_queries.py`.
"""

import asyncio
from collections import Counter
from typing import Final

from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_completion import Success, WorkflowActivationCompletion
from temporalio.bridge.worker import Worker as BridgeWorker
from temporalio.worker import Worker

_LONE_QUERY_ID: Final = "legacy_query"  # the SDK's own documentation names another ID


class _ReplaySafeQueries(BridgeWorker):
    """Answers no query of a run whose local activity is running, and evicts runs that a lone query has advanced."""

    def __init__(self, bridge: BridgeWorker) -> None:
        super().__init__(bridge._ref)
        self._running: Final[Counter[str]] = Counter()  # local activities, by run
        # Runs that were replayed and may not have had a workflow task of their own yet. The value is the length of the
        # history when they first got a new event, 0 before that.
        self._replayed: Final[dict[str, int]] = {}
        self._postponing: Final[set[asyncio.Task[None]]] = set()

    async def poll_workflow_activation(self) -> WorkflowActivation:
        while True:
            activation = await super().poll_workflow_activation()
            run_id = activation.run_id
            if not all(job.HasField("query_workflow") for job in activation.jobs):
                self._observe(activation)
                return activation
            if any(map(_is_lone_query, activation.jobs)):
                if self._replayed.pop(run_id, 0):
                    self.request_workflow_eviction(run_id)  # the core evicts after the answer
                return activation
            if self._running[run_id] <= 0:
                return activation
            unanswered = WorkflowActivationCompletion(run_id=run_id, successful=Success())
            postponing = asyncio.create_task(super().complete_workflow_activation(unanswered))
            self._postponing.add(postponing)
            postponing.add_done_callback(self._postponing.discard)

    def _observe(self, activation: WorkflowActivation) -> None:
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
            first_new = self._replayed[run_id]
            # A lone query brings new events only at the end of a history, so if two activations bring some, the first
            # was a workflow task. And only a workflow task brings an update that is not accepted yet.
            if 0 < first_new < activation.history_length or any(job.do_update.run_validator for job in activation.jobs):
                del self._replayed[run_id]
            else:
                self._replayed[run_id] = activation.history_length

    async def complete_workflow_activation(self, comp: WorkflowActivationCompletion) -> None:
        begun = sum(command.HasField("schedule_local_activity") for command in comp.successful.commands)
        if begun:
            self._running[comp.run_id] += begun
        await super().complete_workflow_activation(comp)

    async def finalize_shutdown(self) -> None:
        await asyncio.gather(*self._postponing, return_exceptions=True)
        await super().finalize_shutdown()


def _is_lone_query(query: WorkflowActivationJob) -> bool:
    return query.query_workflow.query_id == _LONE_QUERY_ID


def answer_queries_replay_safely(worker: Worker) -> None:
    """Have a worker answer queries without a trace in its runs.

    Args:
        worker: One that does not run yet.
    """
    worker._bridge_worker = _ReplaySafeQueries(worker._bridge_worker)
