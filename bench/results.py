"""The results of a run, as `--json` prints them."""

from collections.abc import Sequence
from datetime import datetime
from math import ceil
from statistics import median
from typing import Final, Self

from bench.stores import StoreContents
from journeys.messages import Record

VARIANTS: Final = ("floor", "bare", "step", "naive", "journey")
"""In the order of tables and plots."""

COUNTER_NOISE: Final = 1.005
"""Counters are a little noisy: PostgreSQL vacuums, or a pool opens another connection."""


class Cpu(Record):
    """CPU milliseconds per call, by process; None if the variant has no such process, or `/proc` does not show it."""

    worker: float | None
    server: float | None
    database: float | None
    caller: float

    @property
    def total(self) -> float:
        return sum(part for part in (self.worker, self.server, self.database, self.caller) if part)

    @property
    def ours(self) -> float:
        """Of worker and caller, which run the variant's code."""
        return (self.worker or 0) + self.caller


class Block(Record):
    """One variant's turn at one operation in one round.

    Attributes:
        seconds: From the first call to the last answer.
        latencies_ms: Of each call.
        cpu: Per call.
        workflow_tasks: Per call, over a sample of the sessions; None if there is no workflow.
        history_events: Likewise.
        history_bytes: Likewise.
    """

    variant: str
    operation: str
    callers: int
    round: int
    calls: int
    seconds: float
    latencies_ms: tuple[float, ...]
    cpu: Cpu
    workflow_tasks: float | None
    history_events: float | None
    history_bytes: float | None

    @property
    def p50_ms(self) -> float:
        return median(self.latencies_ms)

    @property
    def p95_ms(self) -> float:
        return _percentile(sorted(self.latencies_ms), 0.95)

    @property
    def per_second(self) -> float:
        return self.calls / self.seconds


class Figure(Record):
    """One variant at one operation: percentiles over all calls; the rest are medians of the rounds."""

    variant: str
    operation: str
    callers: int
    calls: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    per_second: float
    cpu_ms: Cpu
    cpu_ms_total: float
    workflow_tasks: float | None
    history_events: float | None
    history_bytes: float | None

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> Self:
        """Summarize blocks of one variant, operation and number of callers."""
        first = blocks[0]
        latencies = sorted(latency for block in blocks for latency in block.latencies_ms)
        spent = [block.cpu for block in blocks]
        return cls(
            variant=first.variant,
            operation=first.operation,
            callers=first.callers,
            calls=len(latencies),
            p50_ms=_rounded(_percentile(latencies, 0.5)),
            p95_ms=_rounded(_percentile(latencies, 0.95)),
            p99_ms=_rounded(_percentile(latencies, 0.99)),
            per_second=_rounded(median(block.per_second for block in blocks)),
            cpu_ms=Cpu(
                worker=_median([cpu.worker for cpu in spent]),
                server=_median([cpu.server for cpu in spent]),
                database=_median([cpu.database for cpu in spent]),
                caller=_rounded(median(cpu.caller for cpu in spent)),
            ),
            cpu_ms_total=_rounded(median(cpu.total for cpu in spent)),
            workflow_tasks=_median([block.workflow_tasks for block in blocks]),
            history_events=_median([block.history_events for block in blocks]),
            history_bytes=_median([block.history_bytes for block in blocks]),
        )


class Ratio(Record):
    """The journey's figure divided by another variant's, round by round.

    Attributes:
        figure: `p50_ms`, `p95_ms`, `per_second`, `cpu_ms_ours` (worker and caller) or `cpu_ms_total`.
        against: The other variant and its operation, or what the journey's own figure is divided by.
    """

    figure: str
    operation: str
    callers: int
    against: str
    median: float
    min: float
    max: float
    rounds: tuple[float, ...]


class Goal(Record):
    """A goal.

    Attributes:
        goal: As `≤ 1.25`.
        reached: The journey's figure; None if it was not measured.
        step: The figure of `step`; None if it has none.
    """

    figure: str
    goal: str
    reached: float | None
    met: bool | None
    step: float | None = None


class SpreadFigure(Record):
    """A figure with that of each round.

    Attributes:
        median: The figure.
        goal: As `≤ 1.1` or `≥ 3`; empty if there is none.
        met: None if there is no goal.
    """

    figure: str
    median: float
    min: float
    max: float
    goal: str
    met: bool | None
    rounds: tuple[float, ...]

    @classmethod
    def of(
        cls, figure: str, rounds: Sequence[float], *, at_most: float | None = None, at_least: float | None = None
    ) -> Self:
        """Summarize rounds, and judge their median."""
        rounded = tuple(map(_rounded, rounds))
        middle = _rounded(median(rounded))
        return cls(
            figure=figure,
            median=middle,
            min=min(rounded),
            max=max(rounded),
            goal=f"≤ {at_most:g}" if at_most is not None else f"≥ {at_least:g}" if at_least is not None else "",
            met=middle <= at_most * COUNTER_NOISE
            if at_most is not None
            else middle >= at_least
            if at_least is not None
            else None,
            rounds=rounded,
        )


class Series(Record):
    x: tuple[float, ...]
    y: tuple[float, ...]


class Specials(Record):
    """Measurements that are not part of the rounds; mappings are by variant. See `measure_session_costs`.

    Attributes:
        events_per_update: History events of an acknowledged update.
        events_per_hand_over: Of an update that also hands the conversation over.
        events_per_burst_signal: Of each signal in a burst, including the signal's own event.
        burst_signals: Signals of that burst.
        large_context_bytes: The size of the context for the two `history_bytes`.
        history_bytes_per_update_of_large_context: Of a 300-byte change, answered by a receipt if the variant can.
        many_updates: Updates of the next measurement.
        history_bytes_per_update_with_new_runs: The same over so many updates that continue-as-new counts.
        burst_writes_signals: Signals that one session gets at once.
        burst_writes: Transactions that stored them.
        burst_seconds: Until the last of them is stored.
        late_update: The number of the late update that is compared with the 20th.
        late_p50_ratio: The p50 around the late update divided by the p50 around the 20th of another session, in turns.
        late_p50_ms: The p50 of each hundred updates before the late one.
        kept_bytes: History and rows of a session after `kept_updates` updates.
        kept_updates: Updates of that session.
        round_trips: Transactions in both databases per call, by operation and variant.
        memory_sessions: Live sessions of the next measurement.
        worker_bytes_per_live_session: Resident memory that a live session adds to its worker.
        largest_context_bytes: The size of the context for the next ratio.
        large_update_p50_ratio: The p50 of an update that touches one key of that context, divided by that of `floor`.
        reads_under_change: Reads of a session that `CHANGING_CALLERS` change without a pause.
        read_under_change_p95_ms: Their p95.
    """

    events_per_update: dict[str, float]
    events_per_hand_over: dict[str, float]
    events_per_burst_signal: dict[str, float]
    burst_signals: int
    large_context_bytes: int
    history_bytes_per_update_of_large_context: dict[str, float]
    many_updates: int
    history_bytes_per_update_with_new_runs: dict[str, float]
    burst_writes_signals: int
    burst_writes: int
    burst_seconds: float
    late_update: int
    late_p50_ratio: float
    late_p50_ms: Series
    kept_bytes: dict[str, int]
    kept_updates: int
    round_trips: dict[str, dict[str, float]]
    memory_sessions: int
    worker_bytes_per_live_session: dict[str, float]
    largest_context_bytes: int
    large_update_p50_ratio: float
    reads_under_change: int
    read_under_change_p95_ms: float


class Machine(Record):
    """The machine and the servers of a run."""

    system: str
    processor: str
    cpus: int
    load: float
    python: str
    temporalio: str
    temporal_server: str
    postgres: str


class Results(Record):
    """A run.

    Attributes:
        quick: Whether it only shows that the benchmark works; its figures mean nothing.
        rounds: Turns of each variant.
        persistence: How the Temporal server keeps its state.
        in_memory: The figures of a second run, with the server's state in memory.
        conversation: Messages and pages.
        gateway: Reads, changes and followers over HTTP.
        same_work: Whether the stores of all variants hold the same in the end.
    """

    version: int = 1
    made_at: datetime
    machine: Machine
    quick: bool
    rounds: int
    context_bytes: int
    change_bytes: int
    persistence: str
    figures: tuple[Figure, ...]
    in_memory: tuple[Figure, ...]
    ratios: tuple[Ratio, ...]
    goals: tuple[Goal, ...]
    conversation: tuple[SpreadFigure, ...]
    gateway: tuple[SpreadFigure, ...]
    specials: Specials
    stores: dict[str, StoreContents]
    same_work: bool


def figures(blocks: Sequence[Block]) -> tuple[Figure, ...]:
    """Summarize blocks, in the order of operations and then of `VARIANTS`."""
    operations = list(dict.fromkeys((block.operation, block.callers) for block in blocks))
    grouped: dict[tuple[str, int, str], list[Block]] = {}
    for block in sorted(
        blocks, key=lambda block: (operations.index((block.operation, block.callers)), VARIANTS.index(block.variant))
    ):
        grouped.setdefault((block.operation, block.callers, block.variant), []).append(block)
    return tuple(Figure.of(group) for group in grouped.values())


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(ceil(share * len(ordered)) - 1, 0)]


def _median(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return _rounded(median(there)) if there else None


def _rounded(value: float) -> float:
    return round(value, 3)
