"""Messages to a session, decided one after another as a batch decides them; nothing is stored."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from journeys.canonical_json import canonical_hash
from journeys.chat_session.activities import KnownChange
from journeys.chat_session.limits import Limits
from journeys.chat_session.messages import InitializeChatSession, UpdateChatContext
from journeys.chat_session.rules import Applied, Change, Decision, Draft, Known, as_known, decide
from journeys.chat_session.session import ChatSessionArtifact
from journeys.errors import JourneyError
from journeys.messages import parse

NOW = datetime(2026, 1, 27, 10, 5, 12, tzinfo=UTC)
LIMITS = Limits()


def a_session(context: Any = None, **fields: Any) -> ChatSessionArtifact:
    """A session of Acme's Ada as it is stored."""
    created = parse(
        InitializeChatSession, {"tenant_id": "acme", "user_id": "ada", "requested_at": "2026-01-27T10:05:12Z"}
    ).session(NOW)
    context = context if context is not None else {}
    return created.model_copy(update={"context": context, "context_hash": canonical_hash(context), **fields})


@dataclass
class Story:
    """A session, what its ledger knows, and the messages that are sent to it."""

    session: ChatSessionArtifact = field(default_factory=a_session)
    known: dict[str, KnownChange] = field(default_factory=dict)
    limits: Limits = LIMITS
    now: datetime = NOW
    messages: int = 0

    def tell(self, *, message: str = "", run: str = "run", **asked: Any) -> Decision:
        """Send a message, and go on from its decision. Every message is a new one unless it is named."""
        self.messages += 1
        message = message or f"message {self.messages}"
        request = parse(UpdateChatContext, {"tenant_id": "acme", "user_id": "ada"} | asked)
        key = request.key(self.session.chat_session_id, message)
        change = Change.of(request, key=key, identity=f"{run}/{message}")
        decision = decide(Draft.of(self.session), change, self.known, self.limits, self.now)
        if isinstance(decision, Applied):
            self.session = decision.draft.session
            self.known[key] = as_known(decision.entry)
        return decision


def refusal(decision: Decision) -> JourneyError:
    assert isinstance(decision, JourneyError), decision
    return decision


def code_and_field(decision: Decision) -> tuple[str, str]:
    error = refusal(decision)
    return error.code, error.field


def applied(decision: Decision) -> Applied:
    assert isinstance(decision, Applied), decision
    return decision


def duplicate(decision: Decision) -> KnownChange:
    """The change that another message has made."""
    assert isinstance(decision, Known), decision
    assert decision.duplicate
    return decision.known
