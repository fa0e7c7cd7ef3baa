"""What becomes of a change: the one order in which every change is decided.

Shape comes first and is `journeys.messages.parse`. Then, against the session as the changes before it left it:
tenant and user; key; base; replace or merge, append, agent; no change at all; size. A change that is refused leaves no
trace for those after it.
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
        request: What is asked for.
        key: Its idempotency key.
        content: What it changes, apart from who sends it and how.
        content_hash: Hex SHA-256 of the canonical content: equal for the same change.
        content_bytes: Canonical size of the content.
    """

    request: SignalChatContext
    key: str
    content: dict[str, JsonValue]
    content_hash: str
    content_bytes: int

    @classmethod
    def of(cls, request: SignalChatContext, key: str) -> Self:
        """The change that a message asks for under an idempotency key."""
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
            ContextTooLarge: It is over `limits.change_bytes`.
            InvalidParameter: It is nested more deeply than `limits.nesting`.
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
    """The change makes a new revision: the session after it, and what the ledger is to keep."""

    session: ChatSessionArtifact
    entry: LedgerEntry


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The change was applied before."""

    known: KnownChange


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The change changes nothing."""

    session: ChatSessionArtifact


@dataclass(frozen=True, slots=True)
class Refused:
    """The change is refused."""

    error: JourneyError


Decision = Applied | Duplicate | Unchanged | Refused


def decide(
    session: ChatSessionArtifact,
    change: Change,
    known: Mapping[str, KnownChange],
    limits: Limits,
    now: datetime,
) -> Decision:
    """Decide one change.

    Args:
        session: The session as the changes before this one left it.
        change: What is asked for.
        known: What the ledger, and the batch before this change, have under its key.
        limits: How large it and its outcome may be.
        now: When it is applied.

    Returns:
        What becomes of it. Nothing is stored yet.
    """
    request = change.request
    if not session.is_for(request.tenant_id, request.user_id):
        return Refused(SessionNotFound())
    if earlier := known.get(change.key):
        if earlier.change_hash == change.content_hash:
            return Duplicate(earlier)
        return Refused(
            IdempotencyConflict(
                "idempotency_key: already stands for another change of this session; use a new key",
                field="idempotency_key",
            )
        )
    try:
        change.check(limits)
        _check_base(session, request)
        context = _changed_context(session.context, request)
    except JourneyError as error:
        return Refused(error)
    agent = request.active_agent or session.active_agent
    encoded = canonical(context)
    context_hash = sha256(encoded).hexdigest()
    if context_hash == session.context_hash and agent == session.active_agent and not _always_counts(request):
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
    """What the rest of a batch knows of a change that was decided before it."""
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
            f"base_revision: {base} is ahead of the session's {session.revision}; read it again",
            field="base_revision",
        )
    if request.merge_strategy == "replace":
        raise RevisionConflict(
            f"base_revision: the session has moved on from {base} to {session.revision}; read it, then replace",
            field="base_revision",
        )


def _changed_context(context: Context, request: SignalChatContext) -> Context:
    before: JsonValue = {} if request.merge_strategy == "replace" else context
    patched = before if request.context is None else merge_patch(before, request.context)
    assert isinstance(patched, dict)
    return append_items(patched, request.append) if request.append else patched


def _always_counts(request: SignalChatContext) -> bool:
    return request.idempotency_key is not None or request.base_revision is not None


def check_context(context: Context, limits: Limits) -> None:
    """Check the size and nesting of a context that a session is to start with.

    Raises:
        ContextTooLarge: It is over `limits.context_bytes`.
        InvalidParameter: It is nested more deeply than `limits.nesting`.
    """
    check_i_json(context, field="context", depth=limits.nesting)
    check_context_size(len(canonical(context)), limits)


def check_context_size(size: int, limits: Limits) -> None:
    """Check a context's canonical size in bytes.

    Raises:
        ContextTooLarge: It is over `limits.context_bytes`.
    """
    if size > limits.context_bytes:
        raise ContextTooLarge(
            f"the context would have {size} bytes, {limits.context_bytes} are allowed; remove something first",
            field="context",
        )
