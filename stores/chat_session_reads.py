"""The reading intents on Supabase, for the reading activities and for the gateway."""

from journeys.chat_session.answers import ChatMessages, ChatSessionHistory, ChatSessionList, ChatSessionView
from journeys.chat_session.deletion import DELETED_FIELD
from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.messages import GetChatMessages, GetChatSession, GetChatSessionHistory, ListChatSessions
from journeys.errors import InvalidParameter
from stores.chat_pages_supabase import ChatPagesSupabase
from stores.chat_session_views_supabase import ChatSessionViewsSupabase
from stores.chat_sessions_supabase import ChatSessionsSupabase
from stores.deletions_supabase import DeletionsSupabase
from stores.earlier_contexts_supabase import EarlierContextsSupabase
from stores.postgres import Pool


class ChatSessionReads:
    """Reads for a tenant and user, on a pool of connections.

    Every method raises the contract's errors and those of `stores.postgres.translate_errors`.
    """

    def __init__(self, pool: Pool) -> None:
        self._sessions = ChatSessionsSupabase(pool)
        self._views = ChatSessionViewsSupabase(pool)
        self._pages = ChatPagesSupabase(pool)
        self._earlier = EarlierContextsSupabase(pool)
        self._deletions = DeletionsSupabase(pool)

    async def get(self, wanted: GetChatSession) -> ChatSessionView:
        """Read a session by its ID, also as of an earlier revision; without an ID, a user's most recent active one."""
        if wanted.at_revision is not None and not wanted.chat_session_id:
            raise InvalidParameter("chat_session_id: is needed with at_revision", field="chat_session_id")
        if wanted.chat_session_id:
            session = await self._views.read(wanted.chat_session_id, wanted.tenant_id, wanted.user_id)
        elif wanted.user_id:
            session = await self._sessions.read_latest(wanted.tenant_id, wanted.user_id)
        else:
            raise InvalidParameter("user_id: is needed if chat_session_id is absent", field="user_id")
        if session is None:
            raise await self._explain_absence(wanted)
        if wanted.at_revision is None:
            return session
        try:
            return await self._read_earlier(session, wanted.at_revision)
        except InvalidParameter:
            # A deletion takes the ledger away, perhaps just after the session was read.
            if await self._views.read(session.chat_session_id, wanted.tenant_id, wanted.user_id) is None:
                raise await self._explain_absence(wanted) from None
            raise

    async def _explain_absence(self, wanted: GetChatSession) -> SessionNotFound:
        """The error for an absent session; a service of its tenant learns that it was deleted."""
        if wanted.chat_session_id and wanted.user_id is None:
            tombstone = await self._deletions.find(wanted.chat_session_id)
            if tombstone and tombstone.tenant_id == wanted.tenant_id:
                return SessionNotFound("the session is deleted", field=DELETED_FIELD)
        return SessionNotFound()

    async def _read_earlier(self, session: ChatSessionView, revision: int) -> ChatSessionView:
        if revision > session.revision:
            raise InvalidParameter(
                f"at_revision: {revision} is above the session's revision, {session.revision}", field="at_revision"
            )
        earlier = await self._earlier.at(session.chat_session_id, revision)
        if earlier is None:
            raise InvalidParameter(
                f"at_revision: the ledger holds no context as early as revision {revision}", field="at_revision"
            )
        if not earlier.is_proven:
            raise InvalidParameter(
                f"at_revision: the ledger was edited, so the context of revision {revision} is unknown",
                field="at_revision",
            )
        return session.model_copy(
            update={
                "revision": earlier.revision,
                "active_agent": earlier.active_agent,
                "context": earlier.context,
                "context_hash": earlier.context_hash,
            }
        )

    async def history(self, wanted: GetChatSessionHistory) -> ChatSessionHistory:
        """Read a page of a session's ledger."""
        page = await self._pages.history(wanted)
        if page is None:
            raise SessionNotFound
        return page

    async def messages(self, wanted: GetChatMessages) -> ChatMessages:
        """Read a page of a session's transcript."""
        page = await self._pages.messages(wanted)
        if page is None:
            raise SessionNotFound
        return page

    async def list(self, wanted: ListChatSessions) -> ChatSessionList:
        """Read a page of a user's or a tenant's sessions."""
        return await self._pages.sessions(wanted)
