"""The journey Chat Session Management: one long-lived workflow for each chat session.

Handlers check what they are sent and put it in one inbox; `run` takes it from there in batches, judges each change
in order, has the batch stored, and only then answers. So there is one order of changes, and the session in
memory is never ahead of what both stores hold. The change that wakes a journey is stored along with the load.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from contract.canonical_json import canonical
from contract.chat_session import (
    GET,
    INITIALIZE,
    JOURNEY_ID,
    LOAD,
    UPDATE,
    WORKFLOW_ID_PREFIX,
    ChatSessionArtifact,
    ChatSessionView,
    GetChatSession,
    InitializeChatSession,
    JourneyArgument,
    Refusal,
    Refusals,
    SignalChatContext,
    UpdateChatContext,
    UpdatedChatSession,
    UpdateReceipt,
    check_context,
    is_session_id,
    workflow_id,
)
from contract.chat_session_activities import (
    AcceptedChange,
    CreateSession,
    KnownChange,
    LoadedSession,
    LoadSession,
    Policy,
    WriteChanges,
    WrittenChanges,
)
from contract.chat_session_continuation import CarriedState
from contract.chat_session_judgement import Applied, Change, Duplicate, Refused, Unchanged, Verdict, as_known, judge
from contract.errors import DatabaseUnavailable, InvalidParameter, JourneyError, SessionNotFound
from contract.failures import as_failure, from_failure
from contract.identifiers import timestamp
from contract.limits import (
    KIB,
    MAX_BACKLOG_BYTES,
    MAX_BACKLOG_MESSAGES,
    MAX_BATCH_BYTES,
    MAX_BATCH_MESSAGES,
    MAX_CARRIED_CONTEXT_BYTES,
    WIDEST,
    Limits,
)
from contract.messages import Request, RequestType, parse_only
from contract.search_attributes import ACTIVE_AGENT, TENANT_ID, USER_ID
from workflows.local_then_durable import run_activity

# A run begins with the context in its history. One that is large is worth a longer run.
_LARGE_OPENING_BYTES: Final = 32 * KIB

# How long a timer for idleness runs, as a multiple of the setting: the longer, the fewer of them.
_WATCH: Final = 1.25


@dataclass(frozen=True, slots=True)
class _WaitingChange:
    """A change in the inbox; `answer` is where an update waits, None for a signal."""

    change: Change
    answer: "asyncio.Future[Verdict] | None"
    size: int


@dataclass(frozen=True, slots=True)
class _WaitingInitialization:
    """An initialize update in the inbox."""

    request: InitializeChatSession
    answer: "asyncio.Future[ChatSessionArtifact]"
    size: int


_Waiting = _WaitingChange | _WaitingInitialization


@workflow.defn(name=JOURNEY_ID)
class ChatSessionJourney:
    """One chat session: created once, changed in order, and asleep when nobody talks.

    Every handler takes whatever it is sent: a message that does not fit is an error of the contract, never a failed
    workflow task.
    """

    @workflow.init
    def __init__(self, *arguments: object) -> None:
        """Take the argument (`contract.chat_session.JourneyArgument`) and what an earlier run carried over."""
        info = workflow.info()
        self._opening_bytes = info.get_current_history_size()
        self._chat_session_id = info.workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
        self._session: ChatSessionArtifact | None = None  # never ahead of what both stores hold
        self._policy: Policy | None = None
        self._inbox: deque[_Waiting] = deque()
        self._backlog_messages = 0
        self._backlog_bytes = 0
        self._singly = 0  # how many to apply one by one
        self._taken_messages = 0
        self._signals_seen = 0
        self._refusals = Refusals()
        self._last_message = workflow.time()
        self._watched_until = 0.0
        self._idle = False
        self._cancelled = False
        self._note = ""
        # Only a run that continues another one was given its state by the journey itself. A schedule or a retry
        # makes such runs as well, of whatever was sent.
        if info.continued_run_id and not _repeats() and len(arguments) == 2:
            self._take_over(CarriedState.model_validate(arguments[1]))
            arguments = arguments[:1]
        self._initialization: InitializeChatSession | None = None
        self._misfit: JourneyError | None = None
        try:
            self._initialization = self._checked(arguments)
        except JourneyError as error:
            self._misfit = error

    @workflow.run
    async def run(self, *_: object) -> None:
        """Serve the session until it is idle or cancelled, or better continued as a new run.

        Raises:
            ApplicationError: The argument does not fit (`INVALID_PARAMETER`, once all that waited is served), or
                there is no such session and nobody who initializes it (`SESSION_NOT_FOUND`).
        """
        serving = asyncio.create_task(self._serve())
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self._cancelled = True
            await serving
        if self._ends:
            return
        workflow.continue_as_new(args=self._carried_over())

    @workflow.update(name=INITIALIZE)
    async def initialize_chat_session(self, *arguments: object) -> ChatSessionArtifact:
        """Create the session, or answer it as it is now where it exists."""
        request = _accepted(InitializeChatSession, arguments)
        answer: asyncio.Future[ChatSessionArtifact] = asyncio.Future()
        self._enqueue(_WaitingInitialization(request, answer, _size(request)))
        return await answer

    @initialize_chat_session.validator
    def _may_initialize(self, *arguments: object) -> None:
        try:
            request = parse_only(InitializeChatSession, arguments)
            request.check(self._chat_session_id, workflow.now())
            check_context(request.context, self._limits)
            self._check_backlog(_size(request))
        except JourneyError as error:
            raise as_failure(error) from None

    @workflow.update(name=UPDATE)
    async def update_chat_context(self, *arguments: object) -> UpdatedChatSession | UpdateReceipt:
        """Change the context, and answer when both stores hold the change."""
        request = _accepted(UpdateChatContext, arguments)
        update = workflow.current_update_info()
        assert update is not None
        change = Change.of(request, request.key(self._chat_session_id, update.id))
        answer: asyncio.Future[Verdict] = asyncio.Future()
        self._enqueue(_WaitingChange(change, answer, _size(request)))
        verdict = await answer
        assert self._session is not None
        return _reply(verdict, self._session, request)

    @update_chat_context.validator
    def _may_update(self, *arguments: object) -> None:
        try:
            request = parse_only(UpdateChatContext, arguments)
            Change.of(request, "").check(self._limits)
            self._check_backlog(_size(request))
        except JourneyError as error:
            raise as_failure(error) from None

    @workflow.signal(name=UPDATE)
    def signal_chat_context(self, *arguments: object) -> None:
        """Change the context without an answer; what is refused is counted, logged and shown in `refusals`."""
        self._signals_seen += 1
        try:
            request = parse_only(SignalChatContext, arguments)
            message = f"{workflow.info().first_execution_run_id}/{self._signals_seen}"
            change = Change.of(request, request.key(self._chat_session_id, message))
            change.check(self._limits)
            size = _size(request)
            self._check_backlog(size)
        except JourneyError as error:
            self._taken_messages += 1
            self._refuse(error)
        else:
            self._enqueue(_WaitingChange(change, None, size))

    @workflow.query(name=GET)
    def get_chat_session(self, *arguments: object) -> ChatSessionView:
        """The session as both stores hold it, and the signals that were refused."""
        try:
            request = parse_only(GetChatSession, arguments)
            if self._session is None:
                raise DatabaseUnavailable("the session is not loaded yet; ask again")
            if request.chat_session_id not in (None, self._chat_session_id) or not self._session.is_for(
                request.tenant_id, request.user_id
            ):
                raise SessionNotFound
        except JourneyError as error:
            # Of a failed query only the message reaches the caller.
            raise ApplicationError(str(error), type=error.code) from None
        return ChatSessionView.model_construct(**dict(self._session), refusals=self._refusals)

    # How a run begins.

    def _checked(self, arguments: Sequence[object]) -> InitializeChatSession | None:
        argument = parse_only(JourneyArgument, arguments)
        if _repeats():
            raise InvalidParameter("a journey is started without a cron schedule and without a retry policy")
        if workflow.info().workflow_id != workflow_id(argument.chat_session_id):
            raise InvalidParameter(
                f"chat_session_id: the workflow ID of a session is {WORKFLOW_ID_PREFIX}<chat_session_id>",
                field="chat_session_id",
            )
        initialization = argument.initialization
        if initialization:
            initialization.check(self._chat_session_id, workflow.now())
        return initialization

    def _take_over(self, carried: CarriedState) -> None:
        self._session = carried.session
        self._policy = carried.policy
        self._signals_seen = carried.signals_seen
        self._refusals = carried.refusals
        for signal in carried.signals:
            self._enqueue(_WaitingChange(Change.of(signal.request, signal.key), None, _size(signal.request)))

    async def _open(self) -> None:
        """Find the stored session or create it, before anything is judged."""
        if self._session is not None:  # carried over
            self._show()
            return
        if not is_session_id(self._chat_session_id):
            unnamed = InvalidParameter("the workflow ID names no session")
            await self._fail(self._misfit or unnamed, told=unnamed)
        if self._initialization:
            try:
                await self._create(self._initialization)
            except ApplicationError as failure:
                self._misfit = from_failure(failure) or self._misfit
        if self._session is None:
            await self._load()
        while self._session is None:
            asking = self._waiting_initialization()
            if asking is None:
                await self._fail(self._misfit or SessionNotFound())
            try:
                await self._create(asking.request)
            except ApplicationError as failure:
                self._inbox.remove(asking)
                self._leave(asking)
                asking.answer.set_exception(failure)
        while asking := self._waiting_initialization():  # the stores have just been asked
            self._inbox.remove(asking)
            self._leave(asking)
            self._answer(asking)
        self._initialization = None  # its context is not needed any more
        self._show()

    async def _load(self) -> None:
        """Load the session, and with it what is mostly the only message: the change that woke the journey."""
        first = self._inbox[0] if self._inbox else None
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
            await self._fail(error, told=error)
        self._adopt(loaded)
        if loaded.applied and loaded.session and waking:
            self._inbox.popleft()
            self._leave(waking)
            if waking.answer:
                waking.answer.set_result(Unchanged(loaded.session))  # it came with the change already

    async def _create(self, request: InitializeChatSession) -> None:
        wanted = CreateSession(session=request.session(workflow.now()), idempotency_key=request.key)
        self._adopt(await run_activity(INITIALIZE, wanted, LoadedSession, summary="create the session"))

    def _adopt(self, loaded: LoadedSession) -> None:
        self._session = loaded.session
        self._policy = loaded.policy
        self._remark(loaded.raised_from)

    # How it goes on.

    async def _serve(self) -> None:
        await self._open()
        while True:
            self._watch()
            await workflow.wait_condition(lambda: bool(self._inbox) or self._may_leave)
            if self._may_leave:
                break
            await self._apply(self._next_batch())
        if self._misfit:
            raise as_failure(self._misfit)

    @property
    def _ends(self) -> bool:
        """Whether the journey is over for now, rather than to be continued as a new run."""
        return not self._inbox and (self._idle or self._cancelled or self._misfit is not None)

    @property
    def _may_leave(self) -> bool:
        """Whether this run can close: not before every accepted update is answered, since closing would fail it."""
        return workflow.all_handlers_finished() and (self._ends or self._better_continued)

    @property
    def _better_continued(self) -> bool:
        if self._cancelled or self._misfit or not self._policy:
            return False
        enough = self._policy.rollover_messages * (1 + self._opening_bytes // _LARGE_OPENING_BYTES)
        return self._taken_messages >= enough or (
            self._taken_messages > 0 and workflow.info().is_continue_as_new_suggested()
        )

    def _watch(self) -> None:
        """See to it that idleness is noticed, at most a quarter later than the setting says.

        A timer is started after a batch, where the one that runs would fire too soon, and never when one fires: an
        update that comes at that moment may be told to a replay in another order than it was told at first.
        """
        assert self._policy is not None
        idle_seconds = self._policy.idle_seconds
        if not idle_seconds:
            self._idle = True
        elif self._watched_until < self._last_message + idle_seconds:
            due = self._watched_until = workflow.time() + idle_seconds * _WATCH
            asyncio.create_task(self._notice_idleness(idle_seconds, due))  # noqa: RUF006 - the SDK's loop keeps it

    async def _notice_idleness(self, idle_seconds: float, due: float) -> None:
        await workflow.sleep(idle_seconds * _WATCH, summary="until the session is idle")
        # By when it was due, not when it fires: a replay may tell of that in a later task than it was told at first.
        if self._last_message + idle_seconds <= due:
            self._idle = True

    def _carried_over(self) -> tuple[JourneyArgument, CarriedState]:
        assert self._session is not None
        assert self._policy is not None
        fits = len(canonical(self._session.context)) <= MAX_CARRIED_CONTEXT_BYTES
        argument = JourneyArgument(
            chat_session_id=self._chat_session_id, tenant_id=self._session.tenant_id, user_id=self._session.user_id
        )
        return argument, CarriedState(
            session=self._session if fits else None,
            policy=self._policy,
            signals=tuple(_accepted_change(waiting) for waiting in self._inbox if isinstance(waiting, _WaitingChange)),
            signals_seen=self._signals_seen,
            refusals=self._refusals,
        )

    # The inbox.

    @property
    def _limits(self) -> Limits:
        return self._policy.limits if self._policy else WIDEST

    def _check_backlog(self, size: int) -> None:
        if self._backlog_messages >= MAX_BACKLOG_MESSAGES or self._backlog_bytes + size > MAX_BACKLOG_BYTES:
            raise DatabaseUnavailable("too many changes of this session wait to be stored; send it again later")

    def _enqueue(self, waiting: _Waiting) -> None:
        self._inbox.append(waiting)
        self._backlog_messages += 1
        self._backlog_bytes += waiting.size
        self._last_message = workflow.time()

    def _leave(self, waiting: _Waiting) -> None:
        self._backlog_messages -= 1
        self._backlog_bytes -= waiting.size
        self._taken_messages += 1

    def _next_batch(self) -> list[_Waiting]:
        batch = [self._inbox.popleft()]
        if self._singly:
            self._singly -= 1
            return batch
        size = batch[0].size
        while self._inbox and len(batch) < MAX_BATCH_MESSAGES and size + self._inbox[0].size <= MAX_BATCH_BYTES:
            batch.append(self._inbox.popleft())
            size += batch[-1].size
        return batch

    def _waiting_initialization(self) -> _WaitingInitialization | None:
        return next((each for each in self._inbox if isinstance(each, _WaitingInitialization)), None)

    def _answer(self, asking: _WaitingInitialization, error: JourneyError | None = None) -> None:
        session, request = self._session, asking.request
        if session and session.is_for(request.tenant_id, request.user_id) and not error:
            asking.answer.set_result(session)
        else:
            asking.answer.set_exception(as_failure(error or SessionNotFound()))

    # Changes.

    async def _apply(self, batch: Sequence[_Waiting]) -> None:
        """Judge a batch, have it stored, and answer it."""
        changes = [waiting for waiting in batch if isinstance(waiting, _WaitingChange)]
        error: JourneyError | None = None
        try:
            verdicts = await self._stored([waiting.change for waiting in changes], look=len(changes) < len(batch))
        except ApplicationError as failure:
            if failure.type == SessionNotFound.code:
                self._inbox.extendleft(reversed(batch))
                await self._fail(SessionNotFound())
            if len(batch) > 1:  # one of them holds what the database refuses: find out which
                self._inbox.extendleft(reversed(batch))
                self._singly = len(batch)
                return
            error = from_failure(failure) or InvalidParameter("the database refuses the change")
            verdicts = [Refused(error)] * len(changes)
        for waiting, verdict in zip(changes, verdicts, strict=True):
            if waiting.answer:
                waiting.answer.set_result(verdict)
            elif isinstance(verdict, Refused):
                self._refuse(verdict.error)
        for each in batch:
            self._leave(each)
            if isinstance(each, _WaitingInitialization):
                self._answer(each, error)
        self._show()

    async def _stored(self, changes: Sequence[Change], *, look: bool) -> Sequence[Verdict]:
        """Judge changes until they are stored as judged: the stores may know more of them than this run does.

        Args:
            changes: In order.
            look: Ask the stores even if nothing of the changes is left to ask, since others wait for an answer.
        """
        known: dict[str, KnownChange] = {}
        while True:
            assert self._session is not None
            verdicts, after = self._judged(self._session, changes, known)
            keys = tuple({change.key: None for change in changes if change.key not in known})
            if not keys and not look:
                return verdicts
            entries = tuple(verdict.entry for verdict in verdicts if isinstance(verdict, Applied))
            self._describe()
            written = await run_activity(
                UPDATE,
                WriteChanges(base_revision=self._session.revision, keys=keys, entries=entries, session=after),
                WrittenChanges,
                summary=_summary(self._session, after, stored=len(entries), asked=len(changes)),
            )
            self._remark(written.raised_from)
            if written.outcome == "written":
                self._session = written.session or after
                return verdicts
            look = False
            self._session = written.session or self._session
            known |= {change.idempotency_key: change for change in written.known}

    def _judged(
        self, session: ChatSessionArtifact, changes: Sequence[Change], known: Mapping[str, KnownChange]
    ) -> tuple[Sequence[Verdict], ChatSessionArtifact]:
        so_far = dict(known)
        verdicts = []
        for change in changes:
            verdict = judge(session, change, so_far, self._limits, workflow.now())
            if isinstance(verdict, Applied):
                session = verdict.session
                so_far[change.key] = as_known(verdict.entry)
            verdicts.append(verdict)
        return verdicts, session

    def _refuse(self, error: JourneyError) -> None:
        self._refusals = self._refusals.with_one_more(Refusal(at=workflow.now(), code=error.code, field=error.field))
        workflow.logger.warning("signal refused", extra={"code": error.code, "field": error.field})
        workflow.metric_meter().create_counter("journey_refused_signals", "Signals that were refused.", "signals").add(
            1, {"code": error.code}
        )

    async def _fail(self, error: JourneyError, *, told: JourneyError | None = None) -> NoReturn:
        """Close the run: there is nothing to serve. Whoever waits learns no more than that, unless told."""
        told = told or SessionNotFound()
        for waiting in self._inbox:
            if waiting.answer:
                waiting.answer.set_exception(as_failure(told))
            else:
                self._refuse(told)
        await workflow.wait_condition(workflow.all_handlers_finished)
        raise as_failure(error)

    # What people see.

    def _remark(self, raised_from: int | None) -> None:
        if raised_from is not None:
            self._note = (
                f"The State Surface was ahead of revision {raised_from} in Supabase; the session went on above it."
            )
            workflow.logger.warning("went on above the State Surface", extra={"raised_from": raised_from})

    def _show(self) -> None:
        """Bring the search attributes and the Web UI's details up to the session."""
        session = self._session
        assert session is not None
        shown = workflow.info().typed_search_attributes
        wanted = {TENANT_ID: session.tenant_id, USER_ID: session.user_id, ACTIVE_AGENT: session.active_agent}
        changed = [key.value_set(value) for key, value in wanted.items() if shown.get(key) != value]
        if changed:
            workflow.upsert_search_attributes(changed)
        self._describe()

    def _describe(self) -> None:
        """Say in the Web UI's details how the session stands; it costs no event."""
        session = self._session
        if session is None:
            return
        lines = [
            f"**{session.active_agent}** leads. Revision **{session.revision}** of {timestamp(session.updated_at)}."
        ]
        if self._backlog_messages:
            lines.append(
                f"At least **{self._backlog_messages}** messages wait to be stored; see Pending Activities if it lasts."
            )
        if self._refusals.count:
            last = self._refusals.last[-1]
            lines.append(
                f"Refused signals: **{self._refusals.count}**, lastly {last.code} {last.field} at {timestamp(last.at)}."
            )
        if self._note:
            lines.append(self._note)
        workflow.set_current_details("\n\n".join(lines))


def _accepted_change(waiting: _WaitingChange) -> AcceptedChange:
    return AcceptedChange(request=waiting.change.request, key=waiting.change.key)


def _repeats() -> bool:
    info = workflow.info()
    return info.cron_schedule is not None or info.retry_policy is not None


def _accepted(model: type[RequestType], arguments: Sequence[object]) -> RequestType:
    """Read a message that the validator let pass, perhaps another version's."""
    try:
        return parse_only(model, arguments)
    except JourneyError as error:
        raise as_failure(error) from None


def _load_summary(waking: _WaitingChange | None) -> str:
    return "load the session, and store the change that woke it" if waking else "load the session"


def _summary(before: ChatSessionArtifact, after: ChatSessionArtifact, *, stored: int, asked: int) -> str:
    """What a write is for, in a line for the Web UI."""
    if not stored:
        return f"look up {asked} at revision {after.revision}"
    revisions = f"revision {after.revision}" if stored == 1 else f"revisions {before.revision + 1}-{after.revision}"
    left = f", {asked - stored} not stored" if stored < asked else ""
    leads = f", {after.active_agent} leads" if after.active_agent != before.active_agent else ""
    return f"{revisions}{leads}{left}"


def _size(request: Request) -> int:
    return len(request.model_dump_json().encode())


def _reply(
    verdict: Verdict, current: ChatSessionArtifact, request: UpdateChatContext
) -> UpdatedChatSession | UpdateReceipt:
    if isinstance(verdict, Refused):
        raise as_failure(verdict.error)
    session = current if isinstance(verdict, Duplicate) else verdict.session
    fields = dict(session)
    fields["applied_revision"] = session.revision
    fields["duplicate"] = False
    if isinstance(verdict, Duplicate):
        known = verdict.known
        fields["applied_revision"] = known.revision
        fields["duplicate"] = True
        if request.returning == "receipt":
            fields["revision"] = known.revision
            fields["active_agent"] = known.active_agent
            fields["context_hash"] = known.context_hash
            fields["updated_at"] = known.applied_at
    if request.returning == "artifact":
        return UpdatedChatSession.model_construct(**fields)
    del fields["context"]
    return UpdateReceipt.model_construct(**fields)
