"""What one caller sends or does not send costs no other caller anything."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.http.conftest import Api
from tests.support.commands import run_journey
from tests.support.http_gateways import PATH, PATIENCE, SECRET, GatewayProcess, gateway_process
from tests.support.journeys import Journeys
from tests.support.polling import eventually

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(gateway: GatewayProcess) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    """The status of an answer, and the code of its problem."""
    async with asyncio.timeout(PATIENCE):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        body = json.loads(await reader.readexactly(length))
    return int(head.split()[1]), body["code"]


def head(api: Api, *lines: str) -> bytes:
    always = ("host: x", f"authorization: Bearer {api.user_token()}", "content-type: application/json")
    return "\r\n".join((f"POST {PATH} HTTP/1.1", *always, *lines, "", "")).encode()


async def test_a_body_that_never_ends_is_cut_off_and_so_is_its_connection(api: Api) -> None:
    async with connected(api.gateway) as (reader, writer):
        writer.write(head(api, "transfer-encoding: chunked"))
        answer = asyncio.create_task(read_answer(reader))
        with pytest.raises(OSError):  # noqa: PT011 - whichever way the connection ends
            await send_without_end(writer)
        assert await answer == (413, "TOO_LARGE")


async def send_without_end(writer: asyncio.StreamWriter) -> None:
    for _ in range(2**16):
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


async def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(api: Api) -> None:
    async with connected(api.gateway) as (reader, writer):
        writer.write(head(api, "content-length: 99999999999", "expect: 100-continue"))
        assert await read_answer(reader) == (413, "TOO_LARGE")


async def test_a_head_of_a_megabyte_is_refused(api: Api) -> None:
    for line in (b"x: " + b"y" * 2**20, b"\r\n".join(b"x%d: y" % number for number in range(100_000))):
        async with connected(api.gateway) as (reader, writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + line + b"\r\n\r\n")
            assert await read_answer(reader) == (431, "TOO_LARGE")
    async with connected(api.gateway) as (reader, writer):
        writer.write(b"GET /" + b"y" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n")
        assert await read_answer(reader) == (431, "TOO_LARGE")


async def test_what_is_no_http_is_refused(api: Api) -> None:
    for garbage in (b"garbage\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n"):
        async with connected(api.gateway) as (reader, writer):
            writer.write(garbage)
            assert await read_answer(reader) == (400, "INVALID_PARAMETER")


async def test_requests_that_come_all_at_once_are_answered_in_order(api: Api) -> None:
    async with connected(api.gateway) as (reader, writer):
        paths = ["/nothing", PATH, "/nothing/else"]
        writer.write(b"".join(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode() for path in paths))
        answers = [await read_answer(reader) for _ in paths]
    assert answers == [(404, "NOT_FOUND"), (401, "UNAUTHENTICATED"), (404, "NOT_FOUND")]


async def test_the_log_has_each_request_and_nothing_of_what_was_said(api: Api) -> None:
    session = await api.create(title="a secret title")
    secret = "a secret word"
    await api.user.post(f"{PATH}/{session}/messages", json={"messages": [{"id": secret, "text": secret}]})
    await api.user.delete(f"{PATH}/{session}/messages/{secret}")
    await api.user.get(f"{PATH}/{secret}")

    def logged() -> list[str]:
        return [json.dumps(each) for each in api.gateway.logged if each.get("event") == "request"]

    await eventually(logged, lambda lines: '"code": "SESSION_NOT_FOUND"' in lines[-1])
    removal, read = (json.loads(line) for line in logged()[-2:])
    assert (removal["method"], removal["status"], removal["code"]) == ("DELETE", 204, None)
    assert "{message_id" in removal["route"]
    assert (read["method"], read["status"]) == ("GET", 404)
    assert "secret" not in json.dumps(api.gateway.logged)


async def test_a_page_of_another_origin_is_let_in_only_if_it_is_named(api: Api, world: Journeys) -> None:
    asks = {
        "origin": "https://app.example.com",
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "authorization, idempotency-key",
    }
    assert "access-control-allow-origin" not in (await api.user.options(PATH, headers=asks)).headers
    named = {"JOURNEY_HTTP_ORIGINS": "https://app.example.com, http://localhost:3000"}
    async with gateway_process(world, named) as gateway, gateway.client(api.user_token()) as page:
        allowed = await page.options(PATH, headers=asks)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, asks["origin"])
        other = await page.options(PATH, headers=asks | {"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        read = await page.get(PATH, headers={"origin": asks["origin"]})
        assert "ETag" in read.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"SUPABASE_JWT_SECRET": ""}, "SUPABASE_JWT_SECRET"),
        ({"SUPABASE_JWT_SECRET": "short"}, "SUPABASE_JWT_SECRET"),
        ({"SUPABASE_JWKS_URL": "ftp://x"}, "SUPABASE_JWKS_URL"),
        ({"JOURNEY_HTTP_ADDRESS": "8000"}, "JOURNEY_HTTP_ADDRESS"),
        ({"JOURNEY_HTTP_ADDRESS": "203.0.113.1:8000"}, "JOURNEY_HTTP_ADDRESS"),
        ({"JOURNEY_HTTP_ORIGINS": "*"}, "JOURNEY_HTTP_ORIGINS"),
    ],
    ids=str,
)
async def test_a_gateway_with_a_wrong_setting_does_not_start_and_names_it(
    world: Journeys, settings: dict[str, str], said: str
) -> None:
    environment = {
        "TEMPORAL_ADDRESS": world.addresses.temporal_address,
        "SUPABASE_DB_URL": world.addresses.supabase_db_url,
        "SUPABASE_JWT_SECRET": SECRET,
    } | settings
    told = await run_journey("gateway", **environment)
    assert told.returncode == 1
    assert told.stderr.startswith("INVALID_PARAMETER: ")
    assert said in told.stderr


async def test_a_port_that_is_taken_is_told(api: Api, world: Journeys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match=f"127.0.0.1:{port} cannot be used"):
            async with gateway_process(world, {"JOURNEY_HTTP_ADDRESS": f"127.0.0.1:{port}"}):
                pass
