"""What the checker finds, and a session with everything that it looks at."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from pydantic import JsonValue

from journeys.chat_session.session import LedgerEntry
from tests.chaos.evidence import Call, Opening, StoredSession

Flaw = Literal[
    "lost",
    "doubled",
    "reordered",
    "gap",
    "leak",
    "stale",
    "diverged",
    "split",
    "invented",
    "misjudged",
    "broken",
    "stuck",
    "remains",
]

FLAWS: Final[dict[Flaw, str]] = {
    "lost": "an acknowledged change, or an accepted signal, is not applied",
    "doubled": "a change is applied more than once",
    "reordered": "a change is applied before one that was acknowledged before it was sent",
    "gap": "revisions do not follow each other",
    "leak": "somebody saw or changed what belongs to others",
    "stale": "a read, or a repeated initialization, is older than what was acknowledged before it",
    "diverged": "ledger, session, State Surface, journey or an answer say different things",
    "split": "an initialization made more than one session, or a session has another ID than its own",
    "invented": "something is stored that nobody sent, or not as it was sent",
    "misjudged": "a message was refused that had to be applied, or applied that had to be refused",
    "broken": "an error that is not one of the contract's, or a run that failed or cannot be replayed",
    "stuck": "a session does not go on though all harm is over",
    "remains": "something is left of a deleted session, or it goes on",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise."""

    flaw: Flaw
    chat_session_id: str
    what: str


@dataclass(frozen=True, slots=True)
class State:
    """A session at one revision."""

    active_agent: str
    context: dict[str, JsonValue]
    context_hash: str
    title: str | None
    lifecycle_state: str
    user_id: str


@dataclass(frozen=True, slots=True)
class Session:
    """Everything that concerns one session."""

    opening: Opening
    stored: StoredSession
    states: Sequence[State]
    calls: Sequence[Call]

    @property
    def identity(self) -> str:
        """The session's ID."""
        return self.opening.chat_session_id

    @property
    def by_author(self) -> dict[str, list[LedgerEntry]]:
        """Ledger rows by the operation that made them."""
        rows: dict[str, list[LedgerEntry]] = defaultdict(list)
        for entry in self.stored.ledger:
            rows[entry.author or ""].append(entry)
        return rows

    @property
    def operations(self) -> dict[str, list[Call]]:
        """The calls that change something, by operation."""
        calls: dict[str, list[Call]] = defaultdict(list)
        for call in self.calls:
            if call.change is not None:
                calls[call.operation].append(call)
        return calls


def settled_at(calls: Sequence[Call]) -> float:
    """When the calls of an applied change had made it certain that the change would be applied.

    An accepted signal may still be refused, and the change may come from a later one, so all signals of the change must
    have been accepted.
    """
    ends = [inf if call.ended_at is None or call.outcome != "done" else call.ended_at for call in calls]
    return max(ends) if calls[0].kind == "signal" else min(ends)
