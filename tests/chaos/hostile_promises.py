"""What is promised of messages that are meant to stop a session, beyond what is promised of all."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pydantic import JsonValue

from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.messages import SignalChatContext
from tests.chaos.findings import Finding, Flaw, Session

_FIELDS: Final = {"", *SignalChatContext.model_fields}


def _refused_leave_no_trace(session: Session) -> Iterator[Finding]:
    """Nothing of a refused message is in the session or its ledger, under any author or key."""
    refused = {call.key: call for call in session.calls if call.hostile and call.must_refuse and call.key}
    places = {"the context": texts(session.stored.context)}
    for entry in session.stored.ledger:
        places[f"revision {entry.revision}"] = {entry.idempotency_key, entry.author or "", *texts(entry.change)}
    for place, found in places.items():
        for key in sorted(found & refused.keys()):
            call = refused[key]
            flaw: Flaw = "leak" if call.must_refuse == SessionNotFound.code else "misjudged"
            what = f"{place} holds what was refused with {call.must_refuse} ({call.hostile}: {key})"
            yield Finding(flaw, session.opening.chat_session_id, what)


def _refusals_tell_nothing(session: Session) -> Iterator[Finding]:
    """Of a refused signal, only its code and the name of a field are shown."""
    refusals = session.stored.refusals
    for refusal in refusals.last if refusals else ():
        if refusal.field not in _FIELDS or not refusal.code.isupper():
            yield Finding("leak", session.opening.chat_session_id, f"a refusal shows {refusal.code} {refusal.field}")


def texts(value: JsonValue) -> set[str]:
    """All texts in a JSON value, names of members included."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        return set(value).union(*map(texts, value.values()))
    if isinstance(value, list):
        return set().union(*(texts(each) for each in value if not isinstance(each, float | int)))
    return set()


HOSTILE_PROMISES: Final[Sequence[Callable[[Session], Iterator[Finding]]]] = (
    _refused_leave_no_trace,
    _refusals_tell_nothing,
)
