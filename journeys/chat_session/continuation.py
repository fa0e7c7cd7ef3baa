"""The state that one run of a chat session's journey carries over to the next with continue-as-new."""

from pydantic import Field

from journeys.chat_session.activities import SETTINGS_NAMES, AcceptedChange, SessionSettings
from journeys.chat_session.answers import Refusals
from journeys.chat_session.session import ChatSessionArtifact
from journeys.messages import Record


class CarriedState(Record):
    """The state of a journey between two runs.

    Attributes:
        session: None if it is too large to carry; the next run loads it.
        signals: The signals that still wait, oldest first.
        signals_seen: How many signals the journey has received since its first run.
    """

    session: ChatSessionArtifact | None
    settings: SessionSettings = Field(validation_alias=SETTINGS_NAMES)
    signals: tuple[AcceptedChange, ...]
    signals_seen: int
    refusals: Refusals
