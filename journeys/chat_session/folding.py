"""A workflow's copy of the context: it serves queries and answers, and decides nothing."""

from collections import deque
from hashlib import sha256

from pydantic_core import from_json, to_json

from journeys.canonical_json import canonical
from journeys.chat_session.limits import MAX_UNFOLDED_BYTES
from journeys.chat_session.rules import change_context
from journeys.chat_session.session import Context


class FoldedContext:
    """A context, and the accepted changes that are not applied to it yet.

    It is kept as JSON: as Python's objects it would take ten times as much memory for as long as the session is live.
    """

    def __init__(self, context: Context, context_hash: str) -> None:
        """Start with a context as it is stored."""
        self._json = to_json(context)
        self._checked_hash = context_hash
        self._unfolded: deque[bytes] = deque()
        self._unfolded_bytes = 0

    def add(self, request: bytes) -> None:
        """Take an accepted change: the data of its message, as it came."""
        self._unfolded.append(request)
        self._unfolded_bytes += len(request)
        if self._unfolded_bytes > MAX_UNFOLDED_BYTES:
            self._fold()

    def read(self, context_hash: str) -> Context | None:
        """The context; None if it does not have this hash, and has to be fetched.

        Args:
            context_hash: What the stores hold.
        """
        self._fold()
        if self._checked_hash != context_hash:
            if sha256(self._json).hexdigest() != context_hash:
                return None
            self._checked_hash = context_hash
        context: Context = from_json(self._json)
        return context

    def _fold(self) -> None:
        if not self._unfolded:
            return
        context: Context = from_json(self._json)
        while self._unfolded:
            change = from_json(self._unfolded.popleft())  # it was accepted, so its shape is known
            context = change_context(
                context, change.get("context"), change.get("append"), change.get("merge_strategy") or "merge"
            )
        self._json = canonical(context)
        self._checked_hash = ""
        self._unfolded_bytes = 0
