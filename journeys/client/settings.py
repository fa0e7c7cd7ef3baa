"""The client's settings, and how every program here reads its settings from the environment."""

from typing import Annotated, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from journeys.chat_session.limits import DEFAULT_LIMITS, ChangeBytes
from journeys.chat_session.names import DEFAULT_TASK_QUEUE
from journeys.errors import InvalidParameter
from journeys.messages import reason_of

SettingsType = TypeVar("SettingsType", bound=BaseSettings)


TaskQueue = Annotated[str, Field(min_length=1, max_length=1000)]
"""The name of a task queue."""


class ClientSettings(BaseSettings):
    """How a service reaches the journeys.

    Attributes:
        task_queue: The Temporal task queue that the journeys' workers poll.
        deadline_seconds: How long a call may take, its retries included.
        max_change_bytes: Size of one request as it is sent; a larger one is refused. The workers have the same setting.
    """

    model_config = SettingsConfigDict(env_prefix="JOURNEY_", frozen=True)

    task_queue: TaskQueue = DEFAULT_TASK_QUEUE
    deadline_seconds: float = Field(default=10, gt=0, allow_inf_nan=False)
    max_change_bytes: ChangeBytes = DEFAULT_LIMITS.change_bytes


def read_settings(settings: type[SettingsType]) -> SettingsType:
    """Read settings from the environment.

    Raises:
        InvalidParameter: A setting is not valid. The error names its variable and never shows its value.
    """
    try:
        return settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = "".join(str(part) for part in first["loc"][:1])
        variable = name if name.isupper() else f"{settings.model_config.get('env_prefix', '')}{name}".upper()
        raise InvalidParameter(f"{variable}: {reason_of(first['msg'])}") from None
