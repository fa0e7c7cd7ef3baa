"""The hostile messages, case by case. Each case knows which of its signals are legal, and in which order they stand."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from temporalio.api.common.v1 import Payload
from temporalio.client import ActivityFailureError, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.service import RPCError

from journeys.chat_session.names import GET, UPDATE
from tests.hostile.documents import SHAPES, filled
from tests.support.journeys import Journeys

KIB: Final = 1024


@dataclass
class Attack:
    """One session under attack.

    Attributes:
        sent: The numbers of the legal signals that Temporal accepted, in order; each is kept under the key `seen`.
        pause: Stops the worker that serves the session, until `go_on`.
    """

    journeys: Journeys
    session: str
    pause: Callable[[], None]
    go_on: Callable[[], None]
    sent: list[int] = field(default_factory=list)

    async def signal(self, count: int, **more: Any) -> None:
        """Send legal signals that each append a number."""
        handle = self.journeys.handle(self.session)
        for _ in range(count):
            number = len(self.sent)
            message = {"tenant_id": self.journeys.tenant_id, "append": {"seen": [number]}} | more
            await handle.signal(UPDATE, message, rpc_timeout=timedelta(seconds=20))
            self.sent.append(number)

    async def throw(self, count: int, message: object, *, signal: bool) -> None:
        """Send a message many times at once, whatever becomes of it."""
        handle = self.journeys.handle(self.session)

        async def one() -> None:
            try:
                if signal:
                    await handle.signal(UPDATE, message, rpc_timeout=timedelta(seconds=20))
                else:
                    await handle.execute_update(
                        UPDATE, message, id=f"{UPDATE}/{uuid4()}", rpc_timeout=timedelta(seconds=10)
                    )
            except (RPCError, WorkflowUpdateFailedError):
                pass

        await asyncio.gather(*(one() for _ in range(count)))


Case = Callable[[Attack], Awaitable[None]]


def raw(text: str) -> RawValue:
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=text.encode()))


def _change(attack: Attack, value: object, *, tenant: str | None = None) -> dict[str, Any]:
    return {"tenant_id": tenant or attack.journeys.tenant_id, "context": {"hostile": value}}


def _escaped(attack: Attack, size: int) -> RawValue:
    letters = "\\u0041" * (size // 6)
    return raw(f'{{"tenant_id":{json.dumps(attack.journeys.tenant_id)},"context":{{"hostile":"{letters}"}}}}')


async def _large_context(attack: Attack, shape: str) -> None:
    for part in range(4):
        await attack.journeys.update(
            attack.session, {"append": {f"part {part}": filled(shape, 60 * KIB)}, "returning": "receipt"}
        )


def many_small_changes_of_a_large_context(shape: str) -> Case:
    async def case(attack: Attack) -> None:
        await _large_context(attack, shape)
        await attack.signal(25)

    return case


def signals_of_60_kib(shape: str) -> Case:
    async def case(attack: Attack) -> None:
        await attack.throw(100, _change(attack, filled(shape, 60 * KIB)), signal=True)
        await attack.throw(100, _change(attack, filled(shape, 60 * KIB), tenant="a stranger"), signal=True)
        await attack.signal(5)

    return case


async def ten_thousand_signals(attack: Attack) -> None:
    await attack.signal(9_900)


async def fifteen_hundred_signals(attack: Attack) -> None:
    await attack.signal(1500)


def ten_largest_updates(*, escaped: bool, paused: bool) -> Case:
    async def case(attack: Attack) -> None:
        size = 128 * KIB - 200
        message = _escaped(attack, size) if escaped else _change(attack, "A" * size)
        if paused:
            attack.pause()
        throwing = asyncio.create_task(attack.throw(10, message, signal=False))
        await attack.signal(20)
        if paused:
            await asyncio.sleep(2)
            attack.go_on()
        await throwing

    return case


def nine_updates_over_the_limit(size: int) -> Case:
    async def case(attack: Attack) -> None:
        attack.pause()
        throwing = asyncio.create_task(attack.throw(9, _change(attack, "A" * size), signal=False))
        await asyncio.sleep(2)
        attack.go_on()
        await throwing
        await attack.signal(5)

    return case


def signals_while_the_worker_is_away(count: int, size: int) -> Case:
    async def case(attack: Attack) -> None:
        attack.pause()
        message = _change(attack, "A" * (size - 200))
        for _ in range(0, count, 5):
            await attack.throw(5, message, signal=True)
        await attack.signal(5)
        attack.go_on()

    return case


async def large_queries_and_reads(attack: Attack) -> None:
    for size in (60, 128, 500, 900):
        message = {"tenant_id": "a stranger", "chat_session_id": "x" * (size * KIB)}
        with contextlib.suppress(WorkflowQueryFailedError, RPCError):
            await attack.journeys.handle(attack.session).query(GET, message, rpc_timeout=timedelta(seconds=10))
        with contextlib.suppress(ActivityFailureError, RPCError):
            await attack.journeys.client.execute_activity(
                GET,
                message,
                id=f"read/{uuid4()}",
                task_queue=attack.journeys.task_queue,
                schedule_to_close_timeout=timedelta(seconds=10),
                start_to_close_timeout=timedelta(seconds=5),
            )
    await attack.signal(5)


CASES: Final[Mapping[str, Case]] = {
    **{f"25 changes of 248 KiB of {shape}": many_small_changes_of_a_large_context(shape) for shape in SHAPES},
    **{f"200 signals of 60 KiB of {shape}": signals_of_60_kib(shape) for shape in SHAPES},
    "10,000 signals": ten_thousand_signals,
    "ten largest updates": ten_largest_updates(escaped=False, paused=False),
    "ten largest updates, worker paused": ten_largest_updates(escaped=False, paused=True),
    "ten largest updates, escaped": ten_largest_updates(escaped=True, paused=False),
    "ten largest updates, escaped, worker paused": ten_largest_updates(escaped=True, paused=True),
    "nine updates of 500 KiB, worker paused": nine_updates_over_the_limit(500 * KIB),
    "nine updates of 1.9 MiB, worker paused": nine_updates_over_the_limit(1900 * KIB),
    "205 signals of 128 KiB, worker paused": signals_while_the_worker_is_away(205, 128 * KIB),
    "28 signals of 900 KiB, worker paused": signals_while_the_worker_is_away(28, 900 * KIB),
    "large queries and reads": large_queries_and_reads,
}

SHORT_CASES: Final[Mapping[str, Case]] = {
    name: CASES[name]
    for name in (
        "25 changes of 248 KiB of short floats",
        "25 changes of 248 KiB of deep objects",
        "200 signals of 60 KiB of tiny floats",
        "ten largest updates, escaped, worker paused",
        "nine updates of 500 KiB, worker paused",
        "28 signals of 900 KiB, worker paused",
        "large queries and reads",
    )
} | {"1,500 signals": fifteen_hundred_signals}
