"""`python -m tests.chaos`: kill everything for a while, and check whether every promise was kept."""

import asyncio
import logging
import secrets
import signal
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from embedded import EmbeddedStackError
from tests.chaos.checker import check
from tests.chaos.plan import Plan, make_plan
from tests.chaos.report import Report, report_of, shown
from tests.chaos.run import RunFailed, run_plan

_out = Console()
_err = Console(stderr=True)


def tell(line: str) -> None:
    """Show a line of progress, apart from the report."""
    _err.print(line, style="dim", highlight=False, markup=False)


def chaos(
    *,
    seed: Annotated[int | None, typer.Option(help="Decides everything that is random; by default a new one.")] = None,
    duration: Annotated[float, typer.Option(min=5, help="How long harm is done, in seconds.")] = 120,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Worker processes.")] = 3,
    callers: Annotated[int, typer.Option(min=1, max=8, help="Calling processes, of four tasks each.")] = 3,
    keep: Annotated[Path | None, typer.Option(help="Keep journals, logs and evidence in this new directory.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Kill everything for a while, and check whether every promise was kept.

    Callers in several processes initialize, change, signal and read a handful of sessions of several tenants, with
    short deadlines, retries and late duplicates; some of what they send has to be refused. They add, replace and remove
    messages, name sessions, archive and reopen them, give some away, delete some, and read earlier revisions. Workers
    continue as new after three messages and sleep at once. Meanwhile workers, callers, PostgreSQL and Temporal are
    killed and started again, and the connections between them are cut, stalled, slowed down, refused or lose their
    answers.

    Then the harm ends, the callers finish, and what they were told is compared with the ledger, both stores and the
    journeys: nothing acknowledged is lost, nothing is applied twice, one order, no gaps, one session for each
    initialization, nobody sees another tenant's content, every transcript holds what was said, every revision can be
    read again, and nothing is left of a deleted session. Exit status 0: every promise was kept; 1: one was broken;
    2: wrong usage, or the run could not be carried out.

    The same seed makes the same plan, which is printed as it is carried out; its outcome may differ from run to run.
    To find the cause of a broken promise, run the seed again with --keep DIR and read DIR/evidence.json, DIR/journals
    and DIR/worker0/server.log.
    """
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # a proxy's connections break all the time
    if keep:
        keep.mkdir(parents=True)
        keep = keep.absolute()
    plan = make_plan(secrets.randbelow(1_000_000) if seed is None else seed, duration, workers=workers, callers=callers)
    tell(f"seed {plan.seed}: {len(plan.strikes)} strikes in {duration:.0f} s")
    try:
        report = asyncio.run(_run_until_signalled(plan, keep))
    except (RunFailed, EmbeddedStackError) as error:
        _err.print(f"the run could not be carried out: {error}", style="red", highlight=False, markup=False)
        raise typer.Exit(2) from None
    except asyncio.CancelledError:
        tell("interrupted; nothing is left running")
        raise typer.Exit(130) from None
    if json:
        _out.print_json(report.model_dump_json())
    else:
        _out.print(shown(report))
    raise typer.Exit(0 if report.kept else 1)


async def _run_until_signalled(plan: Plan, keep: Path | None) -> Report:
    task = asyncio.current_task()
    assert task is not None
    signalled = asyncio.Event()

    def cancel_once() -> None:
        if not signalled.is_set():  # a second signal must not interrupt the clean-up
            signalled.set()
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, cancel_once)
    try:
        if keep is None:
            with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
                return await _run(plan, Path(folder))
        return await _run(plan, keep, write=True)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _run(plan: Plan, folder: Path, *, write: bool = False) -> Report:
    run = await run_plan(plan, folder, tell)
    if write:
        (folder / "evidence.json").write_text(run.evidence.model_dump_json(), "utf-8")
    report = report_of(plan, run, check(run.evidence))
    if write:
        (folder / "report.json").write_text(report.model_dump_json(indent=2), "utf-8")
    return report


if __name__ == "__main__":
    typer.run(chaos)
