"""Results as a page of the documentation, with plots."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.plots import line, stacked_bars
from bench.results import VARIANTS, Figure, Results
from bench.tables import cost, number, speed
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
_FIGURES: Final = {
    "p50_ms": "p50",
    "per_second": "calls per second",
    "cpu_ms_ours": "CPU of worker and caller",
    "cpu_ms_total": "CPU of all",
}


def write_report(results: Results, folder: Path) -> None:
    """Write `performance.md`, its plots and `performance.json`.

    Args:
        results: A run.
        folder: Where to; it is made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plots = _plots(results)
    for name, plot in plots.items():
        (folder / name).write_text(plot)
    (folder / "performance.json").write_text(results.model_dump_json(indent=1) + "\n")
    (folder / "performance.md").write_text("\n".join(_page(results, list(plots))) + "\n")


def _plots(results: Results) -> Mapping[str, str]:
    busy = max(figure.callers for figure in results.figures)
    drawn = {
        "performance-p50.svg": _by_variant(
            results, 1, ("initialize", "update", "signal", "get", "hibernated_get", "resume"), "p50, one caller", "ms"
        ),
        "performance-rate.svg": _by_variant(
            results,
            busy,
            ("initialize", "update", "get", "mixed"),
            f"Calls per second, {busy} callers, without floor",
            "/s",
            leave_out="floor",
        ),
        "performance-cpu.svg": stacked_bars(
            f"CPU per call, {busy} callers",
            _PARTS,
            _rows(results, busy, ("initialize", "update", "mixed"), _cpu_parts),
            unit="ms",
        ),
    }
    if results.specials:
        series = results.specials.late_p50_ms
        drawn["performance-length.svg"] = line(
            "p50 of an update, by how many there were before it",
            series.x,
            series.y,
            x_name="updates of the session",
            y_name="p50 in ms",
        )
    return drawn


def _page(results: Results, plots: Sequence[str]) -> Iterator[str]:
    machine = results.machine
    yield "# What a session costs"
    yield ""
    yield "<!-- Written by `journey bench --docs docs`. The words are in starter/bench/report.py. -->"
    yield ""
    yield from _PREFACE
    yield ""
    yield (
        f"This run: {results.made_at:%Y-%m-%d %H:%M} UTC, {results.rounds} rounds, {machine.processor}, "
        f"{machine.cpus} CPUs, {machine.system}; Python {machine.python}, Temporal's SDK {machine.temporalio} and "
        f"server {machine.temporal_server}, PostgreSQL {machine.postgres}. Load when it began: {machine.load}."
    )
    if results.quick:
        yield ""
        yield "**This was a quick run, which only shows that the benchmark works. Its figures mean nothing.**"
    if results.goals:
        yield from ("", "## Goals", "")
        yield from _table(
            ("figure", "goal", "reached", "met", "`step`"),
            [
                (
                    goal.figure,
                    goal.goal,
                    number(goal.reached),
                    {True: "yes", False: "**no**", None: ""}[goal.met],
                    number(goal.step),
                )
                for goal in results.goals
            ],
            left=2,
        )
        yield ""
        yield "The last column is what `step` reaches, which stores nothing: the SDK and the server allow no more."
    yield ""
    for plot in plots:
        yield f"![{plot.removesuffix('.svg').replace('-', ' ')}]({plot})"
        yield ""
    for callers in dict.fromkeys(figure.callers for figure in results.figures):
        yield from _figures(results, callers)
    if results.ratios:
        yield from _parts(results)
        yield from _ratios(results)
    if results.in_memory:
        yield from _in_memory(results)
    if results.specials:
        yield from _specials(results)
    yield from _HOW


def _figures(results: Results, callers: int) -> Iterator[str]:
    figures = [figure for figure in results.figures if figure.callers == callers]
    yield f"## {'One caller' if callers == 1 else f'{callers} callers'}"
    yield ""
    yield "CPU in milliseconds per call, apart and in all; workflow tasks, history events and history bytes per call."
    yield ""
    heads = ("operation", "variant", "p50", "p95", "p99", "per&nbsp;s", *_PARTS, "CPU", "tasks", "events", "bytes")
    rows = [(_NAMES[figure.operation], _strong(figure.variant), *speed(figure), *cost(figure)) for figure in figures]
    yield from _table(heads, rows, left=2)
    yield ""


def _parts(results: Results) -> Iterator[str]:
    """What the journey's figures are made of: each variant does what the one before it does, and more."""
    busy = max(figure.callers for figure in results.figures)
    figures = {(each.operation, each.callers, each.variant): each for each in results.figures}
    rows = []
    for operation in ("initialize", "update"):
        for name, callers, value in (
            ("p50, ms", 1, _p50),
            ("CPU of worker and caller, ms", busy, _cpu_ours),
            ("CPU of all, ms", busy, _cpu_total),
        ):
            of = {variant: value(figures[operation, callers, variant]) for variant in VARIANTS}
            own = of["journey"] - of["step"] - of["floor"]
            parts = (of["bare"], of["step"] - of["bare"], of["floor"], own, of["journey"])
            rows.append((_NAMES[operation], str(callers), name, *map(number, parts)))
    yield from ("## What it is made of", "")
    yield (
        "The call and its workflow task are what `bare` costs, the local activity is what `step` costs more, and the "
        "stores are what `floor` costs, which judges and merges as well. The rest is the journey's own."
    )
    yield ""
    heads = ("operation", "callers", "figure", "call and task", "local activity", "stores", "rest", "journey")
    yield from _table(heads, rows, left=3)
    yield ""
    yield from _limits(figures, busy)
    yield from _IN_THE_WAY
    yield ""


def _limits(figures: Mapping[tuple[str, int, str], Figure], busy: int) -> Iterator[str]:
    """What `step` and the stores leave of the goals to all of the journey."""
    busy_bare, busy_step = (figures["update", busy, variant] for variant in ("bare", "step"))
    least = {
        operation: sum(figures[operation, 1, variant].p50_ms for variant in ("step", "floor"))
        / figures[operation, 1, "bare"].p50_ms
        for operation in ("initialize", "update")
    }
    yield (
        "A workflow may reach a store only through an activity, and a local one is the cheapest. One that does nothing "
        f"makes the CPU of worker and caller {_cpu_ours(busy_step) / _cpu_ours(busy_bare):.2f} times that of `bare`. "
        f"With the stores, its p50 is {least['update']:.2f} times that of `bare` for an update and "
        f"{least['initialize']:.2f} times for an initialize, before the journey has done anything."
    )
    yield ""
    yield "With all processors busy, three times as many calls as `naive` means a third of its CPU for each."
    yield ""
    thirds = []
    for operation in ("initialize", "update", "mixed"):
        cpu = {variant: _cpu_total(figures[operation, busy, variant]) for variant in VARIANTS}
        spent = (cpu["naive"] / 3, cpu["step"] + cpu["floor"], cpu["journey"])
        thirds.append((_NAMES[operation], *map(number, spent)))
    heads = (f"CPU of all, ms, {busy} callers", "a third of naive", "step and stores", "journey")
    yield from _table(heads, thirds, left=1)
    yield ""
    start = figures["initialize", 1, "bare"].p50_ms
    resume = figures["resume", 1, "step"].p50_ms + figures["resume", 1, "floor"].p50_ms
    yield (
        f"A session that is resumed is loaded and written. A resume of `step` and the stores make {resume / start:.2f} "
        "starts of `bare`, before anybody has looked for the session."
    )
    yield ""


def _p50(figure: Figure) -> float:
    return figure.p50_ms


def _cpu_ours(figure: Figure) -> float:
    return figure.cpu_ms.ours if figure.cpu_ms else 0


def _cpu_total(figure: Figure) -> float:
    return figure.cpu_ms_total or 0


def _in_memory(results: Results) -> Iterator[str]:
    yield from ("## With Temporal's state in memory", "")
    yield "The same in a second run, for which the Temporal server kept its state in memory instead of a file."
    yield ""
    heads = ("operation", "callers", "variant", "p50", "from file", "per&nbsp;s", "from file", "CPU", "from file")
    in_file = {(each.operation, each.callers, each.variant): each for each in results.figures}
    rows = []
    for figure in results.in_memory:
        other = in_file[figure.operation, figure.callers, figure.variant]
        pairs = (
            (figure.p50_ms, other.p50_ms),
            (figure.per_second, other.per_second),
            (figure.cpu_ms_total, other.cpu_ms_total),
        )
        name = _NAMES[figure.operation], str(figure.callers), _strong(figure.variant)
        rows.append((*name, *(number(value) for pair in pairs for value in pair)))
    yield from _table(heads, rows, left=3)
    yield ""


def _ratios(results: Results) -> Iterator[str]:
    yield from ("## The journey against the others", "")
    yield "The median of the rounds' ratios, and their smallest and largest."
    yield ""
    yield from _table(
        ("operation", "callers", "figure", "against", "median", "min", "max"),
        [
            (
                _NAMES[ratio.operation],
                str(ratio.callers),
                _FIGURES[ratio.figure],
                ratio.against,
                *map(number, (ratio.median, ratio.min, ratio.max)),
            )
            for ratio in results.ratios
        ],
        left=4,
    )
    yield ""


def _specials(results: Results) -> Iterator[str]:
    special = results.specials
    assert special is not None
    rows: dict[str, Mapping[str, float]] = {
        "history events of an update": special.events_per_update,
        "history events of an update that hands over": special.events_per_hand_over,
        f"history events per signal in a burst of {special.burst_signals}": special.events_per_burst_signal,
        f"history bytes of a 300-byte change of a {special.large_context_bytes // KIB} KiB context": (
            special.history_bytes_per_update_of_large_context
        ),
        f"the same over {special.many_updates} updates, with the runs they were continued as": (
            special.history_bytes_per_update_with_new_runs
        ),
        f"KiB kept of a session after {special.kept_updates} updates, history and rows": {
            name: kept / KIB for name, kept in special.kept_bytes.items()
        },
        f"KiB of worker memory per live session, over {special.memory_sessions}": {
            name: size / KIB for name, size in special.worker_bytes_per_live_session.items()
        },
        **{f"database round trips, {name}, both stores": trips for name, trips in special.round_trips.items()},
    }
    yield from ("## One by one", "")
    yield from _table(
        ("", *VARIANTS),
        [(name, *(number(values.get(variant)) for variant in VARIANTS)) for name, values in rows.items()],
    )
    yield ""
    yield (
        f"A burst of {special.burst_writes_signals} signals to one session took {special.burst_writes} writes and "
        f"{special.burst_seconds:.1f} s. Update number {special.late_update} took {special.late_p50_ratio:.2f} times "
        "as long as the 20th of a session with a context of the same size, taken in turns."
    )
    yield ""


_PREFACE: Final = (
    "Five variants of a chat session do the same work, in turns, on one machine and the same servers:",
    "",
    "- **floor**: the same SQL statements from the caller's own process, with no orchestration and no promise;",
    "- **bare**: a workflow whose handlers have the journey's names and payloads and do nothing, on a worker with the",
    "  journey's settings: the limit that Temporal and its SDK set;",
    "- **step**: the same with one local activity for each initialize and update, which does nothing either: the least",
    "  that anything costs which writes before it answers, since a workflow may not reach a store by itself;",
    "- **naive**: the journey as the SDK's documentation would have one write it: an entity workflow on a default",
    "  worker, the pydantic data converter, one regular activity for each store, whole sessions in arguments and",
    "  answers;",
    "- **journey**: this project, through its own starter and its own worker.",
    "",
    "`make bench` makes this page anew, in about half an hour; `journey bench --deployment` measures the",
    "journey alone on a deployment of your own. Compare ratios, not milliseconds: another machine has others.",
)

# From profiles of the journey's worker: CPU by thread (perf) and by owner of the code that holds the interpreter's lock
# (py-spy), memory by owner of the allocation (heaptrack, tracemalloc).
_IN_THE_WAY: Final = (
    "What stands in the way of the goals that are missed:",
    "",
    "- **CPU of the worker.** In a profile at 32 callers a third of it was the SDK's core, half of that in the kernel",
    "  for sockets and for switching between threads, and two thirds were Python's. Of the latter 44 % were the SDK's",
    "  Python code, 23 % asyncpg, 13 % the event loop, and 20 % the journey. With a local activity the SDK makes two",
    "  activations of one, as it hands the result to the workflow in another, and crosses between Python and its core",
    "  six times instead of two.",
    "- **Updates against `naive`.** What is left of an update is a call, a workflow task and a local activity, which",
    "  are the SDK's and the server's; stores and journey together are what the table shows beside them.",
    "- **Initializations against `naive`.** Most of one is the start of a workflow at the server, which costs all of",
    "  them the same.",
    "- **Memory of a live session.** Half of it was allocated by the SDK's core. A sixth are protobuf messages that",
    "  the SDK keeps of the last activation. A third are Python objects, most of them the SDK's for each run; a tenth",
    "  of the whole is the journey's own, the context first of all.",
    "- **Cold resume.** A call that finds the session asleep (1.3 ms of 19 where it was taken apart), a look at its",
    "  last run, so that made-up IDs leave no runs behind (2 ms), and the start, with one local activity that loads",
    "  and writes in four round trips (13 ms). `bare` has only the call and the start.",
    "- **Round trips.** PostgreSQL counts its own transactions as well, such as a vacuum's.",
)

_HOW: Final = (
    "## How it was measured",
    "",
    "- A session starts with a context of 1 KiB. A change replaces 300 bytes of it, so its size stays as it is. Each",
    "  caller has a session of its own. The mixed load is one initialize, ten updates and ten gets; each is one call.",
    "- In each round the variants take turns at each operation, beginning with another one each time, so that a",
    "  machine that drifts hits all alike. A round that is not counted comes first.",
    "- Caller, workers, Temporal server and PostgreSQL are processes of their own; their CPU is what Linux counted for",
    "  them, with a tenth of a second before and after each block for what servers finish late. It is the steadiest",
    "  figure here. Percentiles are over all calls; the other figures are medians of the rounds.",
    "- `floor` runs in the caller, so its work is the caller's CPU. `bare` and `step` store nothing: their signal is",
    "  followed by a query, which is answered once the signal was handled. `naive` and `journey` hear from a trigger",
    "  of the benchmark's own when the State Surface holds a signal's change.",
    "- A hibernated session is one whose run has ended. `naive` answers for it from its history, the others from an",
    "  activity; that of `bare` and `step` reads nothing.",
    "- `naive` runs in the SDK's sandbox, as by default, but need not import its own modules into it for every",
    "  workflow, to its advantage. `bare` and `step` run outside of it, as the journey does in production.",
    "  Like the journey, they send messages as they are and walk through no payloads for codecs that they have not;",
    "  the SDK by default compresses the ones and walks through the others, and so `naive` does.",
    "- The Temporal server keeps its state in a file, with `history.transferProcessorMaxPollRPS` raised for all",
    "  variants alike: by default a development server reads its queue at most 20 times a second, and a single caller",
    "  would be paced to multiples of 50 ms. PostgreSQL runs with `fsync` on.",
    "- In the end the stores of `floor`, `naive` and `journey` are compared: they hold the same sessions, revisions",
    "  and contexts, or the run fails.",
)


def _by_variant(
    results: Results, callers: int, operations: Sequence[str], title: str, unit: str, *, leave_out: str = ""
) -> str:
    def value(figure: Figure) -> list[float]:
        return [figure.p50_ms if unit == "ms" else figure.per_second]

    return stacked_bars(title, ("",), _rows(results, callers, operations, value, leave_out), unit=unit)


def _rows(
    results: Results,
    callers: int,
    operations: Sequence[str],
    values: Callable[[Figure], Sequence[float]],
    leave_out: str = "",
) -> list[tuple[str, Sequence[float]]]:
    rows: list[tuple[str, Sequence[float]]] = []
    for operation in operations:
        rows.append((_NAMES[operation], ()))
        rows += [
            (figure.variant, values(figure))
            for figure in sorted(results.figures, key=lambda figure: VARIANTS.index(figure.variant))
            if (figure.operation, figure.callers) == (operation, callers) and figure.variant != leave_out
        ]
    return rows


def _cpu_parts(figure: Figure) -> Sequence[float]:
    cpu = figure.cpu_ms
    return (cpu.worker or 0, cpu.server or 0, cpu.database or 0, cpu.caller or 0) if cpu else (0,)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * left}{'---:|' * (len(heads) - left)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _strong(variant: str) -> str:
    return f"**{variant}**" if variant == "journey" else variant
