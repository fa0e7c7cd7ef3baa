"""The erasure: a workflow that removes what Temporal keeps of a deleted session. Anyone may start it, at any time."""

from contextlib import suppress
from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

from journeys.chat_session.erasure import Erased
from journeys.chat_session.names import ERASE, ERASURE_ID, ERASURE_WORKFLOW_ID_PREFIX
from journeys.retry_policies import REGULAR_HEARTBEAT, REGULAR_RETRIES, WORKFLOW_TASK_TIMEOUT

# Temporal takes half a minute to delete a run; a session may have many, and one that is still open.
_ATTEMPT: Final = timedelta(hours=1)


async def start_erasure(chat_session_id: str) -> None:
    """Start the erasure of a session from its own workflow, which it outlives."""
    with suppress(WorkflowAlreadyStartedError):  # an erasure that runs also removes the run that asks for another
        await workflow.start_child_workflow(
            ERASURE_ID,
            id=ERASURE_WORKFLOW_ID_PREFIX + chat_session_id,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
        )


@workflow.defn(name=ERASURE_ID)
class ChatSessionErasure:
    """Removes one session's runs, agent turns and reads. The session is the one in the workflow's own ID."""

    @workflow.run
    async def run(self, *arguments: object) -> Erased:
        """Erase until nothing is left; do nothing unless the session is deleted.

        Raises:
            ApplicationError: The workflow's ID is not that of an erasure (`INVALID_PARAMETER`).
        """
        del arguments
        erased: Erased = await workflow.execute_activity(
            ERASE,
            result_type=Erased,
            start_to_close_timeout=_ATTEMPT,
            heartbeat_timeout=REGULAR_HEARTBEAT,
            retry_policy=REGULAR_RETRIES,
            summary="delete the runs, agent turns and reads of a deleted session",
        )
        return erased
