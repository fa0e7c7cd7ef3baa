"""An agent that follows a script: it shows a partial answer, waits for the test, and answers once."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import httpx2
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.exceptions import ActivityError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from journeys.chat_session.agent_turns import agent_task_queue, agent_turn_id
from journeys.chat_session.keys import message_id

Json = dict[str, Any]

PARTIAL: Final = "Let me see, you said"


@workflow.defn(name="agent_turn")
class ScriptedTurn:
    @workflow.run
    async def run(self, turn: Json) -> None:
        try:
            await workflow.execute_activity("write", turn, **_TIMES)
        except (ActivityError, asyncio.CancelledError):  # somebody has stopped it
            await asyncio.shield(workflow.start_activity("say_stopped", turn, **_TIMES))
            raise


_TIMES: Final[Mapping[str, Any]] = {
    "start_to_close_timeout": timedelta(seconds=60),
    "heartbeat_timeout": timedelta(seconds=5),
}


@dataclass
class ScriptedAgent:
    """The script of all agents.

    Attributes:
        service: Calls the gateway as a service.
        waits: Whether an answer waits, half-written, until `go_on` is set.
        proposes: The agent that answers propose to hand over to.
    """

    service: httpx2.AsyncClient
    waits: bool = False
    proposes: str | None = None
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def script(self, *, waits: bool = False, proposes: str | None = None) -> None:
        """Begin a new script."""
        self.waits, self.proposes, self.go_on = waits, proposes, asyncio.Event()

    @activity.defn
    async def write(self, turn: Json) -> None:
        path = f"/v1/chat-sessions/{turn['chat_session_id']}"
        said = [message["body"]["text"] for message in await self._messages(path) if message["role"] == "user"]
        partial = {"message_id": _answer_id(turn), "text": PARTIAL}
        beating = asyncio.create_task(_beat())
        try:
            while self.waits and not self.go_on.is_set():
                await self.service.post(f"{path}/partials", json=partial)
                await asyncio.wait([asyncio.ensure_future(self.go_on.wait())], timeout=0.5)
        finally:
            beating.cancel()
        await self._answer(turn, f"{PARTIAL} “{said[-1]}”. I know {len(said)} of your messages.")

    @activity.defn
    async def say_stopped(self, turn: Json) -> None:
        await self._answer(turn, PARTIAL, model="a script", status="stopped")

    async def _messages(self, path: str) -> Sequence[Json]:
        messages: Sequence[Json] = (await self.service.get(f"{path}/messages")).raise_for_status().json()["messages"]
        return messages

    async def _answer(self, turn: Json, text: str, **more: str) -> None:
        body = {"role": "assistant", "text": text} | more
        if self.proposes:
            body["proposed_agent"] = self.proposes
        answered = await self.service.post(
            f"/v1/chat-sessions/{turn['chat_session_id']}/messages",
            json={"messages": [body], "author": turn["active_agent"]},
            headers={"idempotency-key": _turn_id(turn)},
        )
        answered.raise_for_status()


async def _beat() -> None:
    """Heartbeat: only a heartbeat tells the activity that its turn is cancelled."""
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.2)


def _turn_id(turn: Json) -> str:
    return agent_turn_id(turn["chat_session_id"], turn["revision"])


def _answer_id(turn: Json) -> str:
    return message_id(turn["chat_session_id"], _turn_id(turn), 0)


@asynccontextmanager
async def scripted_agents(
    client: Client, task_queue: str, agents: Sequence[str], service: httpx2.AsyncClient
) -> AsyncIterator[ScriptedAgent]:
    """Workers of these agents, all with one script."""
    agent = ScriptedAgent(service)
    async with AsyncExitStack() as running:
        for name in agents:
            worker = Worker(
                client,
                task_queue=agent_task_queue(task_queue, name),
                workflows=[ScriptedTurn],
                activities=[agent.write, agent.say_stopped],
                workflow_runner=UnsandboxedWorkflowRunner(),
                max_heartbeat_throttle_interval=timedelta(seconds=0.2),
                default_heartbeat_throttle_interval=timedelta(seconds=0.2),
            )
            await running.enter_async_context(worker)
        yield agent
