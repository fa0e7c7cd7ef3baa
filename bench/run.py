"""A whole run of the benchmark."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.bench_stack import bench_servers, run_variants
from bench.comparison import goals, ratios
from bench.conversation import measure_conversation
from bench.gateway import measure_gateway
from bench.machine import describe_machine
from bench.plan import Plan
from bench.results import Results, figures
from bench.rounds import OPERATIONS, Rounds
from bench.session_costs import measure_live_session_bytes, measure_session_costs
from bench.sessions import CHANGE_BYTES, SMALL_CONTEXT_BYTES
from bench.stores import read_contents

_MAIN_OPERATIONS: Final = ("initialize", "update", "get")


async def run_bench(plan: Plan, *, quick: bool, progress: Callable[[str], None]) -> Results:
    """Compare all variants on servers of the run's own, in a temporary directory.

    Args:
        plan: The size of each measurement.
        quick: Whether the plan is too small for figures that mean anything.
        progress: Gets a line about each step.

    Raises:
        EmbeddedStackError: A server or a worker cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="journey-bench-") as folder:
        async with bench_servers(Path(folder), progress=progress) as servers:
            machine = await describe_machine(servers.client, database_url=servers.stores["floor"].supabase)
            progress("starting the workers")
            async with run_variants(servers, name="rounds") as running:
                blocks = await Rounds(running, OPERATIONS).run(plan, progress=progress)
                stores = {name: await read_contents(urls) for name, urls in running.stores.items()}
                specials = await measure_session_costs(running, plan, progress=progress)
            if plan.memory_sessions:
                progress("memory of live sessions")
            memory = await measure_live_session_bytes(servers, plan)
            conversation = await measure_conversation(servers, plan, progress=progress)
            gateway = await measure_gateway(servers, plan, progress=progress)
        async with (
            bench_servers(Path(folder) / "in-memory", progress=progress, persistent=False) as servers,
            run_variants(servers, name="in-memory") as running,
        ):
            progress("once more, with Temporal's state in memory")
            in_memory = await Rounds(running, _MAIN_OPERATIONS).run(plan, progress=progress)
    specials = specials.model_copy(update={"worker_bytes_per_live_session": memory})
    found = ratios(blocks)
    return Results(
        made_at=datetime.now(UTC),
        machine=machine,
        quick=quick,
        rounds=plan.rounds,
        context_bytes=SMALL_CONTEXT_BYTES,
        change_bytes=CHANGE_BYTES,
        persistence="file",
        figures=figures(blocks),
        in_memory=figures(in_memory),
        ratios=found,
        goals=goals(found, specials, busy=plan.counts[-1].callers),
        conversation=conversation,
        gateway=gateway,
        specials=specials,
        stores=stores,
        same_work=len({each.model_dump_json() for each in stores.values()}) == 1
        and all(each.supabase == each.state_surface for each in stores.values()),
    )
