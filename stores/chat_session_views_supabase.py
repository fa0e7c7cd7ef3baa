"""What one tenant and user see of a chat session in Supabase."""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from journeys.chat_session.answers import ChatMessages, ChatSessionView
from journeys.chat_session.messages import GetChatMessages
from stores.chat_pages_supabase import fetch_messages
from stores.chat_sessions_supabase import COLUMNS, STORE, parse_view
from stores.postgres import Pool, connection_to
from stores.visible_sessions import OWN, VISIBLE

_READ: Final = f"select {COLUMNS} from public.chat_sessions as session where {VISIBLE}"

_LOOK_UP: Final = f"""
select revision, user_id, lifecycle_state, turn_revision from public.chat_sessions as session where {OWN}
"""


@dataclass(frozen=True, slots=True)
class SessionGlance:
    """The facts that a caller needs about a session before it sends something to it.

    Attributes:
        user_id: Whose session it is; None if it is deleted.
        turn_revision: The last revision that asked an agent to act; 0 if none has.
    """

    revision: int
    user_id: str | None
    lifecycle_state: Literal["ACTIVE", "ARCHIVED", "DELETED"]
    turn_revision: int


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """A session and a page of its transcript, as they were at one moment."""

    session: ChatSessionView
    page: ChatMessages


class ChatSessionViewsSupabase:
    """Reads sessions for those who may see them, on a pool of connections.

    Every method raises the errors of `stores.postgres.translate_errors`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self, chat_session_id: str, tenant_id: str, user_id: str | None) -> ChatSessionView | None:
        """Read a session; None if this tenant and user have none with this ID.

        Raises:
            ContextTooLarge: The stored context is too large or too deep for a journey.
        """
        async with connection_to(STORE, self._pool) as connection:
            row = await connection.fetchrow(_READ, UUID(chat_session_id), tenant_id, user_id)
        return parse_view(row) if row else None

    async def look_up(self, chat_session_id: str, tenant_id: str, user_id: str | None) -> SessionGlance | None:
        """Look up a session, deleted ones included; a deleted session belongs to no user."""
        async with connection_to(STORE, self._pool) as connection:
            row = await connection.fetchrow(_LOOK_UP, UUID(chat_session_id), tenant_id, user_id)
        return SessionGlance(**row) if row else None

    async def snapshot(self, wanted: GetChatMessages) -> SessionSnapshot | None:
        """Read a session and a page of its transcript of the same moment; None if there is no such session.

        Raises:
            ContextTooLarge: The stored context is too large or too deep for a journey.
        """
        async with (
            connection_to(STORE, self._pool) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            row = await connection.fetchrow(_READ, UUID(wanted.chat_session_id), wanted.tenant_id, wanted.user_id)
            page = await fetch_messages(connection, wanted) if row else None
        return SessionSnapshot(parse_view(row), page) if row and page else None
