"""The worker's connection to Temporal."""

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError

from contract.errors import EngineUnavailable
from worker.payloads import journey_data_converter


async def connect(*, metrics_address: str | None = None) -> Client:
    """Connect as Temporal's environment configuration says (`TEMPORAL_ADDRESS` and so on).

    Args:
        metrics_address: `host:port` to serve Prometheus metrics on.

    Raises:
        EngineUnavailable: Temporal cannot be reached.
    """
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "localhost:7233")
    runtime = None
    if metrics_address:
        runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=metrics_address)))
    try:
        return await Client.connect(**config, data_converter=journey_data_converter, runtime=runtime)
    except (RuntimeError, RPCError) as error:
        raise EngineUnavailable(
            f"Temporal cannot be reached at {config['target_host']}; set TEMPORAL_ADDRESS"
        ) from error
