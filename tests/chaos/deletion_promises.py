"""What is promised of a session that is deleted."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from journeys.canonical_json import canonical_hash
from journeys.chat_session.errors import SessionNotActive, SessionNotFound
from journeys.errors import IdempotencyConflict, InvalidParameter, RevisionConflict
from tests.chaos.evidence import CHANGES, Call, Evidence
from tests.chaos.findings import Finding, Session

# Codes that may have refused a change before the deletion. The ledger is gone, so they cannot be checked.
_UNPROVABLE: Final = (RevisionConflict.code, IdempotencyConflict.code)


def erasures_are_complete(evidence: Evidence) -> Iterator[Finding]:
    """Temporal lists no run of a deleted session, and a deletion that was acknowledged has left a tombstone."""
    for name, count in evidence.unerased.items():
        yield Finding("remains", name.partition("/")[2], f"Temporal still lists {count} runs of {name}")
    deleted = {session.chat_session_id for session in evidence.stored if session.is_deleted}
    for call in evidence.calls:
        if call.kind == "delete" and call.outcome == "done" and call.chat_session_id not in deleted:
            yield Finding("remains", call.chat_session_id, f"{call.call}: was acknowledged, and the session lives")


def tombstones_are_registered(evidence: Evidence) -> Iterator[Finding]:
    """The State Surface has a tombstone as well, of the same revision and without content."""
    artifacts = {each.artifact_id: each for each in evidence.artifacts}
    for session in evidence.stored:
        artifact = artifacts.get(session.chat_session_id)
        if not session.is_deleted:
            continue
        if artifact is None:
            yield Finding("lost", session.chat_session_id, "the tombstone is not registered in the State Surface")
            continue
        title = artifact.semantic_descriptor.get("title")
        found = (artifact.lifecycle_state, artifact.semantic_payload, title)
        if found != ("DELETED", {}, None):
            yield Finding("remains", session.chat_session_id, f"the State Surface still has {str(found)[:80]}")
        if (artifact.tenant_id, artifact.revision) != (session.tenant_id, session.revision):
            yield Finding("diverged", session.chat_session_id, f"the State Surface is at {artifact.revision}")


def _tombstones_are_empty(session: Session) -> Iterator[Finding]:
    stored = session.stored
    left = {
        "context": stored.context,
        "title": stored.title,
        "user_id": stored.user_id,
        "refusals": stored.refusals,
        "message_count": stored.message_count,
        "ledger": stored.ledger or stored.creation,
        "transcript": stored.transcript,
    }
    for name, value in left.items():
        if value:
            yield Finding("remains", session.identity, f"the tombstone has {name}: {str(value)[:80]}")
    if stored.context_hash != canonical_hash({}):
        yield Finding("diverged", session.identity, "the tombstone's hash is not that of an empty context")


def _somebody_has_deleted_it(session: Session) -> Iterator[Finding]:
    if not any(call.must_refuse is None and call.outcome != "refused" for call in _deletions(session)):
        yield Finding("invented", session.identity, "is deleted, but nobody who may delete it has asked for that")


def _deletions_are_answered_alike(session: Session) -> Iterator[Finding]:
    """Whoever deletes a session again is told when it was deleted."""
    for call in _deletions(session):
        if call.answer and call.answer.deleted_at != session.stored.updated_at:
            what = f"{call.call}: was told {call.answer.deleted_at}, and it is {session.stored.updated_at}"
            yield Finding("diverged", session.identity, what)


def _nothing_goes_on(session: Session) -> Iterator[Finding]:
    """After a deletion is acknowledged, signals have no effect, and all else but another deletion is refused."""
    deleted_at = _acknowledged_at(session)
    for call in session.calls:
        if call.invoked_at <= deleted_at or call.kind in ("delete", "signal") or call.outcome != "done":
            continue
        yield Finding("remains", session.identity, f"{call.kind} {call.call} was answered after the deletion")


def _nothing_is_above_the_tombstone(session: Session) -> Iterator[Finding]:
    """The tombstone is the last revision, and no two operations were told the same revision."""
    told: dict[int, set[str]] = {}
    for call in session.calls:
        answer = call.answer
        if call.outcome != "done" or answer is None:
            continue
        if (answer.revision or 0) >= session.stored.revision:
            what = f"{call.call}: was told revision {answer.revision}, the tombstone is {session.stored.revision}"
            yield Finding("lost", session.identity, what)
        if answer.applied_revision is not None:
            told.setdefault(answer.applied_revision, set()).add(call.operation)
    for revision, operations in told.items():
        if len(operations) > 1:
            yield Finding("diverged", session.identity, f"revision {revision} is said to hold {sorted(operations)}")


def _rightly_refused(session: Session) -> Iterator[Finding]:
    """Services are told that the session is deleted, users and readers only that there is none."""
    first_sent = min((call.invoked_at for call in _deletions(session) if call.must_refuse is None), default=0.0)
    acknowledged_at = _acknowledged_at(session)
    archives = Counter(str((call.change or {}).get("lifecycle_state")) for call in session.calls)["ARCHIVED"]
    for call in session.calls:
        if call.outcome != "refused" or call.code == call.must_refuse:
            continue
        may_be_deleted = call.ended_at is not None and call.ended_at > first_sent
        expected = set[str | None]()
        if may_be_deleted:
            expected.add(_told_after_deletion(call))
        if may_be_deleted and call.invoked_at <= acknowledged_at and call.kind in ("initialize", *CHANGES):
            expected.add(SessionNotFound.code)  # it was stored, and the session deleted before it was answered
        if call.invoked_at <= acknowledged_at and call.kind in CHANGES:
            expected.update(_UNPROVABLE)
            if archives:
                expected.add(SessionNotActive.code)
            if call.user_id is not None:
                expected.add(InvalidParameter.code)  # it may have touched messages of others
        if call.invoked_at <= acknowledged_at and archives and not call.by_id:
            expected.add(SessionNotFound.code)
        if call.code not in expected:
            what = f"{call.kind} {call.call} was refused with {call.code}, not {sorted(map(str, expected))}"
            yield Finding("misjudged", session.identity, what)


def _told_after_deletion(call: Call) -> str | None:
    if call.kind == "initialize" or (call.kind in CHANGES and call.user_id is None):
        return SessionNotActive.code
    return SessionNotFound.code if call.kind != "delete" or call.user_id is not None else None


def _deletions(session: Session) -> list[Call]:
    return [call for call in session.calls if call.kind == "delete"]


def _acknowledged_at(session: Session) -> float:
    ends = [call.ended_at for call in _deletions(session) if call.outcome == "done" and call.ended_at is not None]
    return min(ends, default=float("inf"))


DELETION_PROMISES: Final[Sequence[Callable[[Session], Iterator[Finding]]]] = (
    _tombstones_are_empty,
    _somebody_has_deleted_it,
    _deletions_are_answered_alike,
    _nothing_goes_on,
    _nothing_is_above_the_tombstone,
    _rightly_refused,
)
