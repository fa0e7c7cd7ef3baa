"""The gateway's time limits drop a caller that sends byte by byte for ever, or that never reads an answer."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import pytest

from tests.http.conftest import Api
from tests.http.gateway_variants import RESERVED, with_clocks, with_files
from tests.support.http_gateways import PATH, PATIENCE, GatewayProcess, gateway_process
from tests.support.journeys import Journeys
from tests.support.polling import eventually

# The largest file that the gateway serves.
LARGE: Final = "/docs/swagger-ui-bundle.js"


def post(api: Api, *lines: str) -> bytes:
    always = ("host: x", f"authorization: Bearer {api.user_token()}", "content-type: application/json")
    return "\r\n".join((f"POST {PATH} HTTP/1.1", *always, *lines, "", "")).encode()


@pytest.mark.parametrize(
    ("begins", "goes_on", "answers"),
    [
        ("", b"", []),
        ("GET / HTTP/1.1\r\nx: ", b"y", []),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nx: ", b"y", [200]),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n", [200]),
        ("content-length: 1000", b" ", [408]),
        ("transfer-encoding: chunked", b"1\r\n \r\n", [408]),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n", b" ", [200]),
    ],
    ids=["nothing", "a head", "a second head", "empty lines", "a body", "a body in chunks", "a body that nobody wants"],
)
async def test_what_is_sent_byte_by_byte_for_ever_is_ended_and_holds_nobody_up(
    api: Api, impatient: GatewayProcess, begins: str, goes_on: bytes, answers: list[int]
) -> None:
    begin = post(api, begins) if begins.startswith(("content", "transfer")) else begins.encode()
    with socket.create_connection(("127.0.0.1", impatient.port)) as connection:
        connection.sendall(begin)  # before anything can hold this process up for half a second
        connection.setblocking(False)
        trickling = asyncio.create_task(trickle(connection, goes_on))
        try:
            async with impatient.client(api.user_token()) as user:
                assert (await user.get(PATH)).status_code == 200
            async with asyncio.timeout(PATIENCE):
                said = await read_to_the_end(connection)
        finally:
            trickling.cancel()
    assert [int(each[:3]) for each in said.split(b"HTTP/1.1 ")[1:]] == answers


async def test_those_who_read_no_answer_lose_their_places(api: Api, world: Journeys) -> None:
    command = with_files(RESERVED + 2, with_clocks(stalled=0.5))
    async with (
        gateway_process(world, command=command) as gateway,
        gateway.client(api.user_token()) as user,
        unread(gateway),
        unread(gateway),
    ):
        await eventually(lambda: [each for each in gateway.logged if each.get("route") == LARGE])
        await eventually(lambda: user.get(PATH), lambda answer: answer.status_code == 200, within=PATIENCE)


@asynccontextmanager
async def unread(gateway: GatewayProcess) -> AsyncIterator[None]:
    """A connection that asks for more than the system holds for a reader, and reads none of it."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", gateway.port))
        connection.send(f"GET {LARGE} HTTP/1.1\r\nhost: x\r\n\r\n".encode() * 30)
        yield


@pytest.fixture(scope="module")
async def impatient(world: Journeys) -> AsyncIterator[GatewayProcess]:
    """A gateway that waits for nothing longer than half a second."""
    async with gateway_process(world, command=with_clocks(head=0.5, body=0.5, linger=0.5)) as gateway:
        yield gateway


async def trickle(connection: socket.socket, goes_on: bytes) -> None:
    with suppress(OSError):
        while True:
            await asyncio.sleep(0.05)
            await asyncio.get_running_loop().sock_sendall(connection, goes_on)


async def read_to_the_end(connection: socket.socket) -> bytes:
    """What was answered. Unlike a stream of asyncio's, the system keeps it when the connection is reset."""
    said = b""
    with suppress(OSError):  # reset, because more had come meanwhile
        while more := await asyncio.get_running_loop().sock_recv(connection, 65536):
            said += more
    return said
