"""A process full of starters that all initialize one session at once: `python -m tests.support.starters ORDER`."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

from pydantic import JsonValue
from pydantic_core import to_json
from temporalio.client import Client

import journeys.client.chat_sessions
from journeys import ChatSessions
from journeys.messages import Record
from worker.process_lifecycle import run_and_exit


class Order(Record):
    """The order to one of these processes.

    Attributes:
        request: What each of its starters asks for.
        ahead_seconds: How much its clock is ahead of the others'.
    """

    address: str
    task_queue: str
    starters: int
    request: dict[str, JsonValue]
    ahead_seconds: float = 0


async def main(order: Order) -> None:
    """Get ready, say so, wait for a line, start; print each artifact on a line."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            moment = datetime.now(tz or UTC) + timedelta(seconds=order.ahead_seconds)
            return cls.fromisoformat(moment.isoformat())

    vars(journeys.client.chat_sessions)["datetime"] = Clock
    client = await Client.connect(order.address)
    await client.count_workflows()
    sessions = ChatSessions(client, task_queue=order.task_queue, deadline=timedelta(seconds=60))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    request = {str(name): str(value) for name, value in order.request.items()}
    artifacts = await asyncio.gather(
        *(
            sessions.initialize(
                tenant_id=request["tenant_id"], user_id=request["user_id"], requested_at=request["requested_at"]
            )
            for _ in range(order.starters)
        )
    )
    for artifact in artifacts:
        sys.stdout.buffer.write(to_json(artifact) + b"\n")


def command() -> None:
    asyncio.run(main(Order.model_validate_json(sys.argv[1])))
    sys.exit(0)


if __name__ == "__main__":
    run_and_exit(command)
