"""`make hostile`: every hostile message against a session of its own, each followed by a kill of the worker."""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from rich.console import Console
from rich.table import Table
from temporalio.client import Client

from embedded import StackAddresses, embedded_stack
from stores.migrate import migrate
from tests.hostile.attack import Attack
from tests.hostile.inspection import Finding, inspect, percentile, verdict
from tests.hostile.matrix import CASES, Case
from tests.support.journeys import Journeys
from tests.support.worker_processes import worker_environment, worker_process
from worker.plugin import JourneyPlugin
from worker.process_lifecycle import run_and_exit

PAUSED = "paused"


async def attack_with(case: Case, journeys: Journeys, addresses: StackAddresses, *, may_time_out: bool) -> Finding:
    """Run one case on a new session, kill the worker, and inspect the session on another worker."""
    environment = worker_environment(addresses, journeys.task_queue)
    async with worker_process(environment) as worker:
        session = await journeys.create_session()
        attack = Attack(
            journeys,
            session,
            pause=lambda: os.kill(worker.pid, signal.SIGSTOP),
            go_on=lambda: os.kill(worker.pid, signal.SIGCONT),
        )
        await case(attack)
        first = await inspect(attack, may_time_out=may_time_out)
        await worker.kill()
    async with worker_process(environment):
        after_kill = await inspect(attack, may_time_out=True)
    return Finding(
        tuple(dict.fromkeys(first.broken + after_kill.broken)),
        first.seconds,
        first.activations + after_kill.activations,
        first.neighbours,
    )


async def run(cases: Mapping[str, Case]) -> list[Finding]:
    """Run cases one after the other on a stack of their own, and show each as it ends."""
    console = Console()
    findings: dict[str, Finding] = {}
    with tempfile.TemporaryDirectory(prefix="journey-hostile-") as folder:
        async with embedded_stack(Path(folder)) as stack:
            addresses = stack.addresses
            await migrate(addresses.supabase_db_url, addresses.state_surface_url, progress=lambda _: None)
            client = await Client.connect(addresses.temporal_address)
            worker_client = await Client.connect(addresses.temporal_address, plugins=[JourneyPlugin()])
            for name, case in cases.items():
                label = uuid4().hex[:12]
                async with Journeys.on(
                    addresses, client, worker_client, task_queue=f"hostile-{label}", tenant_id=f"tenant-{label}"
                ) as journeys:
                    found = await attack_with(case, journeys, addresses, may_time_out=PAUSED in name)
                findings[name] = found
                console.print(f"{'[red]✗' if found.broken else '[green]✓'}[/] {name}", *found.broken, highlight=False)
    table = Table("case", "alive after, s", "longest activation, ms", "others' p95, ms", "broken", box=None)
    for name, found in findings.items():
        longest = f"{percentile(found.activations, 1):.0f}"
        others = f"{percentile(found.neighbours, 0.95):.0f}" if found.neighbours else ""
        table.add_row(name, f"{found.seconds:.1f}", longest, others, "; ".join(found.broken))
    console.print(table)
    return list(findings.values())


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    arguments.add_argument("--only", default="", help="run only the cases whose names hold this text")
    wanted = arguments.parse_args().only
    findings = asyncio.run(run({name: case for name, case in CASES.items() if wanted in name}))
    print(*verdict(findings), sep="\n")
    sys.exit(any(finding.broken for finding in findings))


if __name__ == "__main__":
    run_and_exit(main)
