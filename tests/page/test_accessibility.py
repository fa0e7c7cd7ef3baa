"""The page works by keyboard, with a screen reader, in narrow windows, in light and dark, and without animations."""

from collections.abc import Sequence
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.page.conftest import Opener, World
from tests.page.person import Person
from tests.page.test_hostile_content import is_not_wider_than_its_window, write_as
from tests.support.paths import REPOSITORY

AXE = REPOSITORY / "tests/page/npm/node_modules/axe-core/axe.min.js"


async def barriers(page: Page) -> Sequence[str]:
    """What axe-core finds on the page, whatever its impact."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: npm install --prefix tests/page/npm")
    await page.evaluate(AXE.read_text("utf-8"))
    found: list[dict[str, Any]] = (await page.evaluate("axe.run()"))["violations"]
    return [f"{each['id']} ({each['impact']}): {each['nodes'][0]['html']}" for each in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_core_finds_no_barrier(open_page: Opener, world: World, scheme: str) -> None:
    ada = await open_page(signs_in=False, color_scheme=scheme)
    await expect(ada.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert await barriers(ada.page) == []
    await ada.sign_in()
    await ada.say("Is this for everybody?")
    await expect(ada.by("guide")).to_have_count(1)
    await expect(ada.page.get_by_role("heading", level=1)).to_have_text("Is this for everybody?")
    await ada.agent.select_option("liaison_content")
    path = f"/v1/chat-sessions/{ada.session}/context"
    await world.service.patch(path, json={"context": {"topic": "access", "list": [1, {"a": True}]}})
    await expect(ada.context).to_contain_text("access")
    await ada.sessions.get_by_label("More for").click()
    assert await barriers(ada.page) == []
    await ada.step_to(1)
    await expect(ada.page.get_by_role("button", name="Back to now")).to_be_visible()
    assert await barriers(ada.page) == []
    await ada.sessions.get_by_role("button", name="Delete").click()
    await expect(ada.page.get_by_role("dialog")).to_be_visible()
    assert await barriers(ada.page) == []


async def test_everything_can_be_done_by_keyboard(open_page: Opener) -> None:
    ada = await open_page(signs_in=False)
    press = ada.page.keyboard.press

    async def tab_to(name: str) -> None:
        """Go on with Tab until the element with this name has the focus."""
        for _ in range(40):
            await press("Tab")
            if await ada.page.evaluate(_FOCUSED) == name:
                return
        raise AssertionError(f"Tab does not lead to {name}")

    await ada.page.get_by_role("textbox", name="Tenant").focus()
    await press("ControlOrMeta+a")
    await ada.page.keyboard.type(ada.tenant_id)
    await press("Tab")
    await ada.page.keyboard.type(ada.user_id)
    await press("Enter")
    await ada.is_connected()
    await expect(ada.message).to_be_focused()
    await ada.page.keyboard.type("One line")
    await press("Shift+Enter")
    await ada.page.keyboard.type("and another")
    await press("Enter")
    await expect(ada.by("user")).to_contain_text("One line\nand another")
    await expect(ada.by("guide")).to_have_count(1)
    await expect(ada.page.get_by_role("heading", level=1)).to_have_text("One line")
    await expect(ada.message).to_be_focused()

    await press("Tab")
    await expect(ada.agent).to_be_focused()
    await press("ArrowDown")
    await expect(ada.agent).to_have_value("liaison_content")
    await tab_to("Revision")
    await press("Home")
    await expect(ada.page.get_by_text("You are looking at revision 0")).to_be_visible()
    await press("End")
    await expect(ada.page.get_by_text("You are looking at revision")).to_be_hidden()

    await tab_to("More for One line")
    await press("Enter")
    await tab_to("Delete")
    await press("Enter")
    await expect(ada.page.get_by_role("dialog")).to_be_visible()
    await press("Escape")
    await expect(ada.page.get_by_role("dialog")).to_be_hidden()
    await expect(ada.sessions.get_by_role("button", name="Delete")).to_be_focused()


_FOCUSED = """() => {
    const focused = document.activeElement;
    return focused.getAttribute('aria-label') ?? focused.labels?.[0]?.innerText ?? focused.innerText;
}"""


async def test_in_a_narrow_window_everything_is_there_and_nothing_scrolls_sideways(
    open_page: Opener, world: World
) -> None:
    ada = await open_page(viewport={"width": 360, "height": 640}, has_touch=True)
    await is_not_wider_than_its_window(ada.page)
    await ada.say("On the phone")
    await expect(ada.by("guide")).to_have_count(1)
    await write_as(world, ada, "guide", "https://example.com/" + "a-long-way/" * 30)
    await expect(ada.articles).to_have_count(3)
    await expect(ada.agent).to_be_in_viewport()
    await expect(ada.send).to_be_in_viewport()
    await is_not_wider_than_its_window(ada.page)
    await ada.page.get_by_role("button", name="Open the list").click()
    await expect(ada.sessions.get_by_role("link")).to_be_in_viewport()
    await is_not_wider_than_its_window(ada.page)
    await ada.page.keyboard.press("Escape")
    await expect(ada.sessions).to_be_hidden()
    await expect(ada.page.get_by_role("button", name="Open the list")).to_be_focused()
    await ada.page.get_by_role("button", name="Context").click()
    await expect(ada.revision).to_be_in_viewport()
    await is_not_wider_than_its_window(ada.page)


async def test_a_window_that_grows_has_no_shade(ada: Person) -> None:
    await ada.page.set_viewport_size({"width": 360, "height": 640})
    await ada.page.get_by_role("button", name="Open the list").click()
    await expect(ada.page.locator("#shade")).to_be_visible()
    await ada.page.set_viewport_size({"width": 1280, "height": 640})
    await expect(ada.page.locator("#shade")).to_be_hidden()
    await ada.agent.click(trial=True)


async def test_in_the_narrowest_window_one_can_stop_and_send(ada: Person, world: World) -> None:
    await ada.page.set_viewport_size({"width": 320, "height": 480})
    world.agent.script(waits=True)
    await ada.agent.select_option("liaison_insights")
    await ada.say("On a watch")
    for name in ("Stop", "Send"):
        await expect(ada.page.get_by_role("button", name=name, exact=True)).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("width", [780, 360])
async def test_a_notice_keeps_its_button_beside_it(ada: Person, width: int) -> None:
    await ada.page.set_viewport_size({"width": width, "height": 640})
    await ada.say("Hello")
    await expect(ada.by("guide")).to_have_count(1)
    problem = {"code": "INVALID_PARAMETER", "detail": "a long explanation of what was not well " * 3, "status": 400}
    await ada.page.route("**/context", lambda route: route.fulfill(status=400, json=problem))
    await ada.agent.select_option("liaison_content")
    notice = ada.page.get_by_role("alert")
    text, button = notice.locator("span"), notice.get_by_role("button", name="Dismiss")
    said, dismiss = await text.bounding_box(), await button.bounding_box()
    assert said
    assert dismiss
    assert dismiss["x"] >= said["x"] + said["width"]


async def test_nothing_moves_if_that_is_asked_for(open_page: Opener, world: World) -> None:
    ada = await open_page(reduced_motion="reduce")
    world.agent.script(waits=True)
    await ada.say("Hold still")
    await expect(ada.by("guide")).to_have_attribute("aria-busy", "true")
    assert await ada.page.evaluate("document.getAnimations().length") == 0


async def test_messages_are_read_out_as_they_come_and_earlier_ones_are_not(ada: Person) -> None:
    await ada.say("Hello")
    await expect(ada.by("guide")).to_have_count(1)
    await ada.page.add_init_script(_NOTE_WHAT_IS_READ_OUT)
    await ada.page.reload()
    await expect(ada.articles).to_have_count(2)
    assert await ada.page.evaluate("silent") == 2
    assert await ada.page.evaluate("aloud") == 0
    await expect(ada.conversation).not_to_have_attribute("aria-live", "off")
    await ada.say("And now?")
    await expect(ada.by("guide")).to_have_count(2)
    await expect(ada.by("guide").last).not_to_have_attribute("aria-busy", "true")
    assert await ada.page.evaluate("silent") == 2
    assert await ada.page.evaluate("aloud") >= 2


# Counts the messages that come into the conversation while it is silent for screen readers, and the others.
_NOTE_WHAT_IS_READ_OUT = """
window.silent = window.aloud = 0;
addEventListener('DOMContentLoaded', () => {
    const isSilent = () => document.getElementById('log').getAttribute('aria-live') === 'off';
    new MutationObserver((changes) => {
        const added = changes.flatMap((change) => [...change.addedNodes].filter((node) => node.nodeName === 'ARTICLE'));
        if (isSilent()) silent += added.length;
        else aloud += added.length;
    }).observe(document.getElementById('messages'), { childList: true });
});
"""
