"""The workflow of the variant `bare`: handlers with the journey's names and payloads that do nothing.

No workflow with these messages can cost less: this is the limit that Temporal and its SDK set.
"""

from typing import Any, Final

from temporalio import activity, workflow

BARE_WORKFLOW: Final = "bare_chat_session"

Json = dict[str, Any]


@workflow.defn(name=BARE_WORKFLOW)
class BareChatSession:
    """Answers with the context that it was started with."""

    @workflow.init
    def __init__(self, argument: Json) -> None:
        """Prepare an answer of the same size as the journey's."""
        self._answer: Json = {
            "artifact_type": "chat_session",
            "chat_session_id": argument["chat_session_id"],
            "tenant_id": argument["tenant_id"],
            "user_id": argument["user_id"],
            "active_agent": "guide",
            "lifecycle_state": "ACTIVE",
            "revision": 0,
            "context_hash": "0" * 64,
            "created_at": "2026-01-27T10:05:12.000000Z",
            "updated_at": "2026-01-27T10:05:12.000000Z",
            "context": argument["initialize"]["context"],
        }
        self._receipt = {name: value for name, value in self._answer.items() if name != "context"}

    @workflow.run
    async def run(self, _: Json) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def initialize_chat_session(self, request: Json) -> Json:
        await self._work(request)
        return self._answer

    @workflow.update
    async def update_chat_context(self, change: Json) -> Json:
        await self._work(change)
        answer = self._receipt if change.get("returning") == "receipt" else self._answer
        return {**answer, "applied_revision": 0, "duplicate": False}

    @workflow.signal(name="update_chat_context")
    def signal_chat_context(self, change: Json) -> None:
        """Do nothing."""

    @workflow.query
    def get_chat_session(self, _: Json) -> Json:
        return self._answer

    async def _work(self, message: Json) -> None:
        """Do nothing before an answer."""


@activity.defn(name="get_chat_session")
async def bare_get_chat_session(_: Json) -> Json:
    """Answer for a hibernated session, with a payload too small to count."""
    return {"artifact_type": "chat_session"}
