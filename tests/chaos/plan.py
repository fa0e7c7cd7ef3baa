"""Which harm is done when: a seed decides it before anything starts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

Harm = Literal["kill", "pause", "cut", "refuse", "stall", "lose replies", "delay"]

_CALM_BEFORE: Final = 1.0
_BETWEEN: Final = (0.6, 2.6)

# Shuffled and dealt again and again, so that even a short run meets nearly every harm.
_DECK: Final[tuple[tuple[Harm, str, tuple[float, float]], ...]] = (
    ("kill", "worker", (0.1, 1.0)),
    ("kill", "worker", (0.1, 2.0)),
    ("kill", "worker", (0.1, 1.0)),
    ("pause", "worker", (1.5, 5.0)),
    ("kill", "caller", (0.1, 0.5)),
    ("kill", "PostgreSQL", (0.1, 3.0)),
    ("kill", "Temporal", (0.1, 2.0)),
    ("cut", "Supabase", (0.0, 0.0)),
    ("lose replies", "Supabase", (0.3, 1.5)),
    ("stall", "Supabase", (0.5, 5.0)),
    ("refuse", "Supabase", (0.5, 4.0)),
    ("delay", "Supabase", (1.0, 3.0)),
    ("lose replies", "State Surface", (0.3, 1.5)),
    ("refuse", "State Surface", (0.5, 4.0)),
    ("delay", "State Surface", (1.0, 3.0)),
    ("cut", "workers' link", (0.0, 0.0)),
    ("lose replies", "workers' link", (0.2, 0.8)),
    ("stall", "workers' link", (0.3, 1.5)),
    # Longer than a workflow task may take: its retry decides again what its activity stored, beside newer messages.
    ("stall", "workers' link", (1.6, 3.0)),
    ("cut", "callers' link", (0.0, 0.0)),
    ("lose replies", "callers' link", (0.5, 2.0)),
    ("lose replies", "callers' link", (0.2, 0.8)),
    ("stall", "callers' link", (0.3, 1.5)),
)


@dataclass(frozen=True, slots=True)
class Strike:
    """One harm.

    Attributes:
        at: Seconds since the monkey began.
        seconds: How long a killed target stays down, or how long the harm lasts.
        delay: Seconds by which each request is late, if the harm is a delay.
    """

    at: float
    harm: Harm
    target: str
    seconds: float
    delay: float = 0.0

    def __str__(self) -> str:
        """The strike in words."""
        text = f"{self.at:6.1f} s  {self.harm} {self.target}"
        if self.delay:
            text += f" by {self.delay:.1f} s"
        return text + (f" for {self.seconds:.1f} s" if self.seconds else "")


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How soon the journeys of one worker sleep, and how soon they continue as new."""

    idle_seconds: float
    rollover_messages: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, decided in advance. The same seed, duration and numbers make the same plan."""

    seed: int
    duration: float
    workers: Sequence[WorkerSettings]
    callers: Sequence[str]
    tasks: int
    strikes: Sequence[Strike]

    @property
    def tasks_of_all(self) -> tuple[str, ...]:
        """The names of all callers' tasks."""
        return tuple(task for caller in self.callers for task in tasks_of(caller, self.tasks))


def tasks_of(caller: str, tasks: int) -> list[str]:
    """The names of one caller's tasks. A task does one operation at a time."""
    return [f"{caller}{chr(ord('a') + task)}" for task in range(tasks)]


def make_plan(seed: int, duration: float, *, workers: int = 3, callers: int = 3, tasks: int = 4) -> Plan:
    """Decide what happens.

    Args:
        seed: Decides everything that is random.
        duration: How long harm is done, in seconds.
        workers: How many worker processes there are.
        callers: How many calling processes there are.
        tasks: How many tasks each calling process has.
    """
    rng = Random(f"{seed} plan")  # a text seeds the same everywhere
    chosen = (WorkerSettings(0, 3), WorkerSettings(1, 3), WorkerSettings(0.3, 20))
    names = [f"caller{number}" for number in range(callers)]
    return Plan(
        seed=seed,
        duration=duration,
        workers=[chosen[number % len(chosen)] for number in range(workers)],
        callers=names,
        tasks=tasks,
        strikes=list(_strikes(rng, duration, workers, names)),
    )


def _strikes(rng: Random, duration: float, workers: int, callers: Sequence[str]) -> Iterator[Strike]:
    at = _CALM_BEFORE
    while True:
        deck = list(_DECK)
        rng.shuffle(deck)
        for harm, target, (shortest, longest) in deck:
            if at > duration:
                return
            place = {"worker": f"worker{rng.randrange(workers)}", "caller": rng.choice(callers)}.get(target, target)
            seconds = round(min(rng.uniform(shortest, longest), max(duration - at, shortest)), 1)
            delay = rng.choice((0.1, 0.4, 1.2, 2.5)) if harm == "delay" else 0.0
            yield Strike(round(at, 1), harm, place, seconds, delay)
            at += rng.uniform(*_BETWEEN)
