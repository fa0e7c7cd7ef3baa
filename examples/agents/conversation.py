"""What a turn reads and says. All of it is bounded, because it goes through Temporal's history and into a prompt."""

from typing import Final, Literal

from pydantic_core import to_json

from journeys.chat_session.answers import ChatMessage
from journeys.chat_session.session import Context
from journeys.messages import Record

MAX_MESSAGES: Final = 40
"""The latest messages of the transcript, which an agent is shown."""

MAX_MESSAGE_CHARACTERS: Final = 4_000
MAX_CONVERSATION_CHARACTERS: Final = 60_000
"""The latest message is shown in any case."""

MAX_CONTEXT_CHARACTERS: Final = 8_000

MAX_ANSWER_CHARACTERS: Final = 15_000
"""Encoded, an answer fits into one change, and its text so far into one request to the gateway."""

MAX_NOTES: Final = 5
MAX_KEY_CHARACTERS: Final = 60
MAX_NOTE_CHARACTERS: Final = 300
"""What one turn may write into the shared context. It fits into the answer's change."""

Status = Literal["failed", "stopped"]
"""Why a turn's message is no answer, or only the beginning of one."""


class Said(Record):
    """A message as an agent is shown it."""

    role: str | None
    author: str | None
    text: str


class Conversation(Record):
    """What an agent is shown of a session.

    Attributes:
        messages: The latest messages, oldest first.
        shared_context: The session's context as JSON.
    """

    messages: tuple[Said, ...]
    shared_context: str

    @property
    def ends_with_user(self) -> bool:
        """Whether the last word is a user's, and not that of an agent who has handed over."""
        return bool(self.messages) and self.messages[-1].role == "user"

    @property
    def has_room(self) -> bool:
        """Whether the agent is shown all of the shared context, and may add to it."""
        return len(self.shared_context) < MAX_CONTEXT_CHARACTERS


class Answer(Record):
    """What a turn adds to the transcript, once.

    Attributes:
        model: The model that wrote it.
        proposed_agent: The agent that it proposes to hand over to.
        hand_over: The agent that leads from now on, and is asked to act.
        context: What the agent writes into the shared context, in the same change; None removes a key.
        status: Set if it says only why there is no answer, or if it was stopped; then a `model` has written its
            beginning.
    """

    text: str
    model: str | None = None
    proposed_agent: str | None = None
    hand_over: str | None = None
    context: dict[str, str | None] | None = None
    status: Status | None = None


def show_conversation(messages: tuple[ChatMessage, ...], context: Context) -> Conversation:
    """Cut a transcript and a context to what an agent is shown."""
    shown: list[Said] = []
    left = MAX_CONVERSATION_CHARACTERS
    for message in reversed(messages[-MAX_MESSAGES:]):
        if message.role == "assistant" and "status" in message.body and "model" not in message.body:
            continue  # it says only that a turn failed or was stopped
        text = message.body.get("text")
        said = cut(text if isinstance(text, str) else to_json(message.body).decode(), MAX_MESSAGE_CHARACTERS)
        left -= len(said)
        if left < 0:
            break
        shown.append(Said(role=message.role, author=message.author, text=said))
    return Conversation(
        messages=tuple(reversed(shown)), shared_context=cut(to_json(context).decode(), MAX_CONTEXT_CHARACTERS)
    )


def clean(text: str, limit: int = MAX_ANSWER_CHARACTERS) -> str:
    """A model's text: within the limit, by default an answer's, and without characters that the journeys refuse."""
    return cut(text.replace("\0", "").encode(errors="replace").decode().strip(), limit)


def cut(text: str, limit: int) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
