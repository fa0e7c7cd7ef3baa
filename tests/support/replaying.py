"""Replays histories as a worker that takes over does: with its runner and its data converter."""

from temporalio.runtime import Runtime
from temporalio.worker import Replayer

from worker.plugin import JourneyPlugin
from workflows.chat_session import ChatSessionJourney
from workflows.chat_session_erasure import ChatSessionErasure


def replayer(workflow: type = ChatSessionJourney, *, sandbox: bool = False, runtime: Runtime | None = None) -> Replayer:
    """A replayer of the journey, or of another version of it, and of the erasure."""
    return Replayer(
        workflows=[workflow, ChatSessionErasure],
        plugins=[JourneyPlugin(sandbox=sandbox)],
        runtime=runtime,
    )
