"""The activities of the variant `naive`: one regular activity for each store and write."""

from temporalio import activity

from activities.chat_session_artifacts import as_artifact
from bench.naive_records import CreateSession, WriteChange
from journeys.chat_session.session import ChatSessionArtifact
from stores.chat_sessions_supabase import ChatSessionsSupabase, StoredSession
from stores.postgres import json_text
from stores.state_surface_postgres import StateSurfacePostgres


class NaiveActivities:
    """The same statements as the journey's."""

    def __init__(self, sessions: ChatSessionsSupabase, surface: StateSurfacePostgres) -> None:
        self._sessions = sessions
        self._surface = surface

    @activity.defn
    async def create_in_supabase(self, wanted: CreateSession) -> ChatSessionArtifact:
        """Create a session if it does not exist yet, and answer the stored one."""
        creation = f"initialize/{activity.info().workflow_run_id}"
        stored = await self._sessions.create(wanted.session, key=wanted.idempotency_key, creation_key=creation)
        if not isinstance(stored, StoredSession):
            raise RuntimeError("the session's key belongs to another session")
        return stored.session

    @activity.defn
    async def register_in_state_surface(self, session: ChatSessionArtifact) -> None:
        await self._surface.register(as_artifact(session, activity.info().workflow_run_id or ""))

    @activity.defn
    async def write_to_supabase(self, change: WriteChange) -> None:
        """Write a session and its ledger; an attempt that finds its own key there is a retry."""
        outcome = await self._sessions.write(
            base=change.before,
            keys=(change.entry.idempotency_key,),
            entries=(change.entry,),
            after=change.after,
            context_text=json_text(change.after.context),
            refusals=None,
            at=change.after.updated_at,
        )
        if not outcome.written and not outcome.known:
            raise RuntimeError("somebody else has changed the session")

    @activity.defn
    async def update_in_state_surface(self, session: ChatSessionArtifact) -> None:
        await self._surface.update(as_artifact(session, activity.info().workflow_run_id or ""))
