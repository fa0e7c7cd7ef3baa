"""The command line of the benchmark."""

from pathlib import Path
from typing import Annotated

import typer

from bench.plan import full_plan, quick_plan
from bench.report import write_report
from bench.results import Results
from bench.run import run_bench
from bench.tables import result_tables
from starter.cli.command import Json, out, print_json, run_command, tell


def bench(
    *,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each variant.")] = 5,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only show that everything works; the figures mean nothing.")
    ] = False,
    docs: Annotated[
        Path | None, typer.Option(help="Also write performance.md, its plots and performance.json to this folder.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Show the JSON of an earlier run; measure nothing.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure what a session costs, against what Temporal itself costs.

    Five variants of a chat session take turns, on servers of their own:
    SQL alone, an empty workflow, one with an empty local activity,
    a naive journey, and the journey. A full run takes half an hour and
    needs a quiet machine.

    `make bench` runs `python -m bench --docs docs`.
    `journey bench` measures a deployment instead.
    """

    async def main() -> None:
        if results:
            found = Results.model_validate_json(results.read_text())
        else:
            plan = quick_plan(rounds) if quick else full_plan(rounds)
            found = await run_bench(plan, quick=quick, progress=tell)
        if docs:
            write_report(found, docs)
        if json:
            print_json(found)
        else:
            for table in result_tables(found):
                out.print(table)
        if not found.same_work:
            tell("the variants did not do the same work: their stores differ")
            raise typer.Exit(1)

    run_command(main)
