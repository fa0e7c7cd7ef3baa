"""A gateway as a process: read the settings, configure logs, connect, and serve."""

import asyncio
import logging

from journeys.client.connection import connect
from journeys.client.settings import read_settings
from starter.http.server import listen, running_gateway
from starter.http.settings import GatewaySettings
from worker.logs import configure_logs


async def run_gateway() -> None:
    """Run a gateway with the environment's settings until it is cancelled. It then finishes what it has begun.

    Raises:
        EngineUnavailable: Temporal cannot be reached.
        InvalidParameter: A setting is not valid.
    """
    settings = read_settings(GatewaySettings)
    settings.require_keys()
    configure_logs(settings.log_format, settings.log_level)
    client = await connect()
    async with running_gateway(client, settings, listener=listen(settings.address)) as url:
        logging.getLogger(__name__).info("serving", extra={"url": url})
        await asyncio.Event().wait()
