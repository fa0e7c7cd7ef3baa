"""The worker's connection to Temporal."""

import socket

from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from journeys.client.connection import connect as connect_client
from journeys.errors import InvalidParameter
from worker.plugin import JourneyPlugin


async def connect(*, sandbox: bool = False, metrics_address: str | None = None) -> Client:
    """Connect with the environment's configuration; see `journeys.client.connection`.

    Args:
        sandbox: See `JourneyPlugin`.
        metrics_address: The `host:port` that serves Prometheus metrics; None serves none.

    Raises:
        EngineUnavailable: Temporal cannot be reached.
        InvalidParameter: The configuration is not valid.
    """
    runtime = None
    if metrics_address:
        try:
            address = _resolve(metrics_address)
            runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=address)))
        except (OSError, ValueError) as error:
            raise InvalidParameter(f"JOURNEY_METRICS_ADDRESS: must be host:port ({error})") from None
    return await connect_client(plugins=[JourneyPlugin(sandbox=sandbox)], runtime=runtime)


def _resolve(address: str) -> str:
    """Replace the host of `host:port` by its IP address: the SDK takes no name."""
    host, _, port = address.rpartition(":")
    family, _, _, _, found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
    number = str(found[0])
    return f"[{number}]:{port}" if family == socket.AF_INET6 else f"{number}:{port}"
