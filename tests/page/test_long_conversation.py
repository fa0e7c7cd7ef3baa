"""A conversation of 5,000 messages opens like a short one, and its beginning is found by scrolling."""

from playwright.async_api import expect

from tests.page.conftest import Opener, World
from tests.page.person import Person

MESSAGES = 5_000
PER_CHANGE = 100


async def test_five_thousand_messages(ada: Person, open_page: Opener, world: World) -> None:
    first_message = ""
    for first in range(0, MESSAGES, PER_CHANGE):
        messages = [{"role": "assistant", "text": f"Number {first + place}."} for place in range(PER_CHANGE)]
        answered = await world.service.post(
            f"/v1/chat-sessions/{ada.session}/messages",
            json={"messages": messages, "author": "guide"},
            headers={"prefer": "return=minimal"},
        )
        added = answered.raise_for_status().json()["message_ids"]
        first_message = first_message or added[0]
    await expect(ada.articles.last).to_contain_text(f"Number {MESSAGES - 1}.")

    page = (await open_page(f"/?session={ada.session}", beside=ada)).page
    late = Person(page, ada.tenant_id, ada.user_id)
    await expect(late.articles.last).to_be_in_viewport()
    await expect(late.articles.last).to_contain_text(f"Number {MESSAGES - 1}.")
    assert await late.articles.count() <= 200

    # Scrolling up loads older messages, and the visible ones stay where they are.
    seen = ""
    while seen != first_message:
        seen, place = await late.conversation.evaluate(_SCROLL_UP)
        assert place > 0
    assert await late.articles.count() == MESSAGES
    numbers = await late.articles.locator(".text").all_text_contents()
    assert numbers == [f"Number {number}." for number in range(MESSAGES)]

    # With all messages loaded, the page goes on.
    await late.say("Still quick?")
    await expect(late.by("user").last).to_contain_text("Still quick?")
    await expect(late.by("user").last).to_be_in_viewport()
    memory = await page.evaluate("performance.memory.usedJSHeapSize")
    assert memory < 150 * 1024 * 1024


# Scrolls up and waits for older messages; returns the ID of the oldest, and how far the view is from the top.
_SCROLL_UP = """log => new Promise((done) => {
    const first = log.querySelector('article');
    const observer = new MutationObserver(() => {
        const oldest = log.querySelector('article');
        if (oldest === first) return;
        observer.disconnect();
        done([oldest.dataset.id, log.scrollTop]);
    });
    observer.observe(log, { childList: true, subtree: true });
    log.scrollTo(0, 0);
})"""
