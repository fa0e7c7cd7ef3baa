"""How a framework's objects are stored in the messages of a transcript."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from journeys.chat_session.answers import ChatMessage
from journeys.chat_session.limits import DEFAULT_LIMITS
from journeys.chat_session.session import Context
from journeys.chat_session.transcript import USER_ROLE
from journeys.errors import InvalidParameter
from journeys.i_json import check_i_json

# Half of a deployment's default limit, because a message or context has levels of its own around the object.
_NESTING: Final = DEFAULT_LIMITS.nesting // 2
# Leaves room for the rest of the request; see `MessageObjects.message`.
_MAX_BYTES_WITH_TEXT: Final = DEFAULT_LIMITS.change_bytes * 3 // 4


@dataclass(frozen=True)
class Entry:
    """An object of a framework as a message.

    Attributes:
        role: The message's role, for other readers of the transcript. The role `user` is left out: whoever calls with
            a `user_id` writes and replaces messages of that role, and could put words into the agents' mouths.
        content: The object as JSON; unlike a message, it may have numbers and texts that PostgreSQL cannot store.
        text: The text that a chat page shows; see `text_for_people`.
    """

    role: str | None
    content: Context
    text: str | None = None


@dataclass(frozen=True)
class MessageObjects:
    """Writes a framework's objects into messages, and finds them there.

    Attributes:
        member: The member of a message's body that has the framework's object.
    """

    member: str

    def message(self, entry: Entry) -> Context:
        """The message for an object, with its text if both are small enough; no integration reads the text back."""
        message: Context = {"role": entry.role} if entry.role not in (None, USER_ROLE) else {}
        content = json.dumps(entry.content)
        size = len(content) + len(json.dumps(entry.text))
        if entry.text is not None and can_be_stored(entry.text) and size <= _MAX_BYTES_WITH_TEXT:
            message["text"] = entry.text
        if can_be_stored(entry.content):
            return message | {self.member: entry.content}
        # For example, tools read binary files. The text of JSON has an escape for every character.
        return message | {self._member_as_text: content}

    def content(self, message: ChatMessage) -> Context | None:
        """The object that a message has; None if it is a user's or somebody else's message."""
        if message.role == USER_ROLE:
            return None
        content: JsonValue = message.body.get(self.member)
        text = message.body.get(self._member_as_text)
        if isinstance(text, str):
            content = json.loads(text)
        return content if isinstance(content, dict) else None

    @property
    def _member_as_text(self) -> str:
        return f"{self.member}_json"


def text_for_people(texts: Sequence[str], others: Sequence[str]) -> str | None:
    """The text that a chat page shows instead of an object's JSON.

    Args:
        texts: The texts that were said, part by part.
        others: Names of other parts, such as `function_call read_file`; shown in brackets if nothing was said.
    """
    return "\n".join(texts) or " ".join(f"[{each}]" for each in others) or None


def can_be_stored(value: JsonValue) -> bool:
    """Whether JSON stays unchanged in PostgreSQL, and is not nested too deeply for a message or a context."""
    try:
        check_i_json(value, field="value", depth=_NESTING)
    except InvalidParameter:
        return False
    return True
