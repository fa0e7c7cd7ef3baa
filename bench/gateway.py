"""The gateway: reads and changes over HTTP against the same without it, and sessions that many follow.

One gateway runs as a process of its own, with stores and a worker that nothing else uses.
"""

import asyncio
import itertools
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median, quantiles
from typing import Final

import jwt
from temporalio.client import Client, WorkflowHandle

from bench.bench_stack import Servers, create_stores, run_journey
from bench.conversation import take_turns
from bench.http_connection import HttpConnection
from bench.plan import Plan
from bench.processes import resident_bytes
from bench.results import SpreadFigure
from bench.sessions import SMALL_CONTEXT_BYTES, TENANT, dense_text
from bench.stores import StoreUrls
from bench.worker_process import settings_from, supervised_pid, task_queue
from embedded.supervised_process import SupervisedProcess
from journeys.chat_session.limits import KIB
from journeys.chat_session.messages import GetChatSession
from journeys.chat_session.names import GET, workflow_id
from journeys.client.chat_sessions import ChatSessions
from stores.chat_session_reads import ChatSessionReads
from stores.postgres import open_pool

_NAME: Final = "gateway"
_USER: Final = "ada"
_GRACE_SECONDS: Final = 15.0
_BUSY_CALLERS: Final = 32
_CHANGES_PER_SECOND: Final = 50
_SETTLE_SECONDS: Final = 1.0
_PATH: Final = "/v1/chat-sessions/"


@dataclass(frozen=True, slots=True)
class _Gateway:
    """A running gateway.

    Attributes:
        address: As `host:port`.
        token: A user's, to whom all sessions here belong.
        pid: Of its process.
    """

    address: str
    token: str
    pid: int

    async def connect(self) -> HttpConnection:
        return await HttpConnection.open(self.address, self.token)


@dataclass(slots=True)
class _Arrivals:
    """When changes were acknowledged, and when followers saw them, by session and revision."""

    acknowledged: dict[tuple[str, int], float] = field(default_factory=dict)
    seen: list[tuple[str, int, float]] = field(default_factory=list)

    def delays_ms(self) -> list[float]:
        """How long after its acknowledgement each change was seen; 0 if before."""
        return [
            max(at - self.acknowledged[session, revision], 0) * 1000
            for session, revision, at in self.seen
            if (session, revision) in self.acknowledged
        ]


async def measure_gateway(servers: Servers, plan: Plan, *, progress: Callable[[str], None]) -> tuple[SpreadFigure, ...]:
    """Measure the gateway against its goals.

    Args:
        servers: With no worker at work.
        plan: The number of rounds, calls and followers.
        progress: Gets a line about each step.
    """
    urls = await create_stores(servers.postgres, _NAME)
    async with AsyncExitStack() as stack:
        sessions = await stack.enter_async_context(run_journey(servers, urls, _NAME))
        gateway = await stack.enter_async_context(_run_gateway(servers, urls))
        pool = await stack.enter_async_context(await open_pool(urls.supabase, connections=1))
        progress("reads and changes over HTTP")
        session = await _start_session(sessions, "read")
        figures = [await _compare_reads(gateway, ChatSessionReads(pool), session, plan)]
        figures.append(await _compare_busy_reads(gateway, servers.client, session, plan))
        figures.append(await _compare_updates(gateway, sessions, session, plan))
        progress(f"{plan.followers} followers of {plan.followed_sessions} sessions")
        return (*figures, *await _measure_followers(gateway, sessions, plan))


@asynccontextmanager
async def _run_gateway(servers: Servers, urls: StoreUrls) -> AsyncIterator[_Gateway]:
    secret = secrets.token_hex(32)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = settings_from(
        {
            "TEMPORAL_ADDRESS": servers.address,
            "TEMPORAL_NAMESPACE": servers.client.namespace,
            "SUPABASE_DB_URL": urls.supabase,
            "SUPABASE_JWT_SECRET": secret,
            "JOURNEY_HTTP_ADDRESS": address,
            "JOURNEY_TASK_QUEUE": task_queue("journey", _NAME),
            "JOURNEY_LOG_LEVEL": "WARNING",
        }
    )
    process = SupervisedProcess(
        "the gateway", servers.folder / _NAME, stop_signal=signal.SIGTERM, grace_seconds=_GRACE_SECONDS
    )
    claims = {"role": "authenticated", "aud": "authenticated", "sub": _USER, "app_metadata": {"tenant_id": TENANT}}
    token = jwt.encode(claims | {"exp": time.time() + 24 * 3600}, secret, "HS256")
    try:
        async with process.claim_directory(mode=0o700):
            await process.start([sys.executable, "-m", "starter", "gateway"], environment=environment)
        await process.wait_until_ready(partial(_is_ready, address, token))
        yield _Gateway(address, token, supervised_pid(process.directory))
    finally:
        await process.stop()


async def _is_ready(address: str, token: str) -> bool:
    try:
        async with await HttpConnection.open(address, token) as connection:
            await connection.request("GET", "/readyz")
    except (OSError, AssertionError, EOFError):
        return False
    return True


async def _start_session(sessions: ChatSessions, name: str) -> str:
    started = await sessions.initialize(
        tenant_id=TENANT, user_id=_USER, session_name=name, context={"text": dense_text(SMALL_CONTEXT_BYTES)}
    )
    return started.chat_session_id


async def _compare_reads(gateway: _Gateway, reads: ChatSessionReads, session: str, plan: Plan) -> SpreadFigure:
    wanted = GetChatSession(tenant_id=TENANT, user_id=_USER, chat_session_id=session)
    async with await gateway.connect() as connection:

        async def over_http() -> None:
            await connection.request("GET", _PATH + session)

        async def by_statement() -> None:
            await reads.get(wanted)

        await take_turns([over_http, by_statement], plan.gateway_reads)
        rounds = [await take_turns([over_http, by_statement], plan.gateway_reads) for _ in range(plan.rounds)]
    above = [ours - statement for ours, statement in rounds]
    return SpreadFigure.of("GET of a session: p50 above the same statement, ms", above, at_most=0.6)


async def _compare_busy_reads(gateway: _Gateway, client: Client, session: str, plan: Plan) -> SpreadFigure:
    handle = client.get_workflow_handle(workflow_id(session))
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(await gateway.connect()) for _ in range(_BUSY_CALLERS)]
        ratios = []
        for _ in range(plan.rounds):
            over_http = await _rate([partial(each.request, "GET", _PATH + session) for each in connections], plan)
            live = await _rate([partial(_query, handle) for _ in connections], plan)
            ratios.append(over_http / live)
    return SpreadFigure.of(
        f"GET of a session, {_BUSY_CALLERS} callers: per second against the live query", ratios, at_least=3
    )


async def _query(handle: WorkflowHandle[object, object]) -> None:
    await handle.query(GET, {"tenant_id": TENANT, "user_id": _USER})


async def _rate(calls: Sequence[Callable[[], object]], plan: Plan) -> float:
    began = time.perf_counter()

    async def repeat(call: Callable[[], object]) -> None:
        for _ in range(plan.busy_gateway_reads):
            await call()  # type: ignore[misc]

    await asyncio.gather(*map(repeat, calls))
    return len(calls) * plan.busy_gateway_reads / (time.perf_counter() - began)


async def _compare_updates(gateway: _Gateway, sessions: ChatSessions, session: str, plan: Plan) -> SpreadFigure:
    numbers = itertools.count()
    headers = "Content-Type: application/merge-patch+json\r\nPrefer: return=minimal\r\n"
    async with await gateway.connect() as connection:

        async def over_http() -> None:
            await connection.request("PATCH", f"{_PATH}{session}/context", {"number": next(numbers)}, headers)

        async def by_client() -> None:
            await sessions.update_context(
                session, tenant_id=TENANT, user_id=_USER, context={"number": next(numbers)}, returning="receipt"
            )

        await take_turns([over_http, by_client], plan.gateway_updates)
        rounds = [await take_turns([over_http, by_client], plan.gateway_updates) for _ in range(plan.rounds)]
    ratios = [ours / client for ours, client in rounds]
    return SpreadFigure.of(
        "acknowledged update, answered by a receipt: p50 against the Python client", ratios, at_most=1.3
    )


async def _measure_followers(gateway: _Gateway, sessions: ChatSessions, plan: Plan) -> list[SpreadFigure]:
    followed = [await _start_session(sessions, f"followed {number}") for number in range(plan.followed_sessions)]
    arrivals = _Arrivals()
    # The first followers make the gateway allocate what it keeps in any case.
    async with _followers(gateway, followed, _UNCOUNTED, plan.followers // 10):
        before = resident_bytes(gateway.pid)
        async with _followers(gateway, followed, arrivals, plan.followers):
            grown = (resident_bytes(gateway.pid) - before) / plan.followers / KIB
            p50, p99 = [], []
            for _ in range(plan.rounds):
                arrivals.seen.clear()
                await _change_steadily(sessions, followed, arrivals, plan.followed_seconds)
                delays = arrivals.delays_ms()
                p50.append(median(delays))
                p99.append(quantiles(delays, n=100)[-1])
    many = (
        f"a change seen by a follower after its acknowledgement, {plan.followers:,} followers of "
        f"{plan.followed_sessions} sessions, {_CHANGES_PER_SECOND} changes a second"
    )
    return [
        SpreadFigure.of(f"{many}: p50, ms", p50, at_most=50),
        SpreadFigure.of(f"{many}: p99, ms", p99, at_most=300),
        SpreadFigure.of("memory of the gateway for each idle follower, KiB", [grown], at_most=40),
    ]


_UNCOUNTED: Final = _Arrivals()


@asynccontextmanager
async def _followers(
    gateway: _Gateway, sessions: Sequence[str], arrivals: _Arrivals, count: int
) -> AsyncIterator[None]:
    """Open followers, and wait until each has had its first event."""
    began = [asyncio.Event() for _ in range(count)]
    async with AsyncExitStack() as stack:

        async def follow(number: int) -> None:
            session = sessions[number % len(sessions)]
            async with await gateway.connect() as connection:
                async for revision in connection.follow(f"{_PATH}{session}/events"):
                    arrivals.seen.append((session, revision, time.perf_counter()))
                    began[number].set()

        for number in range(count):
            task = asyncio.create_task(follow(number))
            stack.callback(task.cancel)
            if number % 50 == 49:
                await began[number].wait()
        for each in began:
            await each.wait()
        await asyncio.sleep(_SETTLE_SECONDS)
        yield


async def _change_steadily(
    sessions: ChatSessions, followed: Sequence[str], arrivals: _Arrivals, seconds: float
) -> None:
    """Change the sessions in turns at a steady rate, whether or not the changes before are acknowledged."""

    async def change(session: str) -> None:
        receipt = await sessions.update_context(
            session, tenant_id=TENANT, context={"at": time.time()}, returning="receipt"
        )
        arrivals.acknowledged[session, receipt.applied_revision] = time.perf_counter()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * _CHANGES_PER_SECOND)):
            await asyncio.sleep(began + number / _CHANGES_PER_SECOND - time.perf_counter())
            group.create_task(change(followed[number % len(followed)]))
    await asyncio.sleep(_SETTLE_SECONDS)
