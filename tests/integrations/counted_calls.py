"""What an adapter costs: the calls that it makes, and what its messages leave in stores and histories."""

from collections import Counter
from collections.abc import Sequence
from statistics import mean
from typing import Any, cast
from uuid import UUID

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from journeys import ChatMessages, ChatSessions, InitializedChatSession, UpdateReceipt
from journeys.chat_session.keys import named_session_key, session_id
from journeys.chat_session.session import Context
from journeys.errors import EngineUnavailable
from tests.support.journeys import Journeys
from tests.support.watching import runs


class CountedCalls(ChatSessions):
    """A client that counts its calls, and whose next answer to a change can be lost."""

    def __init__(self, client: Client, *, task_queue: str) -> None:
        super().__init__(client, task_queue=task_queue)
        self.calls: Counter[str] = Counter()
        self.lose_answers = 0

    async def initialize(self, **request: Any) -> InitializedChatSession:
        self.calls["initialize"] += 1
        return await super().initialize(**request)

    async def update_context(self, chat_session_id: str, **change: Any) -> Any:
        self.calls["update_context"] += 1
        answer = await super().update_context(chat_session_id, **change)
        if self.lose_answers:
            self.lose_answers -= 1
            raise EngineUnavailable("the answer was lost", outcome="unknown")
        return cast(UpdateReceipt, answer)

    async def messages(self, chat_session_id: str, **request: Any) -> ChatMessages:
        self.calls["messages"] += 1
        return await super().messages(chat_session_id, **request)


def identity(journeys: Journeys, name: str, *, user_id: str = "ada") -> str:
    """The session that a framework's ID stands for."""
    return session_id(named_session_key(journeys.tenant_id, user_id, name))


async def bodies(journeys: Journeys, name: str) -> Sequence[Context]:
    """The bodies of a session's latest messages, up to 200 of them."""
    page = await journeys.sessions.messages(identity(journeys, name), tenant_id=journeys.tenant_id, limit=200)
    return [message.body for message in page.messages]


async def add_as_another(journeys: Journeys, name: str, **change: Any) -> None:
    """Change a session past the framework, as a chat page or another agent does."""
    await journeys.sessions.update_context(identity(journeys, name), tenant_id=journeys.tenant_id, **change)


async def assert_that_no_message_costs_more_than_the_first(journeys: Journeys, name: str, *, messages: int) -> None:
    """One row for each message in transcript and ledger, and histories that are no larger in later runs.

    The first run's history may have a message that is larger than the others.
    """
    session = identity(journeys, name)
    for table in ("chat_messages", "chat_context_updates"):
        rows = await journeys.supabase.fetchval(
            f"select count(*) from public.{table} where chat_session_id = $1", UUID(session)
        )
        assert rows == messages + (table == "chat_context_updates"), table  # the ledger has the creation, too
    costs = [bytes_per_update(events) for events in await runs(journeys, session)][1:]
    third = len(costs) // 3
    assert third > 1
    assert mean(costs[-third:]) < 1.25 * mean(costs[:third]), costs


def bytes_per_update(events: Sequence[HistoryEvent]) -> float:
    accepted = [each for each in events if each.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED]
    return sum(event.ByteSize() for event in events) / len(accepted)
