"""One gateway, one worker and one set of keys for the tests of this folder. Each test has its own user."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

import httpx2
import pytest
from temporalio.client import Client

from embedded import EmbeddedStack
from tests.support.http_gateways import (
    PATH,
    GatewayProcess,
    Json,
    SigningKeySet,
    gateway_process,
    service_claims,
    sign,
    user_claims,
)
from tests.support.journeys import Journeys


@dataclass(frozen=True)
class Api:
    """The gateway as a test calls it: as a user of its own, and as a service."""

    gateway: GatewayProcess
    tenant_id: str
    user_id: str
    user: httpx2.AsyncClient
    service: httpx2.AsyncClient

    async def create(self, **fields: object) -> str:
        """A session of the user's own."""
        body = {"session_name": uuid4().hex} | fields
        answer = await self.user.post(PATH, json=body)
        assert answer.status_code == 201, answer.text
        session: str = answer.json()["chat_session_id"]
        return session

    async def change(self, session: str, **fields: object) -> Json:
        """A change of the context, by the user."""
        answer = await self.user.patch(f"{PATH}/{session}/context", json=fields)
        assert answer.status_code == 200, answer.text
        changed: Json = answer.json()
        return changed

    def user_token(self, **claims: object) -> str:
        """A token of the user's."""
        return sign(user_claims(self.tenant_id, self.user_id, **claims))


@pytest.fixture(scope="session")
async def world(stack: EmbeddedStack, client: Client, worker_clients: Mapping[bool, Client]) -> AsyncIterator[Journeys]:
    """The stores and a worker that the gateways of this folder share."""
    async with (
        Journeys.on(stack.addresses, client, worker_clients[False]) as journeys,
        journeys.worker(agents={"guide"}),
    ):
        yield journeys


@pytest.fixture(scope="session")
async def keys() -> AsyncIterator[SigningKeySet]:
    """The project's signing keys."""
    key_set = SigningKeySet()
    async with key_set.published():
        yield key_set


@pytest.fixture(scope="session")
async def gateway(world: Journeys, keys: SigningKeySet) -> AsyncIterator[GatewayProcess]:
    """A gateway with both kinds of keys."""
    async with gateway_process(world, {"SUPABASE_JWKS_URL": keys.url}) as running:
        yield running


@pytest.fixture
async def api(world: Journeys, gateway: GatewayProcess) -> AsyncIterator[Api]:
    """A user of the test's own."""
    user_id = f"user-{uuid4().hex}"
    async with (
        gateway.client(sign(user_claims(world.tenant_id, user_id))) as user,
        gateway.client(sign(service_claims()), **{"x-tenant-id": world.tenant_id}) as service,
    ):
        yield Api(gateway, world.tenant_id, user_id, user, service)
