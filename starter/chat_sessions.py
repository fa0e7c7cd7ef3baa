"""The client of the journey Chat Session Management."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Literal, Required, Self, TypedDict, TypeVar, Unpack, overload
from uuid import uuid4

from pydantic import JsonValue
from temporalio.client import (
    ActivityFailureError,
    Client,
    RPCTimeoutOrCancelledError,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import (
    ActivityIDConflictPolicy,
    QueryRejectCondition,
    RetryPolicy,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode

from contract.canonical_json import canonical_hash
from contract.chat_session import (
    GET,
    HISTORY,
    INITIALIZE,
    JOURNEY_ID,
    UPDATE,
    ChatSessionArtifact,
    ChatSessionHistory,
    ChatSessionView,
    GetChatSession,
    GetChatSessionHistory,
    InitializeChatSession,
    InitialState,
    JourneyArgument,
    LedgerEntry,
    SignalChatContext,
    UpdateChatContext,
    UpdatedChatSession,
    UpdateReceipt,
    session_id,
    workflow_id,
)
from contract.connection import connect
from contract.errors import DatabaseUnavailable, EngineUnavailable, JourneyError
from contract.failures import from_failure, from_query_failure
from contract.messages import Request, RequestType, parse
from contract.search_attributes import TENANT_ID, USER_ID
from starter.deadline import Deadline, DeadlinePassed
from starter.settings import StarterSettings

Answer = TypeVar("Answer")
Json = dict[str, JsonValue]

WORKFLOW_TASK_TIMEOUT: Final = timedelta(seconds=1.5)
"""How soon another worker takes over a task whose worker has died."""

# A session that is changed without a pause has no time for queries, nor has one whose worker has just died; and where
# others ask already, Temporal refuses more. The store holds all that is acknowledged, and perhaps what is about to
# be: a local activity ends sooner than this, so that a read does not overtake it.
_QUERY_ATTEMPT: Final = timedelta(seconds=2)
_READ_ATTEMPT: Final = timedelta(seconds=5)
_READ_RETRIES: Final = RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_attempts=3)
_DIAGNOSIS: Final = timedelta(seconds=1)


class ContextChange(TypedDict, total=False):
    """A change of a session's context.

    Attributes:
        tenant_id: Whose session.
        user_id: Which user's; None for a service that acts for the tenant.
        context: A JSON Merge Patch (RFC 7396): deep merge, None removes a key, arrays are replaced.
        append: Items to add to the end of top-level arrays; one with the `id` of another replaces it.
        active_agent: Hands the conversation to `guide` or `liaison_<pillar>`.
        merge_strategy: `replace` applies `context` to an empty one and needs the current `base_revision`.
        base_revision: The revision that the change was written against.
        idempotency_key: Names the change, so that it can be sent again and stands once.
        author: Who makes the change; kept in the ledger.
    """

    tenant_id: Required[str]
    user_id: str | None
    context: Mapping[str, JsonValue] | None
    append: Mapping[str, Sequence[JsonValue]] | None
    active_agent: str | None
    merge_strategy: Literal["merge", "replace"]
    base_revision: int | None
    idempotency_key: str | None
    author: str | None


class ChatSessions:
    """Create, read and change chat sessions.

    Each call has one deadline for all its retries. A retry carries the same update ID, so a call that is lost on the
    way, or arrives twice, is done once. After `DatabaseUnavailable` or `EngineUnavailable` a change may still be
    applied: send it again under the same `idempotency_key`.
    """

    def __init__(self, client: Client, *, task_queue: str | None = None, deadline: timedelta | None = None) -> None:
        """Use a client, whatever its data converter, as long as it writes plain JSON.

        Args:
            client: Connected to the namespace of the journeys.
            task_queue: Which their workers poll; by default the setting `JOURNEY_TASK_QUEUE`.
            deadline: Of each call; by default the setting `JOURNEY_DEADLINE_SECONDS`.
        """
        settings = StarterSettings()
        self._client = client
        self._task_queue = task_queue or settings.task_queue
        self._deadline = deadline or timedelta(seconds=settings.deadline_seconds)

    @classmethod
    async def connect(cls, *, task_queue: str | None = None, deadline: timedelta | None = None) -> Self:
        """Connect as Temporal's environment configuration says (`TEMPORAL_ADDRESS` and so on).

        Raises:
            EngineUnavailable: Temporal cannot be reached.
            InvalidParameter: The configuration makes no sense.
        """
        client = await connect(pydantic_data_converter)
        return cls(client, task_queue=task_queue, deadline=deadline)

    async def initialize(
        self,
        *,
        tenant_id: str,
        user_id: str,
        requested_at: datetime | str | None = None,
        active_agent: str | None = None,
        context: Mapping[str, JsonValue] | None = None,
    ) -> ChatSessionArtifact:
        """Create the session of a user who opens the chat, or get it as it is now where it exists.

        Args:
            tenant_id: Whose platform.
            user_id: Who opened the chat.
            requested_at: When, with its time zone; now by default. Stamp it yourself and keep it if you retry
                this call: the same tenant, user and UTC minute are the same session.
            active_agent: Who leads; `guide` by default.
            context: What the agents know at first.

        Returns:
            The session, stored in Supabase and registered in the State Surface.

        Raises:
            JourneyError: `InvalidParameter`, `ContextTooLarge`, `DatabaseUnavailable`, `EngineUnavailable`.
        """
        requested_at = requested_at or datetime.now(UTC)
        request = _request(
            InitializeChatSession,
            tenant_id=tenant_id,
            user_id=user_id,
            requested_at=requested_at.isoformat() if isinstance(requested_at, datetime) else requested_at,
            active_agent=active_agent,
            context=context,
        )
        chat_session_id = session_id(request.key)
        argument = JourneyArgument(
            chat_session_id=chat_session_id,
            tenant_id=request.tenant_id,
            user_id=request.user_id,
            initialize=InitialState(
                requested_at=request.requested_at, active_agent=request.active_agent, context=request.context
            ),
        )

        async def send(deadline: Deadline) -> Json:
            return await self._update_with_start(argument, INITIALIZE, request, f"{INITIALIZE}/{request.key}", deadline)

        began = datetime.now(UTC)
        session = ChatSessionArtifact.model_validate(await self._call(send, chat_session_id))
        if session.created_at >= began:
            return session
        # Temporal answers a repeated initialization from the first one's answer; the session may have moved on.
        seen = await self.get(chat_session_id, tenant_id=request.tenant_id, user_id=request.user_id)
        return ChatSessionArtifact.model_validate(seen.model_dump())

    async def get(
        self, chat_session_id: str | None = None, *, tenant_id: str, user_id: str | None = None
    ) -> ChatSessionView:
        """Read a session, or without an ID the user's most recent active one. Creates and changes nothing.

        Args:
            chat_session_id: Which one.
            tenant_id: Whose.
            user_id: Which user's; a service of the tenant that knows the ID may leave it out.

        Raises:
            JourneyError: `InvalidParameter`, `SessionNotFound`, `DatabaseUnavailable`, `EngineUnavailable`.
        """
        request = _request(GetChatSession, tenant_id=tenant_id, user_id=user_id, chat_session_id=chat_session_id)

        async def ask(deadline: Deadline) -> Json:
            if chat_session_id is None:
                return await self._read(GET, request, deadline)
            attempt = min(deadline.left, _QUERY_ATTEMPT)
            try:
                async with asyncio.timeout(attempt.total_seconds()):  # the SDK's own retries included
                    answer: Json = await self._handle(chat_session_id).query(
                        GET, _json(request), reject_condition=QueryRejectCondition.NOT_OPEN, rpc_timeout=attempt
                    )
            except (WorkflowQueryRejectedError, RPCError, TimeoutError):
                return await self._read(GET, request, deadline)
            except WorkflowQueryFailedError as failure:
                error = from_query_failure(str(failure))
                if isinstance(error, DatabaseUnavailable):  # it is only just starting; the store may answer
                    return await self._read(GET, request, deadline)
                raise error or EngineUnavailable("the journey cannot be queried") from None
            return answer

        return ChatSessionView.model_validate(await self._call(ask, chat_session_id))

    @overload
    async def update_context(
        self, chat_session_id: str, *, returning: Literal["artifact"] = ..., **change: Unpack[ContextChange]
    ) -> UpdatedChatSession: ...

    @overload
    async def update_context(
        self, chat_session_id: str, *, returning: Literal["artifact", "receipt"], **change: Unpack[ContextChange]
    ) -> UpdateReceipt: ...

    async def update_context(
        self,
        chat_session_id: str,
        *,
        returning: Literal["artifact", "receipt"] = "artifact",
        **change: Unpack[ContextChange],
    ) -> UpdateReceipt:
        """Change the shared context, and wait until both stores hold the change.

        Args:
            chat_session_id: Which session.
            returning: `receipt` leaves the context out of the answer, for those who change it often.
            **change: See `ContextChange`. Without a key and without a base every call is a change of its own.

        Returns:
            The session with this change, as an `UpdatedChatSession`, or as the `UpdateReceipt` alone.

        Raises:
            JourneyError: Any of its kinds.
        """
        request = _request(UpdateChatContext, **change, returning=returning)
        argument = _resuming(chat_session_id, request)
        named = request.model_dump(mode="json", exclude_none=True)
        if request.idempotency_key is None and request.base_revision is None:
            named["call"] = str(uuid4())
        # It stands four times in the history of an update, so it is one hash in either case.
        update_id = f"{UPDATE}/{canonical_hash(named)}"

        async def send(deadline: Deadline) -> Json:
            try:
                answer: Json = await self._handle(chat_session_id).execute_update(
                    UPDATE, _json(request), id=update_id, rpc_timeout=deadline.left
                )
            except RPCError as failure:
                if failure.status is not RPCStatusCode.NOT_FOUND:
                    raise
                await self._check_stored(argument, deadline)
                return await self._update_with_start(argument, UPDATE, request, update_id, deadline)
            return answer

        answer = await self._call(send, chat_session_id)
        return (UpdatedChatSession if returning == "artifact" else UpdateReceipt).model_validate(answer)

    async def signal_context(self, chat_session_id: str, **change: Unpack[ContextChange]) -> None:
        """Change the shared context without waiting: Temporal holds the change until the journey applies it.

        Args:
            chat_session_id: Which session.
            **change: See `ContextChange`. What the journey refuses of it shows in `get(...).refusals`.

        Raises:
            JourneyError: `InvalidParameter`, `SessionNotFound`, `EngineUnavailable`.
        """
        request = _request(SignalChatContext, **change)
        if request.idempotency_key is None and request.base_revision is None:
            # Sent again after a lost reply it would be another signal to a run that has begun meanwhile.
            request = request.model_copy(update={"idempotency_key": f"signal/{uuid4()}"})
        argument = _resuming(chat_session_id, request)

        async def send(deadline: Deadline) -> None:
            try:
                await self._handle(chat_session_id).signal(UPDATE, _json(request), rpc_timeout=deadline.left)
            except RPCError as failure:
                if failure.status is not RPCStatusCode.NOT_FOUND:
                    raise
                await self._check_stored(argument, deadline)
                await self._client.start_workflow(
                    JOURNEY_ID,
                    _json(argument),
                    id=workflow_id(chat_session_id),
                    task_queue=self._task_queue,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    task_timeout=WORKFLOW_TASK_TIMEOUT,
                    static_summary=_SUMMARY,
                    start_signal=UPDATE,
                    start_signal_args=[_json(request)],
                    rpc_timeout=deadline.left,
                )

        await self._call(send, chat_session_id)

    async def history(
        self, chat_session_id: str, *, tenant_id: str, after_revision: int = 0, limit: int = 1000
    ) -> list[LedgerEntry]:
        """Read a session's ledger: one entry for each applied change, oldest first.

        Args:
            chat_session_id: Which session.
            tenant_id: Whose.
            after_revision: Leave out this revision and those before it.
            limit: How many entries at most.

        Raises:
            JourneyError: `InvalidParameter`, `SessionNotFound`, `DatabaseUnavailable`, `EngineUnavailable`.
        """
        entries: list[LedgerEntry] = []
        while True:
            request = _request(
                GetChatSessionHistory,
                tenant_id=tenant_id,
                chat_session_id=chat_session_id,
                after_revision=entries[-1].revision if entries else after_revision,
                limit=limit - len(entries),
            )
            page = ChatSessionHistory.model_validate(await self._call(partial(self._read, HISTORY, request), None))
            entries += page.entries
            if page.complete or len(entries) >= limit:
                return entries

    def _handle(self, chat_session_id: str) -> WorkflowHandle[object, object]:
        return self._client.get_workflow_handle(workflow_id(chat_session_id))

    async def _update_with_start(
        self, argument: JourneyArgument, update: str, request: Request, update_id: str, deadline: Deadline
    ) -> Json:
        start = WithStartWorkflowOperation[object, object](
            JOURNEY_ID,
            _json(argument),
            id=workflow_id(argument.chat_session_id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            static_summary=_SUMMARY,
        )
        # The SDK tells a failure here as well, and asyncio complains where nobody looks.
        started = asyncio.ensure_future(start.workflow_handle())
        started.add_done_callback(lambda done: done.cancelled() or done.exception())
        answer: Json = await self._client.execute_update_with_start_workflow(
            update, _json(request), start_workflow_operation=start, id=update_id, rpc_timeout=deadline.left
        )
        return answer

    async def _check_stored(self, argument: JourneyArgument, deadline: Deadline) -> None:
        """Check that there is a session to resume, so that made-up IDs leave no runs behind.

        Raises:
            ActivityFailureError: There is none for this tenant and user, or the store cannot be read.
        """
        if await self._has_served(argument, deadline):
            return
        request = GetChatSession(
            tenant_id=argument.tenant_id, user_id=argument.user_id, chat_session_id=argument.chat_session_id
        )
        await self._read(GET, request, deadline)

    async def _has_served(self, argument: JourneyArgument, deadline: Deadline) -> bool:
        """Whether the last run served this tenant and user until it fell asleep; it costs much less than a read."""
        try:
            last = await self._handle(argument.chat_session_id).describe(rpc_timeout=deadline.left)
        except RPCError as failure:
            if failure.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False
        shown = last.typed_search_attributes
        return (
            last.status is WorkflowExecutionStatus.COMPLETED
            and shown.get(TENANT_ID) == argument.tenant_id
            and argument.user_id in (None, shown.get(USER_ID))
        )

    async def _read(self, activity: str, request: Request, deadline: Deadline) -> Json:
        """Run a reading activity by itself, without a workflow."""
        answer: Json = await self._client.execute_activity(
            activity,
            _json(request),
            id=f"{activity}/{uuid4()}",
            task_queue=self._task_queue,
            schedule_to_close_timeout=max(deadline.left, timedelta(milliseconds=1)),
            start_to_close_timeout=_READ_ATTEMPT,
            retry_policy=_READ_RETRIES,
            id_conflict_policy=ActivityIDConflictPolicy.USE_EXISTING,
            rpc_timeout=deadline.left,
        )
        return answer

    async def _call(self, call: Callable[[Deadline], Awaitable[Answer]], chat_session_id: str | None) -> Answer:
        """Make a call by its deadline, and say what became of it in the contract's terms."""
        try:
            return await Deadline(self._deadline).keep_trying(call)
        except (WorkflowUpdateFailedError, ActivityFailureError) as failure:
            error = from_failure(failure)
            raise error or EngineUnavailable("no worker answered in time; is one running?") from None
        except DeadlinePassed:
            raise await self._why_late(chat_session_id) from None

    async def _why_late(self, chat_session_id: str | None) -> JourneyError:
        late = EngineUnavailable("no answer in time; is Temporal reachable and a worker running?")
        if chat_session_id is None:
            return late
        try:
            async with asyncio.timeout(_DIAGNOSIS.total_seconds()):
                described = await self._handle(chat_session_id).describe()
        except (TimeoutError, RuntimeError, RPCError, RPCTimeoutOrCancelledError):
            return late
        for pending in described.raw_description.pending_activities:
            if pending.last_failure.application_failure_info.type == DatabaseUnavailable.code:
                return DatabaseUnavailable(
                    "the journey waits for a store; what it has accepted is applied when the store is back"
                )
        return late


_SUMMARY: Final = "Chat session"


def _resuming(chat_session_id: str, request: SignalChatContext) -> JourneyArgument:
    return _request(
        JourneyArgument, chat_session_id=chat_session_id, tenant_id=request.tenant_id, user_id=request.user_id
    )


def _request(model: type[RequestType], **fields: object) -> RequestType:
    """Check a request before it is sent: what cannot be accepted need not travel."""
    return parse(model, {name: value for name, value in fields.items() if value is not None})


def _json(request: Request) -> Json:
    return request.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
