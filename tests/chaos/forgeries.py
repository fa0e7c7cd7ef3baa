"""Good evidence made bad in one way each: as if the stores or the answers had broken a promise.

If a change is removed, doubled or moved, all stores are made to agree on it, hashes included: only the callers'
journals contradict them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from journeys.chat_session.answers import ChatSessionView
from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.refusals import Refusals
from journeys.chat_session.session import LedgerEntry
from journeys.errors import RevisionConflict
from journeys.state_surface import SurfaceArtifact
from tests.chaos.evidence import LAST_CALLER, Call, Evidence, Kind, Outcome, StoredSession
from tests.chaos.findings import Flaw
from tests.chaos.owners import OWNER
from tests.chaos.replayed_sessions import replay
from tests.chaos.replayed_transcripts import transcript_of

Forgery = Callable[[Evidence], Evidence]
Held = TypeVar("Held", SurfaceArtifact, ChatSessionView)


def lost_update(evidence: Evidence) -> Evidence:
    """An acknowledged update is nowhere."""
    return _without_one(evidence, "update", "done")


def lost_signal(evidence: Evidence) -> Evidence:
    """An accepted signal is nowhere."""
    return _without_one(evidence, "signal", "done")


def lost_in_the_state_surface(evidence: Evidence) -> Evidence:
    """Supabase has the last revision, the State Surface does not."""
    first, *others = evidence.artifacts
    return evidence.model_copy(update={"artifacts": (_one_revision_back(first), *others)})


def lost_in_the_journey(evidence: Evidence) -> Evidence:
    """Both stores have the last revision, the journey answers the one before."""
    first, *others = evidence.views
    return evidence.model_copy(update={"views": (_one_revision_back(first), *others)})


def doubled_update(evidence: Evidence) -> Evidence:
    """A change is applied again, under another key."""
    session, entry = next(standing(evidence, "update", "done"))
    again = entry.model_copy(update={"idempotency_key": "another key", "message": "another message"})
    return with_ledger(evidence, session, (*session.ledger, again))


def doubled_unknown(evidence: Evidence) -> Evidence:
    """A change that was never answered is applied twice, and only once is allowed."""
    session, entry = next(standing(evidence, "update", "unknown"))
    again = entry.model_copy(update={"idempotency_key": "another key", "message": "another message"})
    return with_ledger(evidence, session, (*session.ledger, again))


def reordered(evidence: Evidence) -> Evidence:
    """Two changes are in the wrong order: one was acknowledged before the other was sent."""
    session = max(evidence.stored, key=lambda each: each.revision)
    calls = [call for call in evidence.calls if call.chat_session_id == session.chat_session_id]
    ends = {call.operation: call.ended_at for call in calls if call.outcome == "done" and call.ended_at}
    begins: dict[str, float] = {}
    for call in calls:
        begins[call.operation] = min(call.invoked_at, begins.get(call.operation, call.invoked_at))
    for place, (one, two) in enumerate(zip(session.ledger, session.ledger[1:], strict=False)):
        first, second = one.author or "", two.author or ""
        if first in ends and second in begins and ends[first] < begins[second]:
            ledger = (*session.ledger[:place], two, one, *session.ledger[place + 2 :])
            return with_ledger(evidence, session, ledger)
    raise LookupError("no two changes follow each other in time")


def gap(evidence: Evidence) -> Evidence:
    """A revision is skipped."""
    session = max(evidence.stored, key=lambda each: each.revision)
    half = len(session.ledger) // 2
    raised = [entry.model_copy(update={"revision": entry.revision + 1}) for entry in session.ledger[half:]]
    changed = {"ledger": (*session.ledger[:half], *raised), "revision": session.revision + 1}
    return with_session(evidence, session.model_copy(update=changed))


def content_of_a_stranger(evidence: Evidence) -> Evidence:
    """A change of one tenant is in another tenant's session."""
    own, foreign = next(found for found in standing(evidence, "update", "done") if OWNER in str(found[1].change))
    session = next(each for each in evidence.stored if each.tenant_id != own.tenant_id and not each.is_deleted)
    return with_ledger(evidence, session, (*session.ledger, foreign))


def read_by_a_stranger(evidence: Evidence) -> Evidence:
    """A stranger's read is answered."""
    stranger = next(call for call in evidence.calls if call.kind == "get" and call.must_refuse == SessionNotFound.code)
    answer = next(call.answer for call in evidence.calls if call.kind == "get" and call.answer)
    told = stranger.model_copy(update={"outcome": "done", "code": None, "answer": answer})
    return with_call(evidence, told)


def stale_read(evidence: Evidence) -> Evidence:
    """A read answers what was true before the last acknowledgement."""
    read = max(
        (call for call in evidence.calls if call.kind == "get" and call.answer and call.answer.revision),
        key=lambda call: call.invoked_at,
    )
    assert read.answer
    assert read.answer.revision
    return _told_of(evidence, read, read.answer.revision - 1)


def stale_initialization(evidence: Evidence) -> Evidence:
    """A repeated initialization is answered with the session as it was created, and not as it is now."""
    repeated = max(
        (call for call in evidence.calls if call.kind == "initialize" and call.answer and call.answer.revision),
        key=lambda call: call.invoked_at,
    )
    return _told_of(evidence, repeated, 0)


def two_sessions(evidence: Evidence) -> Evidence:
    """An initialization made a second session."""
    first = evidence.stored[0]
    second = first.model_copy(update={"chat_session_id": "00000000-0000-4000-8000-000000000000"})
    return evidence.model_copy(update={"stored": (*evidence.stored, second)})


def created_twice(evidence: Evidence) -> Evidence:
    """Two initializations were told that they created the session."""
    first, second, *_ = (call for call in evidence.calls if call.kind == "initialize" and call.answer)
    for call in (first, second):
        assert call.answer
        answer = call.answer.model_copy(update={"created": True, "chat_session_id": first.chat_session_id})
        told = call.model_copy(update={"chat_session_id": first.chat_session_id, "answer": answer})
        evidence = with_call(evidence, told)
    return evidence


def unrecorded_creation(evidence: Evidence) -> Evidence:
    """The ledger does not begin at revision 0."""
    return with_session(evidence, evidence.stored[0].model_copy(update={"creation": None}))


def one_message_twice(evidence: Evidence) -> Evidence:
    """Two changes name the same message."""
    session, entry = next(standing(evidence, "update", "done"))
    another = next(each for each in session.ledger if each is not entry)
    other = entry.model_copy(update={"message": another.message})
    return with_ledger(evidence, session, [other if each is entry else each for each in session.ledger])


def on_another_base(evidence: Evidence) -> Evidence:
    """A change is applied to another revision than its base."""
    _, entry = next(standing(evidence, "update", "done"))
    for call in evidence.calls:
        if call.operation == entry.author:
            evidence = with_call(evidence, call.model_copy(update={"base_revision": entry.revision + 1}))
    return evidence


def refused_though_known(evidence: Evidence) -> Evidence:
    """A retry of a change that was answered is told that its base is not the current one."""
    _, entry = next(standing(evidence, "update", "done"))
    call = next(call for call in evidence.calls if call.operation == entry.author)
    assert call.ended_at
    update = {"call": "again", "invoked_at": call.ended_at + 1, "ended_at": call.ended_at + 2, "base_revision": 0}
    told = {"outcome": "refused", "code": RevisionConflict.code, "answer": None}
    again = call.model_copy(update={"key": entry.idempotency_key, **update, **told})
    return evidence.model_copy(update={"calls": (*evidence.calls, again)})


def told_too_early(evidence: Evidence) -> Evidence:
    """An answer shows the session as it was before the call's own change."""
    call = next(
        each for each in evidence.calls if each.kind == "update" and each.answer and each.answer.duplicate is False
    )
    assert call.answer
    answer = call.answer.model_copy(update={"applied_revision": (call.answer.revision or 0) + 1})
    return with_call(evidence, call.model_copy(update={"answer": answer}))


def forgotten_refusals(evidence: Evidence) -> Evidence:
    """Signals were refused, and nothing shows it."""
    refused = next(
        call
        for call in evidence.calls
        if call.kind == "signal" and call.outcome == "done" and call.must_refuse not in (None, SessionNotFound.code)
    )
    session = session_of(evidence, refused).model_copy(update={"refusals": None})
    return with_session(evidence, session)


def refusals_in_one_place(evidence: Evidence) -> Evidence:
    """The journey shows other refusals than Supabase."""
    first, *others = evidence.views
    told = first.model_copy(update={"refusals": Refusals(count=999)})
    return evidence.model_copy(update={"views": (told, *others)})


def another_change(evidence: Evidence) -> Evidence:
    """A change is not the one that was sent."""
    session, entry = next(standing(evidence, "update", "done"))
    other = entry.model_copy(update={"change": {**entry.change, "active_agent": "liaison_nobody"}})
    return with_ledger(evidence, session, [other if each is entry else each for each in session.ledger])


def refused_and_stands(evidence: Evidence) -> Evidence:
    """A change that had to be refused is applied."""
    refused = next(
        call
        for call in evidence.calls
        if call.kind == "update" and call.outcome == "refused" and call.must_refuse not in (None, SessionNotFound.code)
    )
    session = session_of(evidence, refused)
    entry = session.ledger[-1].model_copy(
        update={"author": refused.operation, "change": {**(refused.change or {}), "append": None}}
    )
    return with_ledger(evidence, session, (*session.ledger, entry))


def wrongly_refused(evidence: Evidence) -> Evidence:
    """A change that had to be applied was refused."""
    session, entry = next(standing(evidence, "update", "done"))
    del session
    call = next(call for call in evidence.calls if call.operation == entry.author and call.outcome == "done")
    return with_call(evidence, call.model_copy(update={"outcome": "refused", "code": SessionNotFound.code}))


def failed_journey(evidence: Evidence) -> Evidence:
    """A run failed."""
    run = f"chat-session/{evidence.stored[0].chat_session_id}: FAILED"
    return evidence.model_copy(update={"failed_runs": (run,)})


def unreplayable_run(evidence: Evidence) -> Evidence:
    """A run cannot be replayed from its history."""
    return evidence.model_copy(update={"unreplayable": ("0b1cf2e5: another command",)})


def stuck_journey(evidence: Evidence) -> Evidence:
    """Once all harm is over, a change is still not answered."""
    last = next(call for call in evidence.calls if call.caller == LAST_CALLER and call.kind == "update")
    return with_call(evidence, last.model_copy(update={"outcome": "unknown", "answer": None}))


FORGERIES: Final[dict[Forgery, Flaw]] = {
    lost_update: "lost",
    lost_signal: "lost",
    lost_in_the_state_surface: "diverged",
    lost_in_the_journey: "diverged",
    doubled_update: "doubled",
    doubled_unknown: "doubled",
    reordered: "reordered",
    gap: "gap",
    content_of_a_stranger: "leak",
    read_by_a_stranger: "leak",
    stale_read: "stale",
    stale_initialization: "stale",
    two_sessions: "split",
    created_twice: "split",
    unrecorded_creation: "gap",
    one_message_twice: "doubled",
    on_another_base: "misjudged",
    refused_though_known: "misjudged",
    told_too_early: "diverged",
    forgotten_refusals: "lost",
    refusals_in_one_place: "diverged",
    another_change: "invented",
    refused_and_stands: "misjudged",
    wrongly_refused: "misjudged",
    failed_journey: "broken",
    unreplayable_run: "broken",
    stuck_journey: "stuck",
}
"""Every forgery, and the flaw that has to be found in it."""


def standing(evidence: Evidence, kind: Kind, outcome: Outcome) -> Iterator[tuple[StoredSession, LedgerEntry]]:
    """Changes in the middle of a ledger, if all calls of the operation are of this kind and have this outcome."""
    calls: dict[str, list[Call]] = {}
    for call in evidence.calls:
        calls.setdefault(call.operation, []).append(call)
    for session in evidence.stored:
        for entry in session.ledger[1:-1]:
            if {(call.kind, call.outcome) for call in calls.get(entry.author or "", [])} == {(kind, outcome)}:
                yield session, entry


def _without_one(evidence: Evidence, kind: Kind, outcome: Outcome) -> Evidence:
    session, entry = next(standing(evidence, kind, outcome))
    return with_ledger(evidence, session, [each for each in session.ledger if each is not entry])


def _told_of(evidence: Evidence, call: Call, revision: int) -> Evidence:
    """The evidence as if a call had been answered with its session at this revision."""
    session = session_of(evidence, call)
    opening = next(each for each in evidence.openings if each.chat_session_id == session.chat_session_id)
    state = replay(opening, session.ledger)[revision]
    told = {
        "revision": revision,
        "context_hash": state.context_hash,
        "content_hash": state.context_hash,
        "active_agent": state.active_agent,
        "updated_at": session.ledger[revision - 1].applied_at if revision else session.created_at,
    }
    assert call.answer
    return with_call(evidence, call.model_copy(update={"answer": call.answer.model_copy(update=told)}))


def with_ledger(evidence: Evidence, session: StoredSession, ledger: Sequence[LedgerEntry]) -> Evidence:
    """The evidence as if this had always been the ledger: every store agrees with it."""
    opening = next(each for each in evidence.openings if each.chat_session_id == session.chat_session_id)
    states = replay(opening, ledger)
    entries = tuple(
        entry.model_copy(
            update={"revision": revision, "context_hash": state.context_hash, "active_agent": state.active_agent}
        )
        for revision, (entry, state) in enumerate(zip(ledger, states[1:], strict=True), start=1)
    )
    final = states[-1]
    transcript = transcript_of(session.chat_session_id, entries, {call.operation: call for call in evidence.calls})
    changed = {
        "transcript": tuple(transcript.in_order),
        "message_count": len(transcript.rows),
        "title": final.title,
        "lifecycle_state": final.lifecycle_state,
        "user_id": final.user_id,
        "ledger": entries,
        "revision": len(entries),
        "context": final.context,
        "context_hash": final.context_hash,
        "active_agent": final.active_agent,
    }
    return with_session(evidence, session.model_copy(update=changed))


def with_session(evidence: Evidence, session: StoredSession) -> Evidence:
    identity = session.chat_session_id
    state = {"active_agent": session.active_agent, "context": session.context}
    row = {name: getattr(session, name) for name in ("title", "lifecycle_state", "message_count")}
    registered = {
        "revision": session.revision,
        "semantic_payload": state,
        "lifecycle_state": session.lifecycle_state,
    }
    artifacts = tuple(
        each.model_copy(update={**registered, "semantic_descriptor": {**each.semantic_descriptor, **row}})
        if each.artifact_id == identity
        else each
        for each in evidence.artifacts
    )
    views = tuple(
        each.model_copy(
            update={
                **state,
                **row,
                "user_id": session.user_id,
                "revision": session.revision,
                "context_hash": session.context_hash,
            }
        )
        if each.chat_session_id == identity
        else each
        for each in evidence.views
    )
    stored = tuple(session if each.chat_session_id == identity else each for each in evidence.stored)
    return evidence.model_copy(update={"stored": stored, "artifacts": artifacts, "views": views})


def _one_revision_back(held: Held) -> Held:
    return held.model_copy(update={"revision": held.revision - 1})


def with_call(evidence: Evidence, changed: Call) -> Evidence:
    calls = tuple(changed if call.call == changed.call else call for call in evidence.calls)
    return evidence.model_copy(update={"calls": calls})


def session_of(evidence: Evidence, call: Call) -> StoredSession:
    return next(each for each in evidence.stored if each.chat_session_id == call.chat_session_id)


def only(evidence: Evidence, sessions: Iterable[str]) -> Evidence:
    """The part of the evidence that concerns some sessions."""
    kept = frozenset(sessions)
    return evidence.model_copy(
        update={
            "openings": tuple(each for each in evidence.openings if each.chat_session_id in kept),
            "calls": tuple(each for each in evidence.calls if each.chat_session_id in kept),
            "stored": tuple(each for each in evidence.stored if each.chat_session_id in kept),
            "artifacts": tuple(each for each in evidence.artifacts if each.artifact_id in kept),
            "views": tuple(each for each in evidence.views if each.chat_session_id in kept),
            "workflow_ids": {
                name: count for name, count in evidence.workflow_ids.items() if name.partition("/")[2] in kept
            },
            "decided_at": {
                name: times for name, times in evidence.decided_at.items() if name.partition("/")[2] in kept
            },
        }
    )
