"""The starter's settings, from the environment."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from contract.chat_session import DEFAULT_TASK_QUEUE


class StarterSettings(BaseSettings):
    """How a service reaches the journeys.

    Attributes:
        task_queue: The Temporal task queue that their workers poll.
        deadline_seconds: How long a call may take in all, its retries included.
    """

    model_config = SettingsConfigDict(env_prefix="JOURNEY_", frozen=True)

    task_queue: str = DEFAULT_TASK_QUEUE
    deadline_seconds: float = Field(default=10, gt=0)
