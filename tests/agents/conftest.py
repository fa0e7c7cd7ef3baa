"""The example agents, beside a worker of the journeys."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from pydantic_ai.models import Model
from pydantic_core import from_json
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter

from embedded import EmbeddedStack
from examples.agents import scripted_model
from examples.agents.roster import read_roster
from examples.agents.settings import AgentSettings
from examples.agents.worker import ModelOf, agent_workers, choose_models
from journeys.chat_session.agent_turns import agent_turn_id
from journeys.chat_session.keys import message_id
from tests.support.journeys import Journeys, Json

AGENTS = frozenset(read_roster())


@dataclass(frozen=True)
class Answered:
    """A message of an agent."""

    id: str
    author: str
    body: Json


@dataclass(frozen=True)
class Chat:
    """A session as its user has it, and its agents' turns."""

    journeys: Journeys
    session: str

    @classmethod
    async def begin(cls, journeys: Journeys, **more: Any) -> "Chat":
        return cls(journeys, await journeys.create_session(**more))

    async def say(self, text: str, **more: Any) -> int:
        """Write a message and ask for an answer; return the turn's revision."""
        change = {"messages": [{"role": "user", "text": text}], "author": "user", "turn": True} | more
        revision: int = (await self.journeys.update(self.session, change))["applied_revision"]
        return revision

    def turn(self, revision: int) -> WorkflowHandle[Any, Any]:
        return self.journeys.client.get_workflow_handle(agent_turn_id(self.session, revision))

    def message_id(self, revision: int) -> str:
        """The ID of a turn's message, which is known before the message exists."""
        return message_id(self.session, agent_turn_id(self.session, revision), 0)

    async def answers(self) -> list[Answered]:
        """What agents have said, as it is stored."""
        rows = await self.journeys.supabase.fetch(
            "select message_id, author, body from public.chat_messages "
            "where chat_session_id = $1 and role = 'assistant' order by first_revision, ordinal",
            UUID(self.session),
        )
        return [Answered(row["message_id"], row["author"], from_json(row["body"])) for row in rows]

    async def turn_revision(self) -> int:
        revision: int = (await self.journeys.get(self.session))["turn_revision"]
        return revision


Agents = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture(scope="session")
async def agents_client(stack: EmbeddedStack) -> Client:
    return await Client.connect(stack.addresses.temporal_address, data_converter=pydantic_data_converter)


@pytest.fixture
def agents(journeys: Journeys, agents_client: Client, monkeypatch: pytest.MonkeyPatch) -> Agents:
    """Runs all agents in this process, with scripted models that do not pause, or with another model."""
    monkeypatch.setattr(scripted_model, "_SECONDS_PER_WORD", 0)

    @asynccontextmanager
    async def run(model: Model | None = None, **settings: Any) -> AsyncIterator[None]:
        chosen = AgentSettings(task_queue=journeys.task_queue, **settings)
        roster = read_roster()
        models: ModelOf = (lambda _: model) if model else choose_models(chosen, roster)
        async with agent_workers(agents_client, chosen, roster, models):
            yield

    return run
