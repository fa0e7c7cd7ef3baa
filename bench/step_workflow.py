"""The workflow of the variant `step`: `bare` with one local activity for each change, which does nothing.

A workflow may not reach a store by itself, so this is the least that anything costs which writes before it answers.
"""

from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow

from bench.bare_workflow import BareChatSession

STEP_WORKFLOW: Final = "step_chat_session"

Json = dict[str, Any]


@activity.defn
async def nothing(message: Json) -> None:
    """Take what is to be written, and write nothing."""


@workflow.defn(name=STEP_WORKFLOW)
class StepChatSession(BareChatSession):
    """As `bare`, but answers after a step."""

    @workflow.init
    def __init__(self, *arguments: Json) -> None:
        """Keep an answer; the SDK wants this and `run` in the class itself."""
        super().__init__(*arguments)

    @workflow.run
    async def run(self, *_: Json) -> None:
        """Stay until cancelled."""
        await workflow.wait_condition(lambda: False)

    async def _work(self, message: Json) -> None:
        await workflow.execute_local_activity(nothing, message, start_to_close_timeout=timedelta(seconds=1))
