"""The hostile messages, case by case. Each case notes its legal signals in the order in which it sends them."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from temporalio.client import ActivityFailureError, WorkflowQueryFailedError
from temporalio.common import RawValue
from temporalio.service import RPCError

from journeys.chat_session.limits import KIB
from journeys.chat_session.names import GET
from tests.hostile.attack import Attack
from tests.hostile.documents import SHAPES, escaped, filled, raw, with_text

Case = Callable[[Attack], Awaitable[None]]


def _change(attack: Attack, value: object, *, tenant: str | None = None) -> dict[str, Any]:
    return {"tenant_id": tenant or attack.journeys.tenant_id, "context": {"hostile": value}}


def _escaped(attack: Attack, size: int) -> RawValue:
    tenant = {"tenant_id": attack.journeys.tenant_id}
    return with_text(tenant, "context", f'{{"hostile":{escaped("A" * (size // 6))}}}')


async def _large_context(attack: Attack, shape: str, *, parts: int = 4) -> None:
    for part in range(parts):
        await attack.journeys.update(
            attack.session, {"append": {f"part {part}": filled(shape, 60 * KIB)}, "returning": "receipt"}
        )


def many_small_changes_of_a_large_context(shape: str) -> Case:
    async def case(attack: Attack) -> None:
        await _large_context(attack, shape)
        await attack.signal(25)

    return case


def large_changes_of_a_large_context(shape: str) -> Case:
    async def case(attack: Attack) -> None:
        await _large_context(attack, shape, parts=3)
        await attack.throw(40, _change(attack, filled(shape, 60 * KIB)), signal=True)
        await attack.signal(5)

    return case


def signals_of_60_kib(count: int, shape: str) -> Case:
    async def case(attack: Attack) -> None:
        await attack.throw(count // 2, _change(attack, filled(shape, 60 * KIB)), signal=True)
        await attack.throw(count // 2, _change(attack, filled(shape, 60 * KIB), tenant="a stranger"), signal=True)
        await attack.signal(5)

    return case


def small_signals(count: int) -> Case:
    async def case(attack: Attack) -> None:
        await attack.signal(count)

    return case


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


def sessions_at_once(count: int, rounds: int) -> Case:
    """Large messages of floats, from owner and stranger, to several sessions, while two other tenants work."""

    async def case(attack: Attack) -> None:
        attack.also += [await attack.on_another_session() for _ in range(count - 1)]
        attacked = (attack, *attack.also)
        # Encoded in advance, so that the work of the sender does not slow down the sessions that are measured.
        floats = filled("long floats", 60 * KIB)
        messages = [_encoded(_change(attack, floats)), _encoded(_change(attack, floats, tenant="a stranger"))]
        too_large = [
            _encoded(_change(attack, filled("short floats", size), tenant="a stranger"))
            for size in (900 * KIB, 1900 * KIB)
        ]

        async def strike(each: Attack) -> None:
            for message in too_large:
                await each.throw(2, message, signal=True)
            for message in messages:
                for _ in range(rounds):
                    await each.throw(10, message, signal=True)
            await each.signal(5)
            await each.until_applied()

        async with attack.neighbours_at_work(2):
            await asyncio.gather(*map(strike, attacked))

    return case


def _encoded(message: object) -> RawValue:
    return raw(json.dumps(message).encode())


CASES: Final[Mapping[str, Case]] = {
    **{
        f"25 changes of a context of 240 KiB of {shape}": many_small_changes_of_a_large_context(shape)
        for shape in SHAPES
    },
    **{
        f"40 changes of 60 KiB of a context of 180 KiB of {shape}": large_changes_of_a_large_context(shape)
        for shape in ("long floats", "deep objects")
    },
    **{f"200 signals of 60 KiB of {shape}": signals_of_60_kib(200, shape) for shape in SHAPES},
    "9,900 signals": small_signals(9_900),  # the server refuses a run's 10,001st
    "ten largest updates": ten_largest_updates(escaped=False, paused=False),
    "ten largest updates, worker paused": ten_largest_updates(escaped=False, paused=True),
    "ten largest updates, escaped": ten_largest_updates(escaped=True, paused=False),
    "ten largest updates, escaped, worker paused": ten_largest_updates(escaped=True, paused=True),
    "nine updates of 500 KiB, worker paused": nine_updates_over_the_limit(500 * KIB),
    "nine updates of 1,900 KiB, worker paused": nine_updates_over_the_limit(1900 * KIB),
    "205 signals of 128 KiB, worker paused": signals_while_the_worker_is_away(205, 128 * KIB),
    "30 signals of 900 KiB, worker paused": signals_while_the_worker_is_away(30, 900 * KIB),
    "large queries and reads": large_queries_and_reads,
    "five sessions attacked at once while others work": sessions_at_once(5, rounds=10),
}

SHORT_CASES: Final[Mapping[str, Case]] = {
    name: CASES[name]
    for name in (
        "25 changes of a context of 240 KiB of short floats",
        "25 changes of a context of 240 KiB of deep objects",
        "ten largest updates, escaped, worker paused",
        "nine updates of 500 KiB, worker paused",
        "30 signals of 900 KiB, worker paused",
        "large queries and reads",
    )
} | {
    "600 signals": small_signals(600),
    "80 signals of 60 KiB of tiny floats": signals_of_60_kib(80, "tiny floats"),
    "three sessions attacked at once while others work": sessions_at_once(3, rounds=2),
}
