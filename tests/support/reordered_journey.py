"""The journey with its commands in another order: what a careless release would be."""

from temporalio import workflow

from journeys.chat_session.names import JOURNEY_ID
from workflows.chat_session import ChatSessionJourney


@workflow.defn(name=JOURNEY_ID)
class ReorderedJourney(ChatSessionJourney):
    """It waits for a moment before it looks for the session, and is the same otherwise."""

    @workflow.init
    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)

    @workflow.run
    async def run(self, *arguments: object) -> None:
        await workflow.sleep(1)
        await super().run(*arguments)
