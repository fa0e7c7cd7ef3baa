"""The revisions that a client has read, so that a later read shows no earlier state.

After an activity has stored a change, the store is ahead of the journey's own copy until the activity's result arrives.
"""

from collections import OrderedDict
from typing import Final

_MAX_SESSIONS: Final = 1000


class ReadRevisions:
    """The highest revision that was read of each session, for the sessions that were read last."""

    def __init__(self) -> None:
        self._revisions: OrderedDict[str, int] = OrderedDict()

    def is_current(self, chat_session_id: str, revision: int) -> bool:
        """Whether no later revision of this session was read."""
        return revision >= self._revisions.get(chat_session_id, 0)

    def add(self, chat_session_id: str, revision: int) -> None:
        """Remember a revision that was read."""
        self._revisions[chat_session_id] = max(revision, self._revisions.pop(chat_session_id, 0))
        if len(self._revisions) > _MAX_SESSIONS:
            self._revisions.popitem(last=False)
