"""The activities of Chat Session Management: one for each intent, and what the journey itself needs.

Supabase is written first, then the State Surface; no transaction spans the two. Each activity can be run again at any
point where it may have died: what it finds done it does not do twice, and it answers only when both stores
hold what it answers.
"""

from collections.abc import Callable, Sequence

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.chat_sessions_supabase import ChatSessionsSupabase
from contract.chat_session import (
    ARTIFACT_TYPE,
    GET,
    HISTORY,
    INITIALIZE,
    LOAD,
    UPDATE,
    ChatSessionArtifact,
    ChatSessionHistory,
    GetChatSession,
    GetChatSessionHistory,
    LedgerEntry,
    check_context,
)
from contract.chat_session_activities import (
    CreateSession,
    LoadedSession,
    LoadSession,
    Policy,
    WriteChanges,
    WrittenChanges,
)
from contract.chat_session_judgement import Applied, Change, as_known, judge
from contract.errors import InvalidParameter, JourneyError, SessionNotFound
from contract.failures import as_failure
from contract.limits import MIB
from contract.messages import parse_only
from contract.state_surface import ProducedBy, StateSurface, SurfaceArtifact

# A reader waits for no outage: after this many attempts it is told.
_READ_ATTEMPTS = 3
_PAGE_BYTES = MIB
_DESCRIPTOR = {"title": "Chat session", "content": "active agent and shared conversation context"}


class ChatSessionActivities:
    """The activities, on the stores that a worker was given."""

    def __init__(self, sessions: ChatSessionsSupabase, surface: StateSurface, policy: Policy) -> None:
        self._sessions = sessions
        self._surface = surface
        self._policy = policy

    @property
    def all(self) -> Sequence[Callable[..., object]]:
        """What a worker registers."""
        return [
            self.initialize_chat_session,
            self.load_chat_session,
            self.update_chat_context,
            self.get_chat_session,
            self.get_chat_session_history,
        ]

    @activity.defn(name=INITIALIZE)
    async def initialize_chat_session(self, wanted: CreateSession) -> LoadedSession:
        """Create a session exactly once and register it; where it exists, load it."""
        try:
            check_context(wanted.session.context, self._policy.limits)
            stored = await self._sessions.create(wanted)
            if stored is None:
                raise InvalidParameter("the session's idempotency key already stands for another session")
            return await self._in_both(stored, registered=False)
        except JourneyError as error:
            raise as_failure(error) from None

    @activity.defn(name=LOAD)
    async def load_chat_session(self, wanted: LoadSession) -> LoadedSession:
        """Load a session to go on from, after bringing the State Surface up to it; with a change, if it can be."""
        try:
            stored = await self._sessions.load(wanted.chat_session_id)
            if stored is None:
                return LoadedSession(session=None, policy=self._policy)
            loaded = await self._in_both(stored)
            changed = await self._changed(stored, wanted) if loaded.session is stored else None
            if changed is None:
                return loaded
            return (await self._in_both(changed)).model_copy(update={"applied": True})
        except JourneyError as error:
            raise as_failure(error) from None

    async def _changed(self, session: ChatSessionArtifact, wanted: LoadSession) -> ChatSessionArtifact | None:
        """Store the change that a session is loaded with; None where there is none, or more to be said of it."""
        if wanted.change is None:
            return None
        change = Change.of(wanted.change.request, wanted.change.key)
        verdict = judge(session, change, {}, self._policy.limits, wanted.at)
        if not isinstance(verdict, Applied):
            return None
        batch = WriteChanges(
            base_revision=session.revision, keys=(change.key,), entries=(verdict.entry,), session=verdict.session
        )
        try:
            outcome = await self._sessions.write(batch)
        except ApplicationError as error:
            if not error.non_retryable:
                raise
            return None
        return verdict.session if outcome.written else None

    @activity.defn(name=UPDATE)
    async def update_chat_context(self, batch: WriteChanges) -> WrittenChanges:
        """Store a batch of changes in both stores, or say why it has to be judged again."""
        try:
            outcome = await self._sessions.write(batch)
            if outcome.revision is None:
                raise SessionNotFound("the session is gone from the store")
            # An attempt before this one may have written it and died before it could say so.
            planned = {as_known(entry) for entry in batch.entries}
            ours = bool(planned) and planned == set(outcome.known) and outcome.revision == batch.session.revision
            if outcome.written or ours:
                held = await self._in_both(batch.session)
                raised = held.session if held.raised_from is not None else None
                return WrittenChanges(outcome="written", session=raised, raised_from=held.raised_from)
            if outcome.revision == batch.base_revision:
                return WrittenChanges(outcome="stopped" if outcome.known else "written", known=outcome.known)
            stored = await self._sessions.load(batch.session.chat_session_id)
            if stored is None:
                raise SessionNotFound("the session is gone from the store")
            now = await self._in_both(stored)
            return WrittenChanges(
                outcome="stopped", known=outcome.known, session=now.session, raised_from=now.raised_from
            )
        except JourneyError as error:
            raise as_failure(error) from None

    @activity.defn(name=GET)
    async def get_chat_session(self, *arguments: object) -> ChatSessionArtifact:
        """Read a session from Supabase: by its ID, or a user's most recent active one. Changes nothing."""
        try:
            wanted = parse_only(GetChatSession, arguments)
            if wanted.chat_session_id:
                session = await self._sessions.read(wanted.chat_session_id)
            elif wanted.user_id:
                session = await self._sessions.read_latest(wanted.tenant_id, wanted.user_id)
            else:
                raise InvalidParameter("user_id: is needed where chat_session_id is absent", field="user_id")
            if session is None or not session.is_for(wanted.tenant_id, wanted.user_id):
                raise SessionNotFound
            return session
        except JourneyError as error:
            raise as_failure(error) from None
        except ApplicationError as error:
            raise _told(error) from None

    @activity.defn(name=HISTORY)
    async def get_chat_session_history(self, *arguments: object) -> ChatSessionHistory:
        """Read a page of a session's ledger. Changes nothing."""
        try:
            wanted = parse_only(GetChatSessionHistory, arguments)
            found = await self._sessions.history(
                wanted.chat_session_id,
                wanted.tenant_id,
                after_revision=wanted.after_revision,
                limit=wanted.limit + 1,
            )
            if found is None:
                raise SessionNotFound
            page = _page(found[: wanted.limit])
            return ChatSessionHistory(
                chat_session_id=wanted.chat_session_id, entries=page, complete=len(page) == len(found)
            )
        except JourneyError as error:
            raise as_failure(error) from None
        except ApplicationError as error:
            raise _told(error) from None

    async def _in_both(self, session: ChatSessionArtifact, *, registered: bool = True) -> LoadedSession:
        """Bring the State Surface up to a stored session; where it is ahead, go on above it."""
        raised_from = None
        while True:
            artifact = _as_artifact(session)
            held = await self._surface.update(artifact) if registered else None
            if held is None:
                held = await self._surface.register(artifact)
            if held <= session.revision:
                return LoadedSession(session=session, policy=self._policy, raised_from=raised_from)
            raised = await self._sessions.raise_above(session, held)
            if raised:
                raised_from = session.revision
                activity.logger.warning(
                    "the State Surface is ahead of Supabase: the session goes on above it",
                    extra={"supabase_revision": session.revision, "state_surface_revision": held},
                )
            reread = raised or await self._sessions.load(session.chat_session_id)
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


def _page(entries: Sequence[LedgerEntry]) -> tuple[LedgerEntry, ...]:
    """As many entries as one answer holds, but at least one."""
    size = 0
    for count, entry in enumerate(entries):
        size += len(entry.model_dump_json())
        if count and size > _PAGE_BYTES:
            return tuple(entries[:count])
    return tuple(entries)


def _told(error: ApplicationError) -> ApplicationError:
    """The same error, final once a reader has waited long enough."""
    return ApplicationError(
        error.message,
        *error.details,
        type=error.type,
        non_retryable=error.non_retryable or activity.info().attempt >= _READ_ATTEMPTS,
    )
