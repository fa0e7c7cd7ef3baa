"""Parses the messages of a batch: unread data becomes the changes that the rules decide."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from journeys.chat_session.activities import ReceivedMessage
from journeys.chat_session.limits import Limits
from journeys.chat_session.messages import (
    DeleteChatSession,
    InitializeChatSession,
    JourneyArgument,
    SignalChatContext,
    UpdateChatContext,
    UpdateChatSession,
)
from journeys.chat_session.rules import Change, check_context, check_request_size
from journeys.errors import InvalidParameter, JourneyError
from journeys.messages import parse, read

_CHANGES: Final[Mapping[str, type[SignalChatContext | UpdateChatSession]]] = {
    "signal": SignalChatContext,
    "update": UpdateChatContext,
    "edit": UpdateChatSession,
}


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """A message that was parsed: a change, an initialization, a deletion, or the error that refuses it.

    Attributes:
        claimed_tenant: The tenant that the message names; None if none can be read.
        size: Size of the message's data in bytes.
    """

    received: ReceivedMessage
    content: Change | InitializeChatSession | DeleteChatSession | JourneyError
    claimed_tenant: str | None
    size: int

    @property
    def change(self) -> Change | None:
        """The change, if it is one."""
        return self.content if isinstance(self.content, Change) else None


@dataclass(frozen=True, slots=True)
class MessageParser:
    """Parses the messages of one session.

    Attributes:
        at: When the changes are applied.
    """

    chat_session_id: str
    limits: Limits
    at: datetime

    def parse_message(self, received: ReceivedMessage, data: bytes) -> ParsedMessage:
        """Parse a message; one that does not fit becomes its error."""
        claimed: str | None = None
        try:
            check_request_size(len(data), self.limits)
            raw = read(data)
            if isinstance(raw, dict) and isinstance(raw.get("tenant_id"), str):
                claimed = raw["tenant_id"]
            if received.kind == "initialize":
                initialization = parse(InitializeChatSession, raw, is_own=True)
                self._check_initialization(initialization)
                return ParsedMessage(received, initialization, claimed, len(data))
            if received.kind == "delete":
                return ParsedMessage(received, parse(DeleteChatSession, raw), claimed, len(data))
            request = parse(_CHANGES[received.kind], raw, depth=self.limits.nesting, is_own=True)
        except JourneyError as error:
            return ParsedMessage(received, error, claimed, len(data))
        # Another run may get a retry of an update, so its key does not depend on the run.
        name = received.identity if received.kind == "signal" else received.update_id
        change = Change.of(request, key=request.key(self.chat_session_id, name), identity=received.identity)
        return ParsedMessage(received, change, claimed, len(data))

    def parse_argument(self, data: bytes) -> InitializeChatSession | None:
        """Parse the workflow's argument; None if it creates no session.

        Raises:
            InvalidParameter: The argument does not fit.
        """
        try:
            check_request_size(len(data), self.limits)
            argument = parse(JourneyArgument, read(data), is_own=True)
            if argument.chat_session_id != self.chat_session_id:
                raise InvalidParameter("chat_session_id: is not the session of this workflow", field="chat_session_id")
            if argument.initialization:
                self._check_initialization(argument.initialization)
        except JourneyError as error:
            raise InvalidParameter(error.message, field=error.field) from None
        return argument.initialization

    def _check_initialization(self, request: InitializeChatSession) -> None:
        request.check(self.chat_session_id, self.at)
        check_context(request.context, self.limits)
