"""The workflow of the variant `step`: `bare` with one local activity for each change, which does nothing.

A workflow may reach a store only through an activity, so no workflow that writes before it answers can cost less.
"""

from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow

from bench.bare_workflow import BareChatSession

STEP_WORKFLOW: Final = "step_chat_session"

Json = dict[str, Any]


@activity.defn
async def nothing(message: Json) -> None:
    """Take a message and write nothing."""


@workflow.defn(name=STEP_WORKFLOW)
class StepChatSession(BareChatSession):
    """As `bare`, but runs a local activity before it answers."""

    @workflow.init
    def __init__(self, argument: Json) -> None:
        # The SDK demands this and `run` in the class itself.
        super().__init__(argument)

    @workflow.run
    async def run(self, _: Json) -> None:
        await workflow.wait_condition(lambda: False)

    async def _work(self, message: Json) -> None:
        await workflow.execute_local_activity(nothing, message, start_to_close_timeout=timedelta(seconds=1))
