"""Results as tables for the terminal."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from bench.results import Figure, Goal, Ratio, Results, SpreadFigure


def result_tables(results: Results) -> Iterator[Table]:
    """Speeds and costs for each number of callers, then the ratios, the goals and the conversation."""
    for callers in dict.fromkeys(figure.callers for figure in results.figures):
        figures = [figure for figure in results.figures if figure.callers == callers]
        who = "1 caller" if callers == 1 else f"{callers} callers"
        yield _speeds(figures, who)
        yield _costs(figures, who)
    yield _ratios(results.ratios)
    yield _goals(results.goals)
    yield _spread_figures("The conversation", results.conversation)
    yield _spread_figures("The gateway", results.gateway)


def number(value: float | None) -> str:
    """A figure with its significant digits."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(figure: SpreadFigure) -> str:
    """The smallest and the largest figure of the rounds."""
    return f"{number(figure.min)} to {number(figure.max)}"


def _speeds(figures: Sequence[Figure], who: str) -> Table:
    table = _grouped(f"Speed, {who}", ["p50 ms", "p95 ms", "p99 ms", "per second"])
    _fill(table, figures, [(each.p50_ms, each.p95_ms, each.p99_ms, each.per_second) for each in figures])
    return table


def _costs(figures: Sequence[Figure], who: str) -> Table:
    heads = ["worker", "server", "database", "caller", "CPU ms", "tasks", "events", "bytes"]
    table = _grouped(f"Cost of a call, {who}", heads)
    cells = []
    for figure in figures:
        cpu = figure.cpu_ms
        history = (figure.workflow_tasks, figure.history_events, figure.history_bytes)
        cells.append((cpu.worker, cpu.server, cpu.database, cpu.caller, figure.cpu_ms_total, *history))
    _fill(table, figures, cells)
    return table


def _grouped(title: str, heads: Sequence[str]) -> Table:
    table = Table("operation", "variant", title=title, title_justify="left")
    for head in heads:
        table.add_column(head, justify="right")
    return table


def _fill(table: Table, figures: Sequence[Figure], cells: Sequence[Sequence[float | None]]) -> None:
    last = ""
    for figure, row in zip(figures, cells, strict=True):
        if last and figure.operation != last:
            table.add_section()
        name = figure.operation if figure.operation != last else ""
        table.add_row(name, figure.variant, *map(number, row), style="bold" if figure.variant == "journey" else None)
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
    table = Table("figure", "goal", "reached", "met", "step", title="Goals", title_justify="left")
    for goal in goals:
        table.add_row(goal.figure, goal.goal, number(goal.reached), _mark(met=goal.met), number(goal.step))
    return table


def _spread_figures(title: str, figures: Sequence[SpreadFigure]) -> Table:
    table = Table("figure", "measured", "spread", "goal", "met", title=title, title_justify="left")
    for each in figures:
        table.add_row(each.figure, number(each.median), spread(each), each.goal, _mark(met=each.met))
    return table


def _mark(*, met: bool | None) -> str:
    return "" if met is None else "[green]yes[/]" if met else "[red]no[/]"
