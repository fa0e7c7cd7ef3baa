"""The worker's settings, from the environment."""

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode, SettingsConfigDict

from activities.agent_turns import AgentTurns
from journeys.chat_session.activities import SessionSettings
from journeys.chat_session.limits import DEFAULT_LIMITS, ChangeBytes, ContextBytes, Limits, Nesting
from journeys.chat_session.names import DEFAULT_TASK_QUEUE
from journeys.chat_session.session import Agent
from journeys.client.settings import TaskQueue
from stores.settings import StoreSettings

MAX_IDLE_SECONDS: Final = 30 * 24 * 3600
MAX_TURN_SECONDS: Final = 24 * 3600

LogFormat = Literal["json", "console"]


TurnSeconds = Annotated[float, Field(gt=0, le=MAX_TURN_SECONDS, allow_inf_nan=False)]
DEFAULT_TURN_SECONDS: Final = 600


def _split(names: object) -> object:
    return tuple(filter(None, (name.strip() for name in names.split(",")))) if isinstance(names, str) else names


SPLIT_AT_COMMAS: Final = BeforeValidator(_split)
"""Reads a setting of several names, which is not JSON (`NoDecode`)."""


class WorkerSettings(StoreSettings):
    """The settings of a worker.

    Attributes:
        task_queue: The Temporal task queue that the worker polls.
        activity_slots: How many local activities and how many regular activities may run at once; also the number of
            connections to each store.
        transaction_pooler: Whether the stores' URLs lead to poolers in transaction mode. Port 6543 implies it.
        idle_seconds: Seconds without a message after which a journey completes, at most a quarter of them later. The
            session stays in the stores.
        rollover_messages: Messages after which a run continues as new. For each 32 KiB that the run began with, it
            serves this number once more. A worker replays a run before it takes over, so long runs make failover slow.
        max_context_bytes: Canonical size of a session's context.
        max_change_bytes: Size of one request as it is sent, escapes included. Callers have the same setting.
        max_nesting: Levels of objects and arrays in a context.
        agents: The agents that take turns, separated by commas: others run their task queues.
        turn_seconds: How long an agent's turn may take, its wait for the agent included.
        graceful_shutdown_seconds: How long running activities may take to finish after SIGTERM.
        sandbox: Whether workflow code runs in the SDK's sandbox, as in `journey dev`. The sandbox notices code that is
            not deterministic, and costs about 40 % more CPU.
        metrics_address: The `host:port` that serves Prometheus metrics; by default there are none.
        log_format: `json` for programs, `console` for people.
        log_level: The lowest level that is logged.
    """

    model_config = SettingsConfigDict(env_prefix="JOURNEY_", populate_by_name=True, frozen=True)

    task_queue: TaskQueue = DEFAULT_TASK_QUEUE
    activity_slots: int = Field(default=20, ge=1, le=500)
    transaction_pooler: bool = False
    idle_seconds: float = Field(default=3600, ge=0, le=MAX_IDLE_SECONDS, allow_inf_nan=False)
    rollover_messages: int = Field(default=40, ge=1, le=1500)
    max_context_bytes: ContextBytes = DEFAULT_LIMITS.context_bytes
    max_change_bytes: ChangeBytes = DEFAULT_LIMITS.change_bytes
    max_nesting: Nesting = DEFAULT_LIMITS.nesting
    agents: Annotated[frozenset[Agent], NoDecode, SPLIT_AT_COMMAS] = frozenset()
    turn_seconds: TurnSeconds = DEFAULT_TURN_SECONDS
    graceful_shutdown_seconds: float = Field(default=10, ge=0, le=3600, allow_inf_nan=False)
    sandbox: bool = False
    metrics_address: str | None = None
    log_format: LogFormat = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def session_settings(self) -> SessionSettings:
        """The settings that a session's workflow follows."""
        return SessionSettings(
            limits=Limits(
                context_bytes=self.max_context_bytes, change_bytes=self.max_change_bytes, nesting=self.max_nesting
            ),
            idle_seconds=self.idle_seconds,
            rollover_messages=self.rollover_messages,
        )

    @property
    def agent_turns(self) -> AgentTurns:
        """The starter of agents' turns."""
        return AgentTurns(agents=self.agents, timeout=timedelta(seconds=self.turn_seconds))

    @property
    def graceful_shutdown(self) -> timedelta:
        """How long running activities may take to finish after SIGTERM."""
        return timedelta(seconds=self.graceful_shutdown_seconds)
