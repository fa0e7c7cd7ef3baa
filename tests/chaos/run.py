"""One run: servers, workers, callers and a monkey, and the evidence in the end."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from temporalio.client import Client

from embedded import EmbeddedStack
from journeys import ChatSessions
from journeys.chat_session.answers import ChatSessionView
from journeys.chat_session.errors import SessionNotActive
from journeys.errors import JourneyError
from tests.chaos.caller import Caller, Order
from tests.chaos.evidence import LAST_CALLER, Call, Evidence
from tests.chaos.fleet import Member
from tests.chaos.journal import Journal, read_journals
from tests.chaos.monkey import Damage, Monkey
from tests.chaos.operations import Operation, initialization, read, read_earlier, reopening
from tests.chaos.plan import Plan
from tests.chaos.roster import SEATS, Seat, visitor
from tests.chaos.slow_proxy import SlowProxy
from tests.chaos.stores import (
    decided_at,
    deleted_sessions,
    find_unreplayable,
    histories_of_living,
    registered_artifacts,
    runs,
    stored_sessions,
    until_erased,
    until_quiet,
)
from tests.support.migrated_stack import migrated_stack
from tests.support.paths import REPOSITORY

_START_SECONDS: Final = 90.0
_FINISH_SECONDS: Final = 60.0
_AT_ONCE: Final = 6
_EARLIER_READS: Final = 5

Tell = Callable[[str], None]


class RunFailed(Exception):  # noqa: N818 - not a finding
    """The run could not be carried out, so nothing is known of the promises."""


@dataclass(frozen=True, slots=True)
class Run:
    """The results of a run.

    Attributes:
        evidence: For the checker.
        damage: What the monkey did.
        worker_ends: How often a worker ended though nobody had killed it.
        seconds: How long all of it took.
    """

    evidence: Evidence
    damage: Damage
    worker_ends: int
    seconds: float


async def run_plan(plan: Plan, folder: Path, tell: Tell) -> Run:
    """Carry out a plan.

    Args:
        plan: What happens.
        folder: Where everything is kept meanwhile; the callers' journals stay in `journals`.
        tell: Called with each line of progress.

    Raises:
        RunFailed: The callers do not begin or end in time.
        EmbeddedStackError: A server does not start.
    """
    start = time.monotonic()
    journals = folder / "journals"
    journals.mkdir(parents=True)
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(migrated_stack(folder / "stack", progress=tell))
        proxies = {
            name: await exits.enter_async_context(SlowProxy.before(url))
            for name, url in {
                "Supabase": stack.addresses.supabase_db_url,
                "State Surface": stack.addresses.state_surface_url,
                "workers' link": f"temporal://{stack.addresses.temporal_address}",
                "callers' link": f"temporal://{stack.addresses.temporal_address}",
            }.items()
        }
        fleet = _fleet(plan, folder, proxies)
        tell(f"starting {len(plan.workers)} workers and {len(plan.callers)} callers")
        await exits.enter_async_context(_keep_running(fleet.values()))
        await _until(lambda: all((journals / f"{name}.ready").exists() for name in plan.callers), _START_SECONDS)
        monkey = Monkey(stack, proxies, fleet)
        await monkey.run(plan, tell)
        tell("no more harm; the callers finish")
        (journals / "stop").touch()
        await _until(lambda: all(fleet[name].done.is_set() for name in plan.callers), _FINISH_SECONDS)
        evidence = await _gather_evidence(stack, journals, tell)
        worker_ends = sum(member.ended_by_itself for name, member in fleet.items() if name not in plan.callers)
        return Run(evidence, monkey.damage, worker_ends, time.monotonic() - start)


def _fleet(plan: Plan, folder: Path, proxies: Mapping[str, SlowProxy]) -> dict[str, Member]:
    own = ("TEMPORAL_", "JOURNEY_", "SUPABASE_", "STATE_SURFACE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment |= {
        "PYTHONPATH": str(REPOSITORY),
        "TEMPORAL_ADDRESS": _address(proxies["workers' link"]),
        "SUPABASE_DB_URL": proxies["Supabase"].url,
        "STATE_SURFACE_URL": proxies["State Surface"].url,
        "JOURNEY_LOG_LEVEL": "WARNING",
        "JOURNEY_GRACEFUL_SHUTDOWN_SECONDS": "2",
    }
    fleet = {}
    for number, settings in enumerate(plan.workers):
        chosen = {
            "JOURNEY_IDLE_SECONDS": str(settings.idle_seconds),
            "JOURNEY_ROLLOVER_MESSAGES": str(settings.rollover_messages),
        }
        name = f"worker{number}"
        fleet[name] = Member(name, folder / name, [sys.executable, "-m", "worker"], environment | chosen)
    environment = environment | {"TEMPORAL_ADDRESS": _address(proxies["callers' link"])}
    for name in plan.callers:
        order = Order(
            folder=folder / "journals", name=name, seed=plan.seed, tasks=plan.tasks, everybody=plan.tasks_of_all
        )
        command = [sys.executable, "-m", "tests.chaos.caller", order.model_dump_json()]
        fleet[name] = Member(name, folder / name, command, environment)
    return fleet


def _address(proxy: SlowProxy) -> str:
    return proxy.url.rpartition("@")[2]


@asynccontextmanager
async def _keep_running(members: Iterable[Member]) -> AsyncIterator[None]:
    keeping = [asyncio.create_task(member.keep()) for member in members]
    try:
        yield
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)


async def _until(reached: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise RunFailed(f"the callers took longer than {seconds:.0f} s to begin or to end")
        await asyncio.sleep(0.1)


# The evidence.


async def _gather_evidence(stack: EmbeddedStack, journals: Path, tell: Tell) -> Evidence:
    """Open and change every session once more, after all changes that still wait, and read everything."""
    client = await Client.connect(stack.addresses.temporal_address)
    seats = _seats(read_journals(journals))
    tell(f"reading {len(seats)} sessions")
    deleted = await deleted_sessions(stack.addresses)
    with Journal(journals / "end.jsonl") as journal:
        caller = Caller(LAST_CALLER, client, journal, seats)
        turns = asyncio.Semaphore(_AT_ONCE)

        async def end(seat: Seat) -> None:
            async with turns:
                if seat.chat_session_id in deleted:  # a change would start one more run, which has to be erased
                    await caller.do(read(f"end of {seat.chat_session_id} reads", seat))
                else:
                    await _make_last_calls(caller, seat)

        async with asyncio.TaskGroup() as group:
            for seat in seats:
                group.create_task(end(seat))
    tell("waiting until the stores are quiet")
    await until_quiet(stack.addresses)
    deleted = await deleted_sessions(stack.addresses)
    histories = await histories_of_living(client, deleted)
    tell(f"replaying {len(histories)} runs")
    failures = await find_unreplayable(histories, journals.parent)
    tell(f"waiting until Temporal has forgotten {len(deleted)} sessions")
    unerased = await until_erased(client, deleted)
    workflow_ids, failed_runs = await runs(client)
    return Evidence(
        openings=tuple(seat.opening for seat in seats),
        calls=tuple(read_journals(journals)),
        stored=tuple(await stored_sessions(stack.addresses)),
        artifacts=tuple(await registered_artifacts(stack.addresses)),
        views=tuple(
            await _views(ChatSessions(client), [each for each in seats if each.chat_session_id not in deleted])
        ),
        workflow_ids=workflow_ids,
        decided_at=decided_at(histories),
        failed_runs=tuple(failed_runs),
        unreplayable=tuple(failures),
        unerased=unerased,
    )


async def _make_last_calls(caller: Caller, seat: Seat) -> None:
    name = f"end of {seat.chat_session_id}"
    last = Operation(
        name=name,
        kind="update",
        seat=seat,
        tenant_id=seat.tenant_id,
        user_id=None,
        change={"context": {"ended": name}, "append": {"trail": [name]}},
        key=name,
        deadline=10.0,
        tries=4,
    )
    await caller.do(initialization(f"{name} opens", seat, again=False))
    opened = await caller.do(reopening(f"{name} reopens", seat))
    if opened.code == SessionNotActive.code:
        return  # an unanswered deletion has taken effect after all
    await caller.do(last)
    known = await caller.do(read(f"{name} reads", seat))
    newest = (known.answer and known.answer.revision) or 0
    for place in range(_EARLIER_READS):
        revision = newest * place // (_EARLIER_READS - 1)
        await caller.do(read_earlier(f"{name} reads revision {revision}", seat, revision))


def _seats(calls: Sequence[Call]) -> list[Seat]:
    """The seats whose sessions somebody has asked for."""
    asked = {call.chat_session_id for call in calls}
    steps = (call.operation.rpartition("/")[2] for call in calls)
    furthest = max((int(step) for step in steps if step.isdecimal()), default=0)
    known = (*SEATS, *(visitor(number) for number in range(furthest // 10 + 1)))
    return [seat for seat in known if seat.chat_session_id in asked]


async def _views(sessions: ChatSessions, seats: Iterable[Seat]) -> list[ChatSessionView]:
    views = []
    for seat in seats:
        with suppress(JourneyError):  # the checker reports a missing view
            views.append(await sessions.get(seat.chat_session_id, tenant_id=seat.tenant_id))
    return views
