"""Replays histories as a worker that takes over does: with its runner and its data converter."""

from temporalio.runtime import Runtime
from temporalio.worker import Replayer

from worker.journey_worker import workflow_runner
from worker.payloads import journey_data_converter
from workflows.chat_session import ChatSessionJourney


def replayer(workflow: type = ChatSessionJourney, *, sandbox: bool = False, runtime: Runtime | None = None) -> Replayer:
    """A replayer of the journey, or of another version of it."""
    return Replayer(
        workflows=[workflow],
        workflow_runner=workflow_runner(sandbox=sandbox),
        data_converter=journey_data_converter,
        runtime=runtime,
    )
