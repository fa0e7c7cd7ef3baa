"""A turn's input and output. Both are bounded, because they go through Temporal's history and into a prompt."""

from typing import Final, Literal

from pydantic_core import to_json

from journeys.chat_session.answers import ChatMessage
from journeys.chat_session.session import Context
from journeys.messages import Record

MAX_MESSAGES: Final = 40
"""How many of the transcript's latest messages an agent sees."""

MAX_MESSAGE_CHARACTERS: Final = 4_000
MAX_CONVERSATION_CHARACTERS: Final = 60_000
"""The latest message always fits."""

MAX_CONTEXT_CHARACTERS: Final = 8_000

MAX_ANSWER_CHARACTERS: Final = 15_000
"""Encoded, an answer fits into one change, and its text so far into one request to the gateway."""

MAX_NOTES: Final = 5
MAX_KEY_CHARACTERS: Final = 60
MAX_NOTE_CHARACTERS: Final = 300
"""Limits of the notes that one turn writes into the shared context. All of them fit into the answer's change."""

Status = Literal["failed", "stopped"]
"""Why a turn's message is no answer, or only the beginning of one."""


class ConversationMessage(Record):
    """A message as an agent sees it."""

    role: str | None
    author: str | None
    text: str


class Conversation(Record):
    """The part of a session that an agent sees.

    Attributes:
        messages: The latest messages, oldest first.
        shared_context: The session's context as JSON.
    """

    messages: tuple[ConversationMessage, ...]
    shared_context: str

    @property
    def ends_with_user(self) -> bool:
        """Whether the last message is a user's, and not that of an agent who has handed over."""
        return bool(self.messages) and self.messages[-1].role == "user"

    @property
    def has_room(self) -> bool:
        """Whether the agent sees all of the shared context, and so may add to it."""
        return len(self.shared_context) < MAX_CONTEXT_CHARACTERS


class Answer(Record):
    """A turn's one message, and the changes that come with it.

    Attributes:
        model: The model that wrote it.
        proposed_agent: The agent to whom the message proposes to hand over.
        hand_over: The agent that leads from now on, and is asked to act.
        context: What the agent writes into the shared context, in the same change; None removes a key.
        status: Set if the message is no complete answer. With a `model`, it is the beginning of a stopped answer;
            without, it only says why there is no answer.
    """

    text: str
    model: str | None = None
    proposed_agent: str | None = None
    hand_over: str | None = None
    context: dict[str, str | None] | None = None
    status: Status | None = None


def show_conversation(messages: tuple[ChatMessage, ...], context: Context) -> Conversation:
    """Cut a transcript and a context down to the part that an agent sees."""
    shown: list[ConversationMessage] = []
    left = MAX_CONVERSATION_CHARACTERS
    for message in reversed(messages[-MAX_MESSAGES:]):
        if message.role == "assistant" and "status" in message.body and "model" not in message.body:
            continue  # it says only that a turn failed or was stopped
        text = message.body.get("text")
        said = cut(text if isinstance(text, str) else to_json(message.body).decode(), MAX_MESSAGE_CHARACTERS)
        left -= len(said)
        if left < 0:
            break
        shown.append(ConversationMessage(role=message.role, author=message.author, text=said))
    return Conversation(
        messages=tuple(reversed(shown)), shared_context=cut(to_json(context).decode(), MAX_CONTEXT_CHARACTERS)
    )


def clean(text: str, limit: int = MAX_ANSWER_CHARACTERS) -> str:
    """A model's text: within the limit, by default an answer's, and without characters that the journeys refuse."""
    return cut(text.replace("\0", "").encode(errors="replace").decode().strip(), limit)


def cut(text: str, limit: int) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
