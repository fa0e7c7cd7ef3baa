"""The worker's settings, from the environment."""

from datetime import timedelta
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from journeys.chat_session.activities import SessionSettings
from journeys.chat_session.limits import DEFAULT_LIMITS, ChangeBytes, ContextBytes, Limits, Nesting
from journeys.chat_session.names import DEFAULT_TASK_QUEUE
from stores.settings import StoreSettings

LogFormat = Literal["json", "console"]


class WorkerSettings(StoreSettings):
    """How a worker works.

    Attributes:
        task_queue: The Temporal task queue that it polls.
        activity_slots: Activities at once, of local and of regular ones each; also connections to each store.
        transaction_pooler: The stores' URLs lead to poolers in transaction mode. Port 6543 implies it.
        idle_seconds: A journey without messages completes after so long, or up to a quarter later; its session stays.
        rollover_messages: A run continues as new after so many messages; as many again for each 32 KiB that it began
            with. Another worker replays a run before it takes over, so long runs make failover slow.
        max_context_bytes: Canonical size of a session's context.
        max_change_bytes: Canonical size of one change.
        max_nesting: Levels of objects and arrays in a context.
        graceful_shutdown_seconds: After SIGTERM, how long running activities may take to finish.
        sandbox: Run workflow code in the SDK's sandbox, as the tests and `journey dev` do. It notices code that is
            not deterministic, at about 40 % more CPU.
        metrics_address: `host:port` to serve Prometheus metrics on; none by default.
        log_format: `json` for machines, `console` for people.
        log_level: As in Python's logging.
    """

    model_config = SettingsConfigDict(env_prefix="JOURNEY_", populate_by_name=True, frozen=True)

    task_queue: str = DEFAULT_TASK_QUEUE
    activity_slots: int = Field(default=20, ge=1, le=500)
    transaction_pooler: bool = False
    idle_seconds: float = Field(default=3600, ge=0)
    rollover_messages: int = Field(default=40, ge=1, le=1500)
    max_context_bytes: ContextBytes = DEFAULT_LIMITS.context_bytes
    max_change_bytes: ChangeBytes = DEFAULT_LIMITS.change_bytes
    max_nesting: Nesting = DEFAULT_LIMITS.nesting
    graceful_shutdown_seconds: float = Field(default=10, ge=0)
    sandbox: bool = False
    metrics_address: str | None = None
    log_format: LogFormat = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def session_settings(self) -> SessionSettings:
        """The part of these settings that a session's workflow goes by."""
        return SessionSettings(
            limits=Limits(
                context_bytes=self.max_context_bytes, change_bytes=self.max_change_bytes, nesting=self.max_nesting
            ),
            idle_seconds=self.idle_seconds,
            rollover_messages=self.rollover_messages,
        )

    @property
    def graceful_shutdown(self) -> timedelta:
        """How long running activities may take to finish after SIGTERM."""
        return timedelta(seconds=self.graceful_shutdown_seconds)
