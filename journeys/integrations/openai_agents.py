"""A session of the OpenAI Agents SDK whose items are in a chat session's transcript.

from agents import Agent, Runner
from journeys import ChatSessions
from journeys.integrations.openai_agents import TranscriptSession

sessions = await ChatSessions.connect()
session = TranscriptSession("thread-7", sessions=sessions, tenant_id="acme", user_id="ada")
result = await Runner.run(agent, "Hello", session=session)
"""

import json
from hashlib import sha256
from typing import Final, cast
from uuid import uuid4

from journeys.chat_session.session import Context
from journeys.client.chat_sessions import ChatSessions
from journeys.integrations import missing_extra
from journeys.integrations.message_objects import Entry, text_for_people
from journeys.integrations.transcripts import Transcript, check_session_name

try:
    from agents.items import TResponseInputItem
    from agents.memory import SessionSettings
except ImportError as error:
    raise missing_extra(__name__, "openai-agents") from error

_MEMBER: Final = "openai_agents"


class TranscriptSession:
    """A `Session` of the OpenAI Agents SDK on a chat session, which is created at its first use.

    Agents in several processes may share it, each with an object of its own: nothing is lost, and the items are in the
    order in which they were added. The framework's own `id` of an item is kept with it but identifies nothing, because
    some models give all items the same one.

    Every call raises a `JourneyError` if it fails. An item that does not fit into one change is refused with
    `ContextTooLarge`.

    Attributes:
        session_id: The framework's ID of the session: 1 to 128 printable ASCII characters.
        session_settings: The framework's settings: how many items a run reads.
    """

    def __init__(
        self,
        session_id: str,
        *,
        sessions: ChatSessions,
        tenant_id: str,
        user_id: str,
        author: str | None = None,
        session_settings: SessionSettings | None = None,
    ) -> None:
        """Name a session. The same tenant, user and ID are the same session.

        Args:
            session_id: The framework's ID of the session; the chat session's `session_name`.
            sessions: The client; its deadline holds for each of its calls.
            tenant_id: The tenant that the session belongs to.
            user_id: The user that the session belongs to.
            author: Who adds the items, if several agents share the session; kept with the messages.
            session_settings: The framework's settings of the session.
        """
        check_session_name(session_id, field="session_id")
        self.session_id = session_id
        self.session_settings = session_settings
        self._transcript = Transcript(
            sessions,
            tenant_id=tenant_id,
            user_id=user_id,
            session_name=session_id,
            member=_MEMBER,
            author=author,
        )
        self._failed: tuple[str, str] | None = None

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Read the items, oldest first.

        Args:
            limit: How many of the latest items to read; by default `session_settings.limit` or, without it, all.
        """
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        if limit is not None and limit <= 0:
            return []
        return [cast(TResponseInputItem, item) for item in await self._transcript.read(limit)]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Add items at the end.

        Items that fit into one change are one change; more are several. If a call fails, and it is not known whether
        the items were added, make it again before you add others: the same items are then added once.
        """
        document = json.dumps(items)
        digest = sha256(document.encode()).hexdigest()
        # The framework has no ID of a turn to derive a key from, so a repetition is recognized by its items. Only the
        # next call can be a repetition: if the same items come later, they are new.
        key = self._failed[1] if self._failed and self._failed[0] == digest else f"{_MEMBER}/{uuid4()}"
        self._failed = None
        try:
            await self._transcript.add([_entry(item) for item in json.loads(document)], key=key)
        except BaseException:
            self._failed = (digest, key)
            raise

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove the latest item and return it; None if there is none.

        If others add or remove items meanwhile, this tries again, so each item is returned to one caller only.
        """
        self._failed = None  # The added items may be removed here, so adding them again is no repetition.
        return cast(TResponseInputItem | None, await self._transcript.remove_last())

    async def clear_session(self) -> None:
        """Remove the items that are there now. The chat session stays, with everything that others keep in it."""
        self._failed = None
        await self._transcript.clear()


def _entry(item: Context) -> Entry:
    role = item.get("role")
    return Entry(role=role if isinstance(role, str) else None, content=item, text=_text(item))


def _text(item: Context) -> str | None:
    content = item.get("content")
    if "role" not in item or content is None:
        return text_for_people([], [" ".join(str(item[key]) for key in ("type", "name") if key in item)])
    if isinstance(content, str):
        return content
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    texts = [text for part in parts if isinstance(text := part.get("text") or part.get("refusal"), str)]
    return text_for_people(texts, [str(part["type"]) for part in parts if "type" in part])
