"""The worker's settings, from the environment."""

from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from contract.chat_session import DEFAULT_TASK_QUEUE
from contract.chat_session_activities import Policy
from contract.limits import KIB, MAX_CHANGE_BYTES, MAX_NESTING, MAX_STORED_CONTEXT_BYTES, Limits

LogFormat = Literal["json", "console"]


def _postgres_url(url: SecretStr) -> SecretStr:
    """Refuse what is no database URL, without a word of it: it may be a piece of the password."""
    try:
        parts = urlsplit(url.get_secret_value())
        fits = parts.scheme in ("postgresql", "postgres") and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            "is no URL as postgresql://user:password@host:port/database; in a password write # / ? @ as %23 %2F %3F %40"
        )
    return url


PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]


class StoreSettings(BaseSettings):
    """Where the stores are.

    Attributes:
        supabase_db_url: Supabase's Postgres, direct or through a pooler, as `postgresql://...`.
        state_surface_url: The State Surface's Postgres; Supabase's where it is not set.
    """

    model_config = SettingsConfigDict(populate_by_name=True, frozen=True)

    supabase_db_url: PostgresUrl = Field(
        default=SecretStr("postgresql://postgres:postgres@127.0.0.1:54322/postgres"), validation_alias="SUPABASE_DB_URL"
    )
    state_surface_url: PostgresUrl = Field(
        default_factory=lambda settings: settings["supabase_db_url"], validation_alias="STATE_SURFACE_URL"
    )


class WorkerSettings(StoreSettings):
    """How a worker works.

    Attributes:
        task_queue: The Temporal task queue that it polls.
        activity_slots: Activities at once, of local and of durable ones each; also connections to each store.
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
        metrics_address: `host:port` to serve Prometheus metrics on; none where it is not set.
        log_format: `json` for machines, `console` for people.
        log_level: As in Python's logging.
    """

    model_config = SettingsConfigDict(env_prefix="JOURNEY_", populate_by_name=True, frozen=True)

    task_queue: str = DEFAULT_TASK_QUEUE
    activity_slots: int = Field(default=20, ge=1, le=500)
    transaction_pooler: bool = False
    idle_seconds: float = Field(default=3600, ge=0)
    rollover_messages: int = Field(default=40, ge=1, le=1500)
    max_context_bytes: int = Field(default=256 * KIB, ge=1, le=MAX_STORED_CONTEXT_BYTES)
    max_change_bytes: int = Field(default=64 * KIB, ge=1, le=MAX_CHANGE_BYTES)
    max_nesting: int = Field(default=32, ge=2, le=MAX_NESTING)
    graceful_shutdown_seconds: float = Field(default=10, ge=0)
    sandbox: bool = False
    metrics_address: str | None = None
    log_format: LogFormat = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def policy(self) -> Policy:
        """What of these settings the journeys go by."""
        return Policy(
            limits=Limits(
                context_bytes=self.max_context_bytes, change_bytes=self.max_change_bytes, nesting=self.max_nesting
            ),
            idle_seconds=self.idle_seconds,
            rollover_messages=self.rollover_messages,
        )

    @property
    def graceful_shutdown(self) -> timedelta:
        """The same as a duration."""
        return timedelta(seconds=self.graceful_shutdown_seconds)
