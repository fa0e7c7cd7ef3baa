"""Send changes to a session's journey, and answer with what the store then holds."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, cast

from starlette.responses import Response

from journeys.chat_session.answers import UpdatedChatSession, UpdateReceipt
from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.messages import UpdateChatContext, UpdateChatSession
from journeys.client.chat_sessions import ChatSessions
from journeys.client.context_change import ContextChange
from journeys.errors import DatabaseUnavailable, RevisionConflict
from starter.http.answers import empty_response, json_response
from starter.http.callers import USER_AUTHOR, Caller
from starter.http.message_fields import require_session_id
from starter.http.preconditions import ChangeHeaders, etag
from starter.http.problems import Problem, as_problem
from starter.http.store_reads import from_store
from stores.chat_session_views_supabase import ChatSessionViewsSupabase, SessionGlance

MAX_UPDATES_AT_ONCE: Final = 10
"""How many updates of one session the engine holds at once."""


class Changes:
    """Sends changes, at most `MAX_UPDATES_AT_ONCE` of a session at once.

    Before it sends anything, one read looks for the session of this tenant and user. A stranger costs only this read.
    """

    def __init__(
        self, sessions: ChatSessions, views: ChatSessionViewsSupabase, announce: Callable[[str, int], None]
    ) -> None:
        """Send changes through a client.

        Args:
            sessions: The client.
            views: Reads the session before and after a change.
            announce: Called with a session's ID and its revision after each change.
        """
        self._sessions = sessions
        self._views = views
        self._announce = announce
        self._under_way: Counter[str] = Counter()

    async def update_context(
        self, caller: Caller, chat_session_id: str, request: UpdateChatContext, headers: ChangeHeaders
    ) -> UpdateReceipt | None:
        """Send a change of the context or transcript; None if it is sent as a signal."""
        await self.find(caller, chat_session_id)
        # The request has the fields of a `ContextChange`; those that the caller leaves out are None.
        change = cast("ContextChange", {name: value for name, value in request if name != "returning"})
        if headers.preferences.asynchronous:
            await self._sessions.signal_context(chat_session_id, **change)
            return None
        with self._take_slot(chat_session_id), _report_conflict(headers):
            receipt = await self._sessions.update_context(chat_session_id, returning="receipt", **change)
        self._announce(chat_session_id, receipt.applied_revision)
        return receipt

    async def update_session(
        self, caller: Caller, chat_session_id: str, request: UpdateChatSession, headers: ChangeHeaders
    ) -> UpdateReceipt:
        """Send a change of title, lifecycle state or owner."""
        await self.find(caller, chat_session_id)
        with self._take_slot(chat_session_id), _report_conflict(headers):
            receipt = await self._sessions.update_session(chat_session_id, **dict(request))
        self._announce(chat_session_id, receipt.applied_revision)
        return receipt

    async def delete(self, caller: Caller, chat_session_id: str, base_revision: int | None) -> None:
        """Delete a session.

        Raises:
            Problem: It is not at the base revision, if one is named.
        """
        found = await self.find(caller, chat_session_id)
        if base_revision is not None and found.lifecycle_state != "DELETED" and found.revision != base_revision:
            conflict = RevisionConflict(
                f"base_revision: the session is at revision {found.revision}", field="base_revision"
            )
            raise as_problem(conflict, revision_was_a_header=True)
        author = None if caller.is_service else USER_AUTHOR
        with self._take_slot(chat_session_id):
            await self._sessions.delete(
                chat_session_id, tenant_id=caller.tenant_id, user_id=caller.user_id, author=author
            )
        self._announce(chat_session_id, found.revision + 1)

    async def find(self, caller: Caller, chat_session_id: str) -> SessionGlance:
        """Look for a session of this caller.

        Raises:
            SessionNotFound: There is none.
        """
        session = require_session_id(chat_session_id)
        found = await from_store(self._views.look_up(session, caller.tenant_id, caller.user_id))
        if found is None:
            raise SessionNotFound
        return found

    async def answer(
        self, caller: Caller, receipt: UpdateReceipt | None, headers: ChangeHeaders, *, status: int = 200
    ) -> Response:
        """Answer a change: with the session as stored, or with the receipt if the caller prefers it.

        Args:
            caller: Who sent the change.
            receipt: The journey's answer; None if the change was a signal.
            headers: The change's headers.
            status: The status if the change is new.
        """
        if receipt is None:
            return empty_response(202, {"preference-applied": "respond-async"})
        status = 200 if receipt.duplicate else status
        if headers.preferences.minimal:
            applied = {"etag": etag(receipt.revision), "preference-applied": "return=minimal"}
            return json_response(receipt, status=status, headers=applied)
        try:
            session = await from_store(self._views.read(receipt.chat_session_id, caller.tenant_id, caller.user_id))
        except DatabaseUnavailable as error:
            raise DatabaseUnavailable(error.message, outcome="accepted") from None
        if session is None:  # deleted or given away since: the change is applied all the same
            return json_response(receipt, status=status, headers={"etag": etag(receipt.revision)})
        answer = UpdatedChatSession.model_construct(
            **dict(session),
            applied_revision=receipt.applied_revision,
            duplicate=receipt.duplicate,
            message_ids=receipt.message_ids,
        )
        return json_response(answer, status=status, headers={"etag": etag(answer.revision)})

    @contextmanager
    def _take_slot(self, chat_session_id: str) -> Iterator[None]:
        if self._under_way[chat_session_id] >= MAX_UPDATES_AT_ONCE:
            raise Problem(
                "TOO_MANY_REQUESTS",
                f"{MAX_UPDATES_AT_ONCE} changes of the session are under way; nothing was accepted",
                outcome="not accepted",
            )
        self._under_way[chat_session_id] += 1
        try:
            yield
        finally:
            self._under_way[chat_session_id] -= 1
            if not self._under_way[chat_session_id]:
                del self._under_way[chat_session_id]


@contextmanager
def _report_conflict(headers: ChangeHeaders) -> Iterator[None]:
    """Report a revision conflict as a failed precondition if the revision came in a header."""
    try:
        yield
    except RevisionConflict as error:
        raise as_problem(error, revision_was_a_header=headers.base_revision is not None) from None
