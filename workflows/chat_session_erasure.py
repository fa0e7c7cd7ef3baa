"""The erasure: a workflow that removes what Temporal keeps of a deleted session. Anyone may start it, at any time."""

from typing import Final

from temporalio import workflow
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from journeys.chat_session.erasure import Erased
from journeys.chat_session.names import ERASE, ERASURE_ID, ERASURE_WORKFLOW_ID_PREFIX
from journeys.retry_policies import ERASURE_ATTEMPT, REGULAR_HEARTBEAT, REGULAR_RETRIES, WORKFLOW_TASK_TIMEOUT

_ERASE_AGAIN: Final = "erase_again"


async def start_erasure(chat_session_id: str) -> None:
    """Start the erasure of a session from the session's own workflow. The erasure outlives this workflow."""
    erasure = ERASURE_WORKFLOW_ID_PREFIX + chat_session_id
    while True:
        try:
            await workflow.start_child_workflow(
                ERASURE_ID,
                id=erasure,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
            )
        except WorkflowAlreadyStartedError:
            # The erasure may have looked for the last time, and would end without deleting this run. Temporal does not
            # let a workflow end while a signal waits.
            try:
                await workflow.get_external_workflow_handle(erasure).signal(_ERASE_AGAIN)
            except ApplicationError:
                continue  # it has ended
        return


@workflow.defn(name=ERASURE_ID)
class ChatSessionErasure:
    """Removes one session's runs, agent turns and reads. The session is the one in the workflow's own ID."""

    def __init__(self) -> None:
        self._is_asked_again = False

    @workflow.signal(name=_ERASE_AGAIN)
    def erase_again(self, *arguments: object) -> None:
        """Do not end before another look."""
        del arguments
        self._is_asked_again = True

    @workflow.run
    async def run(self, *arguments: object) -> Erased:
        """Erase until nothing is left; do nothing unless the session is deleted.

        Raises:
            ApplicationError: The workflow's ID is not that of an erasure (`INVALID_PARAMETER`).
        """
        del arguments
        erased = await self._erase()
        while self._is_asked_again:
            self._is_asked_again = False
            more = await self._erase()
            erased = erased.plus(runs=more.runs, turns=more.turns, reads=more.reads)
        return erased

    async def _erase(self) -> Erased:
        erased: Erased = await workflow.execute_activity(
            ERASE,
            result_type=Erased,
            start_to_close_timeout=ERASURE_ATTEMPT,
            heartbeat_timeout=REGULAR_HEARTBEAT,
            retry_policy=REGULAR_RETRIES,
            summary="delete the runs, agent turns and reads of a deleted session",
        )
        return erased
