"""Gateways as real processes, known by their addresses only, and their callers."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.support.commands import JOURNEY, collected_lines, command_process, read_line
from tests.support.journeys import Journeys

Json = dict[str, Any]

SECRET: Final = "a secret of thirty-two characters or more"
PATH: Final = "/v1/chat-sessions"
PATIENCE: Final = 30.0


class SigningKeySet:
    """The project's keys, and a server that publishes them."""

    def __init__(self) -> None:
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.fetches = 0
        self.url = ""

    @property
    def document(self) -> Json:
        keys = [
            ECAlgorithm.to_jwk(self.ec.public_key(), as_dict=True) | {"kid": "ec", "use": "sig", "alg": "ES256"},
            RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True) | {"kid": "rsa", "use": "sig", "alg": "RS256"},
            {"kty": "oct", "kid": "shared", "k": base64.urlsafe_b64encode(b"x" * 40).decode().rstrip("=")},
        ]
        return {"keys": keys}

    @asynccontextmanager
    async def published(self) -> AsyncIterator[None]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            self.fetches += 1
            body = json.dumps(self.document).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json"
        async with server:
            yield


def user_claims(tenant_id: str, user_id: str, **more: Any) -> Json:
    """The claims of a signed-in user, as Supabase Auth writes them."""
    now = int(time.time())
    return {
        "iss": "https://project.example/auth/v1",
        "aud": "authenticated",
        "role": "authenticated",
        "sub": user_id,
        "iat": now,
        "exp": now + 3600,
        "app_metadata": {"provider": "email", "tenant_id": tenant_id},
        "user_metadata": {},
        "aal": "aal1",
        "session_id": str(uuid4()),
        "is_anonymous": False,
    } | more


def service_claims(**more: Any) -> Json:
    """The claims of Supabase's service key: no audience, no subject, ten years."""
    now = int(time.time())
    return {
        "iss": "supabase",
        "ref": "abcdefghijklmnopqrst",
        "role": "service_role",
        "iat": now,
        "exp": now + 10**8,
    } | more


def sign(claims: Json, key: Any = SECRET, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers=header or None)


@dataclass
class GatewayProcess:
    """A running gateway; `lines` are those of its log since it began to serve."""

    url: str
    process: asyncio.subprocess.Process
    lines: list[str]

    @property
    def logged(self) -> list[Json]:
        """The log's entries; a line that is none, as of a warning of Python's, is left out."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, token: str | None, **headers: str) -> httpx2.AsyncClient:
        """A client that sends a token with each request."""
        headers |= {"authorization": f"Bearer {token}"} if token else {}
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=PATIENCE, trust_env=False, verify=False)


@asynccontextmanager
async def gateway_process(
    journeys: Journeys, environment: Mapping[str, str] | None = None, command: tuple[str, ...] = (JOURNEY, "gateway")
) -> AsyncIterator[GatewayProcess]:
    """A gateway that serves; it is killed at the end."""
    settings = {
        "TEMPORAL_ADDRESS": journeys.addresses.temporal_address,
        "SUPABASE_DB_URL": journeys.addresses.supabase_db_url,
        "JOURNEY_TASK_QUEUE": journeys.task_queue,
        "JOURNEY_HTTP_ADDRESS": "127.0.0.1:0",
        "SUPABASE_JWT_SECRET": SECRET,
    } | dict(environment or {})
    async with command_process(*command, **settings) as process:
        said = json.loads(await read_line(process.stderr, "serving"))
        async with collected_lines(process.stderr) as lines:
            yield GatewayProcess(said["url"], process, lines)


@dataclass
class Event:
    """An event of a stream; a comment has the name `comment`."""

    name: str
    id: int | None
    data: Any


class Stream:
    """An open stream, read event by event."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> Event | None:
        """The next event or comment; None at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE):
            async for line in self._lines:
                if not line:
                    break
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
        if not fields:
            return None
        if "event" not in fields:
            return Event("comment", None, fields[""])
        return Event(fields["event"], int(fields["id"]) if "id" in fields else None, json.loads(fields["data"]))

    async def take(self, name: str) -> Event:
        """The next event, or the next comment if that is asked for; checks that it has this name."""
        event = await self.next()
        while event and event.name == "comment" and name != "comment":  # it keeps a silent stream alive
            event = await self.next()
        assert event is not None
        assert event.name == name, event
        return event

    async def changes_up_to(self, revision: int) -> list[int]:
        """The revisions of the next events, up to this one; checks that all of them are changes."""
        seen: list[int] = []
        while not seen or seen[-1] < revision:
            event = await self.take("change")
            assert event.id is not None
            seen.append(event.id)
        return seen


@asynccontextmanager
async def followed(client: httpx2.AsyncClient, session: str, last: int | None = None) -> AsyncIterator[Stream]:
    """A stream of a session."""
    headers = {} if last is None else {"last-event-id": str(last)}
    async with client.stream("GET", f"{PATH}/{session}/events", headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        yield Stream(response)
