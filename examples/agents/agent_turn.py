"""The workflow of a turn: it is durable, visible in the Web UI, and adds at most one message."""

import asyncio
from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, TimeoutError, is_cancelled_exception  # noqa: A004 - Temporal's own

with workflow.unsafe.imports_passed_through():
    from examples.agents.conversation import Answer
    from examples.agents.turn_activities import HEARTBEAT_TIMEOUT, TurnActivities
    from journeys.chat_session.agent_turns import AgentTurn
    from journeys.chat_session.names import AGENT_TURN_ID

_STORE_ATTEMPT: Final = timedelta(seconds=30)
_MODEL_ATTEMPT: Final = timedelta(minutes=2)
# A read or a write waits for the end of an outage, as long as the turn may take.
_STORE_RETRIES: Final = RetryPolicy(initial_interval=timedelta(seconds=0.2), maximum_interval=timedelta(seconds=5))
# A model that fails four times in a row is not asked again: somebody waits.
_MODEL_RETRIES: Final = RetryPolicy(initial_interval=timedelta(seconds=0.5), maximum_attempts=4)

_DEFAULT_TIMEOUT: Final = timedelta(minutes=10)
_MAX_RESERVE: Final = timedelta(seconds=30)

_FAILED: Final = "Sorry, I could not answer: {reason}. Please ask again."
_STOPPED: Final = "Stopped."


@workflow.defn(name=AGENT_TURN_ID)
class AgentTurnWorkflow:
    """One turn of one agent."""

    @workflow.run
    async def run(self, turn: AgentTurn) -> str | None:
        """Write the agent's answer and store it.

        Returns:
            The ID of the message; None if the turn added none, because somebody has asked anew, or because the session
            is archived or deleted.

        Raises:
            ActivityError: A step failed for good, or the turn was cancelled. The turn's message says so.
        """
        try:
            answer = await self._write(turn)
            stored = await self._store(turn, answer) if answer else None
        except (ActivityError, asyncio.CancelledError) as error:
            # Under the answer's idempotency key: if the answer is stored after all, this message is refused.
            await self._store(turn, _explain(error))
            raise
        if answer and answer.status:
            raise asyncio.CancelledError  # the message has the beginning of the answer
        return stored

    async def _write(self, turn: AgentTurn) -> Answer | None:
        workflow.set_current_details("Reads the session and its transcript.")
        conversation = await workflow.execute_activity_method(
            TurnActivities.read_conversation,
            turn,
            start_to_close_timeout=_STORE_ATTEMPT,
            schedule_to_close_timeout=_time_left(),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_STORE_RETRIES,
            summary="read the session and its transcript",
        )
        if conversation is None:
            return None
        workflow.set_current_details(f"Waits for the model, which writes {turn.active_agent}'s answer.")
        return await workflow.execute_activity_method(
            TurnActivities.write_answer,
            args=[turn, conversation],
            start_to_close_timeout=_MODEL_ATTEMPT,
            schedule_to_close_timeout=_time_left(),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_MODEL_RETRIES,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"the model writes {turn.active_agent}'s answer",
        )

    async def _store(self, turn: AgentTurn, answer: Answer) -> str | None:
        """Add the turn's one message; whoever cancels the turn now is too late."""
        workflow.set_current_details(f"Stores {answer.status or 'the answer'}.")
        storing = workflow.start_activity_method(
            TurnActivities.store_answer,
            args=[turn, answer],
            start_to_close_timeout=_STORE_ATTEMPT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_STORE_RETRIES,
            summary=f"store {answer.status or 'the answer'}",
        )
        try:
            stored = await asyncio.shield(storing)
        except asyncio.CancelledError:
            stored = await storing
        workflow.set_current_details(_describe(answer) if stored else "Nobody waits for an answer any more.")
        return stored


def _time_left() -> timedelta:
    """The time left for the answer. The end of the turn's time is kept free to say why there is no answer."""
    info = workflow.info()
    timeout = info.execution_timeout or _DEFAULT_TIMEOUT
    end = info.start_time + timeout - min(timeout / 5, _MAX_RESERVE)
    return max(end - workflow.now(), timedelta(seconds=0.1))


def _explain(error: ActivityError | asyncio.CancelledError) -> Answer:
    if is_cancelled_exception(error) or not isinstance(error, ActivityError):
        return Answer(text=_STOPPED, status="stopped")
    if isinstance(error.cause, TimeoutError):
        reason = "it took too long"
    elif error.activity_type == TurnActivities.write_answer.__name__:
        reason = "the model reports an error"
    else:
        reason = "the session does not take the answer"
    return Answer(text=_FAILED.format(reason=reason), status="failed")


def _describe(answer: Answer) -> str:
    if answer.status:
        return f"The transcript says that the turn {'failed' if answer.status == 'failed' else 'was stopped'}."
    return f"Answered, and handed over to {answer.hand_over}." if answer.hand_over else "Answered."
