"""The list of a user's sessions, and what can be done with them."""

import re

from playwright.async_api import Locator, Route, expect

from tests.page.conftest import Opener, World
from tests.page.person import Person, pass_time


async def choose(ada: Person, name: str, action: str) -> None:
    await ada.sessions.get_by_label(f"More for {name}").click()
    await ada.sessions.get_by_role("button", name=action).click()


def entries(ada: Person) -> Locator:
    return ada.sessions.locator("#session-list").get_by_role("link")


async def test_a_new_chat_is_another_session_and_both_are_listed(ada: Person) -> None:
    await ada.say("Invoices of May")
    await expect(entries(ada).first).to_contain_text("Invoices of May")
    first = ada.session
    await ada.page.get_by_role("button", name="New chat").click()
    await expect(ada.articles).to_have_count(0)
    await ada.is_connected()
    await expect(entries(ada)).to_have_count(2)
    await expect(ada.message).to_be_focused()
    await entries(ada).filter(has_text="Invoices of May").click()
    await expect(ada.by("user")).to_contain_text("Invoices of May")
    assert ada.session == first


async def test_a_new_chat_that_is_made_late_leaves_the_chat_that_is_open_by_then(ada: Person) -> None:
    first = ada.session
    await ada.page.get_by_role("button", name="New chat").click()
    await expect(entries(ada)).to_have_count(2)
    await expect(ada.page).not_to_have_url(re.compile(first))
    goes_on = await ada.hold("**/v1/chat-sessions")
    async with ada.page.expect_request("**/v1/chat-sessions"):
        await ada.page.get_by_role("button", name="New chat").click()
    await ada.sessions.locator(f"[data-session='{first}']").click()
    await expect(ada.page).to_have_url(re.compile(first))
    goes_on.set()
    await expect(entries(ada)).to_have_count(3)
    assert ada.session == first


async def test_a_new_chat_whose_answer_was_lost_is_found_until_somebody_has_used_it(ada: Person) -> None:
    async def lose(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await ada.page.route("**/v1/chat-sessions", lose, times=1)
    first = ada.session
    new_chat = ada.page.get_by_role("button", name="New chat")
    await new_chat.click()
    await expect(ada.page.get_by_role("alert")).to_contain_text("The chat could not be made")
    await ada.page.reload()
    await expect(entries(ada)).to_have_count(2)
    await ada.sessions.locator("a:not([aria-current])").click()
    await ada.is_connected()
    found = ada.session
    assert found != first
    await ada.say("Used by now")
    await expect(ada.by("guide")).to_have_count(1)
    await new_chat.click()
    await expect(ada.articles).to_have_count(0)
    assert ada.session not in (first, found)


async def test_a_chat_is_called_after_its_first_message_whatever_characters_that_has(ada: Person) -> None:
    await ada.say("🎉" * 80)
    await expect(ada.page.get_by_role("heading", level=1)).to_have_text("🎉" * 59 + "…")


async def test_a_chat_is_called_after_a_message_that_was_sent_before_it_was_there(ada: Person) -> None:
    is_there = await ada.hold("**/events")
    await ada.page.reload()
    async with ada.page.expect_response("**/context") as sent:
        await ada.say("Early bird")
    assert (await sent.value).ok
    is_there.set()
    await expect(ada.page.get_by_role("heading", level=1)).to_have_text("Early bird")


async def test_a_chat_can_be_renamed_in_every_window(ada: Person, open_page: Opener) -> None:
    await ada.say("Hello")
    await expect(entries(ada).first).to_contain_text("Hello")
    other = await open_page(beside=ada)
    await choose(ada, "Hello", "Rename")
    await ada.page.get_by_role("textbox", name="Name").fill("Plans of June")
    await ada.page.get_by_role("button", name="Rename").last.click()
    for window in (ada, other):
        await expect(window.page.get_by_role("heading", level=1)).to_have_text("Plans of June")
        await expect(entries(window).first).to_contain_text("Plans of June")


async def test_an_archived_chat_can_be_read_and_reopened(ada: Person, world: World) -> None:
    world.agent.script(proposes="liaison_insights")
    await ada.say("Old things")
    proposal = ada.by("guide").get_by_role("button", name="Hand over to Insights liaison")
    await expect(proposal).to_be_visible()
    await choose(ada, "Old things", "Archive")
    await expect(ada.page.get_by_role("alert")).to_contain_text("This chat is archived")
    await expect(ada.message).not_to_be_editable()
    await expect(proposal).to_be_hidden()
    await expect(entries(ada)).to_have_count(0)
    await ada.sessions.get_by_text("Archived", exact=True).click()
    await choose(ada, "Old things", "Reopen")
    await expect(ada.message).to_be_editable()
    await expect(entries(ada)).to_have_count(1)


async def test_a_chat_is_deleted_only_after_a_question_and_then_in_every_window(ada: Person, open_page: Opener) -> None:
    await ada.say("To be forgotten")
    await expect(ada.by("guide")).to_have_count(1)
    other = await open_page(beside=ada)
    gone = ada.session
    await choose(ada, "To be forgotten", "Delete")
    question = ada.page.get_by_role("dialog", name="Delete “To be forgotten”?")
    await question.get_by_role("button", name="Cancel").click()
    await expect(question).to_be_hidden()
    await expect(ada.by("user")).to_contain_text("To be forgotten")
    await ada.sessions.get_by_role("button", name="Delete").click()
    await question.get_by_role("button", name="Delete").click()
    await expect(other.page.get_by_role("alert")).to_contain_text("This chat was deleted.")
    await expect(other.message).not_to_be_editable()
    await expect(other.agent).to_be_disabled()
    await expect(ada.articles).to_have_count(0)
    await ada.is_connected()
    assert ada.session != gone
    await expect(ada.page.get_by_text("To be forgotten")).to_have_count(0)


async def test_a_chat_is_deleted_with_what_was_on_its_way_to_it(ada: Person) -> None:
    gone = ada.session
    goes_on = await ada.hold("**/context")
    await ada.say("To be forgotten")
    await ada.sessions.get_by_label("More for").click()
    await ada.sessions.get_by_role("button", name="Delete").click()
    await ada.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(ada.articles).to_have_count(0)
    await ada.is_connected()
    assert ada.session != gone
    async with ada.page.expect_response(f"**/{gone}/context") as refused:
        goes_on.set()
    assert (await refused.value).status == 404
    await ada.say("To be remembered")
    await expect(ada.by("guide")).to_have_count(1)
    await ada.page.get_by_role("button", name="Sign out").click()  # asks nothing, because nothing waits
    await expect(ada.page.get_by_role("textbox", name="User")).to_be_visible()


async def test_an_archive_that_cannot_be_read_is_said(ada: Person) -> None:
    await ada.page.route("**/v1/chat-sessions?lifecycle_state=*", lambda route: route.abort())
    await ada.sessions.get_by_text("Archived", exact=True).click()
    await expect(ada.page.get_by_role("alert")).to_contain_text("The service cannot be reached.")


async def test_an_archive_that_comes_after_its_owner_has_signed_out_is_shown_to_nobody(ada: Person) -> None:
    await ada.say("Between us")
    await expect(ada.by("guide")).to_have_count(1)
    await choose(ada, "Between us", "Archive")
    await expect(entries(ada)).to_have_count(0)
    archive = "**/v1/chat-sessions?lifecycle_state=*"
    goes_on = await ada.hold(archive)
    async with ada.page.expect_request(archive):
        await ada.sessions.get_by_text("Archived", exact=True).click()
    await ada.page.get_by_role("button", name="Sign out").click()
    async with ada.page.expect_response(archive) as answered:
        goes_on.set()
    await (await answered.value).finished()
    await ada.page.get_by_role("textbox", name="User").fill("bob")
    assert "Between us" not in await ada.page.content()


async def test_the_open_chat_moves_up_with_each_change_without_a_request(ada: Person, world: World) -> None:
    first = ada.session
    await ada.say("The first")
    await expect(ada.by("guide")).to_have_count(1)
    await ada.page.get_by_role("button", name="New chat").click()
    await expect(ada.articles).to_have_count(0)
    await ada.is_connected()
    await ada.say("The second")
    await expect(ada.by("guide")).to_have_count(1)
    await expect(entries(ada).first).to_contain_text("The second")
    await entries(ada).filter(has_text="The first").click()
    await expect(ada.by("guide")).to_have_count(1)
    await expect(entries(ada)).to_have_count(2)
    await ada.page.route("**/v1/chat-sessions?limit=*", lambda route: route.abort())
    before = await entries(ada).filter(has_text="The first").get_by_role("time").get_attribute("datetime")
    (await world.service.patch(f"/v1/chat-sessions/{first}", json={"title": "The first, again"})).raise_for_status()
    await expect(entries(ada).first).to_contain_text("The first, again")
    after = await entries(ada).first.get_by_role("time").get_attribute("datetime")
    assert str(after) > str(before)


async def test_chats_from_elsewhere_are_listed_after_half_a_minute(ada: Person, world: World) -> None:
    await ada.page.clock.install()
    await ada.page.reload()
    await ada.is_connected()
    await expect(entries(ada)).to_have_count(1)
    named = {"session_name": "from elsewhere", "title": "From elsewhere"}
    made = await world.service.post("/v1/chat-sessions", json=named, headers={"x-user-id": ada.user_id})
    made.raise_for_status()
    await pass_time(ada.page, 31)
    await expect(entries(ada)).to_have_count(2)


async def test_many_chats_without_a_name_are_told_apart_and_leave_room_for_the_rest(ada: Person) -> None:
    sessions = [
        {
            "chat_session_id": f"00000000-0000-5000-8000-{number:012}",
            "title": None,
            "created_at": f"2026-11-27T12:{number:02}:00Z",
            "updated_at": f"2026-11-27T13:{59 - number:02}:00Z",
            "lifecycle_state": "ACTIVE",
        }
        for number in range(30)
    ]
    listed = "**/v1/chat-sessions?limit=*"
    await ada.page.route(listed, lambda route: route.fulfill(json={"sessions": sessions, "next": None}))
    await ada.page.reload()
    await expect(entries(ada)).to_have_count(30)
    for name in ("New chat", "Sign out"):
        await expect(ada.page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
    seen = await entries(ada).evaluate_all(_SEEN_OF_NAMES)
    assert len(set(seen)) == 30
    menu = entries(ada).first.locator("xpath=..")
    await menu.get_by_label("More for").click()
    tops = [await menu.get_by_role("button", name=name).bounding_box() for name in ("Rename", "Archive", "Delete")]
    assert len({box["y"] for box in tops if box}) == 1


# As much of each name as fits.
_SEEN_OF_NAMES = """links => links.map((link) => {
    const name = link.querySelector('.session-name');
    const range = document.createRange();
    const text = name.firstChild;
    const end = name.getBoundingClientRect().right - 16; // room for an ellipsis
    for (let length = text.length; length > 0; length--) {
        range.setStart(text, 0);
        range.setEnd(text, length);
        if (range.getBoundingClientRect().right <= end) return text.data.slice(0, length);
    }
    return '';
})"""
