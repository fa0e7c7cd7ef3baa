"""The page docs/performance.md, with its plots."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Final, NamedTuple

from bench import findings
from bench.plots import line, stacked_bars
from bench.results import VARIANTS, Figure, Goal, Results, SpreadFigure
from bench.tables import number, spread
from journeys.chat_session.limits import KIB

_PARTS: Final = ("worker", "server", "database", "caller")
_NAMES: Final = {
    "initialize": "initialize",
    "update": "acknowledged update",
    "signal": "signal until stored",
    "get": "get, live",
    "hibernated_get": "get, hibernated",
    "resume": "update that resumes",
    "mixed": "mixed load",
}
# Goals whose names begin alike share a row of the page's table.
_SHARED_ROWS: Final = ("history events", "database round trips per store,")

_ByPlace = Mapping[tuple[str, int, str], Figure]  # operation, callers, variant


class Plot(NamedTuple):
    """A plot of the page."""

    file: str
    title: str
    svg: str


def write_report(results: Results, folder: Path) -> None:
    """Write `performance.md`, its plots and `performance.json`; make the folder if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = list(_plots(results))
    for plot in plots:
        (folder / plot.file).write_text(plot.svg)
    (folder / "performance.json").write_text(results.model_dump_json(indent=1) + "\n")
    (folder / "performance.md").write_text("\n".join(_page(results, plots)))


def _plots(results: Results) -> Iterator[Plot]:
    busy = _busy(results)
    title = "p50, one caller"
    operations = [operation for operation in _NAMES if operation != "mixed"]
    rows = _rows(results, 1, operations, lambda figure: (figure.p50_ms,))
    yield Plot("performance-p50.svg", title, stacked_bars(title, ("",), rows, unit="ms"))

    title = f"Calls per second, {busy} callers, without floor"
    operations = ["initialize", "update", "get", "mixed"]
    rows = _rows(results, busy, operations, lambda figure: (figure.per_second,), leave_out="floor")
    yield Plot("performance-rate.svg", title, stacked_bars(title, ("",), rows, unit="/s"))

    title = f"CPU per call, {busy} callers"
    rows = _rows(results, busy, ("initialize", "update", "mixed"), _cpu_parts)
    yield Plot("performance-cpu.svg", title, stacked_bars(title, _PARTS, rows, unit="ms"))

    title = "p50 of an update, by the number of updates before it"
    series = results.specials.late_p50_ms
    drawn = line(title, series.x, series.y, x_name="updates of the session", y_name="p50 in ms")
    yield Plot("performance-length.svg", title, drawn)


def _rows(
    results: Results,
    callers: int,
    operations: Sequence[str],
    values: Callable[[Figure], Sequence[float]],
    leave_out: str = "",
) -> list[tuple[str, Sequence[float]]]:
    figures = _by_place(results)
    rows: list[tuple[str, Sequence[float]]] = []
    for operation in operations:
        rows.append((_NAMES[operation], ()))
        variants = (variant for variant in VARIANTS if variant != leave_out)
        rows += [(variant, values(figures[operation, callers, variant])) for variant in variants]
    return rows


def _cpu_parts(figure: Figure) -> Sequence[float]:
    cpu = figure.cpu_ms
    return (cpu.worker or 0, cpu.server or 0, cpu.database or 0, cpu.caller)


def _page(results: Results, plots: Sequence[Plot]) -> Iterator[str]:
    yield from ("# What a session costs", "")
    yield from ("<!-- `make bench` writes this page; its words are in bench/report.py and bench/findings.py. -->", "")
    if results.quick:
        yield from _paragraph(
            "**This is a quick run, which only shows that the benchmark works. Its figures mean nothing.**"
        )
    yield from _answer(results)
    yield from _goals(results.goals)
    for plot in plots:
        yield from (f"![{plot.title}]({plot.file})", "")
    machine = results.machine
    yield from _paragraph(
        f"This run: {results.made_at:%Y-%m-%d %H:%M} UTC, {results.rounds} rounds, {machine.processor}, "
        f"{machine.cpus} CPUs, {machine.system}; Python {machine.python}, Temporal's SDK {machine.temporalio} and "
        f"server {machine.temporal_server}, PostgreSQL {machine.postgres}. Load at its start: {machine.load}. "
        "[`performance.json`](performance.json) has all figures; `python -m bench --results docs/performance.json` "
        "prints them as tables."
    )
    yield from _paragraph(
        "`make bench` renews this page in about half an hour. `journey bench` measures a deployment of your own. "
        "Compare ratios, not milliseconds: another machine has others."
    )
    yield from _variants()
    yield from _calls(results)
    yield from _conversation(results.conversation)
    yield from _gateway(results.gateway)
    yield from _made_of(results)
    yield from _findings()
    yield from _how(results)


def _answer(results: Results) -> Iterator[str]:
    busy = _busy(results)
    figures = _by_place(results)
    against = {
        ratio.against: number(ratio.median)
        for ratio in results.ratios
        if (ratio.figure, ratio.operation, ratio.callers) == ("p50_ms", "update", 1)
    }
    cpu = {variant: number(figures["update", busy, variant].cpu_ms_total) for variant in VARIANTS}
    yield from _paragraph(
        f"An acknowledged update takes **{number(figures['update', 1, 'journey'].p50_ms)} ms** (p50, one caller): "
        f"**{against['bare']} times** as long as for a workflow that does nothing (`bare`, the cost of Temporal "
        f"itself), and **{against['naive']} times** as long as for a journey written as the SDK's documentation "
        f"suggests (`naive`). With {busy} callers it costs **{cpu['journey']} ms of CPU** in all processes together, "
        f"against {cpu['bare']} ms for `bare` and {cpu['naive']} ms for `naive`."
    )


def _goals(goals: Sequence[Goal]) -> Iterator[str]:
    """All goals in few rows."""
    rows: dict[str, list[Goal]] = {}
    for goal in goals:
        shared = next((prefix for prefix in _SHARED_ROWS if goal.figure.startswith(prefix)), goal.figure)
        rows.setdefault(shared, []).append(goal)
    cells = []
    for shared, group in rows.items():
        figures = " / ".join(goal.figure.removeprefix(shared).strip() for goal in group)
        mets = [goal.met for goal in group]
        cells.append(
            (
                f"{shared} {figures}".strip(),
                " / ".join(goal.goal for goal in group),
                " / ".join(number(goal.reached) for goal in group),
                _mark(met=None if None in mets else all(mets)),
                " / ".join(number(goal.step) for goal in group if goal.step is not None),
            )
        )
    yield from _table(("figure", "goal", "reached", "met", "`step`"), cells, left=2)
    yield from _paragraph(
        "The last column is a workflow that runs an empty local activity for each change and stores nothing. A journey "
        "writes before it answers, so on this SDK and server it cannot do better."
    )


def _variants() -> Iterator[str]:
    yield from ("## The variants", "")
    yield from _paragraph(
        "Five variants of a chat session do the same work, in turns, on one machine and the same servers:"
    )
    yield from _bullets(
        "**floor**: the same SQL statements from the caller's own process, with no orchestration and no promise;",
        "**bare**: a workflow whose handlers have the journey's names and payloads and do nothing, on a worker with "
        "the journey's settings: the limit that Temporal and its SDK set;",
        "**step**: the same with one local activity for each initialize and update, which does nothing either: the "
        "least that a workflow costs if it writes before it answers;",
        "**naive**: the journey, written as the SDK's documentation suggests: an entity workflow on a default worker, "
        "the pydantic data converter, one regular activity for each store, whole sessions in arguments and answers;",
        "**journey**: this project, through its own client and its own worker.",
    )


def _calls(results: Results) -> Iterator[str]:
    busy = _busy(results)
    figures = _by_place(results)
    rows = []
    for operation in _NAMES:
        alone, together = (figures[operation, callers, "journey"] for callers in (1, busy))
        latencies = (each for one in (alone, together) for each in (one.p50_ms, one.p95_ms, one.p99_ms))
        rows.append((_NAMES[operation], *map(number, (*latencies, together.per_second))))
    yield from ("## The journey's calls", "")
    yield from _paragraph(
        f"In milliseconds, for one caller and for {busy}, and the calls per second of {busy} callers."
    )
    percentiles = [f"{name}, {callers}" for callers in (1, busy) for name in ("p50", "p95", "p99")]
    yield from _table(("operation", *percentiles, "per second"), rows)


def _conversation(figures: Sequence[SpreadFigure]) -> Iterator[str]:
    yield from ("## The conversation", "")
    yield from _paragraph(
        "Messages to a transcript and pages of it, and pages of a list of sessions. A figure is the median of the "
        "rounds; its spread is their smallest and their largest figure."
    )
    yield from _spread_figures(figures)
    yield from _bullets(
        "Three sessions get messages in turns: one with few messages, one with many and one with a large context. They "
        "share their tables. Before anything is measured, each resumes from the stores and gets the same number of "
        "messages.",
        "The many messages and sessions are copies, made by SQL, of rows that the journey wrote. A list is not in the "
        "order in which its rows lie in the table, so each of its sessions costs a page of the table. The sessions "
        "have empty contexts, which a list does not read.",
        "The write-ahead log is that of both databases, which are on one server, where nobody else writes meanwhile. "
        "Full-page images, which the first change of a page after a checkpoint adds, are left out.",
        "A run continues as new after a number of messages that grows with its context, and carries the context over.",
        "Pages are read by the methods of the store that the reading activities call, on one connection. The time "
        "includes the statement, its round trip and the making of the answer.",
    )


def _gateway(figures: Sequence[SpreadFigure]) -> Iterator[str]:
    yield from ("## The gateway", "")
    yield from _paragraph(
        "One gateway, as a process of its own, on the same machine as its callers, the worker and all servers."
    )
    yield from _spread_figures(figures)
    yield from _bullets(
        "A read over HTTP takes turns with the same statement on one connection from the caller's own process, and an "
        "update over HTTP with one by the Python client. The caller of HTTP writes and reads plain bytes on a "
        "connection that stays open.",
        "The changes that followers see are sent by the Python client and not through the gateway, so that the gateway "
        "learns of them from the store only. The client that sends them and all followers are one process, whose own "
        "work is part of the delay.",
        "Memory is what a thousand followers add to the gateway's process after a hundred others were there.",
    )


def _spread_figures(figures: Sequence[SpreadFigure]) -> Iterator[str]:
    cells = [(each.figure, number(each.median), spread(each), each.goal, _mark(met=each.met)) for each in figures]
    yield from _table(("figure", "measured", "spread", "goal", "met"), cells)


def _made_of(results: Results) -> Iterator[str]:
    """The journey's figures in parts: each variant does the work of the one before it, and more."""
    busy = _busy(results)
    figures = _by_place(results)
    rows = []
    for operation in ("initialize", "update"):
        for name, callers, value in (
            ("p50, ms", 1, _p50),
            ("CPU of worker and caller, ms", busy, _cpu_ours),
            ("CPU of all, ms", busy, _cpu_total),
        ):
            of = {variant: value(figures[operation, callers, variant]) for variant in VARIANTS}
            rest = of["journey"] - of["step"] - of["floor"]
            parts = (of["bare"], of["step"] - of["bare"], of["floor"], rest, of["journey"])
            rows.append((_NAMES[operation], str(callers), name, *map(number, parts)))
    yield from ("## What it is made of", "")
    yield from _paragraph(
        "`bare` pays for the call and its workflow task, `step` also for a local activity, and `floor` for the stores "
        "alone, including the decision and the merge. The rest is the journey's own."
    )
    heads = ("operation", "callers", "figure", "call and task", "local activity", "stores", "rest", "journey")
    yield from _table(heads, rows, left=3)
    yield from _least(figures, busy)
    yield from _thirds(figures, busy)
    kept = {variant: number(size / KIB) for variant, size in results.specials.kept_bytes.items()}
    yield from _paragraph(
        f"After {results.specials.kept_updates} updates, a session of the journey keeps {kept['journey']} KiB of "
        f"history and rows; a session of `naive` keeps {kept['naive']} KiB."
    )


def _least(figures: _ByPlace, busy: int) -> Iterator[str]:
    """The parts of a journey that no implementation can avoid, as multiples of `bare`."""
    busy_bare, busy_step = (figures["update", busy, variant] for variant in ("bare", "step"))

    def p50(operation: str, bare_operation: str) -> str:
        least = sum(figures[operation, 1, variant].p50_ms for variant in ("step", "floor"))
        return f"{least / figures[bare_operation, 1, 'bare'].p50_ms:.2f}"

    yield from _paragraph(
        "A workflow can reach a store only through an activity, and a local one is the cheapest. An empty local "
        f"activity alone raises the CPU of worker and caller to {_cpu_ours(busy_step) / _cpu_ours(busy_bare):.2f} "
        f"times that of `bare`. Together, `step` and the stores have {p50('update', 'update')} times the p50 of `bare` "
        f"for an update and {p50('initialize', 'initialize')} times for an initialize. An update that resumes takes "
        f"them {p50('resume', 'initialize')} times as long as an initialize takes `bare`."
    )


def _thirds(figures: _ByPlace, busy: int) -> Iterator[str]:
    rows = []
    for operation in ("initialize", "update", "mixed"):
        cpu = {variant: _cpu_total(figures[operation, busy, variant]) for variant in VARIANTS}
        spent = (cpu["naive"] / 3, cpu["step"] + cpu["floor"], cpu["journey"])
        rows.append((_NAMES[operation], *map(number, spent)))
    initialize = figures["initialize", busy, "journey"]
    yield from _paragraph(
        "If all processors are busy, three times as many calls as `naive` means a third of its CPU for each call. Of "
        f"the {number(_cpu_total(initialize))} ms of an initialize, the server spends "
        f"{number(initialize.cpu_ms.server)} ms, most of it on the start of the workflow, which costs every variant "
        "the same."
    )
    heads = (f"CPU of all, ms, {busy} callers", "a third of `naive`", "`step` and stores", "journey")
    yield from _table(heads, rows)


def _findings() -> Iterator[str]:
    yield from (f"## Findings of {findings.TAKEN:%Y-%m-%d}", "")
    yield from _paragraph(f"From profiles of {findings.SOURCE}. They are not figures of the run above.")
    yield from _bullets(*(f"**{subject}.** {finding}" for subject, finding in findings.FINDINGS.items()))


def _how(results: Results) -> Iterator[str]:
    in_memory, in_file = (
        next(each for each in figures if (each.operation, each.callers, each.variant) == ("update", 1, "journey"))
        for figures in (results.in_memory, results.figures)
    )
    yield from ("## How it is measured", "")
    yield from _bullets(
        "A session starts with a context of 1 KiB. A change replaces 300 bytes of it, so its size stays the same. "
        "Each caller has a session of its own. The mixed load is one initialize, ten updates and ten gets; each is "
        "one call.",
        "In each round the variants take turns at each operation, and each operation begins with another variant. So "
        "a machine that drifts affects all alike. A round that is not counted comes first.",
        "Caller, workers, Temporal server and PostgreSQL are processes of their own. Linux counts their CPU, with a "
        "tenth of a second before and after each block for work that servers finish late. CPU is the steadiest figure "
        "here.",
        "Percentiles are over all calls; other figures are medians of the rounds. A ratio is the median of the "
        "rounds' ratios, so it can differ from the quotient of two figures.",
        "`floor` runs in the caller, so its work is the caller's CPU. `bare` and `step` store nothing: a query follows "
        "each of their signals, and is answered after the signal is handled. `naive` and `journey` hear from a "
        "trigger, which belongs to the benchmark, when the State Surface holds a signal's change.",
        "A hibernated session is one whose run has ended. `naive` answers for it from its history, the others from an "
        "activity; the activity of `bare` and `step` reads nothing.",
        "`naive` runs in the SDK's sandbox, as by default, but its own modules pass through, to its advantage. `bare` "
        "and `step` run without the sandbox, as the journey does in production. Like the journey, they send messages "
        "without compression, and skip walks through payloads for codecs that are not there. `naive` keeps the SDK's "
        "defaults: it compresses, and it walks.",
        "The Temporal server keeps its state in a file. `history.transferProcessorMaxPollRPS` is raised for all "
        "variants alike: by default a development server reads its queue at most 20 times a second, which paces a "
        "single caller to multiples of 50 ms. PostgreSQL runs with `fsync` on.",
        "A second run keeps the server's state in memory, to show the cost of the file. There, the p50 of an "
        f"acknowledged update is {number(in_memory.p50_ms)} ms for one caller; with the file it is "
        f"{number(in_file.p50_ms)} ms.",
        "Four sessions at once make the plot of long sessions, so its p50 is above that of one caller.",
        "A round trip is a transaction as PostgreSQL counts it, which includes its own, as of a vacuum.",
        "At the end the benchmark compares the stores of `floor`, `naive` and `journey`: they hold the same sessions, "
        "revisions and contexts, or the run fails.",
    )


def _busy(results: Results) -> int:
    return max(figure.callers for figure in results.figures)


def _by_place(results: Results) -> _ByPlace:
    return {(each.operation, each.callers, each.variant): each for each in results.figures}


def _p50(figure: Figure) -> float:
    return figure.p50_ms


def _cpu_ours(figure: Figure) -> float:
    return figure.cpu_ms.ours


def _cpu_total(figure: Figure) -> float:
    return figure.cpu_ms_total


def _mark(*, met: bool | None) -> str:
    return "" if met is None else "yes" if met else "**no**"


def _paragraph(text: str) -> Iterator[str]:
    yield from (_wrapped(text), "")


def _bullets(*texts: str) -> Iterator[str]:
    yield from (_wrapped(f"- {text}", indent="  ") for text in texts)
    yield ""


def _wrapped(text: str, *, indent: str = "") -> str:
    return fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * left}{'---:|' * (len(heads) - left)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
