"""A worker is killed with callers waiting: another one answers them, and each change is applied once."""

import asyncio
import signal
from contextlib import AsyncExitStack
from datetime import timedelta

from journeys.chat_session.answers import UpdateReceipt
from tests.support.journeys import Journeys
from tests.support.polling import eventually
from tests.support.stalls import Stall, anew_after_a_stall
from tests.support.tcp_proxy import ProxiedStores
from tests.support.watching import assert_no_failed_task, assert_stored, until_waiting
from tests.support.worker_processes import WorkerProcess, holder, worker_environment, worker_process

PATIENCE = timedelta(seconds=60)
AT_ONCE = 3

Answers = list["asyncio.Task[UpdateReceipt]"]


async def until_task_is_pending(journeys: Journeys, session: str) -> None:
    """Wait until the server has a workflow task for the session, or has given it to a worker."""

    async def is_pending() -> bool:
        described = await journeys.handle(session).describe()
        return described.raw_description.HasField("pending_workflow_task")

    await eventually(is_pending)


async def create_sessions_of_one_worker(journeys: Journeys, count: int) -> tuple[int, list[str]]:
    """Create sessions until one worker holds `count` of them in memory; returns its process ID and these sessions."""
    held: dict[int, list[str]] = {}
    while True:
        session = await journeys.create_session()
        of_one = held.setdefault(await holder(journeys, session), [])
        of_one.append(session)
        if len(of_one) == count:
            return next(each for each in held.items() if each[1] is of_one)


def send_updates(journeys: Journeys, session: str, word: str) -> Answers:
    """Update one session as several callers, none of which gives an idempotency key."""
    sessions = journeys.sessions_within(PATIENCE)
    return [
        asyncio.create_task(
            sessions.update_context(session, tenant_id=journeys.tenant_id, append={"notes": [f"{word} {number}"]})
        )
        for number in range(AT_ONCE)
    ]


async def kill_with_callers_waiting(
    journeys: Journeys, victim: WorkerProcess, stores: ProxiedStores, sessions: list[str]
) -> dict[str, Answers]:
    """Kill a worker that is between the stores for one session and has a task of another; then update a third."""
    between, given, after = sessions
    stores.state_surface.stall()
    waiting = {between: send_updates(journeys, between, "between")}
    await eventually(lambda: journeys.row(between), lambda row: row is not None and row["revision"] > 0)
    victim.process.send_signal(signal.SIGSTOP)
    waiting[given] = send_updates(journeys, given, "given")
    await until_task_is_pending(journeys, given)
    await victim.kill()
    waiting[after] = send_updates(journeys, after, "after")
    artifact = await journeys.artifact(between)
    assert artifact is not None
    if artifact["revision"]:
        raise Stall("it was to die between the stores, and another worker was faster")
    return waiting


async def assert_answered_once(journeys: Journeys, session: str, answers: Answers) -> None:
    receipts = await asyncio.gather(*answers)
    row = await assert_stored(journeys, session, AT_ONCE)
    notes = row["context"]["notes"]
    assert len(set(notes)) == len(notes) == AT_ONCE
    for number, receipt in enumerate(receipts):
        assert notes[receipt.applied_revision - 1].endswith(f" {number}")
    await assert_no_failed_task(journeys, session)


@anew_after_a_stall
async def test_updates_of_a_killed_worker_are_answered_by_another_once(journeys: Journeys) -> None:
    async with AsyncExitStack() as exits:
        workers = {}
        for _ in range(2):
            stores = await exits.enter_async_context(ProxiedStores.of(journeys.addresses))
            environment = worker_environment(journeys.addresses, journeys.task_queue, stores)
            worker = await exits.enter_async_context(worker_process(environment))
            workers[worker.pid] = worker, stores
        pid, sessions = await create_sessions_of_one_worker(journeys, 3)
        victim, stores = workers.pop(pid)
        waiting = await kill_with_callers_waiting(journeys, victim, stores, sessions)
        for session, answers in waiting.items():
            await assert_answered_once(journeys, session, answers)
            assert [await holder(journeys, session)] == list(workers)


async def test_updates_of_the_only_worker_are_answered_once_when_another_starts(
    journeys: Journeys, stores: ProxiedStores
) -> None:
    async with worker_process(worker_environment(journeys.addresses, journeys.task_queue, stores)) as victim:
        _, sessions = await create_sessions_of_one_worker(journeys, 3)
        waiting = await kill_with_callers_waiting(journeys, victim, stores, sessions)
        assert not [answer for answers in waiting.values() for answer in answers if answer.done()]
    async with worker_process(worker_environment(journeys.addresses, journeys.task_queue)) as other:
        for session, answers in waiting.items():
            await assert_answered_once(journeys, session, answers)
            assert await holder(journeys, session) == other.pid


async def test_a_worker_killed_while_it_retries_a_store_is_followed_by_another(
    journeys: Journeys, stores: ProxiedStores
) -> None:
    async with worker_process(worker_environment(journeys.addresses, journeys.task_queue, stores)) as victim:
        _, (session,) = await create_sessions_of_one_worker(journeys, 1)
        stores.supabase.stall()
        answers = send_updates(journeys, session, "waiting")
        await until_waiting(journeys, session, attempt=1)
        await victim.kill()
    async with worker_process(worker_environment(journeys.addresses, journeys.task_queue)):
        await assert_answered_once(journeys, session, answers)


async def test_all_workers_stop_at_once_under_load_and_nothing_is_lost_or_repeated(journeys: Journeys) -> None:
    environment = worker_environment(journeys.addresses, journeys.task_queue)
    sessions = journeys.sessions_within(PATIENCE)
    answered: dict[str, list[int]] = {}
    over = asyncio.Event()

    async def talk(session: str) -> None:
        while not over.is_set():
            answer = await sessions.update_context(
                session, tenant_id=journeys.tenant_id, append={"notes": [len(answered[session])]}
            )
            answered[session].append(answer.applied_revision)

    async def answers() -> int:
        return min(map(len, answered.values()))

    async with worker_process(environment) as first, worker_process(environment) as second:
        for _ in range(6):
            answered[await journeys.create_session()] = []
        talks = [asyncio.create_task(talk(session)) for session in answered]
        await eventually(answers, lambda count: count >= 5)
        for worker in (first, second):
            worker.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE.total_seconds()):
            assert [await worker.process.wait() for worker in (first, second)] == [0, 0]
    before = max(map(len, answered.values()))
    async with worker_process(environment):
        await eventually(answers, lambda count: count > before)
        over.set()
        await asyncio.gather(*talks)
    for session, revisions in answered.items():
        assert revisions == list(range(1, len(revisions) + 1))
        row = await assert_stored(journeys, session, len(revisions))
        assert row["context"]["notes"] == list(range(len(revisions)))
