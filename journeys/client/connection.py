"""The connection to Temporal, from the SDK's own environment configuration: `TEMPORAL_ADDRESS` and so on."""

import asyncio
from collections.abc import Sequence
from typing import Final

from temporalio.client import Client, Plugin
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import GrpcCompression, RPCError

from journeys.errors import EngineUnavailable, InvalidParameter

GRPC_COMPRESSION: Final = GrpcCompression.NONE
"""A message has a few hundred bytes. Compressing it costs more than sending it as it is."""

_CONNECT_SECONDS: Final = 5


async def connect(*, plugins: Sequence[Plugin] = (), runtime: Runtime | None = None) -> Client:
    """Connect within five seconds.

    Args:
        plugins: Plugins of the client; a worker's client has one.
        runtime: The SDK's runtime; by default the SDK's default runtime.

    Raises:
        EngineUnavailable: Temporal does not answer.
        InvalidParameter: The configuration is not valid.
    """
    try:
        config = ClientConfig.load_client_connect_config()
    except (OSError, RuntimeError, ValueError) as error:
        raise InvalidParameter(f"TEMPORAL_*: {error}") from error
    config.setdefault("target_host", "localhost:7233")
    address = config["target_host"]
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await Client.connect(
                **config,
                data_converter=pydantic_data_converter,
                plugins=plugins,
                runtime=runtime,
                grpc_compression=GRPC_COMPRESSION,
            )
    except ValueError as error:
        raise InvalidParameter(f"TEMPORAL_*: {error}") from error
    except (TimeoutError, RuntimeError, RPCError) as error:
        raise EngineUnavailable(f"Temporal cannot be reached at {address}; is TEMPORAL_ADDRESS right?") from error
