"""A message history for pydantic-ai that is in a chat session's transcript.

from journeys import ChatSessions
from journeys.integrations.pydantic_ai import TranscriptHistory
from pydantic_ai import Agent

sessions = await ChatSessions.connect()
history = TranscriptHistory("thread-7", sessions=sessions, tenant_id="acme", user_id="ada")
result = await agent.run("Hello", message_history=await history.load())
await history.append(result)
"""

import json
from collections.abc import Iterator
from typing import Final, Protocol

from journeys.chat_session.session import Context
from journeys.client.chat_sessions import ChatSessions
from journeys.errors import InvalidParameter
from journeys.integrations import missing_extra
from journeys.integrations.message_objects import Entry, text_for_people
from journeys.integrations.transcripts import Transcript

try:
    from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, TextContent, TextPart, UserPromptPart
    from pydantic_ai.result import StreamedRunResult, StreamedRunResultSync
    from pydantic_ai.run import AgentRun
except ImportError as error:
    raise missing_extra(__name__, "pydantic-ai") from error

_MEMBER: Final = "pydantic_ai"


class EndedRun(Protocol):
    """A run of an agent that has ended, streamed or not."""

    @property
    def run_id(self) -> str:
        """The run's ID."""

    def new_messages(self) -> list[ModelMessage]:
        """The messages of this run, without the history that it was given."""


class TranscriptHistory:
    """The message history of a pydantic-ai conversation on a chat session, which is created at its first use.

    Agents in several processes may share it: nothing is lost, and the messages of a run are together, in the order in
    which the runs were appended.

    Every call raises a `JourneyError` if it fails. A message that does not fit into one change is refused with
    `ContextTooLarge`.
    """

    def __init__(
        self,
        session_name: str,
        *,
        sessions: ChatSessions,
        tenant_id: str,
        user_id: str,
        author: str | None = None,
    ) -> None:
        """Name a session. The same tenant, user and name are the same session.

        Args:
            session_name: Your ID of the conversation, such as its `conversation_id`: 1 to 128 printable ASCII
                characters.
            sessions: The client; its deadline holds for each of its calls.
            tenant_id: The tenant that the session belongs to.
            user_id: The user that the session belongs to.
            author: Who appends the messages, if several agents share the session; kept with the messages.
        """
        self._transcript = Transcript(
            sessions,
            tenant_id=tenant_id,
            user_id=user_id,
            session_name=session_name,
            member=_MEMBER,
            author=author,
        )

    async def load(self, limit: int | None = None) -> list[ModelMessage]:
        """Read the messages, oldest first, for a run's `message_history`.

        Args:
            limit: How many of the latest messages to read; by default all. The framework repairs a history that begins
                in the middle of a turn.
        """
        if limit is not None and limit <= 0:
            return []
        # From JSON, because only there does the adapter decode bytes from the base64 that it wrote.
        return ModelMessagesTypeAdapter.validate_json(json.dumps(await self._transcript.read(limit)))

    async def append(self, run: EndedRun) -> None:
        """Add the messages of a run at the end, once, however often this is called for the run.

        Messages that fit into one change are one change; more are several. If the messages were cleared since, they
        stay cleared.

        Args:
            run: The result of `run`, `run_sync`, `run_stream` or `iter`, after the run has ended.

        Raises:
            InvalidParameter: The run has not ended, so nothing was added.
            IdempotencyConflict: Other messages were appended under this `run_id`. If you run an agent again under a
                `run_id` of your own, this means that an earlier attempt has stored its messages.
        """
        if not _has_ended(run):
            raise InvalidParameter(
                "the run has not ended: read its stream or its steps to the end, and append it then", field="run"
            )
        messages = run.new_messages()
        documents: list[Context] = json.loads(ModelMessagesTypeAdapter.dump_json(messages))
        entries = [
            Entry(role="assistant" if message.kind == "response" else None, content=document, text=_text(message))
            for message, document in zip(messages, documents, strict=True)
        ]
        await self._transcript.add(entries, key=f"{_MEMBER}/{run.run_id}")

    async def clear(self) -> None:
        """Remove the messages that are there now. The chat session stays, with everything that others keep in it."""
        await self._transcript.clear()


def _text(message: ModelMessage) -> str | None:
    others = (" ".join((part.part_kind, getattr(part, "tool_name", None) or "")).strip() for part in message.parts)
    return text_for_people(list(_texts(message)), list(others))


def _texts(message: ModelMessage) -> Iterator[str]:
    for part in message.parts:
        if isinstance(part, TextPart):
            yield part.content
        elif isinstance(part, UserPromptPart):
            contents = [part.content] if isinstance(part.content, str) else part.content
            yield from (
                each if isinstance(each, str) else each.content
                for each in contents
                if isinstance(each, str | TextContent)
            )


def _has_ended(run: EndedRun) -> bool:
    """Whether the run makes no more messages, because its stream has been read or its last step is done."""
    if isinstance(run, StreamedRunResult | StreamedRunResultSync):
        return run.is_complete
    return not isinstance(run, AgentRun) or run.result is not None
