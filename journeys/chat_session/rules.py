"""The rules that decide a change, in the same order for every change.

`journeys.messages.parse` has checked the shape. The rules then look at the session as the earlier changes left it:

1. Does the session belong to this tenant and user? A message whose change is in the ledger gets the same answer again,
   even if the session belongs to another user by now.
2. Is the idempotency key known? Then the change is a duplicate or a conflict.
3. Is the session active, if its context or transcript is to be changed?
4. Is the base revision the current one?
5. Make the new context (replace or merge, then append), change the transcript, and set the active agent.
6. If the change asks for a turn, does that agent take turns?
7. Is the new context small enough?

A refused change has no effect on later changes. An accepted change is a revision, even if it changes nothing: without a
row in the ledger, nobody could find it again.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Self

from pydantic import JsonValue
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from journeys.canonical_json import CanonicalObject, canonical
from journeys.chat_session.activities import KnownChange
from journeys.chat_session.errors import ContextTooLarge, SessionNotActive, SessionNotFound
from journeys.chat_session.fold_length import UNKNOWN_LENGTH, FoldLength
from journeys.chat_session.limits import METADATA_BYTES, Limits
from journeys.chat_session.messages import ChangeRequest, SignalChatContext, UpdateChatSession
from journeys.chat_session.session import ChatSessionArtifact, Context, LedgerEntry, WrittenEntry
from journeys.chat_session.transcript import NO_EDIT, Messages, TranscriptEdit, edit_transcript
from journeys.errors import IdempotencyConflict, InvalidParameter, JourneyError, RevisionConflict
from journeys.i_json import check_i_json
from journeys.merge_patch import append_items, merge_patch
from journeys.messages import check_form


@dataclass(frozen=True, slots=True)
class Change:
    """A change that waits to be decided.

    Attributes:
        request: The request for the change.
        key: The change's idempotency key.
        identity: The identity of the message that asks for the change.
        content: See `SignalChatContext.change`.
        content_hash: Hex SHA-256 of the canonical content. Equal hashes mean the same change.
        size: Size of the canonical content in bytes.
    """

    request: SignalChatContext | UpdateChatSession
    key: str
    identity: str
    content: dict[str, JsonValue]
    content_hash: str
    size: int

    @classmethod
    def of(cls, request: SignalChatContext | UpdateChatSession, *, key: str, identity: str) -> Self:
        """The change that a request makes under an idempotency key."""
        encoded = request.canonical_change
        return cls(
            request=request,
            key=key,
            identity=identity,
            content=request.change,
            content_hash=sha256(encoded).hexdigest(),
            size=len(encoded),
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """A session as the changes decided so far leave it, with the canonical form of its context.

    Attributes:
        fold_length: The fold length of the ledger up to this revision.
    """

    session: ChatSessionArtifact
    canonical: CanonicalObject
    fold_length: FoldLength

    @classmethod
    def of(cls, session: ChatSessionArtifact, fold_length: FoldLength = UNKNOWN_LENGTH) -> Self:
        """A draft without changes, of a stored session."""
        return cls(session, CanonicalObject(session.context), fold_length)


@dataclass(frozen=True, slots=True)
class Applied:
    """The change makes a new revision: the session after it, its ledger entry, and its messages."""

    draft: Draft
    entry: WrittenEntry
    transcript: TranscriptEdit


@dataclass(frozen=True, slots=True)
class Known:
    """The ledger has the change already.

    Attributes:
        duplicate: Whether another message made it; False if this very message did, and its answer was lost.
    """

    known: KnownChange
    duplicate: bool


Decision = Applied | Known | JourneyError
"""What becomes of a change; a `JourneyError` refuses it."""


def decide(
    draft: Draft,
    change: Change,
    known: Mapping[str, KnownChange],
    limits: Limits,
    now: datetime,
    messages: Messages | None = None,
    agents: Set[str] = frozenset(),
) -> Decision:
    """Decide one change. This stores nothing.

    Args:
        draft: The session as the earlier changes left it.
        change: The change to decide.
        known: Changes that the ledger has, or that come earlier in the batch, by idempotency key.
        limits: How large the new context may be.
        now: The time at which the change is applied.
        messages: Those messages of the transcript that the change names, as the earlier changes left them.
        agents: The agents that take turns.
    """
    session, request = draft.session, change.request
    earlier = known.get(change.key)
    is_same = earlier is not None and earlier.change_hash == change.content_hash
    if earlier and is_same and earlier.message == change.identity and session.is_for(request.tenant_id, None):
        return Known(earlier, duplicate=False)
    if not session.is_for(request.tenant_id, request.user_id):
        return SessionNotFound()
    if earlier:
        if is_same:
            return Known(earlier, duplicate=True)
        return IdempotencyConflict(
            "idempotency_key: was used for another change of this session; use a new key", field="idempotency_key"
        )
    if isinstance(request, SignalChatContext) and session.lifecycle_state != "ACTIVE":
        return SessionNotActive()
    revision, updated_at = session.revision + 1, max(now, session.updated_at)
    try:
        _check_base(session, request)
        context, context_hash, edit = draft.canonical, session.context_hash, NO_EDIT
        if isinstance(request, SignalChatContext):
            context, context_hash = _change_context(draft, request)
            edit = edit_transcript(
                request,
                request.message_ids(session.chat_session_id, change.key),
                messages or {},
                revision=revision,
                at=updated_at,
            )
            _check_turn(request, request.active_agent or session.active_agent, agents)
        if context_hash != session.context_hash:  # a stored context over the limit may stay as it is
            check_context_size(context.size, limits)
    except JourneyError as error:
        return error
    asks_for_turn = isinstance(request, SignalChatContext) and request.turn
    after = session.model_copy(
        update={
            **_changed_fields(session, request),
            "context": context.document,
            "context_hash": context_hash,
            "revision": revision,
            "message_count": session.message_count + edit.added,
            "turn_revision": revision if asks_for_turn else session.turn_revision,
            "updated_at": updated_at,
        }
    )
    keeps_context = request.keeps_context
    fold_length = draft.fold_length if keeps_context else draft.fold_length.after(change.size)
    entry = WrittenEntry.model_construct(
        revision=after.revision,
        idempotency_key=change.key,
        change=change.content | dict(edit.ledger),
        change_hash=change.content_hash,
        author=request.author,
        active_agent=after.active_agent,
        context_hash=after.context_hash,
        applied_at=after.updated_at,
        turn=asks_for_turn,
        message=change.identity,
        context=after.context if not keeps_context and fold_length.changes == 0 else None,
        fold_changes=None if keeps_context else fold_length.changes,
        fold_bytes=None if keeps_context else fold_length.size,
    )
    return Applied(Draft(after, context, fold_length), entry, edit)


def as_known(entry: LedgerEntry, message_ids: tuple[str, ...] = ()) -> KnownChange:
    """A decided change, as the later changes of its batch know it.

    Args:
        entry: Its entry in the ledger.
        message_ids: The messages that it adds or replaces, in order.
    """
    return KnownChange(
        revision=entry.revision,
        idempotency_key=entry.idempotency_key,
        change_hash=entry.change_hash,
        active_agent=entry.active_agent,
        context_hash=entry.context_hash,
        applied_at=entry.applied_at,
        message=entry.message,
        message_ids=message_ids,
    )


def change_context(
    context: Context, patch: Context | None, append: Mapping[str, Sequence[JsonValue]] | None, merge_strategy: str
) -> Context:
    """The context after a change: replace or merge, then append; see `SignalChatContext` for the arguments.

    Raises:
        InvalidParameter: The context holds something other than an array where the change appends.
    """
    before: JsonValue = {} if merge_strategy == "replace" else context
    patched = before if patch is None else merge_patch(before, patch)
    assert isinstance(patched, dict)
    return append_items(patched, append) if append else patched


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


def check_arguments(arguments: Sequence[object], limits: Limits) -> bytes:
    """Check the form and the size of a call's raw arguments, without reading them.

    Returns:
        The data of the only argument.

    Raises:
        JourneyError: The arguments cannot be a request.
    """
    for argument in arguments:
        assert isinstance(argument, RawValue)
        check_payload_size(argument.payload, limits)
    return check_form(arguments)


def check_payload_size(payload: Payload, limits: Limits) -> None:
    """Check the size of a request's payload, before the client sends it and when the worker takes it in.

    Raises:
        ContextTooLarge: The size is larger than `limits.change_bytes`.
    """
    check_request_size(max(len(payload.data), payload.ByteSize() - METADATA_BYTES), limits)


def check_request_size(size: int, limits: Limits) -> None:
    """Check a request's size in bytes, as it was sent.

    Raises:
        ContextTooLarge: The size is larger than `limits.change_bytes`.
    """
    if size > limits.change_bytes:
        raise ContextTooLarge(
            f"the request has {size} bytes, {limits.change_bytes} are allowed; "
            "split the change, or keep what is large elsewhere and refer to it",
            field="context",
        )


def _check_turn(request: SignalChatContext, agent: str, agents: Set[str]) -> None:
    if request.turn and agent not in agents:
        raise InvalidParameter(f"turn: the agent {agent}, which leads, takes no turns here", field="turn")


def _changed_fields(
    session: ChatSessionArtifact, request: SignalChatContext | UpdateChatSession
) -> dict[str, str | None]:
    if isinstance(request, SignalChatContext):
        return {"active_agent": request.active_agent or session.active_agent}
    return {
        "title": session.title if request.title is None else request.title or None,
        "lifecycle_state": request.lifecycle_state or session.lifecycle_state,
        "user_id": request.new_user_id or session.user_id,
    }


def _change_context(draft: Draft, request: SignalChatContext) -> tuple[CanonicalObject, str]:
    """The context after a change, and its hash; a change that keeps the context costs the same for any context."""
    if request.keeps_context:
        return draft.canonical, draft.session.context_hash
    context = CanonicalObject(
        change_context(draft.session.context, request.context, request.append, request.merge_strategy),
        before=draft.canonical,
    )
    return context, context.hash()


def _check_base(session: ChatSessionArtifact, request: ChangeRequest) -> None:
    base = request.base_revision
    if base is not None and base != session.revision:
        raise RevisionConflict(
            f"base_revision: {base} is not the session's current revision, {session.revision}; read the session again",
            field="base_revision",
        )
