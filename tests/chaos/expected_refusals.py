"""Which refusals of a call the session's state explains: its state when the call may have been decided."""

from bisect import bisect_left, bisect_right
from itertools import accumulate

from journeys.chat_session.errors import SessionNotActive, SessionNotFound
from journeys.errors import InvalidParameter
from tests.chaos.evidence import Call
from tests.chaos.findings import Session, State, settled_at
from tests.chaos.replayed_transcripts import removed_messages, replay_transcript


class ExpectedRefusals:
    """The refusals that archiving, new owners and agents' messages lead to, in one session.

    A call is decided after everything that was settled before it was sent, and before everything that was sent after it
    had ended.
    """

    def __init__(self, session: Session) -> None:
        """Find out when each change was sent, and when it was settled."""
        self._session = session
        self._transcript = replay_transcript(session)
        rows = session.by_author
        sent: list[tuple[float, int]] = []
        settled: list[tuple[float, int]] = []
        for operation, calls in session.operations.items():
            for entry in rows.get(operation, [])[:1]:
                sent.append((min(call.invoked_at for call in calls), entry.revision))
                settled.append((settled_at(calls), entry.revision))
        sent.sort()
        settled.sort()
        self._settled_at = [at for at, _ in settled]
        self._newest = list(accumulate((revision for _, revision in settled), max))
        self._sent_at = [at for at, _ in sent]
        self._next = list(accumulate((revision for _, revision in reversed(sent)), min))[::-1]

    def revisions(self, call: Call) -> range:
        """The revisions at which a call may have been decided."""
        settled = bisect_left(self._settled_at, call.invoked_at)
        first = self._newest[settled - 1] if settled else 0
        last = len(self._session.states) - 1
        if call.ended_at is not None and (sent := bisect_right(self._sent_at, call.ended_at)) < len(self._sent_at):
            last = min(last, self._next[sent] - 1)
        return range(first, last + 1)

    def codes(self, call: Call) -> set[str]:
        """The codes that one of those revisions explains."""
        return {code for revision in self.revisions(call) if (code := self._code(call, revision))}

    def _code(self, call: Call, revision: int) -> str | None:
        state = self._session.states[revision]
        if not _is_by_owner_or_service(call, state):
            return SessionNotFound.code
        if call.kind in ("update", "signal"):
            if state.lifecycle_state != "ACTIVE":
                return SessionNotActive.code
            if self._touches_messages_of_others(call, revision):
                return InvalidParameter.code
        elif not call.by_id and state.lifecycle_state != "ACTIVE":  # the latest session is an active one
            return SessionNotFound.code
        return None

    def _touches_messages_of_others(self, call: Call, revision: int) -> bool:
        """Whether a user's call touches messages that users may not change."""
        change = call.change or {}
        messages = change.get("messages") or []
        assert isinstance(messages, list)
        named = [str(each["id"]) for each in messages if isinstance(each, dict) and "id" in each]
        touched = {*removed_messages(change), *named}
        return call.user_id is not None and any(self._transcript.is_anothers(name, revision) for name in touched)


def _is_by_owner_or_service(call: Call, state: State) -> bool:
    return call.user_id in (None, state.user_id)
