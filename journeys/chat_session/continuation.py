"""The state that one run of a chat session's journey hands to the next run when it continues as new."""

from typing import Self

from pydantic import ConfigDict
from temporalio.common import RawValue

from journeys.chat_session.activities import ReceivedMessage, SessionSettings
from journeys.chat_session.refusals import Refusals
from journeys.chat_session.session import ChatSessionArtifact
from journeys.messages import Record


class CarriedMessage(ReceivedMessage):
    """A signal that waits, with its payload's data."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    data: bytes


class CarriedState(Record):
    """The state of a journey between two runs.

    Attributes:
        session: None if its context is too large to carry; the next run loads it.
        context_bytes: Canonical size of that context.
        signals: The signals that wait, in the order in which they came.
        signals_seen: How many signals the journey has received since its first run.
        created_for: The ID of the update that created the session, if one of these runs did.
    """

    session: ChatSessionArtifact | None
    context_bytes: int
    settings: SessionSettings
    signals: tuple[CarriedMessage, ...]
    signals_seen: int
    refusals: Refusals
    created_for: str | None

    @classmethod
    def read(cls, argument: object) -> Self:
        """Read the state from the argument that the journey's worker hands on."""
        assert isinstance(argument, RawValue)
        return cls.model_validate_json(argument.payload.data)
