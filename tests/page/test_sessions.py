"""The list of one's sessions, and what can be done with them."""

from playwright.async_api import Locator, expect

from tests.page.conftest import Opener
from tests.page.person import Person


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


async def test_an_archived_chat_can_be_read_and_reopened(ada: Person) -> None:
    await ada.say("Old things")
    await expect(ada.by("guide")).to_have_count(1)
    await choose(ada, "Old things", "Archive")
    await expect(ada.page.get_by_role("alert")).to_contain_text("This chat is archived")
    await expect(ada.message).not_to_be_editable()
    await expect(entries(ada)).to_have_count(0)
    await ada.sessions.get_by_text("Archived").click()
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
    await expect(ada.articles).to_have_count(0)
    await ada.is_connected()
    assert ada.session != gone
    await expect(ada.page.get_by_text("To be forgotten")).to_have_count(0)
