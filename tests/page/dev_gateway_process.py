"""`python -m tests.page.dev_gateway_process`: a gateway that issues tokens as in `journey dev`, by its environment."""

import asyncio

from journeys.client.connection import connect
from journeys.client.settings import read_settings
from starter.http.server import listen, running_gateway
from starter.http.settings import GatewaySettings


async def serve() -> None:
    settings = read_settings(GatewaySettings)
    client = await connect()
    async with running_gateway(client, settings, listener=listen(settings.address), issues_tokens=True):
        print("serving", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
