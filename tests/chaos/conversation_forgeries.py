"""Good evidence made bad: transcripts, titles, lifecycle states, owners and earlier revisions that cannot be right."""

from collections.abc import Iterator, Sequence
from typing import Final

from journeys.chat_session.errors import SessionNotActive, SessionNotFound
from journeys.errors import RevisionConflict
from tests.chaos.evidence import Call, Evidence, StoredSession, TranscriptRow
from tests.chaos.findings import Flaw
from tests.chaos.forgeries import Forgery, session_of, with_call, with_ledger, with_session
from tests.chaos.replayed_sessions import is_edit, replay
from tests.chaos.replayed_transcripts import transcript_of


def lost_message(evidence: Evidence) -> Evidence:
    """An acknowledged message is not in the transcript, and is not counted."""
    session = _long_transcript(evidence)
    return _with_transcript(evidence, session, session.transcript[1:])


def doubled_message(evidence: Evidence) -> Evidence:
    """A message is there again, under another ID."""
    session = _long_transcript(evidence)
    again = {"message_id": "another", "first_revision": session.revision, "ordinal": 99}
    return _with_transcript(evidence, session, (*session.transcript, session.transcript[0].model_copy(update=again)))


def reordered_messages(evidence: Evidence) -> Evidence:
    """Two messages have changed places."""
    session = _long_transcript(evidence)
    one, two, *others = session.transcript
    return _with_transcript(evidence, session, (_in_place_of(two, one), _in_place_of(one, two), *others))


def message_of_a_refused_change(evidence: Evidence) -> Evidence:
    """A change was refused, and its message is there."""
    session = _long_transcript(evidence)
    refused = next(call for call in evidence.calls if call.outcome == "refused" and call.change)
    row = session.transcript[-1]
    body = {**row.body, "of": refused.operation}
    return _with_transcript(
        evidence, session, (*session.transcript, row.model_copy(update={"message_id": "another", "body": body}))
    )


def miscounted_messages(evidence: Evidence) -> Evidence:
    """Every store counts one message more than there are."""
    session = _long_transcript(evidence)
    return with_session(evidence, session.model_copy(update={"message_count": session.message_count + 1}))


def lost_replacement(evidence: Evidence) -> Evidence:
    """A message was replaced, and still has the body that it was added with."""
    for session, before, after in _transcripts(evidence):
        for row in after:
            earlier = before.get(row.message_id)
            if earlier and earlier.first_revision == row.first_revision and earlier.body != row.body:
                old = {"body": earlier.body, "body_hash": earlier.body_hash}
                return _with_row(evidence, session, row.model_copy(update=old))
    raise LookupError("no message was replaced")


def removed_message_left(evidence: Evidence) -> Evidence:
    """A message was removed, and is still there."""
    for session, before, after in _transcripts(evidence):
        if gone := before.keys() - {row.message_id for row in after}:
            rows = sorted((*after, before[min(gone)]), key=lambda row: (row.first_revision, row.ordinal))
            return _with_transcript(evidence, session, rows)
    raise LookupError("no message was removed")


def told_of_other_messages(evidence: Evidence) -> Evidence:
    """A change is answered with the IDs of other messages than its own."""
    call = next(call for call in evidence.calls if call.answer and call.answer.message_ids)
    assert call.answer
    answer = call.answer.model_copy(update={"message_ids": ("another",)})
    return with_call(evidence, call.model_copy(update={"answer": answer}))


def lost_title(evidence: Evidence) -> Evidence:
    """Every store has another title than the last one."""
    session = _long_transcript(evidence)
    return with_session(evidence, session.model_copy(update={"title": "another title"}))


def archived_in_the_end(evidence: Evidence) -> Evidence:
    """A session was reopened, but is archived in every store."""
    session = _long_transcript(evidence)
    return with_session(evidence, session.model_copy(update={"lifecycle_state": "ARCHIVED"}))


def changed_while_archived(evidence: Evidence) -> Evidence:
    """A change of the context is applied between archiving and reopening."""
    session, place = next(_edits(evidence, "lifecycle_state", "ARCHIVED"))
    later = next(entry for entry in session.ledger[place:] if not is_edit(entry.change))
    others = [entry for entry in session.ledger if entry is not later]
    return with_ledger(evidence, session, (*others[:place], later, *others[place:]))


def changed_by_the_old_owner(evidence: Evidence) -> Evidence:
    """A session was given away, and the old owner still changes it, though without an answer."""
    session, place, owner = _given_away(evidence)
    entry = next(entry for entry in session.ledger[place:] if not is_edit(entry.change))
    for call in evidence.calls:
        if call.operation == entry.author:
            sent = {"user_id": owner, "outcome": "unknown", "answer": None}
            evidence = with_call(evidence, call.model_copy(update=sent))
    return evidence


def read_by_the_old_owner(evidence: Evidence) -> Evidence:
    """A session was given away, and the old owner's read is answered."""
    session, place, owner = _given_away(evidence)
    read = next(
        call
        for call in evidence.calls
        if call.chat_session_id == session.chat_session_id
        and call.answer
        and call.answer.shown
        and (call.answer.revision or 0) > place
    )
    return with_call(evidence, read.model_copy(update={"user_id": owner}))


def old_owner_is_told_more(evidence: Evidence) -> Evidence:
    """A session was given away, and the old owner is told of its revision."""
    session, _, owner = _given_away(evidence)
    change = next(
        call
        for call in evidence.calls
        if call.chat_session_id == session.chat_session_id
        and (call.kind, call.user_id, call.code) == ("update", owner, SessionNotFound.code)
    )
    told = {"base_revision": 0, "code": RevisionConflict.code}
    return with_call(evidence, change.model_copy(update=told))


def kept_by_the_old_owner(evidence: Evidence) -> Evidence:
    """A session was given away, but every store still names the old owner."""
    session, _, owner = _given_away(evidence)
    return with_session(evidence, session.model_copy(update={"user_id": owner}))


def refused_as_archived(evidence: Evidence) -> Evidence:
    """A change is refused because the session is archived, and it is not."""
    call = _first_change(evidence)
    told = {"outcome": "refused", "code": SessionNotActive.code, "answer": None}
    return with_call(evidence, call.model_copy(update=told))


def read_refused_to_the_owner(evidence: Evidence) -> Evidence:
    """A service's read is told that there is no such session, and there is."""
    call = next(call for call in evidence.calls if call.kind == "get" and call.answer and call.user_id is None)
    told = {"outcome": "refused", "code": SessionNotFound.code, "answer": None}
    return with_call(evidence, call.model_copy(update=told))


def shown_another_title(evidence: Evidence) -> Evidence:
    """A read shows a title that the session does not have at that revision."""
    call = next(call for call in evidence.calls if call.answer and call.answer.shown)
    assert call.answer
    assert call.answer.shown
    shown = call.answer.shown.model_copy(update={"title": "another title"})
    answer = call.answer.model_copy(update={"shown": shown})
    return with_call(evidence, call.model_copy(update={"answer": answer}))


def revision_that_cannot_be_folded(evidence: Evidence) -> Evidence:
    """A ledger entry in the middle has the hash of another context."""
    session = _long_transcript(evidence)
    half = len(session.ledger) // 2
    other = session.ledger[half].model_copy(update={"context_hash": "0" * 64})
    ledger = (*session.ledger[:half], other, *session.ledger[half + 1 :])
    return with_session(evidence, session.model_copy(update={"ledger": ledger}))


def another_context_of_an_earlier_revision(evidence: Evidence) -> Evidence:
    """A read of an earlier revision is answered with the context of another one."""
    call, session = _earlier_read(evidence)
    assert call.answer
    opening = next(each for each in evidence.openings if each.chat_session_id == session.chat_session_id)
    first = replay(opening, session.ledger)[0]
    told = {"context_hash": first.context_hash, "content_hash": first.context_hash, "active_agent": first.active_agent}
    return with_call(evidence, call.model_copy(update={"answer": call.answer.model_copy(update=told)}))


def another_revision_than_asked_for(evidence: Evidence) -> Evidence:
    """A read of an earlier revision is answered with another revision, which is shown correctly."""
    call, _ = _earlier_read(evidence)
    assert call.at_revision is not None
    return with_call(evidence, call.model_copy(update={"at_revision": call.at_revision - 1}))


CONVERSATION_FORGERIES: Final[dict[Forgery, Flaw]] = {
    lost_message: "lost",
    doubled_message: "doubled",
    reordered_messages: "reordered",
    message_of_a_refused_change: "invented",
    miscounted_messages: "diverged",
    lost_replacement: "diverged",
    removed_message_left: "invented",
    told_of_other_messages: "diverged",
    lost_title: "diverged",
    archived_in_the_end: "diverged",
    changed_while_archived: "misjudged",
    changed_by_the_old_owner: "leak",
    read_by_the_old_owner: "leak",
    old_owner_is_told_more: "leak",
    kept_by_the_old_owner: "diverged",
    refused_as_archived: "misjudged",
    read_refused_to_the_owner: "misjudged",
    shown_another_title: "diverged",
    revision_that_cannot_be_folded: "diverged",
    another_context_of_an_earlier_revision: "diverged",
    another_revision_than_asked_for: "diverged",
}
"""Every forgery, and the flaw that has to be found in it."""


def _long_transcript(evidence: Evidence) -> StoredSession:
    return max(evidence.stored, key=lambda session: len(session.transcript))


def _with_transcript(evidence: Evidence, session: StoredSession, rows: Sequence[TranscriptRow]) -> Evidence:
    """The evidence with another transcript, whose messages every store counts correctly."""
    changed = {"transcript": tuple(rows), "message_count": len(rows)}
    return with_session(evidence, session.model_copy(update=changed))


def _with_row(evidence: Evidence, session: StoredSession, row: TranscriptRow) -> Evidence:
    rows = [row if each.message_id == row.message_id else each for each in session.transcript]
    return _with_transcript(evidence, session, rows)


def _in_place_of(row: TranscriptRow, other: TranscriptRow) -> TranscriptRow:
    return row.model_copy(update={"first_revision": other.first_revision, "ordinal": other.ordinal})


def _transcripts(
    evidence: Evidence,
) -> Iterator[tuple[StoredSession, dict[str, TranscriptRow], Sequence[TranscriptRow]]]:
    """The transcript of each session at every earlier revision, and as it is now."""
    sent = {call.operation: call for call in evidence.calls}
    for session in evidence.stored:
        for place in range(len(session.ledger)):
            earlier = transcript_of(session.chat_session_id, session.ledger[:place], sent)
            yield session, earlier.rows, session.transcript


def _edits(evidence: Evidence, name: str, value: str) -> Iterator[tuple[StoredSession, int]]:
    """Sessions, each with the number of ledger entries up to one that sets a value and is not the last."""
    for session in evidence.stored:
        for place, entry in enumerate(session.ledger[:-1], start=1):
            if entry.change.get(name) == value:
                yield session, place


def _given_away(evidence: Evidence) -> tuple[StoredSession, int, str]:
    """A session that was given away for good, the new owner's first revision, and the old owner."""
    for opening in evidence.openings:
        session = next(each for each in evidence.stored if each.chat_session_id == opening.chat_session_id)
        if session.user_id not in (None, opening.user_id):
            states = replay(opening, session.ledger)
            before = max(place for place, state in enumerate(states) if state.user_id == opening.user_id)
            return session, before + 1, opening.user_id
    raise LookupError("no session was given away")


def _first_change(evidence: Evidence) -> Call:
    """The first acknowledged change of a session that nobody had archived before."""
    for session in evidence.stored:
        for call in sorted(evidence.calls, key=lambda call: call.invoked_at):
            if call.chat_session_id == session.chat_session_id and call.change and "lifecycle_state" in call.change:
                break
            if call.chat_session_id == session.chat_session_id and call.kind == "update" and call.outcome == "done":
                return call
    raise LookupError("every session was archived before its first change")


def _earlier_read(evidence: Evidence) -> tuple[Call, StoredSession]:
    for call in evidence.calls:
        if call.kind == "earlier" and call.answer and (call.at_revision or 0) > 1:
            return call, session_of(evidence, call)
    raise LookupError("no earlier revision was read")
