"""The worker's connection to Temporal."""

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
            runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=metrics_address)))
        except ValueError as error:
            raise InvalidParameter(f"JOURNEY_METRICS_ADDRESS: {error}") from error
    return await connect_client(plugins=[JourneyPlugin(sandbox=sandbox)], runtime=runtime)
