"""The worker's connection to Temporal."""

from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from contract.connection import connect as connect_with
from contract.errors import InvalidParameter
from worker.payloads import journey_data_converter


async def connect(*, metrics_address: str | None = None) -> Client:
    """Connect as the environment says, see `contract.connection`.

    Args:
        metrics_address: `host:port` to serve Prometheus metrics on.

    Raises:
        EngineUnavailable: Temporal cannot be reached.
        InvalidParameter: The configuration makes no sense.
    """
    runtime = None
    if metrics_address:
        try:
            runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=metrics_address)))
        except ValueError as error:
            raise InvalidParameter(f"JOURNEY_METRICS_ADDRESS: {error}") from error
    return await connect_with(journey_data_converter, runtime=runtime)
