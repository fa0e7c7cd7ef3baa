"""Sessions as this worker last stored them, so that a batch need not read what it changes."""

from collections import OrderedDict
from typing import Final

from journeys.chat_session.limits import MIB
from journeys.chat_session.rules import Draft

_MAX_SESSIONS: Final = 1000
# Of canonical JSON. As Python objects the contexts take several times as much.
_MAX_BYTES: Final = 2 * MIB


class SessionCache:
    """A bounded cache. It answers only for the revision and the context hash that are asked for."""

    def __init__(self) -> None:
        self._drafts: OrderedDict[str, Draft] = OrderedDict()
        self._bytes = 0

    def get(self, chat_session_id: str, revision: int | None, context_hash: str | None) -> Draft | None:
        """The session at this revision; None if it is not here."""
        draft = self._drafts.get(chat_session_id)
        if draft is None or (draft.session.revision, draft.session.context_hash) != (revision, context_hash):
            return None
        self._drafts.move_to_end(chat_session_id)
        return draft

    def put(self, draft: Draft) -> None:
        """Keep a session as both stores hold it, instead of the one longest unused if there are too many."""
        self.forget(draft.session.chat_session_id)
        self._drafts[draft.session.chat_session_id] = draft
        self._bytes += draft.canonical.size
        while len(self._drafts) > _MAX_SESSIONS or self._bytes > _MAX_BYTES:
            _, oldest = self._drafts.popitem(last=False)
            self._bytes -= oldest.canonical.size

    def forget(self, chat_session_id: str) -> None:
        """Drop a session."""
        if draft := self._drafts.pop(chat_session_id, None):
            self._bytes -= draft.canonical.size
