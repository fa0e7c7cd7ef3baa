"""`make screenshots`: pictures of the page, of Temporal's Web UI and of the API page, with one small story."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import httpx2
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from tests.page.chromium import ARGUMENTS, CHROMIUM, NO_CHROMIUM
from tests.support.commands import JOURNEY, command_process, read_line
from tests.support.http_gateways import service_claims, sign
from tests.support.paths import REPOSITORY

_PICTURES: Final = REPOSITORY / "docs" / "images"
_SECRET: Final = uuid4().hex + uuid4().hex
_SEARCH: Final = '`TenantId`="acme" AND `UserId`="ada"'
_SESSIONS: Final = "/v1/chat-sessions"

_STORY: Final[list[dict[str, Any]]] = json.loads(Path(__file__).with_name("story.json").read_text("utf-8"))
_OTHERS: Final = ("Figures of the second quarter", "Which pillar does what?", "Welcome")


async def _tell_story(url: str) -> str:
    """Make a few sessions, and a conversation in the last one; return the ID of the last one."""
    async with httpx2.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=30) as gateway:
        issued = await gateway.post("/v1/dev/token", json={"tenant_id": "acme", "user_id": "ada"})
        user = {"authorization": f"Bearer {issued.json()['access_token']}"}
        service = {"authorization": f"Bearer {sign(service_claims(), _SECRET)}", "x-tenant-id": "acme"}
        session = ""
        for title in (*reversed(_OTHERS), "Newsletter for our members"):
            body = {"session_name": title, "title": title}
            made = (await gateway.post(_SESSIONS, json=body, headers=user)).raise_for_status()
            session = made.json()["chat_session_id"]
        for each in _STORY:
            is_ada = each["by"] == "user"
            said = each["change"] if is_ada else each["change"] | {"author": each["by"]}
            headers = user if is_ada else service
            path = f"{_SESSIONS}/{session}/context"
            (await gateway.patch(path, json=said, headers=headers)).raise_for_status()
        return session


async def _sign_in(browser: Browser, url: str, **options: Any) -> Page:
    page = await browser.new_page(**options)
    await page.goto(url)
    await page.get_by_role("textbox", name="Tenant").fill("acme")
    await page.get_by_role("textbox", name="User").fill("ada")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await expect(page.get_by_role("article")).to_have_count(5)
    await expect(page.get_by_text("handed over to Content liaison").first).to_be_attached()
    await expect(page.locator("#session-list").get_by_role("link", include_hidden=True)).to_have_count(4)
    return page


async def _take(page: Page, name: str) -> None:
    await page.screenshot(path=_PICTURES / f"{name}.png", animations="disabled")
    print(f"docs/images/{name}.png")


async def _take_all(browser: Browser, addresses: dict[str, Any]) -> None:
    session = await _tell_story(addresses["http_url"])
    wide: ViewportSize = {"width": 1280, "height": 800}
    await _take(await _sign_in(browser, addresses["http_url"], viewport=wide), "page-light")
    await _take(await _sign_in(browser, addresses["http_url"], viewport=wide, color_scheme="dark"), "page-dark")
    narrow: ViewportSize = {"width": 390, "height": 780}
    phone = await _sign_in(browser, addresses["http_url"], viewport=narrow, device_scale_factor=2)
    await _take(phone, "page-narrow")

    page = await browser.new_page(viewport=wide)
    await page.goto(f"{addresses['http_url']}/docs")
    await expect(page.get_by_text("Create a session, or find it")).to_be_visible()
    await _take(page, "api-page")
    ui = f"{addresses['temporal_ui_url']}/namespaces/{addresses['temporal_namespace']}/workflows"
    await page.goto(f"{ui}?query={quote(_SEARCH)}")
    await expect(page.get_by_role("link", name=f"chat-session/{session}").first).to_be_visible()
    await _take(page, "web-ui-search")
    await page.set_viewport_size({"width": 1280, "height": 1150})
    await page.goto(f"{ui}/{quote(f'chat-session/{session}', safe='')}")
    await expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    await expect(page.get_by_text("Loading")).to_have_count(0)
    await _take(page, "web-ui-session")


async def main() -> None:
    if CHROMIUM is None:
        raise SystemExit(NO_CHROMIUM)
    _PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        async with (
            command_process(
                JOURNEY, "dev", "--data-dir", str(data_dir), "--json", SUPABASE_JWT_SECRET=_SECRET
            ) as stack,
            async_playwright() as playwright,
        ):
            addresses = json.loads(await read_line(stack.stdout))
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            await _take_all(browser, addresses)
            await browser.close()
            stack.terminate()
            await stack.wait()


if __name__ == "__main__":
    asyncio.run(main())
