"""The journey Chat Session Management: one long-lived workflow for each chat session.

The workflow is the session's mailbox and sequencer. It takes messages in as they came, keeps their order, hands them in
batches to an activity, and gives out the answers. The activity parses, decides and stores them, outside the workflow's
code, so no message can make a workflow task slow by its content. The workflow's copy of the session serves queries and
answers, and decides nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from journeys.chat_session.activities import (
    Batch,
    DecidedBatch,
    MessageKind,
    Outcome,
    ReceivedMessage,
    Refused,
    SessionSettings,
    shared,
)
from journeys.chat_session.answers import (
    ChatSessionView,
    DeletedChatSession,
    InitializedChatSession,
    UpdatedChatSession,
    UpdateReceipt,
    answer_initialize,
    answer_update,
)
from journeys.chat_session.continuation import CarriedMessage, CarriedState
from journeys.chat_session.errors import SessionNotFound, wrong_workflow_id
from journeys.chat_session.folding import FoldedContext
from journeys.chat_session.keys import is_session_id
from journeys.chat_session.limits import (
    MAX_BATCH_BYTES,
    MAX_BATCH_MESSAGES,
    MAX_CARRIED_BYTES,
    MAX_CARRIED_CONTEXT_BYTES,
    MAX_HISTORY_WITH_MESSAGES_BYTES,
    MAX_LOCAL_BATCH_BYTES,
    MAX_TASK_ECHO_BYTES,
    RECEIPT_BYTES,
    UPPER_BOUNDS,
    Limits,
)
from journeys.chat_session.messages import GetChatSession, JourneyArgument
from journeys.chat_session.names import (
    DELETE,
    EDIT,
    GET,
    INITIALIZE,
    JOURNEY_ID,
    LOAD,
    UPDATE,
    WORKFLOW_ID_PREFIX,
)
from journeys.chat_session.refusals import NO_REFUSALS, Refusal, Refusals
from journeys.chat_session.rules import check_arguments
from journeys.chat_session.session import ChatSessionReceipt, Context
from journeys.errors import DatabaseUnavailable, InvalidParameter, JourneyError
from journeys.failures import as_failure, from_failure
from journeys.messages import JSON_ENCODING, parse_only
from workflows.chat_session_details import batch_summary, set_details, upsert_search_attributes
from workflows.chat_session_erasure import start_erasure
from workflows.continue_as_new import Rollover, is_repeated_by_temporal
from workflows.idle_timer import IdleTimer
from workflows.inbox import Inbox
from workflows.run_activity import run_activity
from workflows.task_budget import TaskBudget


@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    """A message in the inbox; an update waits for its `outcome`, and a signal has none."""

    kind: MessageKind
    identity: str
    data: bytes
    outcome: "asyncio.Future[Outcome] | None"

    @property
    def size(self) -> int:
        return len(self.data)


@workflow.defn(name=JOURNEY_ID)
class ChatSessionJourney:
    """One chat session: created once, changed in order, and asleep when nobody talks.

    A handler looks at a message's size and form, and puts it into the inbox. It accepts any arguments, which the worker
    hands on unread.
    """

    @workflow.init
    def __init__(self, *arguments: object) -> None:
        """Take the argument (`journeys.chat_session.messages.JourneyArgument`) and the state of an earlier run."""
        info = workflow.info()
        self._chat_session_id = info.workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
        self._rollover = Rollover()
        self._idle_timer = IdleTimer()
        self._inbox: Inbox[_Message] = Inbox()
        self._decided: list[tuple[_Message, Outcome]] = []  # updates that are not answered yet
        self._budget = TaskBudget(MAX_TASK_ECHO_BYTES)
        self._is_deciding = False
        self._more_waits = False  # after a local activity: the next batch ends the workflow task
        self._session: ChatSessionReceipt | None = None  # never ahead of what both stores hold
        self._context: FoldedContext | None = None
        self._context_bytes = 0
        self._settings: SessionSettings | None = None
        self._signals_seen = 0
        self._served = 0
        self._created_for: str | None = None  # the ID of the update that created the session
        self._may_create = True
        self._is_stale = False  # this run's copy of the context is not what the stores hold
        self._refusals = NO_REFUSALS  # as stored
        self._refused = NO_REFUSALS  # since then, by size or form
        self._refused_in_batch = NO_REFUSALS  # those that an activity is about to store
        self._absence: Refused | None = None  # why no session was found so far
        self._failure: Refused | None = None
        self._is_deleted = False
        self._is_cancelled = False
        self._note = ""
        # Trust carried state only after our own continue-as-new. Cron and retries also set `continued_run_id`, but with
        # the caller's arguments.
        if info.continued_run_id and not is_repeated_by_temporal() and len(arguments) == 2:
            self._restore(CarriedState.read(arguments[1]))
            arguments = arguments[:1]
        self._argument = self._read_argument(arguments)

    @workflow.run
    async def run(self, *arguments: object) -> None:
        """Serve the session until it is idle, cancelled or deleted, or until the run is due to continue as new.

        Raises:
            ApplicationError: There is no such session and nobody initializes it (`SESSION_NOT_FOUND`, or
                `INVALID_PARAMETER` if the argument is at fault).
        """
        del arguments  # `__init__` has read them; a live session need not keep its first context twice
        serving = asyncio.create_task(self._serve())
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self._is_cancelled = True
            await serving
        if self._failure:
            raise as_failure(self._failure.error)
        if not self._has_ended:
            workflow.continue_as_new(args=self._state_to_carry())

    @workflow.update(name=INITIALIZE)
    async def initialize_chat_session(self, *arguments: object) -> InitializedChatSession:
        """Create the session unless it exists, and answer with the session as it is now."""
        outcome = await self._take_update("initialize", arguments)
        update = workflow.current_update_info()
        created = outcome.created and update is not None and update.id == self._created_for
        session, context = await self._read_session()
        return answer_initialize(session, context, created=created)

    @initialize_chat_session.validator
    def _validate_initialize(self, *arguments: object) -> None:
        self._validate(arguments)

    @workflow.update(name=UPDATE)
    async def update_chat_context(self, *arguments: object) -> UpdatedChatSession | UpdateReceipt:
        """Change the context, and answer when both stores hold the change."""
        outcome = await self._take_update("update", arguments)
        if outcome.returning == "artifact":
            session, context = await self._read_session()
            return answer_update(outcome, session, context)
        return answer_update(outcome, self._present_session(), None)

    @update_chat_context.validator
    def _validate_update(self, *arguments: object) -> None:
        self._validate(arguments)

    @workflow.update(name=EDIT)
    async def update_chat_session(self, *arguments: object) -> UpdateReceipt:
        """Change title, lifecycle state or owner, and answer when both stores hold the change."""
        outcome = await self._take_update("edit", arguments)
        return answer_update(outcome, self._present_session(), None)

    @update_chat_session.validator
    def _validate_edit(self, *arguments: object) -> None:
        self._validate(arguments)

    @workflow.update(name=DELETE)
    async def delete_chat_session(self, *arguments: object) -> DeletedChatSession:
        """Delete the session, and answer when both stores have. An erasure then removes what Temporal keeps of it."""
        outcome = await self._take_update("delete", arguments)
        assert outcome.deleted_at is not None
        return DeletedChatSession(chat_session_id=self._chat_session_id, deleted_at=outcome.deleted_at)

    @delete_chat_session.validator
    def _validate_delete(self, *arguments: object) -> None:
        self._validate(arguments)

    @workflow.signal(name=UPDATE)
    def signal_chat_context(self, *arguments: object) -> None:
        """Change the context without an answer; a refused signal is counted, logged and shown in `refusals`."""
        self._signals_seen += 1
        identity = f"{workflow.info().first_execution_run_id}/{self._signals_seen}"
        try:
            self._inbox.put(_Message("signal", identity, self._check(arguments), None))
        except JourneyError as error:
            self._served += 1
            self._refused = self._refused.plus(self._record_refusal(error.code, error.field))

    @workflow.query(name=GET)
    def get_chat_session(self, *arguments: object) -> ChatSessionView:
        """The session as both stores hold it, and the signals that were refused."""
        try:
            self._check(arguments)
            request = parse_only(GetChatSession, arguments)
            if request.at_revision is not None:
                raise InvalidParameter("at_revision: a query answers the session as it is now", field="at_revision")
            if self._failure:
                raise self._failure.error
            if self._is_deleted:
                raise SessionNotFound
            if self._session is None or self._context is None:
                raise DatabaseUnavailable("the session is not loaded yet; ask again")
            named = request.chat_session_id in (None, self._chat_session_id)
            if not named or not self._session.is_for(request.tenant_id, request.user_id):
                raise SessionNotFound
            context = self._context.read(self._session.context_hash)
            if context is None:
                raise DatabaseUnavailable("the session's context is being fetched; ask again")
        except JourneyError as error:
            # If a query fails, only the message reaches the caller.
            raise ApplicationError(str(error), type=error.code) from None
        return ChatSessionView.model_construct(**dict(self._session), context=context, refusals=self._all_refusals)

    # Messages come in.

    @property
    def _limits(self) -> Limits:
        return self._settings.limits if self._settings else UPPER_BOUNDS

    def _check(self, arguments: Sequence[object]) -> bytes:
        return check_arguments(arguments, self._limits)

    def _validate(self, arguments: Sequence[object]) -> None:
        try:
            if workflow.info().workflow_id != WORKFLOW_ID_PREFIX + self._chat_session_id:
                raise wrong_workflow_id()
            self._check(arguments)
        except JourneyError as error:
            raise as_failure(error) from None

    async def _take_update(self, kind: MessageKind, arguments: Sequence[object]) -> Outcome:
        """Put an update into the inbox, and wait until it is decided and stored.

        Raises:
            ApplicationError: It is refused.
        """
        update = workflow.current_update_info()
        assert update is not None
        try:
            data = self._check(arguments)
        except JourneyError as error:  # the validator of another release let it pass
            raise as_failure(error) from None
        message = _Message(kind, f"{workflow.info().run_id}/{update.id}", data, asyncio.Future())
        if not (self._is_deciding or self._inbox or self._decided):
            self._budget.begin_task()
        self._budget.spend(message.size)
        self._inbox.put(message)
        assert message.outcome is not None
        outcome = await message.outcome
        if refused := outcome.refused:
            raise as_failure(refused.error)
        return outcome

    def _read_argument(self, arguments: Sequence[object]) -> bytes:
        """The argument's data for the activity. Data that cannot be an argument is not handed on."""
        try:
            return self._check(arguments)
        except JourneyError:
            return b"null"

    # Batches are decided.

    async def _serve(self) -> None:
        if not is_session_id(self._chat_session_id) or workflow.info().workflow_id == self._chat_session_id:
            self._failure = Refused.by(wrong_workflow_id())
            await self._refuse_all(self._failure)
            return
        await self._find_session()
        self._show_session()
        while not self._failure and not self._is_deleted:
            assert self._settings is not None
            self._idle_timer.ensure_running(self._settings.idle_seconds)
            await workflow.wait_condition(lambda: self._has_work or self._can_close)
            if self._can_close:
                break
            await self._decide_batch()
        if self._is_deleted:
            await self._end_deleted()

    async def _find_session(self) -> None:
        """Have the session loaded or created. If it is not there, any message may create it, so all are decided."""
        while self._session is None and not self._is_deleted and not self._failure:
            await self._decide_batch()
            if self._absence and not self._has_work:
                await workflow.wait_condition(lambda: bool(self._inbox) or workflow.all_handlers_finished())
            if self._absence and (not self._has_work or self._is_history_too_long):
                self._failure = self._absence
                await self._refuse_all(Refused.by(SessionNotFound()))

    async def _end_deleted(self) -> None:
        """Start the erasure, and answer whoever still waits; this run begins nothing else."""
        await start_erasure(self._chat_session_id)
        while self._has_work or not workflow.all_handlers_finished():
            await workflow.wait_condition(lambda: self._has_work or workflow.all_handlers_finished())
            if self._has_work:
                await self._decide_batch()

    @property
    def _is_history_too_long(self) -> bool:
        return workflow.info().get_current_history_size() > MAX_HISTORY_WITH_MESSAGES_BYTES

    @property
    def _has_work(self) -> bool:
        return bool(self._inbox or self._decided or self._refused.count or self._is_stale)

    async def _decide_batch(self) -> None:
        """Have the next messages decided and stored, and answer those that this workflow task can still answer."""
        self._is_deciding = True
        if self._more_waits:
            messages = [] if self._is_history_too_long else self._inbox.take_batch(MAX_BATCH_MESSAGES, MAX_BATCH_BYTES)
        else:
            messages = self._inbox.take_batch(MAX_BATCH_MESSAGES, MAX_LOCAL_BATCH_BYTES)
        self._refused_in_batch, self._refused = self._refused, NO_REFUSALS
        self._show_session()
        try:
            result = await run_activity(
                self._intent_of(messages),
                self._arguments(messages),
                DecidedBatch,
                summary=batch_summary(self._session, len(messages)),
                ends_task=self._more_waits,
            )
        except ApplicationError as failure:
            await self._refuse_batch(messages, failure)
            return
        if result.ended_task:
            self._budget.begin_task()
        self._adopt(messages, result.value)
        if self._failure:
            await self._refuse_all(Refused.by(SessionNotFound()))
            return
        self._answer()
        self._more_waits = not result.ended_task and (self._has_work or result.value.is_superseded)
        self._is_deciding = False
        self._show_session()

    def _intent_of(self, messages: Sequence[_Message]) -> str:
        if self._session is not None:
            return UPDATE if messages else LOAD
        initializes = b'"initialize"' in self._argument or any(each.kind == "initialize" for each in messages)
        return INITIALIZE if initializes else LOAD

    def _arguments(self, messages: Sequence[_Message]) -> list[object]:
        session = self._session
        batch = Batch(
            first_run_id=workflow.info().first_execution_run_id,
            at=workflow.now(),
            messages=tuple(ReceivedMessage(identity=each.identity, kind=each.kind) for each in messages),
            has_argument=session is None,
            may_create=session is None and self._may_create,
            revision=None if self._is_stale or session is None else session.revision,
            context_hash=None if self._is_stale or session is None else session.context_hash,
            refusals=self._refusals,
            refused=self._refused_in_batch,
        )
        payloads = [self._argument] if session is None else []
        payloads += [each.data for each in messages]
        return [batch, *map(_as_payload, payloads)]

    def _adopt(self, messages: Sequence[_Message], decided: DecidedBatch) -> None:
        """Take over what the stores hold now.

        A decision may cover the first messages only: if a later one gives the session to another user, if a release
        with smaller batches recorded it, or if a replay delivers the signals of the next workflow task in this one.
        """
        messages, rest = messages[: len(decided.outcomes)], messages[len(decided.outcomes) :]
        self._inbox.put_back(rest)
        if decided.is_superseded:
            self._refused = self._refused_in_batch.plus(self._refused)
            self._refused_in_batch = NO_REFUSALS
            return
        self._served += len(messages)
        if messages:
            self._idle_timer.restart(decided.at)
        self._settings = shared(decided.settings) or self._settings
        self._refusals = decided.refusals or self._refusals.plus(self._refused_in_batch)
        self._refused_in_batch = NO_REFUSALS
        if decided.advanced_from is not None:
            self._note = (
                f"The State Surface was ahead of revision {decided.advanced_from} in Supabase; "
                "the session went on above it."
            )
            workflow.logger.warning("went on above the State Surface", extra={"advanced_from": decided.advanced_from})
        for message, outcome in zip(messages, decided.outcomes, strict=True):
            if message.outcome:
                self._decided.append((message, outcome))
            elif outcome.refused:
                self._record_refusal(outcome.refused.code, outcome.refused.field)
            if message.kind == "initialize" and not outcome.refused and self._created_for is None:
                self._created_for = message.identity.partition("/")[2]
        if decided.is_deleted:
            self._is_deleted = True
            self._session = self._context = None
            self._refusals = NO_REFUSALS
            self._is_stale = False
        elif decided.loaded:
            self._session = ChatSessionReceipt.model_validate(dict(decided.loaded))
            self._context = FoldedContext(decided.loaded.context, decided.loaded.context_hash)
            self._argument = b""
            self._is_stale = False
        elif decided.state and self._session and self._context:
            self._context.add_all(
                message.data
                for message, outcome in zip(messages, decided.outcomes, strict=True)
                if decided.state.context_hash and outcome.is_applied and not outcome.keeps_context
            )
            self._session = decided.state.change(self._session, at=decided.at)
        else:
            self._absence = decided.failure or Refused.by(SessionNotFound())
            self._failure = self._absence if self._session else None
        if decided.context_bytes is not None:
            self._context_bytes = decided.context_bytes

    def _answer(self) -> None:
        """Answer decided updates, as many as this workflow task can carry."""
        while self._decided:
            message, outcome = self._decided[0]
            ids = outcome.known.message_ids if outcome.known else outcome.message_ids
            size = RECEIPT_BYTES + sum(map(len, ids))
            if message.kind == "initialize" or outcome.returning == "artifact":
                size += self._context_bytes
            if not self._budget.can_spend(size):
                return
            self._budget.spend(size)
            del self._decided[0]
            assert message.outcome is not None
            message.outcome.set_result(outcome)

    async def _read_session(self) -> tuple[ChatSessionReceipt, Context]:
        """The session with its context, which is fetched if this run's copy is not the context that the stores hold.

        Raises:
            ApplicationError: The stored session cannot be read.
        """
        for _ in range(2):
            session = self._present_session()
            assert self._context is not None
            context = self._context.read(session.context_hash)
            if context is not None:
                return session, context
            self._is_stale = True
            await workflow.wait_condition(lambda: not self._is_stale)
        raise as_failure(InvalidParameter("the change is stored, and the stored session cannot be read"))

    def _present_session(self) -> ChatSessionReceipt:
        """The session for the answer to an applied change.

        Raises:
            ApplicationError: The session was deleted right after the change.
        """
        if self._session is None:
            raise as_failure(SessionNotFound())
        return self._session

    def _show_session(self) -> None:
        if self._session:
            upsert_search_attributes(self._session)
            refusals = self._all_refusals
            set_details(self._session, waiting=len(self._inbox), refusals=refusals, note=self._note)

    @property
    def _all_refusals(self) -> Refusals:
        return self._refusals.plus(self._refused_in_batch).plus(self._refused)

    def _record_refusal(self, code: str, field: str) -> Refusals:
        workflow.logger.warning("signal refused", extra={"code": code, "field": field})
        workflow.metric_meter().create_counter("journey_refused_signals", "Signals that were refused.", "signals").add(
            1, {"code": code}
        )
        return Refusals(count=1, last=(Refusal(at=workflow.now(), code=code, field=field),))

    # The run ends.

    @property
    def _has_ended(self) -> bool:
        """Whether this run completes instead of continuing as new. A later message may start the journey again."""
        return not self._has_work and (self._is_deleted or self._idle_timer.has_expired or self._is_cancelled)

    @property
    def _can_close(self) -> bool:
        """Whether this run can close: not before every accepted update is answered, or that update would fail."""
        if not workflow.all_handlers_finished():
            return False
        is_due = (
            not self._is_cancelled
            and self._settings is not None
            and self._inbox.size <= MAX_CARRIED_BYTES
            and not self._decided
            and not self._refused.count
            and not self._is_stale
            and self._rollover.is_due(self._served, rollover_messages=self._settings.rollover_messages)
        )
        return self._has_ended or is_due

    async def _refuse_batch(self, messages: Sequence[_Message], failure: ApplicationError) -> None:
        """Refuse messages that the stores cannot take now; without a session, the run is over."""
        error = from_failure(failure) or InvalidParameter("the stores cannot take the message")
        refused = Refused.by(error)
        for message in messages:
            if message.outcome:
                self._decided.append((message, Outcome(refused=refused)))
            else:
                self._record_refusal(error.code, error.field)
        self._served += len(messages)
        self._is_deciding = self._is_stale = False
        if self._session is None:
            self._failure = refused
            await self._refuse_all(refused)
            return
        self._refusals = self._refusals.plus(self._refused_in_batch)
        self._refused_in_batch = NO_REFUSALS
        self._answer()
        self._more_waits = bool(self._inbox or self._decided)

    async def _refuse_all(self, refused: Refused) -> None:
        """Refuse every message that waits or still comes, because there is nothing to serve."""
        while True:
            waiting = [*self._decided]
            self._decided.clear()
            while self._inbox:
                waiting += [
                    (message, Outcome(refused=refused))
                    for message in self._inbox.take_batch(MAX_BATCH_MESSAGES, MAX_BATCH_BYTES)
                ]
            for message, outcome in waiting:
                if message.outcome:
                    message.outcome.set_result(outcome)
                else:
                    self._record_refusal(refused.code, refused.field)
            if workflow.all_handlers_finished():
                return
            await workflow.wait_condition(lambda: bool(self._inbox) or workflow.all_handlers_finished())

    def _state_to_carry(self) -> tuple[JourneyArgument, CarriedState]:
        assert self._session is not None
        assert self._settings is not None
        assert self._context is not None
        context = None
        if self._context_bytes <= MAX_CARRIED_CONTEXT_BYTES:
            context = self._context.read(self._session.context_hash)
        argument = JourneyArgument(
            chat_session_id=self._chat_session_id, tenant_id=self._session.tenant_id, user_id=self._session.user_id
        )
        return argument, CarriedState(
            session=None if context is None else self._session.with_context(context),
            context_bytes=self._context_bytes,
            settings=self._settings,
            signals=tuple(
                CarriedMessage(identity=each.identity, kind=each.kind, data=each.data) for each in self._inbox
            ),
            signals_seen=self._signals_seen,
            refusals=self._refusals,
            created_for=self._created_for,
        )

    def _restore(self, carried: CarriedState) -> None:
        if carried.session is not None:
            self._session = ChatSessionReceipt.model_validate(dict(carried.session))
            self._context = FoldedContext(carried.session.context, carried.session.context_hash)
        self._context_bytes = carried.context_bytes
        self._settings = shared(carried.settings)
        self._signals_seen = carried.signals_seen
        self._refusals = carried.refusals
        self._created_for = carried.created_for
        self._may_create = False
        for signal in carried.signals:
            self._inbox.put(_Message(signal.kind, signal.identity, signal.data, None))


def _as_payload(data: bytes) -> RawValue:
    return RawValue(Payload(metadata={"encoding": JSON_ENCODING}, data=data))
