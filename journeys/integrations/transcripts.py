"""The transcript of one named session, with the objects of a framework in its messages."""

import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Final
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from journeys.chat_session.answers import ChatMessages
from journeys.chat_session.limits import MAX_CHANGE_MESSAGES
from journeys.chat_session.messages import SessionName
from journeys.chat_session.session import Context
from journeys.client.chat_sessions import ChatSessions
from journeys.client.settings import ClientSettings, read_settings
from journeys.errors import InvalidParameter, RevisionConflict
from journeys.integrations.message_objects import Entry, MessageObjects

# One change can remove as many messages as a page has.
_PAGE: Final = MAX_CHANGE_MESSAGES
MAX_ATTEMPTS: Final = 50
"""Attempts at a change that needs the current revision. Each conflict is a change that somebody else has made, so only
a very busy session needs more than a few."""
_SESSION_NAME: Final = TypeAdapter[str](SessionName)


class Transcript:
    """The transcript of a session that the framework names. The session is created at its first use.

    Messages that users or others have added are left out and left alone.
    """

    def __init__(
        self,
        sessions: ChatSessions,
        *,
        tenant_id: str,
        user_id: str,
        session_name: str,
        member: str,
        author: str | None,
    ) -> None:
        """Name a session.

        Args:
            sessions: The client, whose deadline holds for each of its calls.
            tenant_id: The tenant that the session belongs to.
            user_id: The user that the session belongs to.
            session_name: The framework's ID of the session.
            member: The member of a message's body that has the framework's object.
            author: Who adds the messages; kept with them.
        """
        self._sessions = sessions
        self._tenant_id = tenant_id
        self._user_id = user_id
        self._session_name = session_name
        self._objects = MessageObjects(member)
        self._author = author
        self._chat_session_id: str | None = None
        # The rest is for the request around the messages.
        self._batch_bytes = read_settings(ClientSettings).max_change_bytes * 3 // 4

    async def add(self, entries: Sequence[Entry], *, key: str) -> None:
        """Add messages at the end, once under a key; in several changes if one cannot hold them all.

        Args:
            entries: The messages.
            key: The beginning of the changes' idempotency keys.
        """
        chat_session_id = await self._ensure_session()
        added = 0
        for batch in _batches([self._objects.message(entry) for entry in entries], self._batch_bytes):
            await self._sessions.update_context(
                chat_session_id,
                tenant_id=self._tenant_id,
                messages=batch,
                idempotency_key=f"{key}/{added}",
                author=self._author,
                returning="receipt",
            )
            added += len(batch)

    async def read(self, limit: int | None) -> list[Context]:
        """The framework's objects, oldest first: the latest `limit` of them, or all."""
        return [content for _, content in await self._latest(limit)]

    async def remove_last(self) -> Context | None:
        """Remove the last message, and return its object; None if there is none.

        Raises:
            RevisionConflict: Others changed the session at every attempt.
        """
        chat_session_id = await self._ensure_session()
        attempts = 0
        while True:
            attempts += 1
            # In this order: whoever adds a message after the revision was read makes the removal conflict.
            session = await self._sessions.get(chat_session_id, tenant_id=self._tenant_id)
            latest = await self._latest(1)
            if not latest:
                return None
            ((name, content),) = latest
            try:
                await self._sessions.update_context(
                    chat_session_id,
                    tenant_id=self._tenant_id,
                    remove_messages=[name],
                    base_revision=session.revision,
                    # A key that is derived from the base would make two removals of one message the same change.
                    idempotency_key=f"remove-last/{uuid4()}",
                    author=self._author,
                    returning="receipt",
                )
            except RevisionConflict:
                if attempts == MAX_ATTEMPTS:
                    raise
            else:
                return content

    async def clear(self) -> None:
        """Remove the messages that are there now, page by page. The session stays."""
        chat_session_id = await self._ensure_session()
        async for page in self._pages():
            if page:
                await self._sessions.update_context(
                    chat_session_id,
                    tenant_id=self._tenant_id,
                    remove_messages=[name for name, _ in page],
                    author=self._author,
                    returning="receipt",
                )

    async def _ensure_session(self) -> str:
        if self._chat_session_id is None:
            session = await self._sessions.initialize(
                tenant_id=self._tenant_id, user_id=self._user_id, session_name=self._session_name
            )
            self._chat_session_id = session.chat_session_id
        return self._chat_session_id

    async def _latest(self, limit: int | None) -> list[tuple[str, Context]]:
        newest_first: list[tuple[str, Context]] = []
        async with aclosing(self._pages(limit)) as pages:
            async for page in pages:
                newest_first += reversed(page)
                if limit is not None and len(newest_first) >= limit:
                    break
        return newest_first[:limit][::-1]

    async def _pages(self, wanted: int | None = None) -> AsyncGenerator[list[tuple[str, Context]], None]:
        """IDs and objects, from the latest page to the first one; see `pages_from_latest`."""
        chat_session_id = await self._ensure_session()
        async with aclosing(pages_from_latest(self._sessions, chat_session_id, self._tenant_id, wanted)) as pages:
            async for page in pages:
                yield [
                    (message.id, content)
                    for message in page.messages
                    if (content := self._objects.content(message)) is not None
                ]


def check_session_name(name: str, *, field: str) -> None:
    """Check the name of a chat session that is derived from another parameter.

    Raises:
        InvalidParameter: It cannot be a name; `field` is that parameter.
    """
    try:
        _SESSION_NAME.validate_python(name)
    except ValidationError:
        raise InvalidParameter(
            f"{field}: {name!a:.200} is no name of 1-128 printable ASCII characters", field=field
        ) from None


async def pages_from_latest(
    sessions: ChatSessions, chat_session_id: str, tenant_id: str, wanted: int | None = None
) -> AsyncGenerator[ChatMessages, None]:
    """The pages of a transcript, from the latest to the first one.

    Args:
        sessions: The client.
        chat_session_id: The session.
        tenant_id: The tenant that the session belongs to.
        wanted: The size of the latest page, if it is smaller than usual. Earlier pages have the usual size, because
            many of their messages may be of others.
    """
    limit, before = min(wanted or _PAGE, _PAGE), None
    while True:
        page = await sessions.messages(chat_session_id, tenant_id=tenant_id, limit=limit, before=before)
        yield page
        if page.older is None:
            return
        limit, before = _PAGE, page.older


def _batches(messages: Sequence[Context], max_bytes: int) -> Iterator[list[Context]]:
    """Messages in as few changes as their number and size allow. A message that is too large is alone in its change."""
    batch: list[Context] = []
    size = 0
    for message in messages:
        message_size = len(json.dumps(message))  # with escapes, as a plain Temporal client sends it
        if batch and (len(batch) == MAX_CHANGE_MESSAGES or size + message_size > max_bytes):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += message_size
    if batch:
        yield batch
