"""The command `journey bench`."""

from pathlib import Path
from typing import Annotated

import typer

from bench.plan import full_plan, quick_plan
from bench.report import write_report
from bench.results import Results
from bench.run import run_bench, run_on_deployment
from bench.tables import result_tables
from starter.cli.command import Json, out, print_json, run_command, tell


def bench(
    *,
    rounds: Annotated[int, typer.Option(min=1, help="How many times each variant has its turn.")] = 5,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only show that everything works; the figures mean nothing.")
    ] = False,
    deployment: Annotated[
        bool,
        typer.Option(
            "--deployment",
            help="Measure the journey alone on the deployment that TEMPORAL_ADDRESS and so on name. "
            "Leaves sessions of the tenant 'benchmark' in its stores.",
        ),
    ] = False,
    docs: Annotated[
        Path | None, typer.Option(help="Also write performance.md with its plots and performance.json there.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Show a run's JSON instead of running.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure what a session costs, against what Temporal itself costs.

    Runs five variants of a chat session in turns, on a Temporal server and a PostgreSQL of their own: the SQL alone,
    a workflow that does nothing, one that does nothing in a local activity, a naive one, and the journey. A full run
    takes half an hour and wants a quiet machine.
    """

    async def main() -> None:
        plan = quick_plan(rounds) if quick else full_plan(rounds)
        if results:
            found = Results.model_validate_json(results.read_text())
        elif deployment:
            found = await run_on_deployment(plan, quick=quick, progress=tell)
        else:
            found = await run_bench(plan, quick=quick, progress=tell)
        if docs:
            write_report(found, docs)
        if json:
            print_json(found)
        else:
            for table in result_tables(found):
                out.print(table)
        if found.same_work is False:
            tell("the variants did not do the same work: their stores differ")
            raise typer.Exit(1)

    run_command(main)
