"""Does the harm of a plan."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from embedded import EmbeddedStack
from tests.chaos.fleet import Member
from tests.chaos.plan import Plan, Strike
from tests.chaos.slow_proxy import SlowProxy


@dataclass(slots=True)
class Damage:
    """The harm that was done.

    Attributes:
        strikes: How many, by harm and kind of target.
        seconds_out: How long each server, or the link to it, was out.
    """

    strikes: Counter[str] = field(default_factory=Counter)
    seconds_out: dict[str, float] = field(default_factory=lambda: defaultdict(float))


class Monkey:
    """Strikes each target once at a time; strikes on different targets may overlap."""

    def __init__(self, stack: EmbeddedStack, proxies: Mapping[str, SlowProxy], fleet: Mapping[str, Member]) -> None:
        """Name the targets.

        Args:
            stack: The servers.
            proxies: The links to the servers, by name.
            fleet: The processes, by name.
        """
        self._stack = stack
        self._proxies = proxies
        self._fleet = fleet
        self._turns: Final = {name: asyncio.Lock() for name in (*proxies, *fleet, "PostgreSQL", "Temporal")}
        self.damage: Final = Damage()

    async def run(self, plan: Plan, tell: Callable[[str], None]) -> None:
        """Carry out a plan; when this returns, all harm is over."""
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for strike in plan.strikes:
                await asyncio.sleep(max(start + strike.at - time.monotonic(), 0))
                tell(str(strike))
                group.create_task(self._strike(strike))
            await asyncio.sleep(max(start + plan.duration - time.monotonic(), 0))

    async def _strike(self, strike: Strike) -> None:
        async with self._turns[strike.target]:
            start = time.monotonic()
            if strike.target in self._fleet:
                await self._strike_process(strike, self._fleet[strike.target])
            elif strike.target in self._proxies:
                await self._strike_link(strike, self._proxies[strike.target])
            else:
                await self._strike_server(strike)
            kind = strike.target.rstrip("0123456789")
            self.damage.strikes[f"{strike.harm} {kind}"] += 1
            if strike.target not in self._fleet:
                self.damage.seconds_out[strike.target] += time.monotonic() - start

    async def _strike_process(self, strike: Strike, member: Member) -> None:
        if strike.harm == "pause":
            await member.pause(strike.seconds)
        else:
            await member.kill(strike.seconds)

    async def _strike_server(self, strike: Strike) -> None:
        server = self._stack.postgres if strike.target == "PostgreSQL" else self._stack.temporal
        await server.kill()
        await asyncio.sleep(strike.seconds)
        await server.start()

    async def _strike_link(self, strike: Strike, proxy: SlowProxy) -> None:
        match strike.harm:
            case "cut":
                proxy.cut()
                return
            case "refuse":
                await proxy.refuse()
            case "stall":
                proxy.stall()
            case "lose replies":
                proxy.lose_replies()
            case _:
                proxy.delay = strike.delay
        await asyncio.sleep(strike.seconds)
        await proxy.mend()
        if strike.harm == "stall":
            proxy.cut()  # stalled requests would hang until their own timeout
