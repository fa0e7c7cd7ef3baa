"""Looks for broken promises in the evidence. Pure: the same evidence has the same findings.

A change is found by the name of its operation, which no other operation has: the name is the change's `author`, and
usually a part of the change and of its key.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from journeys.canonical_json import canonical, canonical_hash
from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.keys import update_key
from journeys.chat_session.names import workflow_id
from journeys.chat_session.refusals import Refusals
from journeys.chat_session.session import LedgerEntry
from journeys.errors import IdempotencyConflict, RevisionConflict
from tests.chaos.conversation_promises import CONVERSATION_PROMISES
from tests.chaos.deletion_promises import DELETION_PROMISES, erasures_are_complete, tombstones_are_registered
from tests.chaos.evidence import LAST_CALLER, Call, Evidence
from tests.chaos.expected_refusals import ExpectedRefusals
from tests.chaos.findings import Finding, Flaw, Session, settled_at
from tests.chaos.hostile_promises import HOSTILE_PROMISES
from tests.chaos.owners import owners
from tests.chaos.replayed_sessions import replay
from tests.chaos.replayed_transcripts import as_in_the_ledger


def check(evidence: Evidence) -> list[Finding]:
    """Check a run.

    Returns:
        One finding for each broken promise.
    """
    findings = list(_one_session_each(evidence))
    for session in _sessions(evidence):
        for promise in _PROMISES_OF_DELETED if session.stored.is_deleted else _PROMISES:
            findings += promise(session)
    findings += erasures_are_complete(evidence)
    findings += tombstones_are_registered(evidence)
    findings += _stores_agree(evidence)
    findings += _answers_are_whole(evidence)
    findings += _all_went_on(evidence)
    return findings


def _sessions(evidence: Evidence) -> Iterator[Session]:
    stored = {each.chat_session_id: each for each in evidence.stored}
    calls: dict[str, list[Call]] = defaultdict(list)
    for call in evidence.calls:
        calls[call.chat_session_id].append(call)
    for opening in evidence.openings:
        if found := stored.get(opening.chat_session_id):
            yield Session(opening, found, replay(opening, found.ledger), calls[opening.chat_session_id])


# Promises of the whole run.


def _one_session_each(evidence: Evidence) -> Iterator[Finding]:
    keys = Counter(each.idempotency_key for each in evidence.stored)
    stored = {each.chat_session_id for each in evidence.stored}
    created = defaultdict(set)
    creators = Counter(
        call.chat_session_id
        for call in evidence.calls
        if call.outcome == "done" and call.answer and call.answer.created
    )
    for identity, count in creators.items():
        if count > 1:
            yield Finding("split", identity, f"{count} initializations were told that they created the session")
    for call in evidence.calls:
        if call.kind != "initialize" or call.outcome != "done" or call.answer is None:
            continue
        created[call.chat_session_id].add((call.answer.chat_session_id, call.answer.created_at))
        if call.chat_session_id not in stored:
            yield Finding("lost", call.chat_session_id, f"{call.call}: was initialized, and there is no row")
    for identity, answers in created.items():
        if len(answers) > 1 or any(answered != identity for answered, _ in answers):
            yield Finding("split", identity, f"initializations were answered {sorted(map(str, answers))}")
    for key, count in keys.items():
        if count > 1:
            yield Finding("split", "", f"{count} sessions under the key {key}")
    yield from _ids_are_derived(evidence)
    for run in evidence.failed_runs:
        yield Finding("broken", run.partition("/")[2].partition(":")[0], f"a run must not end like this: {run}")
    for run in evidence.unreplayable:
        yield Finding("broken", "", f"run {run} cannot be replayed")


def _ids_are_derived(evidence: Evidence) -> Iterator[Finding]:
    known = {each.chat_session_id: each for each in evidence.openings}
    for session in evidence.stored:
        identity = session.chat_session_id
        opening = known.get(identity)
        if opening is None:
            yield Finding("invented", identity, "a session that nobody asked for")
        elif (session.tenant_id, session.idempotency_key) != (opening.tenant_id, opening.idempotency_key):
            yield Finding("split", identity, "the row is another tenant's or initialization's")
        elif workflow_id(identity) not in evidence.workflow_ids and not session.is_deleted:
            yield Finding("split", identity, "no workflow has the session's ID")
    for name in evidence.workflow_ids:
        if name.partition("/")[2] not in known:
            yield Finding("invented", "", f"a workflow that nobody asked for: {name}")


def _stores_agree(evidence: Evidence) -> Iterator[Finding]:
    artifacts = {each.artifact_id: each for each in evidence.artifacts}
    views = {each.chat_session_id: each for each in evidence.views}
    stored = {each.chat_session_id for each in evidence.stored}
    for session in evidence.stored:
        if session.is_deleted:
            continue
        identity = session.chat_session_id
        wanted: dict[str, object] = {
            "tenant_id": session.tenant_id,
            "revision": session.revision,
            "updated_at": session.updated_at,
            "active_agent": session.active_agent,
            "context": canonical(session.context),
            "lifecycle_state": session.lifecycle_state,
            "title": session.title,
            "message_count": session.message_count,
        }
        refusals = session.refusals or Refusals()
        if (artifact := artifacts.get(identity)) is None:
            yield Finding("lost", identity, "is not registered in the State Surface")
        else:
            payload = artifact.semantic_payload
            yield from _differences(
                "the State Surface",
                identity,
                wanted,
                {
                    "tenant_id": artifact.tenant_id,
                    "revision": artifact.revision,
                    "updated_at": artifact.updated_at,
                    "active_agent": payload.get("active_agent"),
                    "context": canonical(payload.get("context")),
                    "lifecycle_state": artifact.lifecycle_state,
                    "title": artifact.semantic_descriptor.get("title"),
                    "message_count": artifact.semantic_descriptor.get("message_count"),
                },
            )
        if (view := views.get(identity)) is None:
            yield Finding("lost", identity, "cannot be read through its journey")
        else:
            yield from _differences(
                "the journey",
                identity,
                wanted,
                {name: getattr(view, name) for name in wanted} | {"context": canonical(view.context)},
            )
            wanted = {"refusals": refusals, "user_id": session.user_id}
            yield from _differences("the journey", identity, wanted, {name: getattr(view, name) for name in wanted})
    for identity in artifacts.keys() - stored:
        yield Finding("invented", identity, "is in the State Surface alone")


def _differences(where: str, identity: str, wanted: dict[str, object], found: dict[str, object]) -> Iterator[Finding]:
    for name, value in wanted.items():
        if found[name] != value:
            yield Finding("diverged", identity, f"{where}: {name} is {_short(found[name])}, not {_short(value)}")


def _answers_are_whole(evidence: Evidence) -> Iterator[Finding]:
    for call in evidence.calls:
        if call.outcome == "broken":
            yield Finding("broken", call.chat_session_id, f"{call.call} ({call.kind}): {call.code}")
        answer = call.answer
        if call.outcome != "done" or answer is None:
            continue
        if call.must_refuse == SessionNotFound.code:
            yield Finding("leak", call.chat_session_id, f"{call.call}: a stranger's {call.kind} was answered")
        elif foreign := ({answer.tenant_id or call.tenant_id} | set(answer.owners)) - {call.tenant_id}:
            yield Finding("leak", call.chat_session_id, f"{call.call}: {call.tenant_id} saw {sorted(foreign)}")
        elif answer.chat_session_id not in (None, call.chat_session_id):
            yield Finding("leak", call.chat_session_id, f"{call.call}: answered {answer.chat_session_id}")
    for session in evidence.stored:
        held = owners(session.context).union(*(owners(row.body) for row in session.transcript))
        if foreign := held - {session.tenant_id}:
            yield Finding("leak", session.chat_session_id, f"holds content of {sorted(foreign)}")


def _all_went_on(evidence: Evidence) -> Iterator[Finding]:
    answered = {call.operation for call in evidence.calls if call.outcome in ("done", "refused")}
    last = {call.operation: call for call in evidence.calls if call.caller == LAST_CALLER}
    for operation, call in last.items():
        if operation not in answered:
            yield Finding("stuck", call.chat_session_id, f"{operation} ({call.kind}): {call.outcome} {call.code}")


# Promises of one session.


def _revisions_follow(session: Session) -> Iterator[Finding]:
    identity = session.opening.chat_session_id
    revisions = [entry.revision for entry in session.stored.ledger]
    if revisions != list(range(1, len(revisions) + 1)):
        missing = sorted(set(range(1, max(revisions) + 1)) - set(revisions))
        yield Finding("gap", identity, f"the ledger lacks {missing} or has revisions twice")
    if session.stored.revision != len(revisions):
        yield Finding("gap", identity, f"{len(revisions)} changes led to revision {session.stored.revision}")


def _creation_is_recorded(session: Session) -> Iterator[Finding]:
    identity = session.opening.chat_session_id
    creation = session.stored.creation
    if creation is None:
        yield Finding("gap", identity, "the ledger has no entry for the creation")
        return
    first = session.states[0]
    wanted: dict[str, object] = {
        "context_hash": first.context_hash,
        "active_agent": first.active_agent,
        "applied_at": session.stored.created_at,
        "change_hash": canonical_hash(creation.change),
        "message": None,
    }
    yield from _differences("the creation", identity, wanted, {name: getattr(creation, name) for name in wanted})
    if not creation.idempotency_key.startswith("initialize/"):
        yield Finding("diverged", identity, f"the creation has the key {creation.idempotency_key}")


def _messages_are_known(session: Session) -> Iterator[Finding]:
    """Each change names the message that made it, and no message made two."""
    identity = session.opening.chat_session_id
    made = Counter(entry.message for entry in session.stored.ledger)
    for message, count in made.items():
        if message is None:
            yield Finding("invented", identity, f"{count} changes do not say which message made them")
        elif count > 1:
            yield Finding("doubled", identity, f"message {message} made {count} changes")


def _refused_signals_are_counted(session: Session) -> Iterator[Finding]:
    rows = session.by_author
    keys = {entry.idempotency_key for entry in session.stored.ledger}
    refused = 0
    for call in session.calls:
        if call.kind == "signal" and call.outcome == "done" and call.must_refuse != SessionNotFound.code:
            refused += bool(call.must_refuse) or not (call.operation in rows or call.key in keys)
    shown = session.stored.refusals.count if session.stored.refusals else 0
    if shown < refused:
        yield Finding("lost", session.opening.chat_session_id, f"{refused} signals were refused, {shown} are counted")


def _ledger_replays(session: Session) -> Iterator[Finding]:
    identity = session.opening.chat_session_id
    for entry, state in zip(session.stored.ledger, session.states[1:], strict=True):
        where = f"revision {entry.revision} ({entry.author})"
        if entry.context_hash != state.context_hash:
            yield Finding("diverged", identity, f"{where}: the context is not what the changes before it make")
            return  # all later contexts would differ, too
        if entry.active_agent != state.active_agent:
            yield Finding("diverged", identity, f"{where}: {entry.active_agent} leads, not {state.active_agent}")
    final = session.states[-1]
    if canonical(session.stored.context) != canonical(final.context):
        yield Finding("diverged", identity, "the stored context is not what the ledger's changes make")
    if session.stored.context_hash != final.context_hash or session.stored.active_agent != final.active_agent:
        yield Finding("diverged", identity, "the stored hash or agent is not what the ledger's changes make")


def _changes_are_applied_once(session: Session) -> Iterator[Finding]:
    rows = session.by_author
    operations = session.operations
    expected = ExpectedRefusals(session)
    keys = {entry.idempotency_key: entry for entry in session.stored.ledger}
    for author, entries in rows.items():
        calls = operations.get(author)
        where = f"revisions {[entry.revision for entry in entries]} ({author})"
        if not calls:
            yield Finding("invented", session.opening.chat_session_id, f"{where}: nobody sent this")
            continue
        if len(entries) > 1:
            yield Finding("doubled", session.opening.chat_session_id, f"{where}: {_outcomes_of(calls)}")
        yield from _is_applied_as_sent(session, entries[0], calls)
    for operation, calls in operations.items():
        yield from _outcomes_hold(session, operation, calls, rows.get(operation, []), keys, expected)


def _is_applied_as_sent(session: Session, entry: LedgerEntry, calls: Sequence[Call]) -> Iterator[Finding]:
    identity = session.opening.chat_session_id
    sent = calls[0]
    where = f"revision {entry.revision} ({sent.operation})"
    if canonical(entry.change) != canonical(as_in_the_ledger(identity, entry.idempotency_key, sent)):
        yield Finding("invented", identity, f"{where}: is not the change that was sent")
    if entry.change_hash != canonical_hash(sent.change):
        yield Finding("diverged", identity, f"{where}: the change's hash is another's")
    if sent.must_refuse:
        flaw: Flaw = "leak" if sent.must_refuse == SessionNotFound.code else "misjudged"
        yield Finding(flaw, identity, f"{where}: is applied, but had to be refused with {sent.must_refuse}")
    expected = {key for call in calls if (key := _key(call)) is not None}
    if expected and entry.idempotency_key not in expected:
        yield Finding("invented", identity, f"{where}: is applied under another key than its own")
    bases = {call.base_revision for call in calls}
    if None not in bases and entry.revision - 1 not in bases:
        yield Finding("misjudged", identity, f"{where}: was sent against revisions {sorted(map(str, bases))}")


def _key(call: Call) -> str | None:
    if call.key is None and call.base_revision is not None:
        return update_key(
            call.chat_session_id,
            canonical(call.change or {}),
            base_revision=call.base_revision,
            author=call.operation,
            message="",
        )
    return call.key


def _outcomes_hold(
    session: Session,
    operation: str,
    calls: Sequence[Call],
    rows: Sequence[LedgerEntry],
    keys: dict[str, LedgerEntry],
    expected: ExpectedRefusals,
) -> Iterator[Finding]:
    identity = session.opening.chat_session_id
    for call in calls:
        taken = keys.get(_key(call) or "")
        taken_by_another = taken is not None and taken.author != operation
        if call.outcome == "refused" and call.code not in expected.codes(call):
            yield from _rightly_refused(call, calls, rows, taken_by_another=taken_by_another)
        if call.outcome != "done":
            continue
        if call.must_refuse:
            if call.kind != "signal":
                yield Finding("misjudged", identity, f"{call.call}: was not refused with {call.must_refuse}")
            continue
        if not rows:
            if call.kind == "signal" and (taken_by_another or expected.codes(call)):
                continue  # another change had its key, or the session refused such changes at that time
            yield Finding("lost", identity, f"{operation}: {call.kind} {call.call} was accepted, but is not applied")
        elif call.answer and call.answer.applied_revision not in (None, *(row.revision for row in rows)):
            yield Finding(
                "diverged",
                identity,
                f"{operation}: was told revision {call.answer.applied_revision}, is at {rows[0].revision}",
            )


def _rightly_refused(
    call: Call, calls: Sequence[Call], rows: Sequence[LedgerEntry], *, taken_by_another: bool
) -> Iterator[Finding]:
    where = f"{call.operation}: {call.kind} {call.call} was refused with {call.code}"
    if call.code == call.must_refuse:
        return
    if call.code == IdempotencyConflict.code and taken_by_another:
        return
    if call.code == RevisionConflict.code and call.base_revision is not None:
        # Sent against another base, the same change may be applied.
        if rows and rows[0].revision - 1 == call.base_revision:
            yield Finding("misjudged", call.chat_session_id, f"{where}, but is applied at {rows[0].revision}")
        elif rows and rows[0].idempotency_key == _key(call) and _was_settled_before(call, calls):
            yield Finding("misjudged", call.chat_session_id, f"{where}, and its key was known")
        return
    yield Finding("misjudged", call.chat_session_id, where)


def _was_settled_before(call: Call, calls: Sequence[Call]) -> bool:
    """Whether another call of the operation had been answered when this one was sent."""
    return any(
        each.kind != "signal" and each.outcome == "done" and each.ended_at and each.ended_at < call.invoked_at
        for each in calls
    )


def _in_order(session: Session) -> Iterator[Finding]:
    """A change that was acknowledged, or accepted, before another one was sent is applied before it."""
    rows = session.by_author
    sent: list[tuple[float, int, str]] = []
    settled: list[tuple[float, int, str]] = []
    for operation, calls in session.operations.items():
        if len(rows.get(operation, [])) != 1:
            continue
        revision = rows[operation][0].revision
        sent.append((min(call.invoked_at for call in calls), revision, operation))
        settled.append((settled_at(calls), revision, operation))
    sent.sort()
    settled.sort()
    newest = (0, "")
    place = 0
    for invoked_at, revision, operation in sent:
        while place < len(settled) and settled[place][0] < invoked_at:
            newest = max(newest, settled[place][1:])
            place += 1
        if newest[0] > revision:
            yield Finding(
                "reordered",
                session.opening.chat_session_id,
                f"{operation} is at {revision}, but was sent after {newest[1]} at {newest[0]} was settled",
            )


def _reads_do_not_go_back(session: Session) -> Iterator[Finding]:
    """No read is older than a change that was acknowledged before the read; a read may show unacknowledged changes.

    An initialization of a session that exists is a read: it is answered with the session as it is now.
    """
    seen = sorted(
        (call.ended_at, call.answer.applied_revision or 0, call.call)
        for call in session.calls
        if call.kind in ("update", "edit") and call.outcome == "done" and call.answer and call.ended_at
    )
    reads = sorted(
        (call.invoked_at, call.answer.revision, call.call)
        for call in session.calls
        if call.kind in ("initialize", "get", "history")
        and call.outcome == "done"
        and call.answer
        and call.answer.revision is not None
    )
    newest = (0, "")
    place = 0
    for invoked_at, revision, name in reads:
        while place < len(seen) and seen[place][0] < invoked_at:
            newest = max(newest, seen[place][1:])
            place += 1
        if revision < newest[0]:
            yield Finding(
                "stale",
                session.opening.chat_session_id,
                f"{name} read revision {revision}, after {newest[1]} was told {newest[0]}",
            )


def _answers_are_true(session: Session) -> Iterator[Finding]:
    """An answer shows the session at the revision that it names, which is no older than the call's own change."""
    identity = session.opening.chat_session_id
    keys = [(entry.revision, entry.idempotency_key) for entry in session.stored.ledger]
    for call in session.calls:
        answer = call.answer
        if call.outcome != "done" or answer is None:
            continue
        for revision, key in answer.entries:
            if (revision, key) not in keys:
                yield Finding("diverged", identity, f"{call.call}: read {key} at {revision} of the ledger")
        if answer.context_hash is None or answer.revision is None:
            continue
        if answer.revision >= len(session.states):
            yield Finding("lost", identity, f"{call.call}: was told revision {answer.revision}, which is not there")
            continue
        state = session.states[answer.revision]
        told = (answer.context_hash, answer.content_hash or answer.context_hash, answer.active_agent)
        if told != (state.context_hash, state.context_hash, state.active_agent):
            yield Finding("diverged", identity, f"{call.call}: was told another state of revision {answer.revision}")
        since = session.stored.ledger[answer.revision - 1].applied_at if answer.revision else session.stored.created_at
        if answer.updated_at not in (None, since):
            yield Finding(
                "diverged",
                identity,
                f"{call.call} ({call.kind}): was told that revision {answer.revision} is of {answer.updated_at}, "
                f"and it is of {since}",
            )
        if (answer.applied_revision or 0) > answer.revision:
            yield Finding("diverged", identity, f"{call.call}: was told a state older than its own change")


_PROMISES: Final[Sequence[Callable[[Session], Iterator[Finding]]]] = (
    _revisions_follow,
    _creation_is_recorded,
    _messages_are_known,
    _refused_signals_are_counted,
    _ledger_replays,
    _changes_are_applied_once,
    _in_order,
    _reads_do_not_go_back,
    _answers_are_true,
    *CONVERSATION_PROMISES,
    *HOSTILE_PROMISES,
)
_PROMISES_OF_DELETED: Final[Sequence[Callable[[Session], Iterator[Finding]]]] = DELETION_PROMISES


def _outcomes_of(calls: Sequence[Call]) -> str:
    return ", ".join(f"{call.kind} {call.call} {call.outcome}" for call in calls)


def _short(value: object) -> str:
    return repr(value)[:80]
