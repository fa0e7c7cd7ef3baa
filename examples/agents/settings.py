"""The agents' settings, from the environment."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from journeys.chat_session.names import DEFAULT_TASK_QUEUE
from journeys.client.settings import TaskQueue


class AgentSettings(BaseSettings):
    """The settings of the example agents.

    Attributes:
        task_queue: The journeys' task queue; an agent's own is `<task queue>/<agent>`.
        agent_model: The model as pydantic-ai names it, such as `openai:gpt-5`; by default a scripted one.
        gateway_url: Where the gateway is; without it, answers are shown only when they are complete.
        gateway_token: The service's token for the gateway.
        agent_slots: How many turns of one agent may be written at once.
    """

    model_config = SettingsConfigDict(env_prefix="JOURNEY_", frozen=True)

    task_queue: TaskQueue = DEFAULT_TASK_QUEUE
    agent_model: str | None = Field(default=None, min_length=1)
    gateway_url: str | None = Field(default=None, pattern="^https?://")
    gateway_token: SecretStr | None = None
    agent_slots: int = Field(default=20, ge=1, le=500)
