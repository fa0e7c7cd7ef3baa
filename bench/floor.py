"""The variant `floor`: the same SQL writes with asyncpg, in the caller's own process, and no orchestration.

It decides and merges as the journey does and writes the same rows, so it shows what the stores alone cost. It promises
nothing if it dies between the two stores.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import ClassVar, Final, Self
from uuid import uuid4

from activities.chat_session_artifacts import as_artifact
from bench.sessions import Change, Session
from bench.stores import StoreUrls
from journeys.chat_session.limits import Limits
from journeys.chat_session.messages import SignalChatContext
from journeys.chat_session.rules import Applied, Draft, decide
from journeys.chat_session.rules import Change as RequestedChange
from stores.chat_session_views_supabase import ChatSessionViewsSupabase
from stores.chat_sessions_supabase import ChatSessionsSupabase, StoredSession
from stores.postgres import open_pool
from stores.state_surface_postgres import StateSurfacePostgres

_CONNECTIONS: Final = 8
_LIMITS: Final = Limits()


class Floor:
    name: ClassVar[str] = "floor"

    def __init__(
        self, sessions: ChatSessionsSupabase, views: ChatSessionViewsSupabase, surface: StateSurfacePostgres
    ) -> None:
        self._sessions = sessions
        self._views = views
        self._surface = surface
        self._held: dict[str, Draft] = {}

    @classmethod
    @asynccontextmanager
    async def on(cls, urls: StoreUrls) -> AsyncIterator[Self]:
        async with (
            await open_pool(urls.supabase, connections=_CONNECTIONS) as supabase,
            await open_pool(urls.state_surface, connections=_CONNECTIONS) as surface,
        ):
            yield cls(ChatSessionsSupabase(supabase), ChatSessionViewsSupabase(supabase), StateSurfacePostgres(surface))

    def workflow_id(self, session: Session) -> str | None:  # noqa: ARG002 - of the protocol
        return None

    async def initialize(self, session: Session) -> None:
        wanted = session.request.session(datetime.now(UTC))
        creation = f"initialize/{session.chat_session_id}"
        stored = await self._sessions.create(wanted, key=session.request.key, creation_key=creation)
        assert isinstance(stored, StoredSession)
        await self._surface.register(as_artifact(stored.session, ""))
        self._held[session.chat_session_id] = Draft.of(stored.session)

    async def update(self, session: Session, change: Change) -> None:
        """Decide on the change against the session in memory, or in Supabase if hibernated, and write both stores."""
        held = self._held.get(session.chat_session_id)
        if held is None:
            stored = await self._sessions.load(session.chat_session_id)
            assert stored is not None
            held = Draft.of(stored.session)
        before = held.session
        request = SignalChatContext(
            tenant_id=before.tenant_id, context=change.context, active_agent=change.active_agent
        )
        identity = str(uuid4())
        requested = RequestedChange.of(request, key=request.key(before.chat_session_id, identity), identity=identity)
        decision = decide(held, requested, {}, _LIMITS, datetime.now(UTC))
        assert isinstance(decision, Applied)
        after = decision.draft
        written = await self._sessions.write(
            base=before,
            keys=(requested.key,),
            entries=(decision.entry,),
            after=after.session,
            context_text=after.canonical.encode().decode(),
            refusals=None,
            at=after.session.updated_at,
        )
        assert written.written
        await self._surface.update(as_artifact(after.session, ""))
        self._held[session.chat_session_id] = after

    async def signal(self, session: Session, change: Change) -> None:
        """As an update: nothing would apply the change later."""
        await self.update(session, change)

    async def wait_until_stored(self, session: Session) -> None:
        """`signal` returns after the change is stored."""

    async def get(self, session: Session) -> None:
        row = await self._views.read(session.chat_session_id, session.request.tenant_id, session.request.user_id)
        assert row is not None

    async def hibernate(self, session: Session) -> None:
        self._held.pop(session.chat_session_id, None)
