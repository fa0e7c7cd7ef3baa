"""The steps of a turn: read, write, store. Each can run again, wherever it died."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from datetime import timedelta
from typing import Final

from pydantic import JsonValue
from temporalio import activity
from temporalio.exceptions import ApplicationError

from examples.agents.conversation import MAX_MESSAGES, Answer, Conversation, show_conversation
from examples.agents.partials import PartialAnswer, Partials
from examples.agents.writer import ModelRefuses, Writer
from journeys import ChatSessions
from journeys.chat_session.agent_turns import AgentTurn, agent_turn_id
from journeys.chat_session.answers import ChatSessionView
from journeys.chat_session.errors import SessionNotActive, SessionNotFound
from journeys.chat_session.keys import message_id
from journeys.client.context_change import ContextChange
from journeys.errors import IdempotencyConflict, JourneyError, RevisionConflict
from journeys.failures import as_failure

HEARTBEAT_TIMEOUT: Final = timedelta(seconds=4)
"""The time after which another worker goes on with a dead worker's step."""

_HEARTBEAT_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 2.0
"""How often `write_answer` checks whether anybody still waits for the answer."""

_MAX_CONFLICTS: Final = 5


class TurnActivities:
    """The steps of a turn, for all agents of this worker."""

    def __init__(self, sessions: ChatSessions, writers: Mapping[str, Writer], partials: Partials | None) -> None:
        """Make the activities.

        Args:
            sessions: The client of the journeys.
            writers: The writer of each agent.
            partials: Shows unfinished answers; None to show none.
        """
        self._sessions = sessions
        self._writers = writers
        self._partials = partials

    @activity.defn
    async def read_conversation(self, turn: AgentTurn) -> Conversation | None:
        """Read the part of the session that the agent sees; None if nobody waits for its answer any more."""
        async with _heartbeats():
            with _as_failures():
                session = await self._read_waiting_session(turn)
                if session is None:
                    return None
                page = await self._sessions.messages(turn.chat_session_id, tenant_id=turn.tenant_id, limit=MAX_MESSAGES)
                return show_conversation(page.messages, session.context)

    @activity.defn
    async def write_answer(self, turn: AgentTurn, conversation: Conversation) -> Answer | None:
        """Have the model write the answer, or its beginning if it is stopped; None if nobody waits for it any more."""
        writer = self._writers[turn.active_agent]
        async with _heartbeats(), self._shown(turn) as partial:
            writing = asyncio.create_task(writer.write(conversation, partial.show))
            unwanted = asyncio.create_task(self._until_unwanted(turn))
            try:
                await asyncio.wait({writing, unwanted}, return_when=asyncio.FIRST_COMPLETED)
                if writing.done():
                    return await writing
                await unwanted
                return None
            except asyncio.CancelledError:
                details = activity.cancellation_details()
                if not (details and details.cancel_requested and partial.text):
                    raise  # nothing is written yet, or the worker ends and another one writes anew
                return Answer(text=partial.text, model=writer.model.model_name, status="stopped")
            except ModelRefuses as error:
                raise ApplicationError(str(error), type=ModelRefuses.__name__, non_retryable=True) from error
            finally:
                for task in (writing, unwanted):
                    task.cancel()
                await asyncio.wait({writing, unwanted})

    @activity.defn
    async def store_answer(self, turn: AgentTurn, answer: Answer) -> str | None:
        """Add the answer to the transcript; its message's ID, or None if nobody waits for it any more."""
        async with _heartbeats():
            with _as_failures():
                for conflicts in range(_MAX_CONFLICTS + 1):
                    session = await self._read_waiting_session(turn)
                    if session is None:
                        return await self._find_stored_message(turn)
                    try:
                        # A base revision makes sure that nobody asks anew between reading the session and changing it.
                        # The last attempt has none, because others may change the session without a pause.
                        base = session.revision if conflicts < _MAX_CONFLICTS else None
                        await self._sessions.update_context(
                            turn.chat_session_id, returning="receipt", **_change(turn, answer, base)
                        )
                    except RevisionConflict:
                        continue
                    except (SessionNotActive, SessionNotFound):
                        return None
                    except IdempotencyConflict:
                        pass  # somebody has reset this turn: its message from before the reset stays
                    return _message_id(turn)
                raise AssertionError("a change without a base has no conflict")

    async def _read_waiting_session(self, turn: AgentTurn) -> ChatSessionView | None:
        """The session, if somebody still waits for the turn's answer."""
        try:
            session = await self._sessions.get(turn.chat_session_id, tenant_id=turn.tenant_id)
        except SessionNotFound:
            return None
        waits = session.lifecycle_state == "ACTIVE" and session.turn_revision <= turn.revision
        return session if waits else None

    async def _until_unwanted(self, turn: AgentTurn) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                if await self._read_waiting_session(turn) is None:
                    return
            except JourneyError:
                continue  # `store_answer` reads the session again

    async def _find_stored_message(self, turn: AgentTurn) -> str | None:
        """The message's ID if an attempt that died has stored it: after a hand-over, nobody waits for this turn."""
        if activity.info().attempt == 1:
            return None
        try:
            page = await self._sessions.messages(turn.chat_session_id, tenant_id=turn.tenant_id, limit=MAX_MESSAGES)
        except SessionNotFound:
            return None
        own = _message_id(turn)
        return own if any(message.id == own for message in page.messages) else None

    def _shown(self, turn: AgentTurn) -> AbstractAsyncContextManager[PartialAnswer]:
        return self._partials.shown(turn, _message_id(turn)) if self._partials else nullcontext(PartialAnswer())


def _change(turn: AgentTurn, answer: Answer, base_revision: int | None) -> ContextChange:
    message: dict[str, JsonValue] = {"role": "assistant"} | answer.model_dump(
        exclude={"hand_over", "context"}, exclude_none=True
    )
    change = ContextChange(
        tenant_id=turn.tenant_id,
        messages=[message],
        author=turn.active_agent,
        idempotency_key=agent_turn_id(turn.chat_session_id, turn.revision),
        base_revision=base_revision,
    )
    if answer.context:
        change["context"] = answer.context
    if answer.hand_over:
        change["active_agent"], change["turn"] = answer.hand_over, True
    return change


def _message_id(turn: AgentTurn) -> str:
    """The ID of the turn's message, known before the journey stores it."""
    return message_id(turn.chat_session_id, agent_turn_id(turn.chat_session_id, turn.revision), 0)


@asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    """Tell Temporal that this worker lives; Temporal's answers also bring the turn's cancellation."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(_HEARTBEAT_SECONDS)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait({beating})


@contextmanager
def _as_failures() -> Iterator[None]:
    """Hand the contract's errors to Temporal. Only an outage is worth another attempt."""
    try:
        yield
    except JourneyError as error:
        raise as_failure(error) from error
