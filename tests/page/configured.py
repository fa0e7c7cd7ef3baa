"""The page as gateways with other settings serve it."""

from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Page, Route

PLATFORM: Final = "https://platform.example"
SUPABASE: Final = "https://project.supabase.example"


async def configure(page: Page, **config: Any) -> None:
    """Let the page see another configuration of the gateway."""

    async def answer(route: Route) -> None:
        told = await (await route.fetch()).json()
        await route.fulfill(json=told | config)

    await page.route("**/page/config.json", answer)
    await page.route(lambda url: url.startswith("http:") and urlsplit(url).path == "/", allow)


async def allow(route: Route) -> None:
    """The page with the policy that goes with the configuration."""
    answer = await route.fetch()
    policy = answer.headers["content-security-policy"].replace("connect-src 'self'", f"connect-src 'self' {SUPABASE}")
    policy = policy.replace("frame-ancestors 'none'", f"frame-ancestors {PLATFORM}")
    await route.fulfill(response=answer, headers=answer.headers | {"content-security-policy": policy})
