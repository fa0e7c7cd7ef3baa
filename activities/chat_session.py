"""The activities of Chat Session Management: one for each intent, and the load of a session.

Three activities decide and store messages. They share one implementation; their names only say what a batch is mostly
for. They run inside the session's own workflow only. The reading activities run standalone and change nothing.
"""

from collections.abc import Callable, Sequence
from typing import NoReturn

from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.agent_turns import AgentTurns
from activities.chat_session_batches import BatchDecider
from activities.chat_session_cache import SessionCache
from activities.own_session import own_session_id
from journeys.chat_session.activities import Batch, DecidedBatch, SessionSettings
from journeys.chat_session.answers import ChatMessages, ChatSessionHistory, ChatSessionList, ChatSessionView
from journeys.chat_session.messages import GetChatMessages, GetChatSession, GetChatSessionHistory, ListChatSessions
from journeys.chat_session.names import (
    GET,
    HISTORY,
    INITIALIZE,
    JOURNEY_ID,
    LIST,
    LOAD,
    MESSAGES,
    UPDATE,
    WORKFLOW_ID_PREFIX,
)
from journeys.chat_session.rules import check_arguments
from journeys.errors import InvalidParameter, JourneyError
from journeys.failures import as_failure
from journeys.messages import RequestType, parse_only
from journeys.retry_policies import READ_ATTEMPTS
from journeys.state_surface import StateSurface
from stores.chat_session_reads import ChatSessionReads
from stores.chat_sessions_supabase import ChatSessionsSupabase
from stores.deletions_supabase import DeletionsSupabase


class ChatSessionActivities:
    """The activities, on the stores that a worker was given."""

    def __init__(
        self,
        sessions: ChatSessionsSupabase,
        reads: ChatSessionReads,
        deletions: DeletionsSupabase,
        surface: StateSurface,
        turns: AgentTurns,
        settings: SessionSettings,
    ) -> None:
        self._sessions = sessions
        self._reads = reads
        self._deletions = deletions
        self._surface = surface
        self._turns = turns
        self._settings = settings
        self._cache = SessionCache()

    @property
    def all(self) -> Sequence[Callable[..., object]]:
        """The activities to register with a worker."""
        return [
            self.initialize_chat_session,
            self.load_chat_session,
            self.update_chat_context,
            self.get_chat_session,
            self.get_chat_session_history,
            self.get_chat_messages,
            self.list_chat_sessions,
        ]

    @activity.defn(name=INITIALIZE)
    async def initialize_chat_session(self, *arguments: object) -> DecidedBatch:
        """Create a session exactly once and register it, or load it if it exists; then decide the messages."""
        return await self._decide(arguments)

    @activity.defn(name=LOAD)
    async def load_chat_session(self, *arguments: object) -> DecidedBatch:
        """Load a session, after bringing the State Surface up to it; then decide the messages."""
        return await self._decide(arguments)

    @activity.defn(name=UPDATE)
    async def update_chat_context(self, *arguments: object) -> DecidedBatch:
        """Decide messages and store what is accepted in both stores."""
        return await self._decide(arguments)

    async def _decide(self, arguments: Sequence[object]) -> DecidedBatch:
        try:
            chat_session_id = _own_session_id()
            batch, *payloads = (_data(argument) for argument in arguments)
            decider = BatchDecider(
                self._sessions,
                self._deletions,
                self._surface,
                self._turns,
                self._cache,
                self._settings,
                chat_session_id,
                Batch.model_validate_json(batch),
            )
            return await decider.decide(payloads)
        except JourneyError as error:
            raise as_failure(error) from None

    @activity.defn(name=GET)
    async def get_chat_session(self, *arguments: object) -> ChatSessionView:
        """Read a session from Supabase by its ID or, without an ID, a user's most recent active one. Change nothing."""
        try:
            return await self._reads.get(self._parse(GetChatSession, arguments))
        except (JourneyError, ApplicationError) as error:
            _raise_to_reader(error)

    def _parse(self, model: type[RequestType], arguments: Sequence[object]) -> RequestType:
        check_arguments(arguments, self._settings.limits)
        return parse_only(model, arguments)

    @activity.defn(name=HISTORY)
    async def get_chat_session_history(self, *arguments: object) -> ChatSessionHistory:
        """Read a page of a session's ledger. Change nothing."""
        try:
            return await self._reads.history(self._parse(GetChatSessionHistory, arguments))
        except (JourneyError, ApplicationError) as error:
            _raise_to_reader(error)

    @activity.defn(name=MESSAGES)
    async def get_chat_messages(self, *arguments: object) -> ChatMessages:
        """Read a page of a session's transcript. Change nothing."""
        try:
            return await self._reads.messages(self._parse(GetChatMessages, arguments))
        except (JourneyError, ApplicationError) as error:
            _raise_to_reader(error)

    @activity.defn(name=LIST)
    async def list_chat_sessions(self, *arguments: object) -> ChatSessionList:
        """Read a page of a user's or a tenant's sessions. Change nothing."""
        try:
            return await self._reads.list(self._parse(ListChatSessions, arguments))
        except (JourneyError, ApplicationError) as error:
            _raise_to_reader(error)


def _own_session_id() -> str:
    """The session of the workflow that this activity runs in.

    Raises:
        InvalidParameter: The activity runs standalone, or in another workflow, and so could name any session.
    """
    chat_session_id = own_session_id(JOURNEY_ID, WORKFLOW_ID_PREFIX)
    if chat_session_id is None:
        name = activity.info().activity_type
        raise InvalidParameter(f"{name} writes, and runs only inside the workflow of the session itself")
    return chat_session_id


def _data(argument: object) -> bytes:
    assert isinstance(argument, RawValue)
    data: bytes = argument.payload.data
    return data


def _raise_to_reader(error: JourneyError | ApplicationError) -> NoReturn:
    """Raise an error as a failure, which is non-retryable at the last attempt: a reader waits for no outage."""
    failure = as_failure(error) if isinstance(error, JourneyError) else error
    raise ApplicationError(
        failure.message,
        *failure.details,
        type=failure.type,
        non_retryable=failure.non_retryable or activity.info().attempt >= READ_ATTEMPTS,
        # A refused read is not the worker's fault, and needs no stack trace in its log.
        category=ApplicationErrorCategory.BENIGN if failure.non_retryable else ApplicationErrorCategory.UNSPECIFIED,
    ) from None
