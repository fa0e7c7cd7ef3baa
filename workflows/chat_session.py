"""The journey Chat Session Management: one long-lived workflow for each chat session.

Handlers check messages and put them into one inbox. `run` takes them from there in batches, decides each change in
order, stores the batch, and only then answers. So there is one order of changes, and the session in memory is never
ahead of what both stores hold. The activity that loads a session also stores the change that woke its journey.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from journeys.canonical_json import canonical
from journeys.chat_session.activities import (
    AcceptedChange,
    CreateSession,
    KnownChange,
    LoadedSession,
    LoadSession,
    SessionSettings,
    WriteChanges,
    WrittenChanges,
)
from journeys.chat_session.answers import (
    ChatSessionView,
    Refusal,
    Refusals,
    UpdatedChatSession,
    UpdateReceipt,
    answer_update,
)
from journeys.chat_session.continuation import CarriedState
from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.keys import is_session_id
from journeys.chat_session.limits import (
    MAX_BACKLOG_BYTES,
    MAX_BACKLOG_MESSAGES,
    MAX_BATCH_BYTES,
    MAX_BATCH_MESSAGES,
    MAX_CARRIED_CONTEXT_BYTES,
    UPPER_BOUNDS,
    Limits,
)
from journeys.chat_session.messages import (
    GetChatSession,
    InitializeChatSession,
    JourneyArgument,
    SignalChatContext,
    UpdateChatContext,
)
from journeys.chat_session.names import GET, INITIALIZE, JOURNEY_ID, LOAD, UPDATE, WORKFLOW_ID_PREFIX, workflow_id
from journeys.chat_session.rules import (
    Applied,
    Change,
    Decision,
    Refused,
    Unchanged,
    as_known,
    check_context,
    decide,
)
from journeys.chat_session.session import ChatSessionArtifact
from journeys.errors import DatabaseUnavailable, InvalidParameter, JourneyError
from journeys.failures import as_failure, from_failure
from journeys.identifiers import timestamp
from journeys.messages import Request, RequestType, parse_only
from journeys.search_attributes import ACTIVE_AGENT, TENANT_ID, USER_ID
from workflows.continue_as_new import Rollover
from workflows.idle_timer import IdleTimer
from workflows.inbox import Inbox
from workflows.run_activity import run_activity


@dataclass(frozen=True, slots=True, eq=False)
class _WaitingChange:
    """A change in the inbox. An update waits for `answer`; a signal has none."""

    change: Change
    answer: "asyncio.Future[Decision] | None"
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class _WaitingInitialization:
    """An initialize update in the inbox."""

    request: InitializeChatSession
    answer: "asyncio.Future[ChatSessionArtifact]"
    size: int


_Waiting = _WaitingChange | _WaitingInitialization


@workflow.defn(name=JOURNEY_ID)
class ChatSessionJourney:
    """One chat session: created once, changed in order, and asleep when nobody talks.

    Every handler takes any number of arguments of any type. A message that does not fit is refused with an error of the
    contract, and never fails a workflow task.
    """

    @workflow.init
    def __init__(self, *arguments: object) -> None:
        """Read the argument, a `journeys.chat_session.messages.JourneyArgument`, and the state of an earlier run."""
        info = workflow.info()
        self._rollover = Rollover()
        self._idle_timer = IdleTimer()
        self._inbox: Inbox[_Waiting] = Inbox(
            max_messages=MAX_BACKLOG_MESSAGES,
            max_bytes=MAX_BACKLOG_BYTES,
            batch_messages=MAX_BATCH_MESSAGES,
            batch_bytes=MAX_BATCH_BYTES,
        )
        self._chat_session_id = info.workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
        self._session: ChatSessionArtifact | None = None  # never ahead of what both stores hold
        self._settings: SessionSettings | None = None
        self._signals_seen = 0
        self._refusals = Refusals()
        self._cancelled = False
        self._note = ""
        # Trust carried state only after our own continue-as-new. Cron and retries also set `continued_run_id`, but with
        # the caller's arguments.
        if info.continued_run_id and not _is_repeated_by_temporal() and len(arguments) == 2:
            self._restore(CarriedState.model_validate(arguments[1]))
            arguments = arguments[:1]
        self._initialization: InitializeChatSession | None = None
        self._argument_error: JourneyError | None = None
        try:
            self._initialization = self._read_argument(arguments)
        except JourneyError as error:
            self._argument_error = error

    @workflow.run
    async def run(self, *arguments: object) -> None:
        """Serve the session until it is idle or cancelled, or until the run continues as new.

        Raises:
            ApplicationError: The argument does not fit (`INVALID_PARAMETER`, after all waiting messages are served), or
                there is no such session and nobody initializes it (`SESSION_NOT_FOUND`).
        """
        del arguments  # `__init__` has read them, and they would keep a second copy of the first context in memory
        serving = asyncio.create_task(self._serve())
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self._cancelled = True
            await serving
        if self._has_ended:
            return
        workflow.continue_as_new(args=self._state_to_carry())

    @workflow.update(name=INITIALIZE)
    async def initialize_chat_session(self, *arguments: object) -> ChatSessionArtifact:
        """Create the session; if it exists, answer with the session as it is now."""
        request = _parse_accepted(InitializeChatSession, arguments)
        answer: asyncio.Future[ChatSessionArtifact] = asyncio.Future()
        self._enqueue(_WaitingInitialization(request, answer, _size(request)))
        return await answer

    @initialize_chat_session.validator
    def _validate_initialize(self, *arguments: object) -> None:
        try:
            request = parse_only(InitializeChatSession, arguments)
            request.check(self._chat_session_id, workflow.now())
            check_context(request.context, self._limits)
            self._inbox.check_room(_size(request))
        except JourneyError as error:
            raise as_failure(error) from None

    @workflow.update(name=UPDATE)
    async def update_chat_context(self, *arguments: object) -> UpdatedChatSession | UpdateReceipt:
        """Change the context, and answer once both stores hold the change."""
        request = _parse_accepted(UpdateChatContext, arguments)
        update = workflow.current_update_info()
        assert update is not None
        change = Change.of(request, request.key(self._chat_session_id, update.id))
        answer: asyncio.Future[Decision] = asyncio.Future()
        self._enqueue(_WaitingChange(change, answer, _size(request)))
        decision = await answer
        assert self._session is not None
        return answer_update(decision, self._session, request)

    @update_chat_context.validator
    def _validate_update(self, *arguments: object) -> None:
        try:
            request = parse_only(UpdateChatContext, arguments)
            Change.of(request, "").check(self._limits)
            self._inbox.check_room(_size(request))
        except JourneyError as error:
            raise as_failure(error) from None

    @workflow.signal(name=UPDATE)
    def signal_chat_context(self, *arguments: object) -> None:
        """Change the context without an answer. A refused signal is counted, logged and shown in `refusals`."""
        self._signals_seen += 1
        try:
            request = parse_only(SignalChatContext, arguments)
            message = f"{workflow.info().first_execution_run_id}/{self._signals_seen}"
            change = Change.of(request, request.key(self._chat_session_id, message))
            change.check(self._limits)
            size = _size(request)
            self._inbox.check_room(size)
        except JourneyError as error:
            self._inbox.count_settled()
            self._record_refusal(error)
        else:
            self._enqueue(_WaitingChange(change, None, size))

    @workflow.query(name=GET)
    def get_chat_session(self, *arguments: object) -> ChatSessionView:
        """The session as both stores hold it, and the refused signals."""
        try:
            request = parse_only(GetChatSession, arguments)
            if self._session is None:
                raise DatabaseUnavailable("the session is not loaded yet; ask again")
            if request.chat_session_id not in (None, self._chat_session_id) or not self._session.is_for(
                request.tenant_id, request.user_id
            ):
                raise SessionNotFound
        except JourneyError as error:
            # Only the message of a failed query reaches the caller, so the message begins with the code.
            raise ApplicationError(str(error), type=error.code) from None
        return ChatSessionView.model_construct(**dict(self._session), refusals=self._refusals)

    # The start of a run.

    def _read_argument(self, arguments: Sequence[object]) -> InitializeChatSession | None:
        argument = parse_only(JourneyArgument, arguments)
        if _is_repeated_by_temporal():
            raise InvalidParameter("a journey must be started without a cron schedule and without a retry policy")
        if workflow.info().workflow_id != workflow_id(argument.chat_session_id):
            raise InvalidParameter(
                f"chat_session_id: the workflow ID must be {WORKFLOW_ID_PREFIX}<chat_session_id>",
                field="chat_session_id",
            )
        initialization = argument.initialization
        if initialization:
            initialization.check(self._chat_session_id, workflow.now())
        return initialization

    def _restore(self, carried: CarriedState) -> None:
        self._session = carried.session
        self._settings = carried.settings
        self._signals_seen = carried.signals_seen
        self._refusals = carried.refusals
        for signal in carried.signals:
            self._enqueue(_WaitingChange(Change.of(signal.request, signal.key), None, _size(signal.request)))

    async def _load_or_create(self) -> None:
        """Load the session or create it, before any change is decided."""
        if self._session is not None:  # carried over
            self._show_session()
            return
        if not is_session_id(self._chat_session_id):
            unnamed = InvalidParameter("the workflow ID names no session")
            await self._fail(self._argument_error or unnamed, answer=unnamed)
        if self._initialization:
            try:
                await self._create(self._initialization)
            except ApplicationError as failure:
                self._argument_error = from_failure(failure) or self._argument_error
        if self._session is None:
            await self._load()
        while self._session is None:
            waiting = self._first_initialization()
            if waiting is None:
                await self._fail(self._argument_error or SessionNotFound())
            try:
                await self._create(waiting.request)
            except ApplicationError as failure:
                self._inbox.settle_early(waiting)
                waiting.answer.set_exception(failure)
        while waiting := self._first_initialization():  # the session was read from the stores just now
            self._inbox.settle_early(waiting)
            self._answer_initialization(waiting)
        self._initialization = None  # its context is not needed any more
        self._show_session()

    async def _load(self) -> None:
        """Load the session and, in the same activity, store the change that woke the journey, usually the only one."""
        first = next(iter(self._inbox), None)
        waking = first if isinstance(first, _WaitingChange) else None
        wanted = LoadSession(
            chat_session_id=self._chat_session_id, change=waking and _accepted_change(waking), at=workflow.now()
        )
        try:
            loaded = await run_activity(LOAD, wanted, LoadedSession, summary=_load_summary(waking))
        except ApplicationError as failure:
            error = from_failure(failure)
            if error is None:
                raise
            await self._fail(error, answer=error)
        self._set_loaded(loaded)
        if loaded.applied and loaded.session and waking:
            self._inbox.settle_early(waking)
            if waking.answer:
                waking.answer.set_result(Unchanged(loaded.session))  # the session was loaded with the change

    async def _create(self, request: InitializeChatSession) -> None:
        wanted = CreateSession(session=request.session(workflow.now()), idempotency_key=request.key)
        self._set_loaded(await run_activity(INITIALIZE, wanted, LoadedSession, summary="create the session"))

    def _set_loaded(self, loaded: LoadedSession) -> None:
        self._session = loaded.session
        self._settings = loaded.settings
        self._note_advance(loaded.advanced_from)

    # The main loop.

    async def _serve(self) -> None:
        await self._load_or_create()
        while True:
            self._ensure_idle_timer()
            await workflow.wait_condition(lambda: bool(self._inbox) or self._can_close)
            if self._can_close:
                break
            await self._apply(self._inbox.take_batch())
        if self._argument_error:
            raise as_failure(self._argument_error)

    @property
    def _has_ended(self) -> bool:
        """Whether the journey ends here, instead of continuing as new."""
        return not self._inbox and (self._idle_timer.has_expired or self._cancelled or self._argument_error is not None)

    @property
    def _can_close(self) -> bool:
        """Whether this run can close. It cannot while an accepted update is unanswered: closing would fail it."""
        return workflow.all_handlers_finished() and (self._has_ended or self._is_rollover_due)

    @property
    def _is_rollover_due(self) -> bool:
        if self._cancelled or self._argument_error or not self._settings:
            return False
        return self._rollover.is_due(self._inbox.settled, rollover_messages=self._settings.rollover_messages)

    def _ensure_idle_timer(self) -> None:
        assert self._settings is not None
        self._idle_timer.ensure_running(self._settings.idle_seconds)

    def _state_to_carry(self) -> tuple[JourneyArgument, CarriedState]:
        assert self._session is not None
        assert self._settings is not None
        fits = len(canonical(self._session.context)) <= MAX_CARRIED_CONTEXT_BYTES
        argument = JourneyArgument(
            chat_session_id=self._chat_session_id, tenant_id=self._session.tenant_id, user_id=self._session.user_id
        )
        return argument, CarriedState(
            session=self._session if fits else None,
            settings=self._settings,
            signals=tuple(_accepted_change(waiting) for waiting in self._inbox if isinstance(waiting, _WaitingChange)),
            signals_seen=self._signals_seen,
            refusals=self._refusals,
        )

    # The inbox.

    @property
    def _limits(self) -> Limits:
        return self._settings.limits if self._settings else UPPER_BOUNDS

    def _enqueue(self, waiting: _Waiting) -> None:
        self._inbox.put(waiting)
        self._idle_timer.restart()

    def _first_initialization(self) -> _WaitingInitialization | None:
        return next((each for each in self._inbox if isinstance(each, _WaitingInitialization)), None)

    def _answer_initialization(self, waiting: _WaitingInitialization, error: JourneyError | None = None) -> None:
        session, request = self._session, waiting.request
        if session and session.is_for(request.tenant_id, request.user_id) and not error:
            waiting.answer.set_result(session)
        else:
            waiting.answer.set_exception(as_failure(error or SessionNotFound()))

    # Changes.

    async def _apply(self, batch: Sequence[_Waiting]) -> None:
        """Decide a batch, store it, and answer its messages."""
        changes = [waiting for waiting in batch if isinstance(waiting, _WaitingChange)]
        error: JourneyError | None = None
        try:
            decisions = await self._decide_and_store(
                [waiting.change for waiting in changes], ask_stores=len(changes) < len(batch)
            )
        except ApplicationError as failure:
            if failure.type == SessionNotFound.code:
                self._inbox.put_back(batch)
                await self._fail(SessionNotFound())
            if len(batch) > 1:  # the database refuses one of the changes: find out which
                self._inbox.put_back(batch)
                self._inbox.isolate_next(len(batch))
                return
            error = from_failure(failure) or InvalidParameter("the database refuses the change")
            decisions = [Refused(error)] * len(changes)
        for waiting, decision in zip(changes, decisions, strict=True):
            if waiting.answer:
                waiting.answer.set_result(decision)
            elif isinstance(decision, Refused):
                self._record_refusal(decision.error)
        for each in batch:
            self._inbox.settle(each)
            if isinstance(each, _WaitingInitialization):
                self._answer_initialization(each, error)
        self._show_session()

    async def _decide_and_store(self, changes: Sequence[Change], *, ask_stores: bool) -> Sequence[Decision]:
        """Decide changes and store them. If the stores are ahead of this run, decide again with what they hold.

        Args:
            changes: The changes, in order.
            ask_stores: Whether to ask the stores even if there is no key to look up. A waiting initialization is
                answered with the session as the stores hold it.
        """
        known: dict[str, KnownChange] = {}
        while True:
            assert self._session is not None
            decisions, after = self._decide_all(self._session, changes, known)
            keys = tuple({change.key: None for change in changes if change.key not in known})
            if not keys and not ask_stores:
                return decisions
            entries = tuple(decision.entry for decision in decisions if isinstance(decision, Applied))
            self._set_details()
            written = await run_activity(
                UPDATE,
                WriteChanges(base_revision=self._session.revision, keys=keys, entries=entries, session=after),
                WrittenChanges,
                summary=_write_summary(self._session, after, stored=len(entries), asked=len(changes)),
            )
            self._note_advance(written.advanced_from)
            if written.outcome == "written":
                self._session = written.session or after
                return decisions
            ask_stores = False
            self._session = written.session or self._session
            known |= {change.idempotency_key: change for change in written.known}

    def _decide_all(
        self, session: ChatSessionArtifact, changes: Sequence[Change], known: Mapping[str, KnownChange]
    ) -> tuple[Sequence[Decision], ChatSessionArtifact]:
        so_far = dict(known)
        decisions = []
        for change in changes:
            decision = decide(session, change, so_far, self._limits, workflow.now())
            if isinstance(decision, Applied):
                session = decision.session
                so_far[change.key] = as_known(decision.entry)
            decisions.append(decision)
        return decisions, session

    def _record_refusal(self, error: JourneyError) -> None:
        self._refusals = self._refusals.with_one_more(Refusal(at=workflow.now(), code=error.code, field=error.field))
        workflow.logger.warning("signal refused", extra={"code": error.code, "field": error.field})
        workflow.metric_meter().create_counter("journey_refused_signals", "Signals that were refused.", "signals").add(
            1, {"code": error.code}
        )

    async def _fail(self, error: JourneyError, *, answer: JourneyError | None = None) -> NoReturn:
        """Fail the run because there is no session to serve.

        Args:
            error: The error of the run.
            answer: The error that waiting callers get; by default only that there is no such session.
        """
        answer = answer or SessionNotFound()
        for waiting in self._inbox:
            if waiting.answer:
                waiting.answer.set_exception(as_failure(answer))
            else:
                self._record_refusal(answer)
        await workflow.wait_condition(workflow.all_handlers_finished)
        raise as_failure(error)

    # Logs and the Web UI.

    def _note_advance(self, advanced_from: int | None) -> None:
        if advanced_from is not None:
            self._note = (
                f"The State Surface was ahead of revision {advanced_from} in Supabase, so the revision was advanced."
            )
            workflow.logger.warning(
                "advanced the session past the State Surface", extra={"advanced_from": advanced_from}
            )

    def _show_session(self) -> None:
        """Show the session in the Web UI: in the run's search attributes and in its details."""
        self._upsert_search_attributes()
        self._set_details()

    def _upsert_search_attributes(self) -> None:
        session = self._session
        assert session is not None
        shown = workflow.info().typed_search_attributes
        wanted = {TENANT_ID: session.tenant_id, USER_ID: session.user_id, ACTIVE_AGENT: session.active_agent}
        changed = [key.value_set(value) for key, value in wanted.items() if shown.get(key) != value]
        if changed:
            workflow.upsert_search_attributes(changed)

    def _set_details(self) -> None:
        """Describe the session in the Web UI's details, which adds no history event."""
        session = self._session
        if session is None:
            return
        lines = [
            f"**{session.active_agent}** leads. Revision **{session.revision}** from {timestamp(session.updated_at)}."
        ]
        if self._inbox.waiting:
            lines.append(
                f"At least **{self._inbox.waiting}** messages wait to be stored; if this lasts, see Pending Activities."
            )
        if self._refusals.count:
            last = self._refusals.last[-1]
            lines.append(
                f"Refused signals: **{self._refusals.count}**; last: {last.code} {last.field} at {timestamp(last.at)}."
            )
        if self._note:
            lines.append(self._note)
        workflow.set_current_details("\n\n".join(lines))


def _accepted_change(waiting: _WaitingChange) -> AcceptedChange:
    return AcceptedChange(request=waiting.change.request, key=waiting.change.key)


def _is_repeated_by_temporal() -> bool:
    info = workflow.info()
    return info.cron_schedule is not None or info.retry_policy is not None


def _parse_accepted(model: type[RequestType], arguments: Sequence[object]) -> RequestType:
    """Parse an update that a validator has accepted; it may have been the validator of another release."""
    try:
        return parse_only(model, arguments)
    except JourneyError as error:
        raise as_failure(error) from None


def _load_summary(waking: _WaitingChange | None) -> str:
    return "load the session, and store the change that woke it" if waking else "load the session"


def _write_summary(before: ChatSessionArtifact, after: ChatSessionArtifact, *, stored: int, asked: int) -> str:
    """A write in one line for the Web UI."""
    if not stored:
        return f"look up {asked} changes at revision {after.revision}"
    revisions = f"revision {after.revision}" if stored == 1 else f"revisions {before.revision + 1}-{after.revision}"
    left = f", {asked - stored} not stored" if stored < asked else ""
    leads = f", {after.active_agent} leads" if after.active_agent != before.active_agent else ""
    return f"{revisions}{leads}{left}"


def _size(request: Request) -> int:
    return len(request.model_dump_json().encode())
