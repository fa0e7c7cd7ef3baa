"""A session at revision 1, whose rows a test then edits."""

import pytest
from temporalio.client import WorkflowExecutionStatus

from tests.support.journeys import Journeys, Json
from tests.support.watching import until_status

awake_or_asleep = pytest.mark.parametrize("idle_seconds", [3600, 0], ids=["awake", "asleep"])


async def create_changed_session(journeys: Journeys, request: Json | None = None, *, asleep: bool = False) -> str:
    """Create a session and bring it to revision 1."""
    session: str = (await journeys.initialize(request))["chat_session_id"]
    await journeys.update(session, {"context": {"by": "journey"}})
    if asleep:
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
    return session
