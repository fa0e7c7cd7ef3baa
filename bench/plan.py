"""How many calls a run measures."""

from journeys.chat_session.limits import KIB
from journeys.messages import Record


class Counts(Record):
    """Calls of each caller in a block.

    Attributes:
        initialize: Also the number of sessions that are later hibernated, read and resumed.
    """

    callers: int
    initialize: int
    update: int
    signal: int
    get: int


class Plan(Record):
    """The size of each measurement; see `Specials` for those that are not part of the rounds.

    Attributes:
        warms_up: Whether an unmeasured round comes first.
        settle_seconds: A pause before and after each block, for work that servers finish after they have answered.
            Latencies and rates leave it out; CPU includes it.
        mixed_pairs: Updates, and gets, after each initialize of the mixed load.
        run_messages: Fewer than a run serves before it continues as new.
        written_messages: As many as a run with a context of 200 KiB serves before it continues as new.
    """

    rounds: int
    counts: tuple[Counts, ...]
    warms_up: bool = True
    settle_seconds: float = 0.1
    mixed_cycles: int = 1
    mixed_pairs: int = 10
    few_updates: int = 20
    many_updates: int = 200
    burst_signals: int = 100
    large_context_bytes: int = 50 * KIB
    burst_writes_signals: int = 1000
    late_update: int = 2000
    late_sessions: int = 4
    kept_updates: int = 100
    round_trip_calls: int = 40
    memory_sessions: int = 300
    largest_context_bytes: int = 250 * KIB
    large_updates: int = 20
    reads_under_change: int = 200
    transcript_messages: int = 100_000
    untouched_context_bytes: int = 200 * KIB
    message_calls: int = 60
    run_messages: int = 20
    written_messages: int = 280
    listed_sessions: int = 1_000_000
    list_page: int = 1000
    page_reads: int = 100
    gateway_reads: int = 200
    busy_gateway_reads: int = 40
    gateway_updates: int = 40
    followed_sessions: int = 100
    followers: int = 1000
    followed_seconds: float = 10


def full_plan(rounds: int) -> Plan:
    """The plan of the published figures."""
    return Plan(
        rounds=rounds,
        counts=(
            Counts(callers=1, initialize=30, update=60, signal=40, get=60),
            Counts(callers=32, initialize=5, update=10, signal=8, get=12),
        ),
    )


def quick_plan(rounds: int) -> Plan:
    """Just enough to see that everything works."""
    return Plan(
        rounds=rounds,
        counts=(
            Counts(callers=1, initialize=2, update=2, signal=2, get=2),
            Counts(callers=4, initialize=1, update=2, signal=1, get=2),
        ),
        warms_up=False,
        settle_seconds=0.01,
        mixed_pairs=2,
        few_updates=4,
        many_updates=4,
        burst_signals=20,
        burst_writes_signals=40,
        late_update=20,
        late_sessions=1,
        kept_updates=2,
        round_trip_calls=0,
        memory_sessions=0,
        large_updates=2,
        reads_under_change=4,
        transcript_messages=2_000,
        message_calls=4,
        run_messages=4,
        written_messages=4,
        listed_sessions=10_000,
        list_page=90,
        page_reads=4,
        gateway_reads=4,
        busy_gateway_reads=2,
        gateway_updates=4,
        followed_sessions=10,
        followers=20,
        followed_seconds=0.4,
    )
