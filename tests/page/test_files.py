"""How the page is served: to everybody, never stale, with a policy that lets nothing else run."""

import asyncio

import httpx2
import pytest

from starter.http.page.config import page_config
from starter.http.page.policy import content_security_policy
from starter.http.settings import GatewaySettings
from tests.page.conftest import AGENTS, AWAY, TEMPORAL_UI, World
from tests.support.paths import REPOSITORY

STATIC = REPOSITORY / "starter/http/page/static"
CHECKS = REPOSITORY / "tests/page/npm"


async def test_the_page_needs_no_token_and_is_loaded_again_only_if_it_has_changed(world: World) -> None:
    async with httpx2.AsyncClient(base_url=world.gateway.url, trust_env=False, verify=False) as anybody:
        page = await anybody.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "'unsafe" not in page.headers["content-security-policy"]
        again = await anybody.get("/", headers={"if-none-match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for file in STATIC.glob("*.js"):
            served = await anybody.get(f"/page/{file.name}")
            assert served.content == file.read_bytes()
            assert served.headers["content-type"] == "text/javascript; charset=utf-8"
        for other in ("contract.d.ts", "..%2fconfig.py", "../config.py", "nothing.js"):
            assert (await anybody.get(f"/page/{other}")).status_code == 404


async def test_the_page_is_told_of_this_deployment_and_of_no_secret(world: World) -> None:
    async with httpx2.AsyncClient(base_url=world.gateway.url, trust_env=False, verify=False) as anybody:
        told = (await anybody.get("/page/config.json")).json()
    assert told["sign_in"] == "development"
    assert told["agents"] == [*AGENTS, AWAY]
    assert told["temporal_ui_url"] == TEMPORAL_UI
    assert "secret" not in str(told)


@pytest.mark.parametrize(
    ("environment", "sign_in"),
    [
        ({}, "none"),
        ({"SUPABASE_URL": "https://x.supabase.example"}, "none"),
        ({"SUPABASE_URL": "https://x.supabase.example", "SUPABASE_ANON_KEY": "anon"}, "password"),
        ({"JOURNEY_PAGE_ORIGINS": "https://platform.example, https://other.example"}, "platform"),
    ],
)
def test_settings_say_how_people_sign_in(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], sign_in: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = GatewaySettings()
    config = page_config(settings, namespace="default", has_dev_tokens=False)
    assert config.sign_in == sign_in
    assert config.agents == ("guide", "liaison_content", "liaison_insights", "liaison_journey", "liaison_solution")
    assert config.platform_origins == settings.page_origins
    assert (config.supabase_url is not None) == (sign_in == "password")


def test_the_policy_names_who_is_called_and_who_may_show_the_page() -> None:
    settings = GatewaySettings.model_validate({"SUPABASE_URL": "https://x.supabase.example/"})
    alone = content_security_policy(supabase_url=None, platform_origins=())
    shown = content_security_policy(supabase_url=settings.supabase_url, platform_origins=("https://p.example",))
    assert "connect-src 'self';" in alone
    assert "frame-ancestors 'none';" in alone
    assert "connect-src 'self' https://x.supabase.example;" in shown
    assert "frame-ancestors https://p.example;" in shown


async def test_the_pages_scripts_pass_the_type_checker() -> None:
    checker = CHECKS / "node_modules/.bin/tsc"
    if not checker.exists():
        pytest.skip("TypeScript is not installed: npm install --prefix tests/page/npm")
    checked = await asyncio.create_subprocess_exec(
        str(checker), "-p", str(CHECKS), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await checked.communicate()
    assert checked.returncode == 0, said.decode()
