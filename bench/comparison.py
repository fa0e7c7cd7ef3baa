"""The journey's figures against those of the other variants, round by round, and against its goals."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Final

from bench.contention import CHANGING_CALLERS
from bench.results import COUNTER_NOISE, VARIANTS, Block, Goal, Ratio, Specials
from journeys.chat_session.limits import KIB

_Reached = Mapping[str, float]  # by variant

_FIGURES: Final[dict[str, Callable[[Block], float]]] = {
    "p50_ms": lambda block: block.p50_ms,
    "per_second": lambda block: block.per_second,
    "cpu_ms_ours": lambda block: block.cpu.ours,
    "cpu_ms_total": lambda block: block.cpu.total,
}
_OTHERS: Final = ("bare", "step", "naive")
STEP_AND_STORES: Final = "step and stores"
ITS_P50: Final = "its p50"
_RESUME_AGAINST_START: Final = ("resume", "bare", "initialize")


def ratios(blocks: Sequence[Block]) -> tuple[Ratio, ...]:
    """The journey's figures divided by those of `bare`, `step` and `naive` of the same round."""
    by_place = {(block.operation, block.callers, block.round, block.variant): block for block in blocks}
    kinds = dict.fromkeys((block.operation, block.callers) for block in blocks)
    pairs = [(operation, callers, other, operation) for operation, callers in kinds for other in _OTHERS]
    resume, other, start = _RESUME_AGAINST_START
    pairs += [(resume, callers, other, start) for operation, callers in kinds if operation == resume]
    rounds = sorted({block.round for block in blocks})
    found = []
    for operation, callers, other, its_operation in pairs:
        for figure, value in _FIGURES.items():
            each = []
            for number in rounds:
                ours = by_place.get((operation, callers, number, "journey"))
                theirs = by_place.get((its_operation, callers, number, other))
                if ours and theirs and value(theirs):
                    each.append(round(value(ours) / value(theirs), 3))
            if each:
                against = other if operation == its_operation else f"{other} {its_operation}"
                found.append(_ratio(figure, operation, callers, against, each))
    return (*found, *_against_parts(blocks))


def _against_parts(blocks: Sequence[Block]) -> list[Ratio]:
    """The journey's CPU against `step` and the stores together, and the tail of its latencies against their median."""
    by_place = {(block.operation, block.callers, block.round, block.variant): block for block in blocks}
    found = []
    for operation, callers in dict.fromkeys((block.operation, block.callers) for block in blocks):
        rounds = sorted({block.round for block in blocks})
        of = {name: [by_place.get((operation, callers, each, name)) for each in rounds] for name in VARIANTS}
        cpu, tail = [], []
        for ours, step, floor in zip(of["journey"], of["step"], of["floor"], strict=True):
            if ours:
                tail.append(round(ours.p95_ms / ours.p50_ms, 3))
            if ours and step and floor:
                cpu.append(round(ours.cpu.total / (step.cpu.total + floor.cpu.total), 3))
        for figure, against, each in (("cpu_ms_total", STEP_AND_STORES, cpu), ("p95_ms", ITS_P50, tail)):
            if each:
                found.append(_ratio(figure, operation, callers, against, each))
    return found


def _ratio(figure: str, operation: str, callers: int, against: str, rounds: Sequence[float]) -> Ratio:
    return Ratio(
        figure=figure,
        operation=operation,
        callers=callers,
        against=against,
        median=round(median(rounds), 3),
        min=min(rounds),
        max=max(rounds),
        rounds=tuple(rounds),
    )


def goals(found: Sequence[Ratio], specials: Specials, *, busy: int) -> tuple[Goal, ...]:
    """The goals, with the figures that the journey and `step` reach; `step` stores nothing.

    Args:
        found: The ratios.
        specials: The measurements that are not part of the rounds.
        busy: The larger number of callers.
    """
    known = {(each.figure, each.operation, each.callers, each.against): each for each in found}

    def ratio(figure: str, operation: str, callers: int, against: str) -> _Reached:
        ours = known.get((figure, operation, callers, against))
        to_step = known.get((figure, operation, callers, "step"))
        if not ours or not to_step:
            return {}
        # In each round: (journey / other) / (journey / step) = step / other.
        of_step = [other / step for other, step in zip(ours.rounds, to_step.rounds, strict=True)]
        return {"journey": ours.median, "step": median(of_step)}

    def alone(figure: str, operation: str, callers: int, against: str) -> _Reached:
        ours = known.get((figure, operation, callers, against))
        return {"journey": ours.median} if ours else {}

    trips = {
        operation: {variant: both / 2 for variant, both in by_variant.items()}
        for operation, by_variant in specials.round_trips.items()
    }
    memory = specials.worker_bytes_per_live_session
    return (
        _at_most("initialize: p50 against bare", 1.25, ratio("p50_ms", "initialize", 1, "bare")),
        _at_most("acknowledged update: p50 against bare", 1.25, ratio("p50_ms", "update", 1, "bare")),
        _at_most("get, live: p50 against bare", 1.1, ratio("p50_ms", "get", 1, "bare")),
        _at_most(
            f"acknowledged update: CPU of worker and caller against bare, {busy} callers",
            1.3,
            ratio("cpu_ms_ours", "update", busy, "bare"),
        ),
        _at_most("acknowledged update: p50 against naive", 0.35, ratio("p50_ms", "update", 1, "naive")),
        _at_least(
            f"acknowledged updates per second against naive, {busy} callers",
            3,
            ratio("per_second", "update", busy, "naive"),
        ),
        _at_least(
            f"initializations per second against naive, {busy} callers",
            3,
            ratio("per_second", "initialize", busy, "naive"),
        ),
        _at_least(
            f"mixed calls per second against naive, {busy} callers", 3, ratio("per_second", "mixed", busy, "naive")
        ),
        _at_most(
            "cold resume of a hibernated session: p50 against a bare start",
            1.8,
            ratio("p50_ms", "resume", 1, "bare initialize"),
        ),
        _at_most(
            f"acknowledged update: CPU of all against step and the stores, {busy} callers",
            1.1,
            alone("cpu_ms_total", "update", busy, STEP_AND_STORES),
        ),
        _at_most(
            f"initialize: CPU of all against step and the stores, {busy} callers",
            1.1,
            alone("cpu_ms_total", "initialize", busy, STEP_AND_STORES),
        ),
        _at_most("initialize, one caller: p95 against its p50", 2.5, alone("p95_ms", "initialize", 1, ITS_P50)),
        _at_most(
            f"update of one key of {specials.largest_context_bytes // KIB} KiB of context, receipt: p50 against floor",
            1.6,
            {"journey": specials.large_update_p50_ratio},
        ),
        _at_most(
            f"read of a session that {CHANGING_CALLERS} callers change without a pause: p95, ms",
            80,
            {"journey": specials.read_under_change_p95_ms},
        ),
        _at_most("history events of an acknowledged update", 6, specials.events_per_update),
        _at_most("history events of an update with a hand-over", 7, specials.events_per_hand_over),
        _at_most(
            f"history events per signal in a burst of {specials.burst_signals}", 2, specials.events_per_burst_signal
        ),
        _at_most(
            f"history bytes per update with a context of {specials.large_context_bytes // KIB} KiB, receipt",
            2 * KIB,
            specials.history_bytes_per_update_of_large_context,
        ),
        _at_most("database round trips per store, initialize", 1, trips.get("initialize", {})),
        _at_most("database round trips per store, update", 1, trips.get("update", {})),
        _at_most(
            f"writes for a burst of {specials.burst_writes_signals} signals",
            150,
            {"journey": specials.burst_writes},
        ),
        _at_most(
            f"p50 of update {specials.late_update} against the 20th, same context size",
            1.1,
            {"journey": specials.late_p50_ratio},
        ),
        _at_most(
            "worker memory per live session with a 1 KiB context, KiB",
            75,
            {variant: size / KIB for variant, size in memory.items()},
        ),
    )


def _at_most(figure: str, limit: float, reached: _Reached) -> Goal:
    return _goal(figure, f"≤ {limit:g}", reached, lambda value: value <= limit * COUNTER_NOISE)


def _at_least(figure: str, limit: float, reached: _Reached) -> Goal:
    return _goal(figure, f"≥ {limit:g}", reached, lambda value: value >= limit / COUNTER_NOISE)


def _goal(figure: str, goal: str, reached: _Reached, meets: Callable[[float], bool]) -> Goal:
    ours, step = reached.get("journey"), reached.get("step")
    return Goal(
        figure=figure,
        goal=goal,
        reached=None if ours is None else round(ours, 3),
        met=None if ours is None else meets(ours),
        step=None if step is None else round(step, 3),
    )
