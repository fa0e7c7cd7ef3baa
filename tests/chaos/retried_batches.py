"""Batches that an activity stored although its workflow task failed, and what was decided when the task was retried."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from journeys.chat_session.names import workflow_id
from journeys.chat_session.session import LedgerEntry
from tests.chaos.evidence import Evidence, StoredSession

# A workflow computes its time with floats.
_ROUNDING: Final = timedelta(microseconds=5)


@dataclass(frozen=True, slots=True)
class Retried:
    """A batch that was stored although its workflow task failed.

    Attributes:
        stored: What the activity stored before the task failed.
        beside: What the retry stored for other messages; often nothing.
    """

    session: StoredSession
    stored: Sequence[LedgerEntry]
    beside: Sequence[LedgerEntry]


def retried_batches(evidence: Evidence) -> Iterator[Retried]:
    """Batches that a workflow task stored without being completed, so that its retry decided them again."""
    for session in evidence.stored:
        times = sorted(evidence.decided_at.get(workflow_id(session.chat_session_id), ()))
        batches = [tuple(batch) for _, batch in groupby(session.ledger, key=lambda entry: entry.applied_at)]
        for batch, following in zip(batches, [*batches[1:], ()], strict=False):
            at = batch[0].applied_at
            place = bisect_right(times, at - _ROUNDING)
            if place == len(times) or times[place] <= at + _ROUNDING:
                continue  # the end of the run is not in its history yet, or the task was completed
            of_retry = following and _is_same_time(following[0].applied_at, times[place])
            yield Retried(session, batch, following if of_retry else ())


def _is_same_time(at: datetime, decided: datetime) -> bool:
    return abs(at - decided) <= _ROUNDING
