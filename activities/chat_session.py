"""The activities of Chat Session Management: one for each intent, and `load_chat_session` for the workflow.

Supabase is written first, then the State Surface; no transaction spans the two. Wherever an activity dies, it can be
run again: it repeats nothing that it finds done. What it returns to the workflow is in both stores.
"""

from collections.abc import Callable, Sequence

from temporalio import activity
from temporalio.exceptions import ApplicationError

from journeys.chat_session.activities import (
    CreateSession,
    LoadedSession,
    LoadSession,
    SessionSettings,
    WriteChanges,
    WrittenChanges,
)
from journeys.chat_session.answers import ChatSessionHistory
from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.messages import GetChatSession, GetChatSessionHistory
from journeys.chat_session.names import ARTIFACT_TYPE, GET, HISTORY, INITIALIZE, LOAD, UPDATE
from journeys.chat_session.rules import Applied, Change, as_known, check_context, decide
from journeys.chat_session.session import ChatSessionArtifact
from journeys.errors import InvalidParameter, JourneyError
from journeys.failures import as_failure
from journeys.messages import parse_only
from journeys.retry_policies import READ_ATTEMPTS
from journeys.state_surface import ProducedBy, StateSurface, SurfaceArtifact
from stores.chat_sessions_supabase import ChatSessionsSupabase

_DESCRIPTOR = {"title": "Chat session", "content": "active agent and shared conversation context"}


class ChatSessionActivities:
    """The activities, on a worker's stores."""

    def __init__(self, sessions: ChatSessionsSupabase, surface: StateSurface, settings: SessionSettings) -> None:
        self._sessions = sessions
        self._surface = surface
        self._settings = settings

    @property
    def all(self) -> Sequence[Callable[..., object]]:
        """All activities, for a worker to register."""
        return [
            self.initialize_chat_session,
            self.load_chat_session,
            self.update_chat_context,
            self.get_chat_session,
            self.get_chat_session_history,
        ]

    @activity.defn(name=INITIALIZE)
    async def initialize_chat_session(self, wanted: CreateSession) -> LoadedSession:
        """Create a session exactly once and register it; if it exists, load it."""
        try:
            check_context(wanted.session.context, self._settings.limits)
            stored = await self._sessions.create(wanted)
            if stored is None:
                raise InvalidParameter("the session's idempotency key belongs to another session")
            return await self._sync_state_surface(stored, registered=False)
        except JourneyError as error:
            raise as_failure(error) from None

    @activity.defn(name=LOAD)
    async def load_chat_session(self, wanted: LoadSession) -> LoadedSession:
        """Load a session, bring the State Surface up to it, and store a change if it can be applied as it is."""
        try:
            stored = await self._sessions.load(wanted.chat_session_id)
            if stored is None:
                return LoadedSession(session=None, settings=self._settings)
            loaded = await self._sync_state_surface(stored)
            changed = await self._store_waking_change(stored, wanted) if loaded.session is stored else None
            if changed is None:
                return loaded
            return (await self._sync_state_surface(changed)).model_copy(update={"applied": True})
        except JourneyError as error:
            raise as_failure(error) from None

    async def _store_waking_change(
        self, session: ChatSessionArtifact, wanted: LoadSession
    ) -> ChatSessionArtifact | None:
        """Store the change that came with a load; None if there is none, or if the workflow must decide it."""
        if wanted.change is None:
            return None
        change = Change.of(wanted.change.request, wanted.change.key)
        decision = decide(session, change, {}, self._settings.limits, wanted.at)
        if not isinstance(decision, Applied):
            return None
        batch = WriteChanges(
            base_revision=session.revision, keys=(change.key,), entries=(decision.entry,), session=decision.session
        )
        try:
            outcome = await self._sessions.write(batch)
        except ApplicationError as error:
            if not error.non_retryable:
                raise
            return None
        return decision.session if outcome.written else None

    @activity.defn(name=UPDATE)
    async def update_chat_context(self, batch: WriteChanges) -> WrittenChanges:
        """Store a batch of changes in both stores, or return what the workflow needs to decide it again."""
        try:
            outcome = await self._sessions.write(batch)
            if outcome.revision is None:
                raise SessionNotFound("the session is gone from the store")
            # An earlier attempt may have written the batch and died before it could return.
            planned = {as_known(entry) for entry in batch.entries}
            ours = bool(planned) and planned == set(outcome.known) and outcome.revision == batch.session.revision
            if outcome.written or ours:
                held = await self._sync_state_surface(batch.session)
                advanced = held.session if held.advanced_from is not None else None
                return WrittenChanges(outcome="written", session=advanced, advanced_from=held.advanced_from)
            if outcome.revision == batch.base_revision:
                return WrittenChanges(outcome="stopped" if outcome.known else "written", known=outcome.known)
            stored = await self._sessions.load(batch.session.chat_session_id)
            if stored is None:
                raise SessionNotFound("the session is gone from the store")
            now = await self._sync_state_surface(stored)
            return WrittenChanges(
                outcome="stopped", known=outcome.known, session=now.session, advanced_from=now.advanced_from
            )
        except JourneyError as error:
            raise as_failure(error) from None

    @activity.defn(name=GET)
    async def get_chat_session(self, *arguments: object) -> ChatSessionArtifact:
        """Read a session from Supabase by its ID or, without an ID, a user's most recent active one. Change nothing."""
        try:
            wanted = parse_only(GetChatSession, arguments)
            if wanted.chat_session_id:
                session = await self._sessions.read(wanted.chat_session_id)
            elif wanted.user_id:
                session = await self._sessions.read_latest(wanted.tenant_id, wanted.user_id)
            else:
                raise InvalidParameter("user_id: is needed if chat_session_id is absent", field="user_id")
            if session is None or not session.is_for(wanted.tenant_id, wanted.user_id):
                raise SessionNotFound
            return session
        except JourneyError as error:
            raise as_failure(error) from None
        except ApplicationError as error:
            raise _final_after_last_attempt(error) from None

    @activity.defn(name=HISTORY)
    async def get_chat_session_history(self, *arguments: object) -> ChatSessionHistory:
        """Read a page of a session's ledger. Change nothing."""
        try:
            wanted = parse_only(GetChatSessionHistory, arguments)
            page = await self._sessions.history(
                wanted.chat_session_id, wanted.tenant_id, after_revision=wanted.after_revision, limit=wanted.limit
            )
            if page is None:
                raise SessionNotFound
            return ChatSessionHistory(
                chat_session_id=wanted.chat_session_id, entries=page.entries, complete=page.complete
            )
        except JourneyError as error:
            raise as_failure(error) from None
        except ApplicationError as error:
            raise _final_after_last_attempt(error) from None

    async def _sync_state_surface(self, session: ChatSessionArtifact, *, registered: bool = True) -> LoadedSession:
        """Bring the State Surface up to a stored session. If it is ahead, advance the session past it."""
        advanced_from = None
        while True:
            artifact = _as_artifact(session)
            held = await self._surface.update(artifact) if registered else None
            if held is None:
                held = await self._surface.register(artifact)
            if held <= session.revision:
                return LoadedSession(session=session, settings=self._settings, advanced_from=advanced_from)
            advanced = await self._sessions.advance_past(session, held)
            if advanced:
                advanced_from = session.revision
                activity.logger.warning(
                    "the State Surface was ahead of Supabase: advanced the session past it",
                    extra={"supabase_revision": session.revision, "state_surface_revision": held},
                )
            reread = advanced or await self._sessions.load(session.chat_session_id)
            if reread is None:
                raise SessionNotFound("the session is gone from the store")
            session = reread


def _as_artifact(session: ChatSessionArtifact) -> SurfaceArtifact:
    return SurfaceArtifact(
        artifact_id=session.chat_session_id,
        tenant_id=session.tenant_id,
        artifact_type=ARTIFACT_TYPE,
        lifecycle_state=session.lifecycle_state,
        produced_by=ProducedBy(intent=INITIALIZE, execution_id=activity.info().workflow_run_id or ""),
        semantic_descriptor=_DESCRIPTOR,
        semantic_payload={"active_agent": session.active_agent, "context": session.context},
        materializations=(
            {"store": "supabase", "table": "public.chat_sessions", "chat_session_id": session.chat_session_id},
        ),
        revision=session.revision,
        created_at=session.created_at,
        updated_at=session.updated_at,
    )


def _final_after_last_attempt(error: ApplicationError) -> ApplicationError:
    """The same error, which is non-retryable at the last attempt of a read."""
    return ApplicationError(
        error.message,
        *error.details,
        type=error.type,
        non_retryable=error.non_retryable or activity.info().attempt >= READ_ATTEMPTS,
    )
