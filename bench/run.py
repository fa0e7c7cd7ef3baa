"""A whole run: on servers of its own, or against a deployment that is there."""

import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from temporalio.client import Client
from temporalio.envconfig import ClientConfig

from bench.bench_stack import Field, bench_servers, field
from bench.comparison import goals, ratios
from bench.journey import Journey
from bench.machine import describe_machine
from bench.payloads import CHANGE_BYTES, SMALL_CONTEXT_BYTES
from bench.plan import Plan
from bench.results import Results, figures
from bench.rounds import OPERATIONS, Bench
from bench.specials import live_session_bytes, specials
from bench.stores import contents
from journeys.client.chat_sessions import ChatSessions

_MAIN_OPERATIONS: Final = ("initialize", "update", "get")


async def run_bench(plan: Plan, *, quick: bool, progress: Callable[[str], None]) -> Results:
    """Compare all variants on servers of the run's own, in a temporary directory.

    Args:
        plan: How much of everything.
        quick: Whether that is too little for figures that mean anything.
        progress: Told in a line what is being done.

    Raises:
        EmbeddedStackError: A server or a worker cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="journey-bench-") as folder:
        async with bench_servers(Path(folder), progress=progress) as servers:
            machine = await describe_machine(servers.client, database_url=servers.stores["floor"].supabase)
            progress("starting the workers")
            async with field(servers, name="rounds") as running:
                blocks = await _bench(running, OPERATIONS).run(plan, progress=progress)
                stores = {name: await contents(urls) for name, urls in running.stores.items()}
                special = await specials(running, plan, progress=progress)
            if plan.memory_sessions:
                progress("memory of live sessions")
            memory = await live_session_bytes(servers, plan)
        async with (
            bench_servers(Path(folder) / "in-memory", progress=progress, persistent=False) as servers,
            field(servers, name="in-memory") as running,
        ):
            progress("once more, with Temporal's state in memory")
            in_memory = await _bench(running, _MAIN_OPERATIONS).run(plan, progress=progress)
    special = special.model_copy(update={"worker_bytes_per_live_session": memory})
    found = ratios(blocks)
    return Results(
        made_at=datetime.now(UTC),
        machine=machine,
        quick=quick,
        deployment=False,
        rounds=plan.rounds,
        context_bytes=SMALL_CONTEXT_BYTES,
        change_bytes=CHANGE_BYTES,
        persistence="file",
        figures=figures(blocks),
        in_memory=figures(in_memory),
        ratios=found,
        goals=goals(found, special, busy=plan.counts[-1].callers),
        specials=special,
        stores=stores,
        same_work=len({each.model_dump_json() for each in stores.values()}) == 1
        and all(each.supabase == each.state_surface for each in stores.values()),
    )


def _bench(running: Field, operations: Sequence[str]) -> Bench:
    return Bench(
        running.client,
        list(running.variants.values()),
        operations=operations,
        worker_pids=running.worker_pids,
        server_pids=running.server_pids,
        arrivals=running.arrivals,
    )


async def run_on_deployment(plan: Plan, *, quick: bool, progress: Callable[[str], None]) -> Results:
    """Measure the journey alone on the deployment that the environment names.

    Its sessions stay in the stores, under the tenant `benchmark`; their runs are ended.

    Raises:
        JourneyError: It cannot be reached, or does not answer in time.
    """
    sessions = await ChatSessions.connect()
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "localhost:7233")
    client = await Client.connect(**config)
    bench = Bench(client, [Journey(sessions, client)], operations=_MAIN_OPERATIONS, name=uuid4().hex)
    blocks = await bench.run(plan, progress=progress)
    return Results(
        made_at=datetime.now(UTC),
        machine=await describe_machine(client, database_url=None),
        quick=quick,
        deployment=True,
        rounds=plan.rounds,
        context_bytes=SMALL_CONTEXT_BYTES,
        change_bytes=CHANGE_BYTES,
        persistence=None,
        figures=figures(blocks),
    )
