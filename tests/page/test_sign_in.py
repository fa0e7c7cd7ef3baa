"""Who sees a session, and how people sign in: in development, with a password, by the platform that shows the page."""

import base64
import json
import time
from typing import Any, Final
from uuid import uuid4

from playwright.async_api import Page, Route, expect

from tests.page.configured import PLATFORM, SUPABASE, configure
from tests.page.conftest import Opener, World, user_token
from tests.page.person import Person

REFUSED: Final[dict[str, Any]] = {
    "status": 401,
    "json": {"code": "UNAUTHENTICATED", "detail": "the token is not valid"},
}


async def test_another_users_session_is_not_found_by_its_address(ada: Person, open_page: Opener, world: World) -> None:
    await ada.say("Between us")
    await expect(ada.by("guide")).to_have_count(1)
    bob = await open_page(f"/?session={ada.session}", user="bob", signs_in=False)
    await bob.ask_to_sign_in()
    await expect(bob.page.get_by_role("alert")).to_contain_text("There is no such chat, or it is not yours.")
    await expect(bob.page.get_by_text("Between us")).to_have_count(0)
    await expect(bob.page.get_by_role("link", name="Trace")).to_be_hidden()
    await expect(bob.page.locator("#status")).to_have_text("")
    await bob.page.get_by_role("button", name="Open the latest chat").click()
    await bob.is_connected()
    assert bob.session != ada.session


async def test_a_sign_in_is_kept_for_every_window_and_ends_in_every_window(ada: Person, open_page: Opener) -> None:
    await ada.say("Between us")
    await expect(ada.by("guide")).to_have_count(1)
    await expect(ada.page).to_have_title("Between us · Coexistence chat")
    await ada.message.fill("Half between us")
    other = await open_page(beside=ada)
    await expect(other.by("guide")).to_have_count(1)
    await other.page.get_by_role("button", name="Sign out").click()
    for window in (ada, other):
        await expect(window.page.get_by_role("textbox", name="User")).to_be_visible()
        assert await window.page.evaluate("[...Object.keys(localStorage), ...Object.keys(sessionStorage)]") == []
        assert "etween us" not in await window.page.content()
        await expect(window.page).to_have_title("Coexistence chat")
        assert await window.page.locator("#message").input_value() == ""


async def test_a_token_that_has_expired_is_renewed_in_development(ada: Person, world: World) -> None:
    expired = user_token(world.tenant_id, ada.user_id, exp=int(time.time()) - 3600)
    await change_sign_in(ada.page, token=expired)
    await ada.page.reload()
    await ada.is_connected()
    await ada.say("Still me")
    await expect(ada.by("guide")).to_have_count(1)


async def test_a_stream_goes_on_when_its_token_ends(ada: Person, world: World) -> None:
    # Expired, but still within the gateway's leeway for a moment.
    short = user_token(world.tenant_id, ada.user_id, exp=int(time.time()) - 27)
    await change_sign_in(ada.page, token=short)
    async with ada.page.expect_request(lambda request: request.url.endswith("/v1/dev/token")):
        await ada.page.reload()
        await ada.is_connected()
        await ada.say("Before and after")
    await expect(ada.by("guide")).to_have_count(1)


async def change_sign_in(page: Page, **change: Any) -> None:
    """Change what the page keeps of the sign-in. It believes that another token alone is valid for long."""
    await page.evaluate(
        """(change) => {
            const kept = JSON.parse(localStorage.getItem('coexistence.sign-in'));
            localStorage.setItem('coexistence.sign-in', JSON.stringify({ ...kept, ...change }));
        }""",
        change,
    )


class SupabaseAuth:
    """Supabase Auth's token endpoint, as far as the page uses it."""

    def __init__(self, tenant_id: str) -> None:
        self.tenant_id = tenant_id
        self.grants: list[str] = []
        self.is_revoked = False
        self.expires_in = 3600

    async def answer(self, route: Route) -> None:
        headers = {"access-control-allow-origin": "*", "access-control-allow-headers": "*"}
        if route.request.method == "OPTIONS":
            await route.fulfill(status=204, headers=headers)
            return
        asked = route.request.post_data_json or {}
        grant = route.request.url.partition("grant_type=")[2]
        assert await route.request.header_value("apikey") == "anon"
        is_right = asked.get("password") == "right" or str(asked.get("refresh_token")).startswith("refresh-")
        if not is_right or self.is_revoked:
            said = {"error_code": "invalid_credentials", "msg": "Invalid login credentials"}
            await route.fulfill(status=400, headers=headers, json=said)
            return
        self.grants.append(grant)
        token = user_token(self.tenant_id, "3b1b6a4e-0000-4000-8000-000000000001", email="ada@acme.example")
        issued = {"access_token": token, "refresh_token": f"refresh-{len(self.grants)}", "expires_in": self.expires_in}
        await route.fulfill(status=200, headers=headers, json=issued)


async def open_with_passwords(open_page: Opener, auth: SupabaseAuth) -> Person:
    ada = await open_page(signs_in=False)
    await ada.page.context.route(f"{SUPABASE}/**", auth.answer)
    await configure(ada.page, sign_in="password", supabase_url=SUPABASE, supabase_anon_key="anon")
    await ada.page.reload()
    return ada


async def sign_in_with_password(ada: Person, password: str) -> None:
    await ada.page.get_by_role("textbox", name="E-mail").fill("ada@acme.example")
    await ada.page.get_by_label("Password").fill(password)
    await ada.page.get_by_role("button", name="Sign in").click()


async def test_people_sign_in_with_a_password_and_stay_signed_in(open_page: Opener, world: World) -> None:
    auth = SupabaseAuth(world.tenant_id)
    ada = await open_with_passwords(open_page, auth)
    await sign_in_with_password(ada, "wrong")
    await expect(ada.page.get_by_role("alert").filter(has_text="Invalid login credentials")).to_be_visible()
    auth.expires_in = 30  # sooner than the page renews it
    await sign_in_with_password(ada, "right")
    await ada.is_connected()
    await expect(ada.page.get_by_text("ada@acme.example")).to_be_visible()
    assert auth.grants[:2] == ["password", "refresh_token"]


async def test_a_sign_in_that_cannot_be_renewed_is_asked_for_again_and_nothing_is_lost(
    open_page: Opener, world: World
) -> None:
    auth = SupabaseAuth(world.tenant_id)
    ada = await open_with_passwords(open_page, auth)
    await sign_in_with_password(ada, "right")
    await ada.is_connected()
    auth.is_revoked = True
    await ada.message.fill("Half a thought")
    await change_sign_in(ada.page, token=user_token(world.tenant_id, "someone", exp=1))
    await ada.page.reload()
    await expect(ada.page.get_by_text("Your sign-in has ended.")).to_be_visible()
    auth.is_revoked = False
    await sign_in_with_password(ada, "right")
    await ada.is_connected()
    await expect(ada.message).to_have_value("Half a thought")


async def test_a_user_without_a_tenant_is_told_so(open_page: Opener, world: World) -> None:
    ada = await open_page(signs_in=False)
    await sign_in_without_tenant(ada, world)
    await expect(ada.page.get_by_text("the token names no tenant")).to_be_visible()


async def test_an_answer_that_comes_late_leaves_the_sign_in_form_as_it_is(open_page: Opener, world: World) -> None:
    ada = await open_page(signs_in=False)
    sessions = "**/v1/chat-sessions?limit=*"
    goes_on = await ada.hold(sessions, **REFUSED)
    is_asked = await ada.hold("**/v1/chat-sessions/latest")
    async with ada.page.expect_request(sessions):
        await sign_in_without_tenant(ada, world)
    is_asked.set()
    await expect(ada.page.get_by_text("the token names no tenant")).to_be_visible()
    user = ada.page.get_by_role("textbox", name="User")
    await user.fill("somebody else")
    async with ada.page.expect_response(sessions):
        goes_on.set()
    # The page looks for a newer token under this lock before it gives up.
    await ada.page.evaluate("navigator.locks.request('coexistence.sign-in', () => {})")
    await expect(user).to_have_value("somebody else")
    await expect(ada.page.get_by_text("the token names no tenant")).to_be_visible()


async def sign_in_without_tenant(ada: Person, world: World) -> None:
    token = user_token(world.tenant_id, "nobody", app_metadata={})
    payload = token.split(".")[1]
    assert "tenant_id" not in json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["app_metadata"]
    issued = {"access_token": token, "expires_in": 3600}
    await ada.page.route("**/v1/dev/token", lambda route: route.fulfill(json=issued))
    await ada.ask_to_sign_in()


async def test_a_request_is_never_sent_again_with_another_persons_token(ada: Person, world: World) -> None:
    await ada.say("Between us")
    await expect(ada.by("guide")).to_have_count(1)
    path = f"/{ada.session}/context"
    changes = f"**{path}"
    goes_on = await ada.hold(changes, **REFUSED)
    sent: list[str] = []
    ada.page.on("request", lambda request: sent.append(request.url))
    async with ada.page.expect_request(changes):
        await ada.say("For the guide alone")
    await ada.page.get_by_role("button", name="Sign out").click()
    await ada.page.get_by_role("button", name="Sign out").last.click()
    bob = Person(ada.page, world.tenant_id, f"bob-{uuid4().hex}")
    await bob.sign_in()
    async with ada.page.expect_response(changes):
        goes_on.set()
    await bob.say("And this is from me")
    await expect(bob.by("guide")).to_have_count(1)
    assert len([url for url in sent if url.endswith(path)]) == 1


async def test_a_renewal_that_is_under_way_does_not_undo_a_sign_out(ada: Person) -> None:
    await change_sign_in(ada.page, ends=0)
    goes_on = await ada.hold("**/v1/dev/token")
    async with ada.page.expect_request("**/v1/dev/token"):
        await ada.page.reload()
    await ada.page.get_by_role("button", name="Sign out").click()
    await expect(ada.page.get_by_role("textbox", name="User")).to_be_visible()
    async with ada.page.expect_response("**/v1/dev/token"):
        goes_on.set()
    # The renewal has this lock until it has ended.
    kept = "navigator.locks.request('coexistence.sign-in', () => Object.keys(localStorage))"
    assert await ada.page.evaluate(kept) == []
    await expect(ada.page.get_by_role("textbox", name="User")).to_be_visible()


async def test_a_platform_that_shows_the_page_hands_its_own_token_over(open_page: Opener, world: World) -> None:
    ada = await open_page(signs_in=False)
    await configure(ada.page, sign_in="platform", platform_origins=[PLATFORM])
    frame = f"<title>Platform</title><iframe src='{world.gateway.url}/' width=1000 height=600></iframe>"
    await ada.page.route(f"{PLATFORM}/", lambda route: route.fulfill(content_type="text/html", body=frame))
    user_id = f"platform-{uuid4().hex}"
    token = user_token(world.tenant_id, user_id)
    await ada.page.add_init_script(
        f"""if (location.origin === '{PLATFORM}') addEventListener('message', (event) => {{
            if (event.origin !== '{world.gateway.url}' || event.data.type !== 'coexistence:token-wanted') return;
            event.source.postMessage({{ type: 'coexistence:token', access_token: '{token}' }}, event.origin);
        }});"""
    )
    await ada.page.goto(f"{PLATFORM}/")
    inside = ada.page.frame_locator("iframe")
    await expect(inside.get_by_role("status")).to_have_text("Connected")
    await inside.get_by_role("textbox", name="Message").fill("From the platform")
    await inside.get_by_role("button", name="Send").click()
    await expect(inside.get_by_role("article", name="guide")).to_have_count(1)
    # A later token of the same person does not change the view.
    await inside.get_by_role("button", name="Context", exact=True).click()
    await inside.get_by_role("slider", name="Revision").fill("0")
    await expect(inside.get_by_text("You are looking at revision 0")).to_be_visible()
    later = user_token(world.tenant_id, user_id, exp=int(time.time()) + 7200)
    await ada.page.evaluate(
        "([token, origin]) => frames[0].postMessage({ type: 'coexistence:token', access_token: token }, origin)",
        [later, world.gateway.url],
    )
    async with ada.page.expect_request(lambda request: request.headers.get("authorization") == f"Bearer {later}"):
        await inside.get_by_role("button", name="Later").click()
    await expect(inside.get_by_text("You are looking at revision 1")).to_be_visible()
