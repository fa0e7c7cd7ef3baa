"""The contexts and changes that all variants are given: the same for the same number, and of a known size."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from journeys.canonical_json import canonical
from journeys.chat_session.keys import session_id
from journeys.chat_session.messages import InitializeChatSession

TENANT: Final = "benchmark"
SMALL_CONTEXT_BYTES: Final = 1024
CHANGE_BYTES: Final = 300

_WORDS: Final = "who asked whom about which invoice and what the liaison for finance answered "
_MESSAGE_CHARACTERS: Final = 100


@dataclass(slots=True)
class Session:
    """A session of the benchmark, the same one for every variant.

    Attributes:
        request: What creates it.
        chat_session_id: Its ID.
        changes: How many changes it was sent, which is the revision that it has once all of them are stored.
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
        active_agent: Who takes over.
        receipt: Whether the answer may leave the context out, where a variant can do that.
    """

    context: dict[str, JsonValue] | None = None
    active_agent: str | None = None
    receipt: bool = False


def new_session(name: str, requested_at: datetime, *, context_bytes: int = SMALL_CONTEXT_BYTES) -> Session:
    """A session that is not there yet, with a context of a size."""
    request = InitializeChatSession(
        tenant_id=TENANT, user_id=name, requested_at=requested_at, context=_context(context_bytes)
    )
    return Session(request)


def next_change(session: Session, *, receipt: bool = False) -> Change:
    """The next change: 300 bytes that differ from those before and leave the context's size as it is."""
    session.changes += 1
    return Change(context=_note(session.changes), receipt=receipt)


def next_hand_over(session: Session) -> Change:
    """The next change, of the same 300 bytes and of the agent as well."""
    session.changes += 1
    agent = "liaison_finance" if session.changes % 2 else "guide"
    return Change(context=_note(session.changes), active_agent=agent)


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
