"""Good evidence made bad: as if a hostile message, or a retried workflow task, had done harm."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from pydantic import JsonValue

from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.refusals import Refusals
from journeys.chat_session.session import LedgerEntry
from journeys.errors import IdempotencyConflict
from tests.chaos.evidence import Call, Evidence, Hostile, StoredSession
from tests.chaos.findings import Flaw
from tests.chaos.forgeries import Forgery, session_of, standing, with_call, with_ledger, with_session
from tests.chaos.hostile_payloads import BULK
from tests.chaos.retried_batches import Retried, retried_batches


def lost_large_message(evidence: Evidence) -> Evidence:
    """A large message within the limits was accepted, and is nowhere."""
    session, entry = next(_applied(evidence, "large"))
    return with_ledger(evidence, session, [each for each in session.ledger if each is not entry])


def doubled_large_message(evidence: Evidence) -> Evidence:
    """A large message within the limits is applied twice."""
    session, entry = next(_applied(evidence, "large"))
    again = entry.model_copy(update={"idempotency_key": "another key", "message": "another message"})
    return with_ledger(evidence, session, (*session.ledger, again))


def altered_large_message(evidence: Evidence) -> Evidence:
    """One item of a large message is not what was sent."""
    session, entry = next(_applied(evidence, "large"))
    context = entry.change["context"]
    assert isinstance(context, dict)
    bulk = context[BULK]
    altered: JsonValue = [0.1 + 0.2, *bulk[1:]] if isinstance(bulk, list) else f"B{bulk}"
    change = {**entry.change, "context": {**context, BULK: altered}}
    other = entry.model_copy(update={"change": change})
    return with_ledger(evidence, session, [other if each is entry else each for each in session.ledger])


def lost_signal_of_a_burst(evidence: Evidence) -> Evidence:
    """One of many small signals is nowhere."""
    session, entry = next(_applied(evidence, "burst"))
    return with_ledger(evidence, session, [each for each in session.ledger if each is not entry])


def reordered_burst(evidence: Evidence) -> Evidence:
    """Two signals of a burst are applied in the wrong order."""
    of_burst = [(session.chat_session_id, entry) for session, entry in _applied(evidence, "burst")]
    for (first, one), (second, two) in pairwise(of_burst):
        if first == second and two.revision == one.revision + 1:
            session = next(each for each in evidence.stored if each.chat_session_id == first)
            place = session.ledger.index(one)
            ledger = (*session.ledger[:place], two, one, *session.ledger[place + 2 :])
            return with_ledger(evidence, session, ledger)
    raise LookupError("no two signals of a burst follow each other")


def applied_though_too_large(evidence: Evidence) -> Evidence:
    """A message over the limit is applied."""
    return _with_refused_applied(evidence, "too large")


def applied_though_malformed(evidence: Evidence) -> Evidence:
    """A message that does not fit the contract is applied."""
    return _with_refused_applied(evidence, "malformed")


def large_message_of_a_stranger_applied(evidence: Evidence) -> Evidence:
    """A stranger's large message is applied."""
    return _with_refused_applied(evidence, "large, of a stranger")


def trace_of_a_refused_message(evidence: Evidence) -> Evidence:
    """Content of a refused message is part of another change."""
    refused = next(_refused(evidence, "malformed"))
    session = session_of(evidence, refused)
    entry = session.ledger[-1]
    other = entry.model_copy(update={"change": {**entry.change, "append": {"trail": [refused.key]}}})
    return with_ledger(evidence, session, (*session.ledger[:-1], other))


def uncounted_hostile_refusals(evidence: Evidence) -> Evidence:
    """Of the hostile signals that were refused, one is not counted."""
    refused = next(call for call in _refused(evidence, "too large") if call.kind == "signal")
    session = session_of(evidence, refused)
    count = sum(
        call.kind == "signal" and call.outcome == "done" and call.must_refuse not in (None, SessionNotFound.code)
        for call in evidence.calls
        if call.chat_session_id == session.chat_session_id
    )
    return with_session(evidence, session.model_copy(update={"refusals": Refusals(count=count - 1)}))


def refusal_that_tells(evidence: Evidence) -> Evidence:
    """A refusal shows a name that the refused message made up."""
    session = next(each for each in evidence.stored if each.refusals and each.refusals.last)
    assert session.refusals
    first, *others = session.refusals.last
    told = session.refusals.model_copy(update={"last": (first.model_copy(update={"field": "s3cret"}), *others)})
    return with_session(evidence, session.model_copy(update={"refusals": told}))


def applied_again_by_the_retry(evidence: Evidence) -> Evidence:
    """The retry of a failed workflow task applied a stored message of its batch again, after another message."""
    retried, other = next(_with_another_beside(evidence))
    first = retried.stored[0].model_copy(update={"idempotency_key": "another key"})
    place = retried.session.ledger.index(other) + 1
    ledger = (*retried.session.ledger[:place], first, *retried.session.ledger[place:])
    return with_ledger(evidence, retried.session, ledger)


def lost_beside_the_retried(evidence: Evidence) -> Evidence:
    """The retry took another message of its batch for one that was stored already."""
    retried, other = next(_with_another_beside(evidence))
    return with_ledger(evidence, retried.session, [each for each in retried.session.ledger if each is not other])


def refused_by_the_retry(evidence: Evidence) -> Evidence:
    """The retry refused a message that had been stored already."""
    call, _ = _answered_by_a_retry(evidence)
    told = {"outcome": "refused", "code": IdempotencyConflict.code, "answer": None}
    return with_call(evidence, call.model_copy(update=told))


def told_of_another_by_the_retry(evidence: Evidence) -> Evidence:
    """The retry answered a message that had been stored already with the revision of another message beside it."""
    call, other = _answered_by_a_retry(evidence)
    assert call.answer
    answer = call.answer.model_copy(update={"applied_revision": other})
    return with_call(evidence, call.model_copy(update={"answer": answer}))


HOSTILE_FORGERIES: Final[dict[Forgery, Flaw]] = {
    lost_large_message: "lost",
    doubled_large_message: "doubled",
    altered_large_message: "invented",
    lost_signal_of_a_burst: "lost",
    reordered_burst: "reordered",
    applied_though_too_large: "misjudged",
    applied_though_malformed: "misjudged",
    large_message_of_a_stranger_applied: "leak",
    trace_of_a_refused_message: "misjudged",
    uncounted_hostile_refusals: "lost",
    refusal_that_tells: "leak",
    applied_again_by_the_retry: "doubled",
    lost_beside_the_retried: "lost",
    refused_by_the_retry: "misjudged",
    told_of_another_by_the_retry: "diverged",
}
"""Every forgery, and the flaw that has to be found in it."""


def _applied(evidence: Evidence, hostile: Hostile) -> Iterator[tuple[StoredSession, LedgerEntry]]:
    """Changes by hostile messages of a kind, if all calls for them were accepted."""
    operations = {call.operation for call in evidence.calls if call.hostile == hostile}
    for session, entry in (*standing(evidence, "signal", "done"), *standing(evidence, "update", "done")):
        if entry.author in operations:
            yield session, entry


def _refused(evidence: Evidence, hostile: Hostile) -> Iterator[Call]:
    return (call for call in evidence.calls if call.hostile == hostile and call.outcome in ("done", "refused"))


def _with_refused_applied(evidence: Evidence, hostile: Hostile) -> Evidence:
    call = next(_refused(evidence, hostile))
    session = session_of(evidence, call)
    told = {"author": call.operation, "idempotency_key": call.key, "change": call.change, "message": "another message"}
    return with_ledger(evidence, session, (*session.ledger, session.ledger[-1].model_copy(update=told)))


def _with_another_beside(evidence: Evidence) -> Iterator[tuple[Retried, LedgerEntry]]:
    """Batches that were decided again, each with an accepted change that the retry decided beside them."""
    accepted = {call.operation for call in evidence.calls if call.outcome == "done" and call.change is not None}
    for retried in retried_batches(evidence):
        for entry in retried.beside:
            if entry.author in accepted:
                yield retried, entry


def _answered_by_a_retry(evidence: Evidence) -> tuple[Call, int]:
    """An update that a retry found stored and answered, and the revision of another message beside it."""
    for retried, other in _with_another_beside(evidence):
        stored = {entry.author for entry in retried.stored}
        for call in evidence.calls:
            if call.operation in stored and call.kind == "update" and call.outcome == "done":
                return call, other.revision
    raise LookupError("no retry has answered an update")
