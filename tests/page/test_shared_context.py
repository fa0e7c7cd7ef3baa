"""The shared context changes live and shows who changed what; earlier revisions can be looked at."""

from typing import Any

from playwright.async_api import Route, expect

from tests.page.conftest import AWAY, World
from tests.page.person import Person


async def share(world: World, ada: Person, author: str, **change: Any) -> None:
    path = f"/v1/chat-sessions/{ada.session}/context"
    (await world.service.patch(path, json={"author": author} | change)).raise_for_status()


async def test_the_shared_context_changes_live_with_who_changed_what(ada: Person, world: World) -> None:
    await expect(ada.context).to_contain_text("Nothing is shared yet.")
    await share(world, ada, "guide", context={"topic": "newsletter", "audience": {"age": "30 to 40", "paying": True}})
    await share(world, ada, "liaison_content", append={"ideas": ["a story", "an interview"]})
    values = ada.context.locator(".entry")
    await expect(values).to_have_count(3)
    await expect(values.filter(has_text="topic")).to_contain_text("newsletter")
    await expect(values.filter(has_text="topic")).to_contain_text("Guide")
    await expect(values.filter(has_text="audience")).to_contain_text("yes")
    await expect(values.filter(has_text="ideas")).to_contain_text("Content liaison")
    await expect(ada.context.get_by_role("listitem").filter(has_text="an interview")).to_be_visible()
    await expect(ada.context).to_contain_text("Guide changed topic, audience")


async def test_a_change_beside_it_leaves_the_shared_context_up_to_date(ada: Person, world: World) -> None:
    path = f"/v1/chat-sessions/{ada.session}"

    async def answer_late(route: Route) -> None:
        answer = await route.fetch()
        (await world.service.patch(path, json={"title": "Named meanwhile"})).raise_for_status()
        await expect(ada.page.get_by_role("heading", level=1)).to_have_text("Named meanwhile")
        await route.fulfill(response=answer)

    await ada.page.route(f"**{path}", answer_late, times=1)
    await share(world, ada, "guide", context={"topic": "newsletter"})
    await expect(ada.context.locator(".entry")).to_contain_text("newsletter")


async def test_the_shared_context_is_read_again_if_that_fails(ada: Person, world: World) -> None:
    away = {"code": "DATABASE_UNAVAILABLE", "detail": "a store cannot be reached"}
    path = f"**/v1/chat-sessions/{ada.session}"
    await ada.page.route(path, lambda route: route.fulfill(status=503, json=away), times=1)
    await share(world, ada, "guide", context={"topic": "newsletter"})
    await expect(ada.context.locator(".entry")).to_contain_text("newsletter")


async def test_the_latest_changes_are_known_after_changes_of_any_size(ada: Person, world: World) -> None:
    await ada.agent.select_option(AWAY)
    await ada.say("Anybody there?")
    await expect(ada.conversation.get_by_text("Solution liaison is about to answer…")).to_be_visible()
    for each in range(5):  # more than one page of the ledger
        await share(world, ada, "guide", context={"a": str(each) * 200_000})
    path = f"/v1/chat-sessions/{ada.session}"
    asked = (await world.service.get(path)).json()["turn_revision"]
    answer = {"messages": [{"role": "assistant", "text": "Here I am"}], "author": AWAY}
    key = {"idempotency-key": f"agent-turn/{ada.session}/{asked}"}
    (await world.service.post(f"{path}/messages", json=answer, headers=key)).raise_for_status()
    await expect(ada.by(AWAY)).to_contain_text("Here I am")
    await ada.page.reload()
    await expect(ada.context).to_contain_text("Solution liaison wrote a message")
    await expect(ada.conversation.get_by_text("is about to answer")).to_be_hidden()


async def test_one_can_step_back_through_the_revisions_and_only_read_them(ada: Person, world: World) -> None:
    await ada.say("First words")
    await expect(ada.by("guide")).to_have_count(1)
    await expect(ada.page.get_by_role("heading", level=1)).to_have_text("First words")
    await share(world, ada, "guide", context={"topic": "newsletter"})
    await share(world, ada, "liaison_content", context={"topic": "campaign"}, active_agent="liaison_content")
    await expect(ada.context).to_contain_text("campaign")
    now = int(await ada.revision.input_value())
    await expect(ada.revision).to_have_attribute("max", str(now))

    await ada.step_to(now - 1)
    await expect(ada.context.locator(".entry")).to_contain_text("newsletter")
    await expect(ada.agent).to_have_value("guide")
    await expect(ada.agent).to_be_disabled()
    await expect(ada.message).not_to_be_editable()
    await ada.step_to(0)
    await expect(ada.articles.filter(visible=True)).to_have_count(0)
    await expect(ada.page.get_by_text(f"You are looking at revision 0 of {now}. It can only be read.")).to_be_visible()
    earlier, later = (ada.page.get_by_role("button", name=name) for name in ("Earlier", "Later"))
    await expect(earlier).to_be_disabled()
    await later.click()
    await expect(earlier).to_be_enabled()
    await earlier.click()
    await expect(ada.revision).to_be_focused()

    await share(world, ada, "guide", context={"topic": "something new"})
    await expect(ada.revision).to_have_attribute("max", str(now + 1))
    await expect(ada.revision).to_have_value("0")
    await ada.page.get_by_role("button", name="Back to now").click()
    await expect(ada.context.locator(".entry")).to_contain_text("something new")
    await expect(ada.articles.filter(visible=True)).to_have_count(2)
    await expect(ada.message).to_be_editable()
    await expect(ada.revision).to_have_value(str(now + 1))
    await expect(later).to_be_disabled()
    await expect(earlier).to_be_enabled()


async def test_an_earlier_revision_that_cannot_be_read_leaves_the_present(ada: Person, world: World) -> None:
    await share(world, ada, "guide", context={"topic": "newsletter"})
    await expect(ada.revision).to_have_value("1")
    await ada.page.route("**?at_revision=0", lambda route: route.abort())
    await ada.step_to(0)
    await expect(ada.page.get_by_role("alert")).to_contain_text("The service cannot be reached.")
    await expect(ada.revision).to_have_value("1")


async def test_another_chat_is_shown_at_its_own_present(ada: Person, world: World) -> None:
    first = ada.session
    for topic in ("newsletter", "campaign"):
        await share(world, ada, "guide", context={"topic": topic})
    await ada.page.get_by_role("button", name="New chat").click()
    await expect(ada.context).to_contain_text("Nothing is shared yet.")
    await ada.is_connected()
    await share(world, ada, "guide", context={"topic": "something else"})
    await expect(ada.revision).to_have_value("1")
    await ada.step_to(0)
    await expect(ada.page.get_by_text("You are looking at revision 0")).to_be_visible()
    await ada.sessions.locator(f"[data-session='{first}']").click()
    await expect(ada.context).to_contain_text("campaign")
    await expect(ada.revision).to_have_value("2")


async def test_an_earlier_revision_shows_no_later_message(ada: Person, world: World) -> None:
    for change in range(3):
        messages = [{"role": "assistant", "text": f"Number {change}.{place}"} for place in range(100)]
        path = f"/v1/chat-sessions/{ada.session}/messages"
        (await world.service.post(path, json={"messages": messages, "author": "guide"})).raise_for_status()
    await ada.page.reload()
    await expect(ada.articles.last).to_contain_text("Number 2.99")
    await ada.step_to(1)  # whose messages are not loaded yet
    await expect(ada.articles.last).to_contain_text("Number 0.99")
    await expect(ada.articles).to_have_count(50)  # the rest is loaded when it is near
