"""The connection to Temporal, from the SDK's own environment configuration: `TEMPORAL_ADDRESS` and so on."""

import asyncio
import os
import re
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

_POSITION: Final = re.compile(r"TOML parse error at line (?P<line>[0-9]+), column (?P<column>[0-9]+)")
_UNKNOWN_PROFILE: Final = re.compile(r"Profile '.*' not found")


async def connect(*, plugins: Sequence[Plugin] = (), runtime: Runtime | None = None) -> Client:
    """Connect, or fail after a few seconds.

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
        raise InvalidParameter(f"TEMPORAL_*: {_explain(error)}") from None
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
    except ValueError:
        raise InvalidParameter(
            "TEMPORAL_*: the SDK cannot use the address or the TLS settings; the address has the form host:port"
        ) from None
    except (TimeoutError, RuntimeError, RPCError):
        raise EngineUnavailable(
            f"Temporal cannot be reached at {address}; is TEMPORAL_ADDRESS right?", outcome="not accepted"
        ) from None


def _explain(error: Exception) -> str:
    """Say where the SDK's configuration is at fault. The error's own text prints the line, API key and all."""
    text = str(error)
    if position := _POSITION.search(text):
        return f"the configuration file is not valid at line {position['line']}, column {position['column']}"
    if _UNKNOWN_PROFILE.fullmatch(text):
        return "the configuration file has no profile of that name; see TEMPORAL_PROFILE"
    if isinstance(error, OSError) and error.errno:
        return f"a file that the configuration names cannot be read: {os.strerror(error.errno)}"
    return "the configuration cannot be read; see TEMPORAL_CONFIG_FILE and the TLS settings"
