"""The rules that decide a change, in the same order for every change.

`journeys.messages.parse` has checked the shape. The rules then look at the session as the earlier changes left it:

1. Is the session this tenant's and user's?
2. Is the idempotency key known? If so, the change is a duplicate or a conflict.
3. Is the change itself small and flat enough?
4. Does the base revision fit?
5. Make the new context (replace or merge, then append) and the new active agent.
6. Does anything change? If not, only a key or a base revision in the request makes it a revision.
7. Is the new context small enough?

A refused change has no effect on later changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Self

from pydantic import JsonValue

from journeys.canonical_json import canonical
from journeys.chat_session.activities import KnownChange
from journeys.chat_session.errors import ContextTooLarge, SessionNotFound
from journeys.chat_session.limits import Limits
from journeys.chat_session.messages import SignalChatContext
from journeys.chat_session.session import ChatSessionArtifact, Context, LedgerEntry
from journeys.errors import IdempotencyConflict, JourneyError, RevisionConflict
from journeys.i_json import check_i_json
from journeys.merge_patch import append_items, merge_patch


@dataclass(frozen=True, slots=True)
class Change:
    """A change that waits to be decided.

    Attributes:
        request: The request for the change.
        key: The change's idempotency key.
        content: See `SignalChatContext.change`.
        content_hash: Hex SHA-256 of the canonical content. Equal hashes mean the same change.
        content_bytes: Canonical size of the content.
    """

    request: SignalChatContext
    key: str
    content: dict[str, JsonValue]
    content_hash: str
    content_bytes: int

    @classmethod
    def of(cls, request: SignalChatContext, key: str) -> Self:
        """The change that a request makes under an idempotency key."""
        content = request.change
        encoded = canonical(content)
        return cls(
            request=request,
            key=key,
            content=content,
            content_hash=sha256(encoded).hexdigest(),
            content_bytes=len(encoded),
        )

    def check(self, limits: Limits) -> None:
        """Check the change's own size and nesting.

        Raises:
            ContextTooLarge: The change is larger than `limits.change_bytes`.
            InvalidParameter: The change is nested more deeply than `limits.nesting`.
        """
        check_i_json(self.request.context, field="context", depth=limits.nesting)
        check_i_json(self.request.append, field="append", depth=limits.nesting)
        if self.content_bytes > limits.change_bytes:
            raise ContextTooLarge(
                f"the change has {self.content_bytes} bytes, {limits.change_bytes} are allowed; send it in parts",
                field="context",
            )


@dataclass(frozen=True, slots=True)
class Applied:
    """The change makes a new revision: the session after it, and its ledger entry."""

    session: ChatSessionArtifact
    entry: LedgerEntry


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The change was applied before."""

    known: KnownChange


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The change leaves the session as it is."""

    session: ChatSessionArtifact


@dataclass(frozen=True, slots=True)
class Refused:
    """The change is refused with an error."""

    error: JourneyError


Decision = Applied | Duplicate | Unchanged | Refused


def decide(
    session: ChatSessionArtifact,
    change: Change,
    known: Mapping[str, KnownChange],
    limits: Limits,
    now: datetime,
) -> Decision:
    """Decide one change. This stores nothing.

    Args:
        session: The session as the earlier changes left it.
        change: The change to decide.
        known: Changes that the ledger has, or that come earlier in the batch, by idempotency key.
        limits: How large the change and the new context may be.
        now: The time at which the change is applied.
    """
    request = change.request
    if not session.is_for(request.tenant_id, request.user_id):
        return Refused(SessionNotFound())
    if earlier := known.get(change.key):
        if earlier.change_hash == change.content_hash:
            return Duplicate(earlier)
        return Refused(
            IdempotencyConflict(
                "idempotency_key: was used for another change of this session; use a new key",
                field="idempotency_key",
            )
        )
    try:
        change.check(limits)
        _check_base(session, request)
        context = _new_context(session.context, request)
    except JourneyError as error:
        return Refused(error)
    agent = request.active_agent or session.active_agent
    encoded = canonical(context)
    context_hash = sha256(encoded).hexdigest()
    if context_hash == session.context_hash and agent == session.active_agent and not _always_makes_a_revision(request):
        return Unchanged(session)
    if context_hash != session.context_hash:
        try:
            check_context_size(len(encoded), limits)
        except JourneyError as error:
            return Refused(error)
    after = session.model_copy(
        update={
            "context": context,
            "active_agent": agent,
            "context_hash": context_hash,
            "revision": session.revision + 1,
            "updated_at": max(now, session.updated_at),
        }
    )
    entry = LedgerEntry(
        revision=after.revision,
        idempotency_key=change.key,
        change=change.content,
        change_hash=change.content_hash,
        author=request.author,
        active_agent=agent,
        context_hash=context_hash,
        applied_at=after.updated_at,
    )
    return Applied(after, entry)


def as_known(entry: LedgerEntry) -> KnownChange:
    """A decided change, as the later changes of its batch know it."""
    return KnownChange(
        revision=entry.revision,
        idempotency_key=entry.idempotency_key,
        change_hash=entry.change_hash,
        active_agent=entry.active_agent,
        context_hash=entry.context_hash,
        applied_at=entry.applied_at,
    )


def _check_base(session: ChatSessionArtifact, request: SignalChatContext) -> None:
    base = request.base_revision
    if base is None or base == session.revision:
        return
    if base > session.revision:
        raise RevisionConflict(
            f"base_revision: {base} is ahead of the session's {session.revision}; read the session again",
            field="base_revision",
        )
    if request.merge_strategy == "replace":
        raise RevisionConflict(
            f"base_revision: the session has moved on from {base} to {session.revision}; read it again, then replace",
            field="base_revision",
        )


def _new_context(context: Context, request: SignalChatContext) -> Context:
    before: JsonValue = {} if request.merge_strategy == "replace" else context
    patched = before if request.context is None else merge_patch(before, request.context)
    assert isinstance(patched, dict)
    return append_items(patched, request.append) if request.append else patched


def _always_makes_a_revision(request: SignalChatContext) -> bool:
    return request.idempotency_key is not None or request.base_revision is not None


def check_context(context: Context, limits: Limits) -> None:
    """Check the size and nesting of a new session's context.

    Raises:
        ContextTooLarge: The context is larger than `limits.context_bytes`.
        InvalidParameter: The context is nested more deeply than `limits.nesting`.
    """
    check_i_json(context, field="context", depth=limits.nesting)
    check_context_size(len(canonical(context)), limits)


def check_context_size(size: int, limits: Limits) -> None:
    """Check a context's canonical size in bytes.

    Raises:
        ContextTooLarge: The size is larger than `limits.context_bytes`.
    """
    if size > limits.context_bytes:
        raise ContextTooLarge(
            f"the context would have {size} bytes, {limits.context_bytes} are allowed; remove something first",
            field="context",
        )
