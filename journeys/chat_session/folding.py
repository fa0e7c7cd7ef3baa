"""Contexts folded from an earlier context and the accepted changes after it."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from pydantic_core import from_json, to_json

from journeys.canonical_json import canonical
from journeys.chat_session.limits import MAX_UNFOLDED_BYTES
from journeys.chat_session.rules import change_context
from journeys.chat_session.session import Context


def fold_changes(context: Context, changes: Iterable[Mapping[str, Any]]) -> Context:
    """Apply accepted changes, as they were sent or as the ledger holds them, in order."""
    for change in changes:
        context = change_context(
            context, change.get("context"), change.get("append"), change.get("merge_strategy") or "merge"
        )
    return context


class FoldedContext:
    """A workflow's copy of the context, and the accepted changes that are not applied to it yet.

    The copy serves queries and answers, and decides nothing.

    It is kept as JSON: as Python objects it would take ten times as much memory for as long as the session is live.
    """

    def __init__(self, context: Context, context_hash: str) -> None:
        """Start with a context as it is stored."""
        self._json = to_json(context)
        self._checked_hash = context_hash
        self._unfolded: list[bytes] = []
        self._unfolded_bytes = 0

    def add_all(self, requests: Iterable[bytes]) -> None:
        """Take the accepted changes of a batch: the data of their messages, as they came, in order.

        Once the waiting changes are large, they are applied all together: applying even one costs as much as the whole
        context.
        """
        for request in requests:
            self._unfolded.append(request)
            self._unfolded_bytes += len(request)
        if self._unfolded_bytes > MAX_UNFOLDED_BYTES:
            self._fold()

    def read(self, context_hash: str) -> Context | None:
        """The context; None if it does not have this hash, so that it has to be fetched.

        Args:
            context_hash: The hash of the context that the stores hold.
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
        context = fold_changes(from_json(self._json), map(from_json, self._unfolded))  # all of them were accepted
        self._unfolded.clear()
        self._json = canonical(context)
        self._checked_hash = ""
        self._unfolded_bytes = 0
