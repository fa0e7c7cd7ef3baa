"""The workflow of the variant `naive`: the journey, written as the SDK's documentation suggests.

An entity workflow on a default worker with the pydantic data converter. A lock puts the asynchronous handlers in
order. Each write is one regular activity for each store. Arguments and answers carry the whole session. The workflow is
correct, and as careful as the SDK's samples: one timer notices idleness, and handlers finish before continue-as-new.
"""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel

    from bench.naive_activities import NaiveActivities
    from bench.naive_records import CreateSession, WriteChange
    from journeys.chat_session.answers import UpdatedChatSession
    from journeys.chat_session.limits import Limits
    from journeys.chat_session.messages import (
        GetChatSession,
        InitializeChatSession,
        SignalChatContext,
        UpdateChatContext,
    )
    from journeys.chat_session.names import UPDATE
    from journeys.chat_session.rules import Applied, Change, Draft, decide
    from journeys.chat_session.session import ChatSessionArtifact

_ACTIVITY_TIMEOUT = timedelta(seconds=10)
_IDLE = timedelta(hours=1)
_ACTIVE_AGENT = SearchAttributeKey.for_keyword("ActiveAgent")


class NaiveState(BaseModel):
    """The workflow's argument.

    Attributes:
        request: Creates the session.
        session: The session at the end of the previous run.
    """

    request: InitializeChatSession
    session: ChatSessionArtifact | None = None


@workflow.defn(name="naive_chat_session")
class NaiveChatSession:
    """One chat session."""

    @workflow.init
    def __init__(self, state: NaiveState) -> None:
        self._session = state.session
        self._lock = asyncio.Lock()
        self._messages = 0

    @workflow.run
    async def run(self, state: NaiveState) -> None:
        """Create the session, then serve it until it is idle."""
        if self._session is None:
            wanted = CreateSession(session=state.request.session(workflow.now()), idempotency_key=state.request.key)
            session = await workflow.execute_activity_method(
                NaiveActivities.create_in_supabase, wanted, start_to_close_timeout=_ACTIVITY_TIMEOUT
            )
            await workflow.execute_activity_method(
                NaiveActivities.register_in_state_surface, session, start_to_close_timeout=_ACTIVITY_TIMEOUT
            )
            self._session = session
        while True:
            seen = self._messages
            try:
                await workflow.wait_condition(workflow.info().is_continue_as_new_suggested, timeout=_IDLE)
            except TimeoutError:
                if self._messages == seen:
                    await workflow.wait_condition(workflow.all_handlers_finished)
                    return
            else:
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(NaiveState(request=state.request, session=self._session))

    @workflow.update
    async def initialize_chat_session(self, request: InitializeChatSession) -> ChatSessionArtifact:
        """Answer when the session is stored."""
        if request.tenant_id != workflow.info().typed_search_attributes[SearchAttributeKey.for_keyword("TenantId")]:
            raise ApplicationError("no such session")
        return await self._wait_until_created()

    @workflow.update
    async def update_chat_context(self, request: UpdateChatContext) -> UpdatedChatSession:
        """Change the context, and answer when both stores hold the change."""
        update = workflow.current_update_info()
        assert update is not None
        session = await self._apply(request, update.id)
        return UpdatedChatSession(**dict(session), applied_revision=session.revision, duplicate=False)

    @workflow.signal(name=UPDATE)
    async def signal_chat_context(self, request: SignalChatContext) -> None:
        await self._apply(request, str(workflow.uuid4()))

    @workflow.query
    def get_chat_session(self, request: GetChatSession) -> ChatSessionArtifact:
        """Answer the session as last stored."""
        if self._session is None or not self._session.is_for(request.tenant_id, request.user_id):
            raise ApplicationError("no such session")
        return self._session

    async def _wait_until_created(self) -> ChatSessionArtifact:
        await workflow.wait_condition(lambda: self._session is not None)
        assert self._session is not None
        return self._session

    async def _apply(self, request: SignalChatContext, message: str) -> ChatSessionArtifact:
        self._messages += 1
        async with self._lock:
            before = await self._wait_until_created()
            change = Change.of(request, key=request.key(before.chat_session_id, message), identity=message)
            decision = decide(Draft.of(before), change, {}, Limits(), workflow.now())
            if not isinstance(decision, Applied):
                raise ApplicationError("the change is refused", non_retryable=True)
            after = decision.draft.session
            batch = WriteChange(before=before, entry=decision.entry, after=after)
            await workflow.execute_activity_method(
                NaiveActivities.write_to_supabase, batch, start_to_close_timeout=_ACTIVITY_TIMEOUT
            )
            await workflow.execute_activity_method(
                NaiveActivities.update_in_state_surface, after, start_to_close_timeout=_ACTIVITY_TIMEOUT
            )
            if after.active_agent != before.active_agent:
                workflow.upsert_search_attributes([_ACTIVE_AGENT.value_set(after.active_agent)])
            self._session = after
            return after
