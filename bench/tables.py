"""Results as tables, for people."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from bench.results import Figure, Goal, Ratio, Results


def result_tables(results: Results) -> Iterator[Table]:
    """How fast and at what cost for each number of callers, then the ratios and the goals."""
    for callers in dict.fromkeys(figure.callers for figure in results.figures):
        figures = [figure for figure in results.figures if figure.callers == callers]
        who = "1 caller" if callers == 1 else f"{callers} callers"
        yield _speeds(figures, who)
        yield _costs(figures, who)
    if results.ratios:
        yield _ratios(results.ratios)
    if results.goals:
        yield _goals(results.goals)


def number(value: float | None) -> str:
    """A figure with as many digits as mean something."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def speed(figure: Figure) -> list[str]:
    """How fast: p50, p95 and p99 in milliseconds, calls per second."""
    return [number(each) for each in (figure.p50_ms, figure.p95_ms, figure.p99_ms, figure.per_second)]


def cost(figure: Figure) -> list[str]:
    """At what cost per call: CPU of worker, server, database, caller and all; tasks, events and bytes of history."""
    cpu = figure.cpu_ms
    parts = (cpu.worker, cpu.server, cpu.database, cpu.caller) if cpu else (None, None, None, None)
    traces = (figure.workflow_tasks, figure.history_events, figure.history_bytes)
    return [number(each) for each in (*parts, figure.cpu_ms_total, *traces)]


def _speeds(figures: Sequence[Figure], who: str) -> Table:
    table = _grouped(f"How fast, {who}", ["p50 ms", "p95 ms", "p99 ms", "per second"])
    _fill(table, figures, [speed(figure) for figure in figures])
    return table


def _costs(figures: Sequence[Figure], who: str) -> Table:
    heads = ["worker", "server", "database", "caller", "CPU ms", "tasks", "events", "bytes"]
    table = _grouped(f"What a call costs, {who}", heads)
    _fill(table, figures, [cost(figure) for figure in figures])
    return table


def _grouped(title: str, heads: Sequence[str]) -> Table:
    table = Table("operation", "variant", title=title, title_justify="left")
    for head in heads:
        table.add_column(head, justify="right")
    return table


def _fill(table: Table, figures: Sequence[Figure], cells: Sequence[Sequence[str]]) -> None:
    last = ""
    for figure, row in zip(figures, cells, strict=True):
        if last and figure.operation != last:
            table.add_section()
        name = figure.operation if figure.operation != last else ""
        table.add_row(name, figure.variant, *row, style="bold" if figure.variant == "journey" else None)
        last = figure.operation


def _ratios(ratios: Sequence[Ratio]) -> Table:
    table = Table("operation", "callers", "figure", "against", title="The journey against others", title_justify="left")
    for head in ("median", "min", "max"):
        table.add_column(head, justify="right")
    for ratio in ratios:
        spread = (ratio.median, ratio.min, ratio.max)
        table.add_row(ratio.operation, str(ratio.callers), ratio.figure, ratio.against, *map(number, spread))
    return table


def _goals(goals: Sequence[Goal]) -> Table:
    table = Table("figure", "goal", "reached", "", "step", title="Goals", title_justify="left")
    for goal in goals:
        mark = "" if goal.met is None else "[green]yes[/]" if goal.met else "[red]no[/]"
        table.add_row(goal.figure, goal.goal, number(goal.reached), mark, number(goal.step))
    return table
