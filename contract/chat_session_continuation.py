"""What one run of a chat session's journey hands to the next when it continues as new."""

from contract.chat_session import ChatSessionArtifact, Refusals
from contract.chat_session_activities import AcceptedChange, Policy
from contract.messages import Record


class CarriedState(Record):
    """The state of a journey between two runs.

    Attributes:
        session: None where it is too large to carry; it is loaded again then.
        signals: In the order in which they came.
        signals_seen: How many signals the journey has received since its first run.
    """

    session: ChatSessionArtifact | None
    policy: Policy
    signals: tuple[AcceptedChange, ...]
    signals_seen: int
    refusals: Refusals
