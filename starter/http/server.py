"""The gateway as a server: it listens, and stops without leaving anybody in the middle of an answer."""

import asyncio
import logging
import resource
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Final

import uvicorn
from fastapi import FastAPI
from temporalio.client import Client

from journeys.errors import InvalidParameter
from starter.http.app import create_app
from starter.http.connections import GuardedProtocol, Places
from starter.http.gateway import Gateway, open_gateway
from starter.http.settings import GatewaySettings, HttpAddress
from starter.http.stream.poller import MAX_FOLLOWERS

_BACKLOG: Final = 2048
_KEEP_ALIVE_SECONDS: Final = 75
_SHUTDOWN_SECONDS: Final = 15
# For followers, and twice as many other connections; more would only wait for each other.
_MAX_FILES: Final = 3 * MAX_FOLLOWERS
# Files that the process needs besides its connections.
_RESERVED_FILES: Final = 100


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the program that the server is a part of."""
        yield


@asynccontextmanager
async def running_gateway(
    client: Client, settings: GatewaySettings, *, listener: socket.socket, issues_tokens: bool = False
) -> AsyncIterator[str]:
    """Serve for as long as the context is open.

    Args:
        client: A client of the journeys' namespace.
        settings: The gateway's settings.
        listener: The socket on which it listens; see `listen`.
        issues_tokens: See `open_gateway`.

    Yields:
        The gateway's URL.

    Raises:
        InvalidParameter: The store refuses the gateway, or there is nothing to verify tokens with.
    """
    async with open_gateway(client, settings, issues_tokens=issues_tokens) as gateway:
        server = _Server(_configure(create_app(gateway)))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield _url(listener)
        finally:
            await _stop(server, serving, gateway)


async def _stop(server: uvicorn.Server, serving: "asyncio.Task[None]", gateway: Gateway) -> None:
    gateway.readiness.close()
    gateway.poller.close()
    server.should_exit = True
    await serving


def listen(address: HttpAddress) -> socket.socket:
    """Open the socket on which the gateway listens.

    Raises:
        InvalidParameter: The address cannot be used.
    """
    try:
        family, _, _, _, found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(found[0]), int(found[1])), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise InvalidParameter(
            f"JOURNEY_HTTP_ADDRESS: {address.host}:{address.port} cannot be used ({error.strerror})"
        ) from None


def _configure(app: FastAPI) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # strangers could fill the log with warnings
    return uvicorn.Config(
        app,
        # uvicorn calls it like a class.
        http=partial(GuardedProtocol, places=Places(max(_raise_file_limit() - _RESERVED_FILES, 1))),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def _raise_file_limit() -> int:
    """Raise the limit of open files as far as is needed and allowed, because each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
