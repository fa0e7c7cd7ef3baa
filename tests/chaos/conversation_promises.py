"""What is promised of the transcript, of titles, lifecycle states and owners, and of reads of earlier revisions."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from journeys.chat_session.errors import SessionNotFound
from tests.chaos.evidence import Call
from tests.chaos.expected_refusals import ExpectedRefusals
from tests.chaos.findings import Finding, Session
from tests.chaos.replayed_sessions import is_edit
from tests.chaos.replayed_transcripts import replay_transcript, sent_messages


def _transcript_holds_what_was_said(session: Session) -> Iterator[Finding]:
    """Every message of the ledger is there once, with the last body and in its place; removed ones are gone."""
    wanted = replay_transcript(session).rows
    found = {row.message_id: row for row in session.stored.transcript}
    for name, row in wanted.items():
        where = f"message {name} of revision {row.first_revision}"
        stored = found.get(name)
        if stored is None:
            yield Finding("lost", session.identity, f"{where}: is not in the transcript")
            continue
        for member in type(row).model_fields:
            if getattr(stored, member) != getattr(row, member):
                yield Finding("diverged", session.identity, f"{where}: its {member} is not that of its last change")
    for name in found.keys() - wanted.keys():
        yield Finding("invented", session.identity, f"message {name}: nobody added it, or it was removed")


def _messages_are_there_once(session: Session) -> Iterator[Finding]:
    """No message is there under two IDs, and none of an operation that was not applied."""
    rows = session.by_author
    said = Counter((str(row.body.get("of")), str(row.body.get("index"))) for row in session.stored.transcript)
    for (operation, index), count in said.items():
        if count > 1:
            yield Finding("doubled", session.identity, f"{operation}: message {index} is there {count} times")
        if operation not in rows:
            yield Finding("invented", session.identity, f"{operation}: is not applied, but message {index} is there")


def _messages_are_in_order(session: Session) -> Iterator[Finding]:
    wanted = [row.message_id for row in replay_transcript(session).in_order]
    found = [row.message_id for row in session.stored.transcript]
    if wanted != found and sorted(wanted) == sorted(found):
        yield Finding("reordered", session.identity, "the messages are in another order than they were added in")


def _messages_are_counted(session: Session) -> Iterator[Finding]:
    found = len(session.stored.transcript)
    if session.stored.message_count != found:
        yield Finding("diverged", session.identity, f"{found} messages count as {session.stored.message_count}")


def _callers_are_told_their_messages(session: Session) -> Iterator[Finding]:
    """An answered change names the messages that it added or replaced, in order."""
    rows = session.by_author
    for call in session.calls:
        if call.kind != "update" or call.outcome != "done" or not call.answer or call.operation not in rows:
            continue
        sent = sent_messages(session.identity, rows[call.operation][0].idempotency_key, call)
        if list(call.answer.message_ids or ()) != [name for name, _ in sent]:
            yield Finding("diverged", session.identity, f"{call.call}: was told other messages than it had sent")


def _edits_hold(session: Session) -> Iterator[Finding]:
    """Title, lifecycle state and owner are those after the last change."""
    stored, final = session.stored, session.states[-1]
    for name in ("title", "lifecycle_state", "user_id"):
        if getattr(stored, name) != getattr(final, name):
            what = f"{name} is {getattr(stored, name)!r}, and the last change leaves {getattr(final, name)!r}"
            yield Finding("diverged", session.identity, what)


def _archived_sessions_take_no_changes(session: Session) -> Iterator[Finding]:
    for entry, before in zip(session.stored.ledger, session.states, strict=False):
        if before.lifecycle_state != "ACTIVE" and not is_edit(entry.change):
            what = f"revision {entry.revision} ({entry.author}): was made while the session was archived"
            yield Finding("misjudged", session.identity, what)


def _only_owners_make_changes(session: Session) -> Iterator[Finding]:
    users = {call.operation: call.user_id for call in session.calls}
    for entry, before in zip(session.stored.ledger, session.states, strict=False):
        user = users.get(entry.author or "")
        if user not in (None, before.user_id):
            what = f"revision {entry.revision} ({entry.author}): was made by {user}, and {before.user_id} owns it"
            yield Finding("leak", session.identity, what)


def _only_owners_are_answered(session: Session) -> Iterator[Finding]:
    """A user is answered only if they owned the session at some moment of the call; a read shows who owns it.

    An initialization may also be answered by a read, which does not wait for signals that are accepted but not yet
    applied. The owner at the revision that its answer names is therefore allowed, too; `checker` checks that this
    revision is not too old.
    """
    expected = ExpectedRefusals(session)
    for call in session.calls:
        if call.user_id is None or call.answer is None or call.outcome != "done":
            continue
        shown = call.answer.shown
        judged_at = [*expected.revisions(call)]
        if call.kind == "initialize" and (call.answer.revision or 0) < len(session.states):
            judged_at.append(call.answer.revision or 0)
        owners = {shown.user_id} if shown else {session.states[each].user_id for each in judged_at}
        if call.user_id not in owners:
            yield Finding("leak", session.identity, f"{call.call}: {call.user_id} was answered, not {owners}")


def _others_are_told_that_there_is_no_session(session: Session) -> Iterator[Finding]:
    """A user who did not own the session at any moment of the call is told only that no session exists."""
    expected = ExpectedRefusals(session)
    for call in session.calls:
        if call.user_id is None or call.outcome != "refused" or call.code in (SessionNotFound.code, call.must_refuse):
            continue
        if call.user_id not in {session.states[each].user_id for each in expected.revisions(call)}:
            yield Finding("leak", session.identity, f"{call.kind} {call.call}: {call.user_id} was told {call.code}")


def _reads_show_one_revision(session: Session) -> Iterator[Finding]:
    """A read shows title, lifecycle state, owner and number of messages of the revision that it names."""
    counts = replay_transcript(session).counts
    for call in session.calls:
        answer = call.answer
        if answer is None or answer.shown is None or answer.revision is None or answer.revision >= len(counts):
            continue
        state, shown = session.states[answer.revision], answer.shown
        wanted = (state.title, state.lifecycle_state, state.user_id, counts[answer.revision])
        if (shown.title, shown.lifecycle_state, shown.user_id, shown.message_count) != wanted:
            what = f"{call.call}: was shown {shown}, and revision {answer.revision} has {wanted}"
            yield Finding("diverged", session.identity, what)


def _reads_are_rightly_refused(session: Session) -> Iterator[Finding]:
    expected = ExpectedRefusals(session)
    for call in session.calls:
        if call.outcome != "refused" or call.change is not None or call.code == call.must_refuse:
            continue
        if call.code not in expected.codes(call):
            yield Finding("misjudged", session.identity, f"{call.kind} {call.call} was refused with {call.code}")


def _earlier_revisions_are_read_as_they_were(session: Session) -> Iterator[Finding]:
    """A read of an earlier revision is answered with that revision. `checker` checks the contexts of all answers."""
    for call in session.calls:
        if _is_answered_read(call) and call.answer and call.answer.revision != call.at_revision:
            what = f"{call.call}: asked for revision {call.at_revision} and was told {call.answer.revision}"
            yield Finding("diverged", session.identity, what)


def _is_answered_read(call: Call) -> bool:
    return call.kind == "earlier" and call.outcome == "done"


CONVERSATION_PROMISES: Final[Sequence[Callable[[Session], Iterator[Finding]]]] = (
    _transcript_holds_what_was_said,
    _messages_are_there_once,
    _messages_are_in_order,
    _messages_are_counted,
    _callers_are_told_their_messages,
    _edits_hold,
    _archived_sessions_take_no_changes,
    _only_owners_make_changes,
    _only_owners_are_answered,
    _others_are_told_that_there_is_no_session,
    _reads_show_one_revision,
    _reads_are_rightly_refused,
    _earlier_revisions_are_read_as_they_were,
)
