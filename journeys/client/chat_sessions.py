"""The client of the journey Chat Session Management."""

import asyncio
import builtins
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Literal, Self, Unpack, overload
from uuid import uuid4

from pydantic import JsonValue
from temporalio.client import (
    ActivityFailureError,
    Client,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.service import RPCError, RPCStatusCode

from journeys.chat_session.answers import (
    ChatMessages,
    ChatSessionHistory,
    ChatSessionList,
    ChatSessionView,
    DeletedChatSession,
    InitializedChatSession,
    UpdatedChatSession,
    UpdateReceipt,
)
from journeys.chat_session.deletion import DELETED_FIELD
from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.keys import session_id
from journeys.chat_session.limits import MAX_PAGE_ENTRIES, Limits
from journeys.chat_session.messages import (
    ChangeRequest,
    DeleteChatSession,
    GetChatMessages,
    GetChatSession,
    GetChatSessionHistory,
    InitializeChatSession,
    InitialState,
    JourneyArgument,
    ListChatSessions,
    SignalChatContext,
    UpdateChatContext,
    UpdateChatSession,
)
from journeys.chat_session.names import (
    DELETE,
    EDIT,
    GET,
    HISTORY,
    INITIALIZE,
    JOURNEY_ID,
    LIST,
    MESSAGES,
    UPDATE,
    workflow_id,
)
from journeys.chat_session.rules import check_payload_size
from journeys.chat_session.session import LedgerEntry, LifecycleState
from journeys.client.connection import connect
from journeys.client.context_change import ContextChange
from journeys.client.deadline import Deadline
from journeys.client.read_revisions import ReadRevisions
from journeys.client.settings import ClientSettings, read_settings
from journeys.client.transport import Json, Transport
from journeys.errors import DatabaseUnavailable, EngineUnavailable
from journeys.failures import from_failure, from_query_failure
from journeys.messages import RequestType, parse
from journeys.retry_policies import QUERY_ATTEMPT, QUERY_HEAD_START
from journeys.search_attributes import TENANT_ID, USER_ID

_SUMMARY: Final = "Chat session"
# A read of the store costs several times as much as a query. If all queries are slow, the machine is busy, and many
# reads of the store would only make it busier.
_MAX_EARLY_READS: Final = 2


class ChatSessions:
    """Create, read and change chat sessions.

    Each call has one deadline for all its retries. The retries of an update have the same update ID, so the update is
    applied once, even if a reply is lost. After `DatabaseUnavailable` or `EngineUnavailable`, a change may still be
    applied: send it again under the same `idempotency_key`.
    """

    def __init__(self, client: Client, *, task_queue: str | None = None, deadline: timedelta | None = None) -> None:
        """Use a Temporal client. Its data converter must write plain JSON.

        Args:
            client: A client of the journeys' namespace.
            task_queue: The task queue that the journeys' workers poll; by default the setting `JOURNEY_TASK_QUEUE`.
            deadline: The deadline of each call; by default the setting `JOURNEY_DEADLINE_SECONDS`.
        """
        settings = read_settings(ClientSettings)
        self._transport = Transport(
            client,
            workflow_type=JOURNEY_ID,
            summary=_SUMMARY,
            task_queue=task_queue or settings.task_queue,
            deadline=deadline or timedelta(seconds=settings.deadline_seconds),
            check_payload=partial(check_payload_size, limits=Limits(change_bytes=settings.max_change_bytes)),
        )
        self._read_revisions = ReadRevisions()
        self._early_reads = 0

    @classmethod
    async def connect(cls, *, task_queue: str | None = None, deadline: timedelta | None = None) -> Self:
        """Connect as Temporal's environment configuration says (`TEMPORAL_ADDRESS` and so on).

        Raises:
            EngineUnavailable: Temporal cannot be reached.
            InvalidParameter: The configuration is not valid.
        """
        client = await connect()
        return cls(client, task_queue=task_queue, deadline=deadline)

    async def initialize(
        self,
        *,
        tenant_id: str,
        user_id: str,
        requested_at: datetime | str | None = None,
        session_name: str | None = None,
        active_agent: str | None = None,
        context: Mapping[str, JsonValue] | None = None,
        title: str | None = None,
    ) -> InitializedChatSession:
        """Create the session of a user who opens the chat; if it exists, get it as it is now.

        Args:
            tenant_id: The tenant that the session belongs to.
            user_id: The user who opened the chat.
            requested_at: When the user opened the chat, with a time zone; now by default. The same tenant, user and
                UTC minute are the same session, so stamp the time yourself and keep it if you may retry this call.
            session_name: Your own name of the session, instead of a time: the same tenant, user and name are the same
                session, whenever you ask. Use it if a user may open two sessions in one minute.
            active_agent: The agent that leads at first; `guide` by default.
            context: The conversation context at first; empty by default.
            title: What people call the session.

        Returns:
            The session, stored in Supabase and registered in the State Surface.

        Raises:
            JourneyError: `InvalidParameter`, `ContextTooLarge`, `DatabaseUnavailable`, `EngineUnavailable`.
        """
        if session_name is None:
            requested_at = requested_at or datetime.now(UTC)
        request = _build_request(
            InitializeChatSession,
            tenant_id=tenant_id,
            user_id=user_id,
            requested_at=requested_at.isoformat() if isinstance(requested_at, datetime) else requested_at,
            session_name=session_name,
            active_agent=active_agent,
            context=context,
            title=title,
        )
        chat_session_id = session_id(request.key)
        argument = JourneyArgument(
            chat_session_id=chat_session_id,
            tenant_id=request.tenant_id,
            user_id=request.user_id,
            initialize=InitialState(
                requested_at=request.requested_at,
                session_name=request.session_name,
                active_agent=request.active_agent,
                context=request.context,
                title=request.title,
            ),
        )

        update_id = f"{INITIALIZE}/{uuid4()}"

        to = workflow_id(chat_session_id)
        is_retry = False

        async def send(deadline: Deadline) -> Json:
            nonlocal is_retry
            # Ten updates of a session may wait. If more callers initialize it at once, the server turns the others
            # away, and each time it aborts some of the ten. So a retry first reads the session that the ten may have
            # created.
            if is_retry and (found := await self._read_initialized(request, chat_session_id, update_id, deadline)):
                return found
            is_retry = True
            return await self._transport.update_with_start(
                INITIALIZE, request, workflow_id=to, argument=argument, update_id=update_id, deadline=deadline
            )

        answer = await self._transport.call(send, workflow_id=to, update_id=update_id)
        return InitializedChatSession.model_validate(answer)

    async def get(
        self,
        chat_session_id: str | None = None,
        *,
        tenant_id: str,
        user_id: str | None = None,
        at_revision: int | None = None,
    ) -> ChatSessionView:
        """Read a session by its ID or, without an ID, the user's most recent active session. This changes nothing.

        Args:
            chat_session_id: The session's ID.
            tenant_id: The tenant that the session belongs to.
            user_id: The user that the session belongs to. A service of the tenant may leave it out if it knows the ID.
            at_revision: Read the context and the agent as they were after this revision; needs the session's ID.

        Raises:
            JourneyError: `InvalidParameter`, `SessionNotFound`, `DatabaseUnavailable`, `EngineUnavailable`.
        """
        request = _build_request(
            GetChatSession,
            tenant_id=tenant_id,
            user_id=user_id,
            chat_session_id=chat_session_id,
            at_revision=at_revision,
        )

        async def ask(deadline: Deadline) -> Json:
            read = partial(self._transport.read, GET, request, chat_session_id, deadline)
            live = asyncio.ensure_future(self._read_live(request, deadline))
            live.add_done_callback(lambda done: done.cancelled() or done.exception())  # else asyncio logs its error
            try:
                await asyncio.wait({live}, timeout=QUERY_HEAD_START.total_seconds())
                if live.done() or self._early_reads >= _MAX_EARLY_READS:
                    return await live or await read()
                self._early_reads += 1
                try:
                    return await read()
                finally:
                    self._early_reads -= 1
            finally:
                live.cancel()

        view = ChatSessionView.model_validate(await self._transport.call(ask))
        self._read_revisions.add(view.chat_session_id, view.revision)
        return view

    async def _read_live(self, request: GetChatSession, deadline: Deadline) -> Json | None:
        """The session as its journey shows it; None if no run is open, or if the store is to be asked instead."""
        if request.chat_session_id is None or request.at_revision is not None:
            return None
        try:
            live = await self._transport.query(
                GET,
                request,
                workflow_id=workflow_id(request.chat_session_id),
                timeout=min(deadline.left, QUERY_ATTEMPT),
            )
        except (WorkflowQueryRejectedError, RPCError, TimeoutError):
            return None
        except WorkflowQueryFailedError as failure:
            error = from_query_failure(str(failure))
            if isinstance(error, DatabaseUnavailable):  # the session is not loaded yet
                return None
            raise error or EngineUnavailable("the journey cannot be queried", outcome="not accepted") from None
        revision = live["revision"]
        assert isinstance(revision, int)
        return live if self._read_revisions.is_current(request.chat_session_id, revision) else None

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
            chat_session_id: The session's ID.
            returning: `receipt` leaves the context out of the answer, which saves bytes if you change it often.
            **change: See `ContextChange`. Without `idempotency_key` and `base_revision`, every call is a new change.

        Returns:
            The session with this change, as an `UpdatedChatSession`; with `receipt`, only the `UpdateReceipt`.

        Raises:
            JourneyError: Any of its subclasses.
        """
        request = _build_request(UpdateChatContext, **change, returning=returning)
        answer = await self._send_change(UPDATE, chat_session_id, request)
        return (UpdatedChatSession if returning == "artifact" else UpdateReceipt).model_validate(answer)

    async def update_session(
        self,
        chat_session_id: str,
        *,
        tenant_id: str,
        user_id: str | None = None,
        title: str | None = None,
        lifecycle_state: LifecycleState | None = None,
        new_user_id: str | None = None,
        base_revision: int | None = None,
        idempotency_key: str | None = None,
        author: str | None = None,
    ) -> UpdateReceipt:
        """Change what a session is called, whether it is active, or whose it is, and wait until both stores hold it.

        Args:
            chat_session_id: The session's ID.
            tenant_id: The tenant that the session belongs to.
            user_id: The user that the session belongs to; a service of the tenant may leave it out.
            title: What people call the session; empty to remove the title.
            lifecycle_state: `ARCHIVED` puts the session away: it can be read, and its context and transcript take no
                changes. `ACTIVE` takes it out again.
            new_user_id: The user who gets the session, which then is no longer the old user's. Leave `user_id` out.
            base_revision: The revision that the change was written against.
            idempotency_key: Identifies the change: it is applied once, however often it is sent under this key.
            author: Who makes the change; kept in the ledger.

        Raises:
            JourneyError: Any of its subclasses.
        """
        request = _build_request(
            UpdateChatSession,
            tenant_id=tenant_id,
            user_id=user_id,
            title=title,
            lifecycle_state=lifecycle_state,
            new_user_id=new_user_id,
            base_revision=base_revision,
            idempotency_key=idempotency_key,
            author=author,
        )
        return UpdateReceipt.model_validate(await self._send_change(EDIT, chat_session_id, request))

    async def signal_context(self, chat_session_id: str, **change: Unpack[ContextChange]) -> None:
        """Change the shared context without waiting: Temporal holds the change until the journey applies it.

        Args:
            chat_session_id: The session's ID.
            **change: See `ContextChange`. If the journey refuses the change, `get(...).refusals` shows it.

        Raises:
            JourneyError: `InvalidParameter`, `ContextTooLarge`, `SessionNotFound`, `EngineUnavailable`.
        """
        request = _build_request(SignalChatContext, **change)
        if request.idempotency_key is None and request.base_revision is None:
            # If a reply is lost, Temporal may take the retry for another signal. The key makes it the same change.
            request = request.model_copy(update={"idempotency_key": f"signal/{uuid4()}"})
        argument = _resume_argument(chat_session_id, request)

        to = workflow_id(chat_session_id)

        async def send(deadline: Deadline) -> None:
            if not await self._transport.signal(UPDATE, request, workflow_id=to, deadline=deadline):
                await self._check_stored(argument, deadline)
                await self._transport.signal_with_start(
                    UPDATE, request, workflow_id=to, argument=argument, deadline=deadline
                )

        await self._transport.call(send, workflow_id=to)

    async def history(
        self,
        chat_session_id: str,
        *,
        tenant_id: str,
        user_id: str | None = None,
        after_revision: int | None = None,
        limit: int = MAX_PAGE_ENTRIES,
    ) -> builtins.list[LedgerEntry]:
        """Read a session's ledger: one entry for the creation and one for each applied change, oldest first.

        Args:
            chat_session_id: The session's ID.
            tenant_id: The tenant that the session belongs to.
            user_id: The user that the session belongs to, if a user asks.
            after_revision: Leave out this revision and earlier ones; 0 leaves out only the creation.
            limit: The maximum number of entries.

        Raises:
            JourneyError: `InvalidParameter`, `SessionNotFound`, `DatabaseUnavailable`, `EngineUnavailable`.
        """
        entries: builtins.list[LedgerEntry] = []
        while True:
            request = _build_request(
                GetChatSessionHistory,
                tenant_id=tenant_id,
                user_id=user_id,
                chat_session_id=chat_session_id,
                after_revision=entries[-1].revision if entries else after_revision,
                limit=limit - len(entries),
            )
            read = partial(self._transport.read, HISTORY, request, chat_session_id)
            page = ChatSessionHistory.model_validate(await self._transport.call(read))
            entries += page.entries
            if page.complete or len(entries) >= limit:
                return entries

    async def messages(
        self,
        chat_session_id: str,
        *,
        tenant_id: str,
        user_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
        after: str | None = None,
    ) -> ChatMessages:
        """Read a page of a session's transcript; without a cursor the latest one.

        Args:
            chat_session_id: The session's ID.
            tenant_id: The tenant that the session belongs to.
            user_id: The user that the session belongs to; a service of the tenant may leave it out.
            limit: The maximum number of messages, at most `MAX_PAGE_MESSAGES`. Large messages make a page shorter.
            before: The cursor `older` of a page, for the messages before that page.
            after: The cursor `newer` of a page, for the messages after that page.

        Raises:
            JourneyError: `InvalidParameter`, `SessionNotFound`, `DatabaseUnavailable`, `EngineUnavailable`.
        """
        request = _build_request(
            GetChatMessages,
            tenant_id=tenant_id,
            user_id=user_id,
            chat_session_id=chat_session_id,
            limit=limit,
            before=before,
            after=after,
        )
        read = partial(self._transport.read, MESSAGES, request, chat_session_id)
        return ChatMessages.model_validate(await self._transport.call(read))

    async def list(
        self,
        *,
        tenant_id: str,
        user_id: str | None = None,
        lifecycle_state: LifecycleState = "ACTIVE",
        limit: int = 50,
        after: str | None = None,
    ) -> ChatSessionList:
        """Read a page of a user's sessions or, without a user, of the tenant's; the latest change first.

        A session that is changed while you read page after page moves to the first page, and you may not see it.

        Args:
            tenant_id: The tenant that the sessions belong to.
            user_id: The user that they belong to; a service of the tenant may leave it out.
            lifecycle_state: Only sessions in this state.
            limit: The maximum number of sessions, at most `MAX_PAGE_SESSIONS`.
            after: The cursor `next` of the page before.

        Raises:
            JourneyError: `InvalidParameter`, `DatabaseUnavailable`, `EngineUnavailable`.
        """
        request = _build_request(
            ListChatSessions,
            tenant_id=tenant_id,
            user_id=user_id,
            lifecycle_state=lifecycle_state,
            limit=limit,
            after=after,
        )
        read = partial(self._transport.read, LIST, request, None)
        return ChatSessionList.model_validate(await self._transport.call(read))

    async def delete(
        self, chat_session_id: str, *, tenant_id: str, user_id: str | None = None, author: str | None = None
    ) -> DeletedChatSession:
        """Delete a session with everything that was said in it, for good, and wait until both stores have deleted it.

        A separate workflow removes what Temporal keeps of the session, a little later.

        Args:
            chat_session_id: The session's ID.
            tenant_id: The tenant that the session belongs to.
            user_id: The user that the session belongs to. A service of the tenant may leave it out; if the session is
                deleted already, the service gets the time of that deletion.
            author: Who deletes it. Only Temporal's history keeps it, until the erasure.

        Raises:
            JourneyError: `InvalidParameter`, `SessionNotFound`, `DatabaseUnavailable`, `EngineUnavailable`.
        """
        request = _build_request(DeleteChatSession, tenant_id=tenant_id, user_id=user_id, author=author)
        return DeletedChatSession.model_validate(await self._send_change(DELETE, chat_session_id, request))

    async def _send_change(self, intent: str, chat_session_id: str, request: ChangeRequest | DeleteChatSession) -> Json:
        may_be_taken = False
        argument = _resume_argument(chat_session_id, request)
        update_id = f"{intent}/{uuid4()}"
        to = workflow_id(chat_session_id)

        async def send(deadline: Deadline) -> Json:
            nonlocal may_be_taken
            try:
                answer = await self._transport.update(
                    intent, request, workflow_id=to, update_id=update_id, deadline=deadline
                )
            except BaseException:
                may_be_taken = True
                raise
            if answer is None:
                if not may_be_taken:  # otherwise an earlier attempt may have deleted the session
                    await self._check_stored(argument, deadline)
                may_be_taken = True
                answer = await self._transport.update_with_start(
                    intent, request, workflow_id=to, argument=argument, update_id=update_id, deadline=deadline
                )
            return answer

        return await self._transport.call(send, workflow_id=to, update_id=update_id)

    async def _read_initialized(
        self, request: InitializeChatSession, chat_session_id: str, update_id: str, deadline: Deadline
    ) -> Json | None:
        """The session as its journey shows it, which both stores hold; None if it is not loaded, or no run is open.

        Raises:
            WorkflowUpdateFailedError: The journey has refused this update.
            RPCError: Too many queries wait.
            TimeoutError: There was no answer in time.
        """
        to = workflow_id(chat_session_id)
        wanted = GetChatSession(tenant_id=request.tenant_id, user_id=request.user_id)
        try:
            seen = await self._transport.query(GET, wanted, workflow_id=to, timeout=min(deadline.left, QUERY_ATTEMPT))
        except (WorkflowQueryFailedError, WorkflowQueryRejectedError):
            return None
        except RPCError as failure:
            if failure.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        # The run may have taken this update although its sender was turned away. Then the update's own answer counts.
        return await self._transport.poll_update(to, update_id, deadline) or seen | {"created": False}

    async def _check_stored(self, argument: JourneyArgument, deadline: Deadline) -> None:
        """Check that there is a session to resume, so that a made-up ID starts no run.

        Raises:
            ActivityFailureError: This tenant and user have no such session, or the store cannot be read.
        """
        if await self._last_run_served(argument, deadline):
            return
        request = GetChatSession(
            tenant_id=argument.tenant_id, user_id=argument.user_id, chat_session_id=argument.chat_session_id
        )
        try:
            await self._transport.read(GET, request, argument.chat_session_id, deadline)
        except ActivityFailureError as failure:
            error = from_failure(failure)
            if not isinstance(error, SessionNotFound) or error.field != DELETED_FIELD:
                raise

    async def _last_run_served(self, argument: JourneyArgument, deadline: Deadline) -> bool:
        """Whether the last run served this tenant and user until it completed. This costs much less than a read."""
        last = await self._transport.describe_last_run(workflow_id(argument.chat_session_id), deadline)
        if last is None:
            return False
        shown = last.typed_search_attributes
        return (
            last.status is WorkflowExecutionStatus.COMPLETED
            and shown.get(TENANT_ID) == argument.tenant_id
            and argument.user_id in (None, shown.get(USER_ID))
        )


def _resume_argument(chat_session_id: str, request: ChangeRequest | DeleteChatSession) -> JourneyArgument:
    return _build_request(
        JourneyArgument, chat_session_id=chat_session_id, tenant_id=request.tenant_id, user_id=request.user_id
    )


def _build_request(model: type[RequestType], **fields: object) -> RequestType:
    """Build a request and check it before it is sent."""
    return parse(model, {name: value for name, value in fields.items() if value is not None})
