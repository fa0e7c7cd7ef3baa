"""Contexts and changes of a known size: all variants get the same ones."""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Final

from pydantic import JsonValue

from journeys.canonical_json import canonical
from journeys.chat_session.keys import session_id
from journeys.chat_session.messages import InitializeChatSession

TENANT: Final = "benchmark"
SMALL_CONTEXT_BYTES: Final = 1024
CHANGE_BYTES: Final = 300
MESSAGE_BYTES: Final = 200

_WORDS: Final = "who asked whom about which invoice and what the liaison for finance answered "
_MESSAGE_CHARACTERS: Final = 100


@dataclass(slots=True)
class Session:
    """A session of the benchmark, the same for every variant.

    Attributes:
        request: Creates it.
        changes: How many changes it was sent; also its revision after all of them are stored.
    """

    request: InitializeChatSession
    chat_session_id: str = field(init=False)
    changes: int = 0

    def __post_init__(self) -> None:
        self.chat_session_id = session_id(self.request.key)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a session's context.

    Attributes:
        context: A merge patch.
        active_agent: The agent that takes over.
        receipt: Whether the answer may leave the context out, if the variant can do that.
    """

    context: dict[str, JsonValue] | None = None
    active_agent: str | None = None
    receipt: bool = False


def new_session(name: str, requested_at: datetime, *, context_bytes: int = SMALL_CONTEXT_BYTES) -> Session:
    """A session that does not exist yet."""
    request = InitializeChatSession(
        tenant_id=TENANT, user_id=name, requested_at=requested_at, context=_context(context_bytes)
    )
    return Session(request)


def next_change(session: Session, *, receipt: bool = False) -> Change:
    """The next change: 300 bytes that differ from those before and keep the context's size."""
    session.changes += 1
    return Change(context=_note(session.changes), receipt=receipt)


def next_hand_over(session: Session) -> Change:
    """The next change, of 300 bytes and of the agent."""
    session.changes += 1
    agent = "liaison_finance" if session.changes % 2 else "guide"
    return Change(context=_note(session.changes), active_agent=agent)


def next_growth(session: Session, size: int) -> Change:
    """The next change, which adds this number of bytes to the context."""
    session.changes += 1
    key = f"part {session.changes}"
    return Change(context={key: _text(size - len(key) - len(',"":""'))}, receipt=True)


def new_message(number: int) -> dict[str, JsonValue]:
    """A message of 200 bytes for a transcript."""
    text = f"{number:08d} "
    return {"text": text + _text(MESSAGE_BYTES - len(text) - len(canonical({"text": ""})))}


def dense_text(size: int) -> str:
    """A text that PostgreSQL can hardly compress."""
    digests = (sha256(str(number).encode()).hexdigest() for number in range(size // 64 + 1))
    return "".join(digests)[:size]


def _context(size: int) -> dict[str, JsonValue]:
    messages: list[JsonValue] = []
    context: dict[str, JsonValue] = {**_note(0), "messages": messages}
    left = size - len(canonical(context))
    while left > 0:
        message: dict[str, JsonValue] = {"id": f"m{len(messages)}", "from": "guide", "text": ""}
        length = min(_MESSAGE_CHARACTERS, max(left - len(canonical(message)) - 1, 0))
        message["text"] = _text(length)
        messages.append(message)
        left = size - len(canonical(context))
    return context


def _note(number: int) -> dict[str, JsonValue]:
    note = f"{number:08d} "
    note += _text(CHANGE_BYTES - len(note) - len(canonical({"note": ""})))
    return {"note": note}


def _text(length: int) -> str:
    return (_WORDS * (length // len(_WORDS) + 1))[:length]
