"""Decides a batch of messages and stores it in both stores.

Supabase is written first, then the State Surface; no transaction spans both. The activity may die at any point and run
again: a message whose change is in the ledger already is answered as applied. Nothing is answered before both stores
hold it, and a decision that writes nothing holds only once the store has confirmed the revision that it was made on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.agent_turns import AgentTurns
from activities.chat_session_artifacts import as_artifact, as_deleted_artifact
from activities.chat_session_cache import SessionCache
from activities.chat_session_messages import MessageParser, ParsedMessage
from activities.large_work import heartbeat_while, run_by_size
from journeys.chat_session.activities import (
    Batch,
    DecidedBatch,
    KnownChange,
    Outcome,
    Refused,
    SessionSettings,
    SessionState,
)
from journeys.chat_session.agent_turns import AgentTurn
from journeys.chat_session.deletion import Tombstone
from journeys.chat_session.errors import ContextTooLarge, SessionNotFound
from journeys.chat_session.messages import (
    DeleteChatSession,
    InitializeChatSession,
    SignalChatContext,
    UpdateChatContext,
    UpdateChatSession,
)
from journeys.chat_session.refusals import NO_REFUSALS, Refusal, Refusals
from journeys.chat_session.rules import (
    Applied,
    Change,
    Decision,
    Draft,
    as_known,
    decide,
)
from journeys.chat_session.session import ChatSessionArtifact, WrittenEntry
from journeys.chat_session.transcript import StoredMessage, TranscriptDraft
from journeys.errors import DatabaseUnavailable, EngineUnavailable, InvalidParameter, JourneyError
from journeys.failures import from_failure
from journeys.retry_policies import LOCAL_ATTEMPTS
from journeys.state_surface import StateSurface, SurfaceArtifact
from stores.chat_sessions_supabase import ChatSessionsSupabase, StoredSession
from stores.deletions_supabase import DeletionsSupabase

_ROUNDS: Final = 10
# The prefix of the key of revision 0. The first run ID follows it.
_CREATION: Final = "initialize/"


class _SessionDeleted(Exception):  # noqa: N818 - no error: it leads to the answers for a deleted session
    """The session is deleted.

    Attributes:
        before: The outcomes of the messages before the deletion, if this batch deleted the session.
    """

    def __init__(self, tombstone: Tombstone, before: Sequence[Outcome] = ()) -> None:
        super().__init__()
        self.tombstone = tombstone
        self.before = before


class _Superseded(Exception):  # noqa: N818 - no error: this batch stays undecided
    """A later batch has changed the session.

    A worker that was paused may go on with a workflow task that another worker has completed meanwhile. A change that
    was refused there is not in the ledger, so this batch might now accept it.
    """


@dataclass(frozen=True, slots=True)
class _Decided:
    """A batch as it is decided and not yet stored."""

    draft: Draft
    decisions: list[Decision | InitializeChatSession]
    entries: list[WrittenEntry]
    transcript: TranscriptDraft


@dataclass(slots=True)
class BatchDecider:
    """Decides one batch for one session."""

    sessions: ChatSessionsSupabase
    deletions: DeletionsSupabase
    surface: StateSurface
    turns: AgentTurns
    cache: SessionCache
    settings: SessionSettings
    chat_session_id: str
    batch: Batch
    _creation_key: str | None = field(init=False, default=None)
    _is_known_to_workflow: bool = field(init=False, default=False)
    _was_just_read: bool = field(init=False, default=False)  # in this activity, and nothing was written since
    _stored_refusals: Refusals = field(init=False, default=NO_REFUSALS)
    _refused: Refusals = field(init=False, default=NO_REFUSALS)  # those that the workflow has refused, until stored
    _advanced_from: int | None = field(init=False, default=None)
    _argument_error: JourneyError | None = field(init=False, default=None)
    _agents: dict[int, str] = field(init=False, default_factory=dict)  # that lead after each revision of the batch

    async def decide(self, payloads: Sequence[bytes]) -> DecidedBatch:
        """Decide the batch.

        Args:
            payloads: The workflow's argument if the batch has it, then the data of each message.

        Returns:
            The decision, perhaps of the first messages only; the others wait for the next batch.

        Raises:
            JourneyError: The stored session cannot be loaded.
            ApplicationError: A store cannot be reached.
        """
        argument = payloads[0] if self.batch.has_argument else None
        data = payloads[1:] if self.batch.has_argument else payloads
        parser = self._parser
        messages = [
            await run_by_size(len(each), parser.parse_message, received, each)
            for received, each in zip(self.batch.messages, data, strict=True)
        ]
        messages = messages[: _find_hand_over(messages)]
        self._stored_refusals = self.batch.refusals
        self._refused = self.batch.refused
        try:
            draft = await self._find(argument, messages)
            if draft is None:
                return self._report_absence(messages)
            before = draft.session
            draft, outcomes = await self._settle_all(draft, messages)
            await self._start_turn(draft.session)
        except _Superseded:
            self.cache.forget(self.chat_session_id)
            return DecidedBatch(at=self.batch.at, is_superseded=True)
        except _SessionDeleted as deleted:
            return await self._report_deletion(deleted, messages)
        except SessionNotFound:
            self.cache.forget(self.chat_session_id)
            return self._report_absence(messages)
        self.cache.put(draft)
        return self._report(before, draft, outcomes)

    @property
    def _parser(self) -> MessageParser:
        return MessageParser(self.chat_session_id, self.settings.limits, self.batch.at)

    # The session is found.

    async def _find(self, argument: bytes | None, messages: Sequence[ParsedMessage]) -> Draft | None:
        """Find or create the session, and bring the State Surface up to it; None if there is no session."""
        initializations = [each.content for each in messages if isinstance(each.content, InitializeChatSession)]
        if not initializations:  # only the row says who created it
            draft = self.cache.get(self.chat_session_id, self.batch.revision, self.batch.context_hash)
            if draft:
                self._is_known_to_workflow = True
                return draft
        if self.batch.may_create and argument is not None:
            try:
                initializations[:0] = filter(None, [self._parser.parse_argument(argument)])
            except InvalidParameter as error:
                self._argument_error = error
        if initializations and self.batch.may_create:
            return await self._create(initializations[0])
        stored = await self._read()
        return await self._load(stored) if stored else None

    async def _read(self) -> StoredSession | None:
        stored = await self.sessions.load(self.chat_session_id)
        if stored is None and (tombstone := await self.deletions.find(self.chat_session_id)):
            raise _SessionDeleted(tombstone)
        return stored

    async def _reread(self) -> StoredSession:
        """The session as another writer has left it."""
        stored = await self._read()
        if stored is None:
            raise SessionNotFound("the session is gone from the store")
        return stored

    async def _create(self, request: InitializeChatSession) -> Draft:
        """Create the session, or find the one that is stored: either takes one statement in each store."""
        session = request.session(self.batch.at)
        stored = await self.sessions.create(
            session, key=request.key, creation_key=f"{_CREATION}{self.batch.first_run_id}"
        )
        if stored is None:
            raise InvalidParameter("the session's idempotency key belongs to another session")
        if isinstance(stored, Tombstone):
            raise _SessionDeleted(stored)
        held = await self.surface.register(as_artifact(stored.session, _run_id()))
        return await self._load(stored, held=held)

    async def _load(self, stored: StoredSession, *, held: int | None = None) -> Draft:
        """Take over a stored session.

        Args:
            stored: As it was just read.
            held: The revision that the State Surface is known to hold.

        Raises:
            _Superseded: A later batch has changed the session.
        """
        self._yield_to_a_later_batch(stored)
        draft = Draft.of(stored.session, stored.fold_length)
        self._creation_key = stored.creation_key
        known = (stored.session.revision, stored.session.context_hash)
        self._is_known_to_workflow = known == (self.batch.revision, self.batch.context_hash)
        if self.batch.revision is None:
            self._stored_refusals = stored.refusals
        self._was_just_read = True
        if held is not None and held <= stored.session.revision:
            return draft
        return await self._sync_state_surface(draft)

    @property
    def _decided_at(self) -> datetime:
        """The time of this decision for the session's row: a microsecond later at each attempt, local attempts first.

        An attempt that has timed out may go on while a later attempt is answered. The later one must win.
        """
        info = activity.info()
        earlier_attempts = info.attempt - 1 + (0 if info.is_local else LOCAL_ATTEMPTS)
        return self.batch.at + timedelta(microseconds=earlier_attempts)

    def _yield_to_a_later_batch(self, stored: StoredSession) -> None:
        """Decide nothing if the stored session was changed by a later batch.

        Raises:
            _Superseded: A later batch has changed it.
            EngineUnavailable: The later batch is in the future, because the server's clock was put back. Retries, which
                cost no history event, wait until the clock has caught up.
        """
        if stored.decided_at is None or stored.decided_at <= self._decided_at:
            return
        info = activity.info()
        if not info.is_local and stored.decided_at > info.current_attempt_scheduled_time:
            raise EngineUnavailable("Temporal's clock was put back, to before the session's latest change")
        raise _Superseded

    # The messages are decided and stored.

    async def _settle_all(self, draft: Draft, messages: Sequence[ParsedMessage]) -> tuple[Draft, list[Outcome]]:
        """Decide and store messages up to a deletion that takes effect, if there is one.

        Raises:
            _SessionDeleted: A deletion took effect.
        """
        outcomes: list[Outcome] = []
        rest = list(messages)
        while True:
            place = next((place for place, each in enumerate(rest) if each.received.kind == "delete"), len(rest))
            draft, decided = await self._settle(draft, rest[:place])
            outcomes += decided
            if place == len(rest):
                return draft, outcomes
            draft, refused = await self._delete(draft, rest[place], outcomes)
            outcomes.append(refused)
            rest = rest[place + 1 :]

    async def _delete(self, draft: Draft, message: ParsedMessage, outcomes: list[Outcome]) -> tuple[Draft, Outcome]:
        """Delete the session, unless the deletion is refused.

        Args:
            draft: The session.
            message: The deletion.
            outcomes: The outcomes of the messages before it.

        Raises:
            _SessionDeleted: The session is deleted.
        """
        for _ in range(_ROUNDS):
            if isinstance(message.content, JourneyError):
                return draft, Outcome(refused=Refused.by(message.content))
            assert isinstance(message.content, DeleteChatSession)
            if not draft.session.is_for(message.content.tenant_id, message.content.user_id):
                return draft, Outcome(refused=Refused.by(SessionNotFound()))
            deleting = self.deletions.delete(draft.session, update_id=message.received.update_id, at=self.batch.at)
            try:
                tombstone = await heartbeat_while(deleting)
            except ApplicationError as failure:
                return draft, Outcome(refused=Refused.by(_refusal_by(failure)))
            if tombstone:
                raise _SessionDeleted(tombstone, before=outcomes)
            draft = await self._reload()
        raise DatabaseUnavailable("other writers keep changing the session")

    async def _reload(self) -> Draft:
        """The session as stored, after another writer has changed it."""
        self.cache.forget(self.chat_session_id)
        return await self._load(await self._reread())

    async def _settle(self, draft: Draft, messages: Sequence[ParsedMessage]) -> tuple[Draft, list[Outcome]]:
        try:
            return await self._decide_and_store(draft, messages)
        except ApplicationError as failure:
            error = _refusal_by(failure)
            if len(messages) == 1:
                refusal = replace(messages[0], content=error)
                return await self._decide_and_store(draft, [refusal])
        # The database refuses the content of some message. Decide one by one, to refuse only that message.
        outcomes: list[Outcome] = []
        for message in messages:
            draft, decided = await self._settle(draft, [message])
            outcomes += decided
        return draft, outcomes

    async def _decide_and_store(self, draft: Draft, messages: Sequence[ParsedMessage]) -> tuple[Draft, list[Outcome]]:
        """Decide messages and store them; start again if the store is not as the decision assumed."""
        known: dict[str, KnownChange] = {}
        found_messages: dict[str, StoredMessage] = {}
        keys = tuple({each.change.key: None for each in messages if each.change})
        for _ in range(_ROUNDS):
            decided = await self._decide_all(draft, messages, known, found_messages)
            after, decisions, entries = decided.draft, decided.decisions, decided.entries
            context_changes = after.session.context_hash != draft.session.context_hash
            refusals = self._new_refusals(draft, messages, decisions)
            if self._was_just_read and not keys and refusals == self._stored_refusals:
                # These decisions write nothing, and the store has just confirmed the session that they are made on.
                return after, [self._outcome(*each, context_changes) for each in zip(messages, decisions, strict=True)]
            self._was_just_read = False
            found = await self.sessions.write(
                base=draft.session,
                keys=tuple(key for key in keys if key not in known),
                entries=entries,
                after=after.session,
                context_text=after.canonical.encode().decode() if context_changes else None,
                transcript=decided.transcript.write(),
                refusals=refusals if refusals != self._stored_refusals else None,
                at=self._decided_at,
            )
            if found.revision is None:
                raise SessionNotFound("the session is gone from the store")
            if found.written:
                self._stored_refusals = refusals
                self._refused = NO_REFUSALS
                if entries:
                    payload_changes = context_changes or after.session.active_agent != draft.session.active_agent
                    after = await self._sync_state_surface(
                        after, payload_since=None if payload_changes else draft.session.revision
                    )
                return after, [self._outcome(*each, context_changes) for each in zip(messages, decisions, strict=True)]
            known |= {change.idempotency_key: change for change in found.known}
            found_messages |= {message.message_id: message for message in found.found}
            if found.is_elsewhere:
                found_messages.clear()
                draft = await self._reload()
        raise DatabaseUnavailable("other writers keep changing the session")

    async def _decide_all(
        self,
        draft: Draft,
        messages: Sequence[ParsedMessage],
        known: Mapping[str, KnownChange],
        found_messages: Mapping[str, StoredMessage],
    ) -> _Decided:
        so_far = dict(known)
        transcript = TranscriptDraft(found_messages)
        decisions: list[Decision | InitializeChatSession] = []
        entries: list[WrittenEntry] = []
        for message in messages:
            content = message.content
            if isinstance(content, InitializeChatSession):
                is_owner = draft.session.is_for(content.tenant_id, content.user_id)
                decisions.append(content if is_owner else SessionNotFound())
                continue
            if isinstance(content, JourneyError):
                decisions.append(content)
                continue
            assert isinstance(content, Change)  # a deletion is not decided with other messages
            # A change that keeps the context costs the same however large the context is.
            size = message.size if content.request.keeps_context else max(draft.canonical.size, message.size)
            decision = await run_by_size(
                size,
                decide,
                draft,
                content,
                so_far,
                self.settings.limits,
                self.batch.at,
                transcript.messages,
                self.turns.agents,
            )
            if isinstance(decision, Applied):
                draft = decision.draft
                entries.append(decision.entry)
                so_far[content.key] = as_known(decision.entry, decision.transcript.message_ids)
                transcript.apply(decision.transcript)
            elif isinstance(content.request, SignalChatContext) and _may_rest_on_an_absent_message(decision):
                transcript.look_up(content.request)
            decisions.append(decision)
        return _Decided(draft, decisions, entries, transcript)

    def _new_refusals(
        self, draft: Draft, messages: Sequence[ParsedMessage], decisions: Sequence[Decision | InitializeChatSession]
    ) -> Refusals:
        """The refusals to store: those of signals that name the session's own tenant, or no tenant that can be read."""
        refusals = self._stored_refusals.plus(self._refused)
        for message, decision in zip(messages, decisions, strict=True):
            own = message.claimed_tenant in (None, draft.session.tenant_id)
            if own and message.received.kind == "signal" and isinstance(decision, JourneyError):
                refusal = Refusal(at=self.batch.at, code=decision.code, field=decision.field)
                refusals = refusals.plus(Refusals(count=1, last=(refusal,)))
        return refusals

    def _outcome(
        self, message: ParsedMessage, decision: Decision | InitializeChatSession, context_changes: bool
    ) -> Outcome:
        if isinstance(decision, JourneyError):
            return Outcome(refused=Refused.by(decision))
        if isinstance(decision, InitializeChatSession):
            created = self._creation_key == f"{_CREATION}{self.batch.first_run_id}"
            return Outcome(created=created)
        request = message.change.request if message.change else None
        returning = request.returning if isinstance(request, UpdateChatContext) else "receipt"
        is_answered = message.received.kind != "signal"
        if isinstance(decision, Applied):
            self._agents[decision.entry.revision] = decision.entry.active_agent
            return Outcome(
                revision=decision.entry.revision,
                returning=returning,
                keeps_context=context_changes and message.change is not None and message.change.request.keeps_context,
                message_ids=decision.transcript.message_ids if is_answered else (),
            )
        self._agents[decision.known.revision] = decision.known.active_agent
        known = decision.known if is_answered else decision.known.model_copy(update={"message_ids": ()})
        return Outcome(revision=known.revision, known=known, duplicate=decision.duplicate, returning=returning)

    async def _start_turn(self, session: ChatSessionArtifact) -> None:
        """Start the session's turn if this batch asks for it, also in a retry: an earlier attempt may have died before.

        If a later change has asked for another turn, only that one is started: the earlier turn would just end.
        """
        if agent := self._agents.get(session.turn_revision or -1):
            await self.turns.start(
                AgentTurn(
                    tenant_id=session.tenant_id,
                    user_id=session.user_id,
                    chat_session_id=session.chat_session_id,
                    active_agent=agent,
                    revision=session.turn_revision,
                )
            )

    # The State Surface follows.

    async def _sync_state_surface(self, draft: Draft, *, payload_since: int | None = None) -> Draft:
        """Bring the State Surface up to a stored session. If it is ahead, advance the session past it.

        Args:
            draft: The stored session.
            payload_since: The revision since which agent and context are the same, if it is known.
        """
        while True:
            held = await self._write_to_surface(as_artifact(draft.session, _run_id()), payload_since=payload_since)
            if held <= draft.session.revision:
                return draft
            advanced = await self.sessions.advance_past(draft.session, held)
            if advanced:
                self._advanced_from = draft.session.revision
                activity.logger.warning(
                    "the State Surface was ahead of Supabase: advanced the session past it",
                    extra={"supabase_revision": draft.session.revision, "state_surface_revision": held},
                )
            reread = advanced or await self._reread()
            self._yield_to_a_later_batch(reread)
            self._is_known_to_workflow = False
            draft = Draft.of(reread.session, reread.fold_length)

    async def _write_to_surface(self, artifact: SurfaceArtifact, *, payload_since: int | None = None) -> int:
        """Update an artifact, or register it if it is not there; the revision that the State Surface then holds."""
        held = await self.surface.update(artifact, payload_since=payload_since)
        return await self.surface.register(artifact) if held is None else held

    async def _sync_tombstone(self, tombstone: Tombstone) -> None:
        """Have the State Surface forget a deleted session as well."""
        while True:
            held = await self._write_to_surface(as_deleted_artifact(tombstone, _run_id()))
            if held <= tombstone.revision:
                return
            advanced = await self.deletions.advance_past(tombstone, held) or await self.deletions.find(
                self.chat_session_id
            )
            if advanced is None:
                raise SessionNotFound("the session is gone from the store")
            tombstone = advanced

    # The workflow gets the result.

    async def _report_deletion(self, deleted: "_SessionDeleted", messages: Sequence[ParsedMessage]) -> DecidedBatch:
        self.cache.forget(self.chat_session_id)
        await self._sync_tombstone(deleted.tombstone)
        outcomes = list(deleted.before)
        outcomes += [_outcome_of_deleted(deleted.tombstone, each) for each in messages[len(outcomes) :]]
        return DecidedBatch(at=self.batch.at, outcomes=tuple(outcomes), settings=self.settings, is_deleted=True)

    def _report_absence(self, messages: Sequence[ParsedMessage]) -> DecidedBatch:
        def refusal(message: ParsedMessage) -> JourneyError:
            return message.content if isinstance(message.content, JourneyError) else SessionNotFound()

        return DecidedBatch(
            at=self.batch.at,
            outcomes=tuple(Outcome(refused=Refused.by(refusal(message))) for message in messages),
            settings=self.settings,
            failure=Refused.by(self._argument_error or SessionNotFound()),
        )

    def _report(self, before: ChatSessionArtifact, draft: Draft, outcomes: Sequence[Outcome]) -> DecidedBatch:
        session = draft.session
        same_context = self._is_known_to_workflow and session.context_hash == before.context_hash
        expected = self.batch.refusals.plus(self.batch.refused)
        return DecidedBatch(
            at=self.batch.at,
            outcomes=tuple(outcomes),
            state=SessionState(
                revision=session.revision,
                context_hash=None if same_context else session.context_hash,
                active_agent=None if session.active_agent == before.active_agent else session.active_agent,
                updated_at=None if session.updated_at == self.batch.at else session.updated_at,
                message_count=session.message_count,
                turn_revision=None if session.turn_revision == before.turn_revision else session.turn_revision,
                title=None if session.title == before.title else session.title or "",
                lifecycle_state=None if session.lifecycle_state == before.lifecycle_state else session.lifecycle_state,
                user_id=None if session.user_id == before.user_id else session.user_id,
            )
            if self._is_known_to_workflow
            else None,
            loaded=None if self._is_known_to_workflow else session,
            context_bytes=None if same_context else draft.canonical.size,
            settings=self.settings if self.batch.revision is None else None,
            refusals=self._stored_refusals if self._stored_refusals != expected else None,
            advanced_from=self._advanced_from,
        )


def _find_hand_over(messages: Sequence[ParsedMessage]) -> int | None:
    """The place of a message that gives the session to another user after other messages; None if there is none.

    The messages before it are answered first. Otherwise the answers to the old owner would show changes of the new one.
    """
    for place, message in enumerate(messages):
        request = message.change.request if message.change else None
        if place and isinstance(request, UpdateChatSession) and request.new_user_id is not None:
            return place
    return None


def _may_rest_on_an_absent_message(decision: Decision) -> bool:
    """Whether the rule about messages or a later rule refuses a change, perhaps for a message taken for absent."""
    if isinstance(decision, ContextTooLarge):
        return True
    return isinstance(decision, JourneyError) and decision.field in ("messages", "turn")


def _refusal_by(failure: ApplicationError) -> JourneyError:
    """The contract's error if a store refuses the content of a message. Any other failure is raised."""
    error = from_failure(failure)
    if not failure.non_retryable or error is None:
        raise failure
    return error


def _outcome_of_deleted(tombstone: Tombstone, message: ParsedMessage) -> Outcome:
    content = message.content
    if isinstance(content, DeleteChatSession):
        answer = tombstone.answer_deletion(content, message.received.update_id)
        if isinstance(answer, JourneyError):
            return Outcome(refused=Refused.by(answer))
        return Outcome(deleted_at=answer)
    if isinstance(content, JourneyError):
        return Outcome(refused=Refused.by(content))
    if isinstance(content, InitializeChatSession):  # its tenant and user derive this session's ID, so they created it
        return Outcome(refused=Refused.by(tombstone.refuse(content.tenant_id, None)))
    return Outcome(refused=Refused.by(tombstone.refuse(content.request.tenant_id, content.request.user_id)))


def _run_id() -> str:
    return activity.info().workflow_run_id or ""
