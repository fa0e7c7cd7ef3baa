"""The gateway of `journey dev`, which gives tokens to everybody on this machine who asks."""

import os
import secrets
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from pydantic import AnyHttpUrl, SecretStr
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from embedded.ports import LOOPBACK, PortRequest, choose_ports
from starter.dev_engine import DevAddresses
from starter.http.dev_tokens import issue_service_token
from starter.http.server import listen, running_gateway
from starter.http.settings import GatewaySettings

PREFERRED_PORT: Final = 8000
"""The gateway's port, unless it is taken."""


def choose_port(required: int | None) -> int:
    """Choose the gateway's port: by default 8000, or another one if it is taken.

    Raises:
        EmbeddedStackError: The required port cannot be used.
    """
    (chosen,) = choose_ports([PortRequest("the HTTP gateway", required=required, preferred=PREFERRED_PORT)])
    return chosen


@dataclass(frozen=True, slots=True)
class DevGateway:
    """The running gateway.

    Attributes:
        addresses: The addresses of the stack and of the gateway.
        service_token: The token with which services on this machine call the gateway.
    """

    addresses: DevAddresses
    service_token: SecretStr


@asynccontextmanager
async def dev_gateway(
    stack: DevAddresses, *, port: int | None, agents: Set[str] = frozenset()
) -> AsyncIterator[DevGateway]:
    """Serve the stack over HTTP for as long as the context is open.

    Args:
        stack: The stack, whose worker runs.
        port: The gateway's port; see `choose_port`.
        agents: Agents that take turns, besides those that the environment names.

    Raises:
        EmbeddedStackError: The port cannot be used.
    """
    # With a secret from the environment, its owner's tokens are valid, too; with a random one, only this command's are.
    secret = os.environ.get("SUPABASE_JWT_SECRET") or secrets.token_urlsafe(48)
    settings = GatewaySettings(
        http_address=f"{LOOPBACK}:{choose_port(port)}",
        supabase_db_url=SecretStr(stack.supabase_db_url),
        jwt_secret=SecretStr(secret),
        temporal_ui_url=AnyHttpUrl(stack.temporal_ui_url),
    )
    settings = settings.model_copy(update={"agents": (*settings.agents, *sorted(agents - {*settings.agents}))})
    client = await Client.connect(
        stack.temporal_address, namespace=stack.temporal_namespace, data_converter=pydantic_data_converter
    )
    async with running_gateway(client, settings, listener=listen(settings.address), issues_tokens=True) as url:
        yield DevGateway(
            addresses=stack.model_copy(update={"http_url": url}), service_token=SecretStr(issue_service_token(secret))
        )
