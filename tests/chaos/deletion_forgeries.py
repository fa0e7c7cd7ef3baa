"""Good evidence made bad: deletions that leave something behind, or that are undone."""

from typing import Final

from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.names import workflow_id
from tests.chaos.evidence import Answer, Call, Evidence, StoredSession
from tests.chaos.findings import Flaw
from tests.chaos.forgeries import Forgery, with_call


def deletion_without_effect(evidence: Evidence) -> Evidence:
    """A deletion was acknowledged, and the session lives."""
    return _with_tombstone(evidence, lifecycle_state="ACTIVE", user_id="ada")


def context_left_in_the_tombstone(evidence: Evidence) -> Evidence:
    """A tombstone still has a context."""
    return _with_tombstone(evidence, context={"a": 1})


def user_left_in_the_tombstone(evidence: Evidence) -> Evidence:
    """A tombstone still says whose the session was."""
    return _with_tombstone(evidence, user_id="ada")


def ledger_left(evidence: Evidence) -> Evidence:
    """A deleted session still has a change in the ledger."""
    return _with_tombstone(evidence, ledger=evidence.stored[0].ledger[:1])


def transcript_left(evidence: Evidence) -> Evidence:
    """A deleted session still has a message."""
    living = next(session for session in evidence.stored if session.transcript)
    return _with_tombstone(evidence, transcript=living.transcript[:1])


def payload_left_in_the_state_surface(evidence: Evidence) -> Evidence:
    """The State Surface still has the content of a deleted session."""
    return _with_artifact(evidence, semantic_payload={"active_agent": "guide", "context": {}})


def alive_in_the_state_surface(evidence: Evidence) -> Evidence:
    """The State Surface does not know of a deletion."""
    return _with_artifact(evidence, lifecycle_state="ACTIVE")


def behind_in_the_state_surface(evidence: Evidence) -> Evidence:
    """The State Surface is not at the tombstone's revision."""
    return _with_artifact(evidence, revision=0)


def another_time_of_deletion(evidence: Evidence) -> Evidence:
    """A deletion is answered with a wrong time of deletion."""
    tombstone = _tombstone(evidence)
    call = _deletion(evidence)
    answer = Answer(chat_session_id=call.chat_session_id, deleted_at=tombstone.created_at)
    return with_call(evidence, call.model_copy(update={"answer": answer}))


def change_after_the_deletion(evidence: Evidence) -> Evidence:
    """A change that was sent after the acknowledged deletion is answered."""
    return _answered_after_the_deletion(evidence, "update")


def read_after_the_deletion(evidence: Evidence) -> Evidence:
    """A read that was sent after the acknowledged deletion is answered."""
    return _answered_after_the_deletion(evidence, "get")


def change_above_the_tombstone(evidence: Evidence) -> Evidence:
    """A change was acknowledged at a later revision than the tombstone's."""
    tombstone = _tombstone(evidence)
    answer = Answer(chat_session_id=tombstone.chat_session_id, revision=tombstone.revision + 1)
    call = next(call for call in evidence.calls if call.chat_session_id == tombstone.chat_session_id and call.change)
    return with_call(evidence, call.model_copy(update={"outcome": "done", "code": None, "answer": answer}))


def deleted_by_nobody(evidence: Evidence) -> Evidence:
    """A session is deleted although every deletion was refused."""
    tombstone = _tombstone(evidence)
    told = {"outcome": "refused", "code": SessionNotFound.code, "answer": None}
    for call in evidence.calls:
        if call.kind == "delete" and call.chat_session_id == tombstone.chat_session_id:
            evidence = with_call(evidence, call.model_copy(update=told))
    return evidence


def deletion_refused_to_a_service(evidence: Evidence) -> Evidence:
    """A service that deletes a session again is told that there is none."""
    told = {"user_id": None, "outcome": "refused", "code": SessionNotFound.code, "answer": None}
    return with_call(evidence, _deletion(evidence).model_copy(update=told))


def run_left_in_temporal(evidence: Evidence) -> Evidence:
    """Temporal still lists a run of a deleted session."""
    return evidence.model_copy(update={"unerased": {workflow_id(_tombstone(evidence).chat_session_id): 1}})


DELETION_FORGERIES: Final[dict[Forgery, Flaw]] = {
    deletion_without_effect: "remains",
    context_left_in_the_tombstone: "remains",
    user_left_in_the_tombstone: "remains",
    ledger_left: "remains",
    transcript_left: "remains",
    payload_left_in_the_state_surface: "remains",
    alive_in_the_state_surface: "remains",
    behind_in_the_state_surface: "diverged",
    another_time_of_deletion: "diverged",
    change_after_the_deletion: "remains",
    read_after_the_deletion: "remains",
    change_above_the_tombstone: "lost",
    deleted_by_nobody: "invented",
    deletion_refused_to_a_service: "misjudged",
    run_left_in_temporal: "remains",
}
"""Every forgery, and the flaw that has to be found in it."""


def _tombstone(evidence: Evidence) -> StoredSession:
    return next(session for session in evidence.stored if session.is_deleted)


def _with_tombstone(evidence: Evidence, **changed: object) -> Evidence:
    tombstone = _tombstone(evidence)
    stored = (each.model_copy(update=changed) if each is tombstone else each for each in evidence.stored)
    return evidence.model_copy(update={"stored": tuple(stored)})


def _with_artifact(evidence: Evidence, **changed: object) -> Evidence:
    identity = _tombstone(evidence).chat_session_id
    artifacts = (
        each.model_copy(update=changed) if each.artifact_id == identity else each for each in evidence.artifacts
    )
    return evidence.model_copy(update={"artifacts": tuple(artifacts)})


def _deletion(evidence: Evidence) -> Call:
    """The first deletion of the tombstone's session that was answered."""
    identity = _tombstone(evidence).chat_session_id
    answered = (call for call in evidence.calls if call.kind == "delete" and call.outcome == "done")
    return min(
        (call for call in answered if call.chat_session_id == identity),
        key=lambda call: call.ended_at or call.invoked_at,
    )


def _answered_after_the_deletion(evidence: Evidence, kind: str) -> Evidence:
    deletion = _deletion(evidence)
    assert deletion.ended_at
    call = next(
        call
        for call in evidence.calls
        if call.kind == kind and call.chat_session_id == deletion.chat_session_id and call.must_refuse is None
    )
    answer = Answer(chat_session_id=call.chat_session_id, revision=0)
    told = {"invoked_at": deletion.ended_at + 1, "ended_at": deletion.ended_at + 2, "outcome": "done", "code": None}
    return with_call(evidence, call.model_copy(update={**told, "answer": answer}))
