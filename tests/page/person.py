"""A person who uses the page and finds everything by the names that assistive technology has for it."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from playwright.async_api import Locator, Page, Route, expect

PATIENCE_MILLISECONDS: Final = 20_000

expect.set_options(timeout=PATIENCE_MILLISECONDS)


async def pass_time(page: Page, seconds: int) -> None:
    """Let time pass for the page, whose clock has been installed."""
    await page.clock.fast_forward(seconds * 1000)


@dataclass(frozen=True)
class Person:
    """A person at a window of the page."""

    page: Page
    tenant_id: str
    user_id: str

    async def sign_in(self) -> None:
        await self.ask_to_sign_in()
        await self.is_connected()

    async def ask_to_sign_in(self) -> None:
        """Fill in the form and send it."""
        await self.page.get_by_role("textbox", name="Tenant").fill(self.tenant_id)
        await self.page.get_by_role("textbox", name="User").fill(self.user_id)
        await self.page.get_by_role("button", name="Sign in").click()

    async def is_connected(self) -> None:
        await expect(self.status).to_have_text("Connected")

    async def say(self, text: str) -> None:
        await self.message.fill(text)
        await self.message.press("Enter")

    async def hold(self, requests: str, **answer: Any) -> asyncio.Event:
        """Hold the window's requests to these addresses until the event that this returns is set.

        They then go on to the gateway or, if there is an answer, get that.
        """
        goes_on = asyncio.Event()

        async def wait(route: Route) -> None:
            await goes_on.wait()
            await (route.fulfill(**answer) if answer else route.continue_())

        await self.page.route(requests, wait)
        return goes_on

    async def step_to(self, revision: int) -> None:
        await self.revision.fill(str(revision))

    @property
    def session(self) -> str:
        """The ID of the session that is open."""
        return self.page.url.partition("session=")[2]

    @property
    def status(self) -> Locator:
        return self.page.get_by_role("status")

    @property
    def message(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message")

    @property
    def send(self) -> Locator:
        return self.page.get_by_role("button", name="Send", exact=True)

    @property
    def agent(self) -> Locator:
        return self.page.get_by_role("combobox", name="Agent")

    @property
    def conversation(self) -> Locator:
        return self.page.get_by_role("log", name="Conversation")

    @property
    def articles(self) -> Locator:
        return self.conversation.get_by_role("article")

    def by(self, author: str) -> Locator:
        """The messages of an author."""
        return self.conversation.get_by_role("article", name=author, exact=True)

    @property
    def sessions(self) -> Locator:
        return self.page.get_by_role("navigation", name="Sessions")

    @property
    def context(self) -> Locator:
        return self.page.get_by_role("region", name="Shared context")

    @property
    def revision(self) -> Locator:
        return self.page.get_by_role("slider", name="Revision")
