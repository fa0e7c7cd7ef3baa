"""One gateway, one worker, scripted agents and one browser for the tests of this folder. Each test has its own user."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import httpx2
import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright
from temporalio.client import Client

from embedded import EmbeddedStack
from tests.page.chromium import ARGUMENTS, CHROMIUM, NO_CHROMIUM
from tests.page.person import PATIENCE_MILLISECONDS, Person
from tests.page.scripted_agent import ScriptedAgent, scripted_agents
from tests.support.commands import command_process, read_line
from tests.support.http_gateways import SECRET, service_claims, sign, user_claims
from tests.support.journeys import Journeys
from tests.support.own_ports import choose_own_ports
from tests.support.tcp_proxy import ProxiedStores
from tests.support.worker_processes import worker_environment, worker_process

AGENTS: Final = ("guide", "liaison_content", "liaison_insights")
# The settings say that this agent takes turns, but no worker polls for it.
AWAY: Final = "liaison_solution"
TEMPORAL_UI: Final = "http://temporal-ui.example"
# Twice the default, so that a message of 200 KB fits into one change.
CHANGE_BYTES: Final = 262144


def user_token(tenant_id: str, user_id: str, **claims: Any) -> str:
    """A signed-in user's token."""
    return sign(user_claims(tenant_id, user_id, **claims))


@dataclass
class Restartable:
    """A program of the world that can be killed, and comes back as it was."""

    run: Callable[[], AbstractAsyncContextManager[object]]

    def __post_init__(self) -> None:
        self._running = AsyncExitStack()

    async def start(self) -> None:
        await self._running.enter_async_context(self.run())

    async def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        await self._running.aclose()


@dataclass
class PageGateway(Restartable):
    """The gateway that serves the page, always under the same address."""

    url: str

    def client(self, token: str, **headers: str) -> httpx2.AsyncClient:
        headers |= {"authorization": f"Bearer {token}"}
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False, verify=False)


@dataclass(frozen=True)
class World:
    """What the tests of the page share."""

    journeys: Journeys
    gateway: PageGateway
    worker: Restartable
    stores: ProxiedStores
    service: httpx2.AsyncClient
    agent: ScriptedAgent

    @property
    def tenant_id(self) -> str:
        return self.journeys.tenant_id


@pytest.fixture(scope="session")
async def world(stack: EmbeddedStack, client: Client, worker_clients: Mapping[bool, Client]) -> AsyncIterator[World]:
    """The stores behind proxies, a worker, a gateway and agents."""
    (port,) = choose_own_ports(1)
    async with (
        ProxiedStores.of(stack.addresses) as stores,
        Journeys.on(stack.addresses, client, worker_clients[False]) as journeys,
        AsyncExitStack() as running,
    ):
        both = {"JOURNEY_AGENTS": ",".join((*AGENTS, AWAY)), "JOURNEY_MAX_CHANGE_BYTES": str(CHANGE_BYTES)}
        environment = both | {
            "TEMPORAL_ADDRESS": stack.addresses.temporal_address,
            "SUPABASE_DB_URL": stores.supabase.url,
            "SUPABASE_JWT_SECRET": SECRET,
            "JOURNEY_HTTP_ADDRESS": f"127.0.0.1:{port}",
            "JOURNEY_TASK_QUEUE": journeys.task_queue,
            "JOURNEY_TEMPORAL_UI_URL": TEMPORAL_UI,
            "JOURNEY_LOG_LEVEL": "ERROR",
        }
        gateway = PageGateway(lambda: _gateway_process(environment), f"http://127.0.0.1:{port}")
        of_worker = worker_environment(stack.addresses, journeys.task_queue, stores, **both)
        worker = Restartable(lambda: worker_process(of_worker))
        for program in (gateway, worker):
            running.push_async_callback(program.kill)
            await program.start()
        async with (
            gateway.client(sign(service_claims()), **{"x-tenant-id": journeys.tenant_id}) as service,
            scripted_agents(client, journeys.task_queue, AGENTS, service) as agent,
        ):
            yield World(journeys, gateway, worker, stores, service, agent)


@asynccontextmanager
async def _gateway_process(environment: Mapping[str, str]) -> AsyncIterator[None]:
    async with command_process(sys.executable, "-m", "tests.page.dev_gateway_process", **environment) as process:
        await read_line(process.stdout, "serving")
        yield


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        await running.close()


Opener = Callable[..., Awaitable[Person]]
"""Opens a window of the page for a person, with the options of a browser context."""


@asynccontextmanager
async def windows(browser: Browser, world: World) -> AsyncIterator[Opener]:
    """Opens windows, each in a browser context of its own unless `beside` another one, and closes them in the end."""
    user_id = f"user-{uuid4().hex[:12]}"
    world.agent.script()
    opened: list[BrowserContext] = []
    errors: list[str] = []

    async def open_window(
        path: str = "/",
        *,
        beside: Person | None = None,
        user: str = user_id,
        signs_in: bool = True,
        **options: Any,
    ) -> Person:
        if beside:
            context = beside.page.context
        else:
            context = await browser.new_context(**options)
            context.set_default_timeout(PATIENCE_MILLISECONDS)
            opened.append(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(world.gateway.url + path)
        person = Person(page, world.tenant_id, user)
        if signs_in and not beside:
            await person.sign_in()
        elif beside:
            await person.is_connected()
        return person

    yield open_window
    for context in opened:
        await context.close()
    assert not errors


@pytest.fixture
async def open_page(browser: Browser, world: World) -> AsyncIterator[Opener]:
    """Opens the page for a user of the test's own. In the end, no script of the page may have failed."""
    async with windows(browser, world) as opener:
        yield opener


@pytest.fixture
async def ada(open_page: Opener) -> Person:
    """A person who has signed in."""
    return await open_page()
