"""What a person has written is kept through a reload, an outage and a dead gateway, and goes out once."""

from playwright.async_api import Route, expect

from tests.page.conftest import AWAY, Opener, World
from tests.page.person import Person

WAITS = "Not sent yet"
LAST_ID = "last-event-id"


async def assert_sent_once(world: World, ada: Person, text: str) -> None:
    """The transcript has a message with this text once."""
    page = (await world.service.get(f"/v1/chat-sessions/{ada.session}/messages")).raise_for_status().json()
    assert [message["body"]["text"] for message in page["messages"] if message["role"] == "user"].count(text) == 1


async def test_a_reload_loses_nothing_a_half_written_message_included(ada: Person) -> None:
    await ada.say("A whole message")
    await expect(ada.by("guide")).to_have_count(1)
    await ada.message.fill("Half a mess")
    await ada.page.reload()
    await expect(ada.message).to_have_value("Half a mess")
    await expect(ada.articles).to_have_count(2)


async def test_each_session_has_its_own_half_written_message(ada: Person) -> None:
    await ada.message.fill("For the first")
    await ada.page.get_by_role("button", name="New chat").click()
    await expect(ada.message).to_have_value("")
    await ada.page.go_back()
    await expect(ada.message).to_have_value("For the first")


async def test_a_message_written_offline_says_so_and_goes_out_once_when_it_can(ada: Person, world: World) -> None:
    await ada.page.context.set_offline(True)
    await ada.say("From the train")
    await expect(ada.by("user")).to_contain_text(WAITS)
    await expect(ada.status).to_contain_text("offline")
    await ada.page.context.set_offline(False)
    await expect(ada.by("user")).not_to_contain_text(WAITS)
    await ada.is_connected()
    await expect(ada.by("guide")).to_have_count(1)
    await assert_sent_once(world, ada, "From the train")


async def test_a_message_that_goes_out_before_the_stream_is_back_stands_after_what_came_meanwhile(
    ada: Person, world: World
) -> None:
    await ada.say("First")
    await expect(ada.by("guide")).to_have_count(1)
    await world.gateway.kill()
    await expect(ada.status).to_contain_text("Not connected")
    await world.journeys.sessions.update_context(
        ada.session,
        tenant_id=world.tenant_id,
        messages=[{"role": "assistant", "text": "Meanwhile"}],
        author="liaison_insights",
    )
    goes_on = await ada.hold("**/events")
    await ada.say("Next")
    async with ada.page.expect_response("**/context"):
        await world.gateway.start()
    await expect(ada.by("user").last).to_contain_text("Next")
    goes_on.set()
    await expect(ada.by("liaison_insights")).to_contain_text("Meanwhile")
    await expect(ada.by("guide")).to_have_count(2)
    for place, text in enumerate(("First", "“First”", "Meanwhile", "Next", "“Next”")):
        await expect(ada.articles.nth(place)).to_contain_text(text)


async def test_an_answer_that_came_before_the_stream_begins_anew_is_not_waited_for(ada: Person, world: World) -> None:
    sessions, tenant = world.journeys.sessions, world.tenant_id
    await ada.agent.select_option(AWAY)
    await ada.say("Anybody there?")
    stop = ada.page.get_by_role("button", name="Stop")
    await expect(stop).to_be_visible()
    await world.gateway.kill()
    asked = await sessions.get(ada.session, tenant_id=tenant)
    await sessions.update_context(
        ada.session,
        tenant_id=tenant,
        messages=[{"role": "assistant", "text": "Here I am"}],
        author=AWAY,
        idempotency_key=f"agent-turn/{ada.session}/{asked.turn_revision}",
    )

    async def begin_anew(route: Route) -> None:
        await route.continue_(headers={name: value for name, value in route.request.headers.items() if name != LAST_ID})

    await ada.page.route("**/events", begin_anew)
    await world.gateway.start()
    await expect(ada.by(AWAY)).to_contain_text("Here I am")
    await expect(stop).to_be_hidden()


async def test_a_gateway_that_is_killed_loses_nothing_and_is_found_again(ada: Person, world: World) -> None:
    await ada.say("Before")
    await expect(ada.by("guide")).to_have_count(1)
    await world.gateway.kill()
    await expect(ada.status).to_contain_text("Not connected")
    await ada.say("Meanwhile")
    await ada.agent.select_option("liaison_content")
    await expect(ada.by("user").last).to_contain_text(WAITS)
    await world.gateway.start()
    await ada.is_connected()
    await expect(ada.by("user").last).not_to_contain_text(WAITS)
    await expect(ada.by("guide")).to_have_count(2)
    await expect(ada.conversation.get_by_text("You handed over to Content liaison")).to_be_visible()
    await assert_sent_once(world, ada, "Meanwhile")


async def test_what_waits_outlives_a_reload(ada: Person, open_page: Opener, world: World) -> None:
    await world.gateway.kill()
    await ada.say("Kept by the browser")
    await expect(ada.by("user")).to_contain_text(WAITS)
    session = ada.session
    await ada.page.close()
    await world.gateway.start()
    again = await open_page(f"/?session={session}", beside=ada)
    await expect(again.by("user")).to_contain_text("Kept by the browser")
    await expect(again.by("guide")).to_have_count(1)
    await assert_sent_once(world, again, "Kept by the browser")


async def test_an_outage_of_the_store_is_said_and_ends_by_itself(ada: Person, world: World) -> None:
    await world.stores.supabase.refuse()
    try:
        await expect(ada.status).to_contain_text("A store cannot be reached")
        await ada.say("In the outage")
        await expect(ada.by("user")).to_contain_text(WAITS)
    finally:
        await world.stores.supabase.mend()
    await ada.is_connected()
    await expect(ada.by("user")).not_to_contain_text(WAITS)
    await expect(ada.by("guide")).to_have_count(1)
    await assert_sent_once(world, ada, "In the outage")


async def test_an_engine_that_is_away_is_said_as_long_as_it_is(ada: Person, world: World) -> None:
    problem = {"code": "ENGINE_UNAVAILABLE", "detail": "no worker", "outcome": "unknown"}
    context = "**/context"
    await ada.page.route(context, lambda route: route.fulfill(status=503, json=problem))
    await ada.say("Is somebody at work?")
    await expect(ada.status).to_contain_text("The engine cannot be reached")
    # The gateway itself is ready, but the notice has to stay.
    async with ada.page.expect_response(lambda response: response.url.endswith("/readyz") and response.ok):
        pass
    await expect(ada.status).to_contain_text("The engine cannot be reached")
    await ada.page.unroute(context)
    await ada.is_connected()
    await expect(ada.by("guide")).to_have_count(1)
    await assert_sent_once(world, ada, "Is somebody at work?")


async def test_a_page_that_opens_in_an_outage_begins_when_it_ends(open_page: Opener, world: World) -> None:
    await world.stores.supabase.refuse()
    try:
        ada = await open_page(signs_in=False)
        await ada.ask_to_sign_in()
        await expect(ada.status).to_contain_text("A store cannot be reached")
    finally:
        await world.stores.supabase.mend()
    await ada.is_connected()
    await ada.say("At last")
    await expect(ada.by("guide")).to_have_count(1)


async def test_what_is_written_before_a_chat_opens_stays_when_one_is_chosen(ada: Person, world: World) -> None:
    away = {"code": "DATABASE_UNAVAILABLE", "detail": "a store cannot be reached"}
    await ada.page.route("**/v1/chat-sessions/latest", lambda route: route.fulfill(status=503, json=away))
    await ada.page.goto(world.gateway.url)
    await expect(ada.status).to_contain_text("A store cannot be reached")
    await ada.message.fill("Early words")
    await ada.sessions.get_by_role("link").click()
    await ada.is_connected()
    await expect(ada.message).to_have_value("Early words")


async def test_a_message_that_is_refused_stays_and_says_why(ada: Person) -> None:
    await ada.message.fill("x" * 300_000)
    await ada.send.click()
    await expect(ada.by("user")).to_contain_text("Not sent: it is too long. Divide it into shorter messages.")
    await ada.say("A shorter one")
    await expect(ada.by("guide")).to_have_count(1)
    refused = ada.by("user").filter(has_text="Not sent")
    await expect(refused.get_by_role("button", name="Try again")).to_have_count(0)
    await refused.get_by_role("button", name="Discard").click()
    await expect(ada.by("user")).to_have_count(1)


async def test_a_message_that_is_refused_can_be_edited_before_what_is_written_already(
    ada: Person, world: World
) -> None:
    await ada.say("x" * 300_000)
    await ada.message.fill("Next thought")
    await ada.by("user").get_by_role("button", name="Edit").click()
    await expect(ada.by("user")).to_have_count(0)
    await expect(ada.message).to_have_value(f"{'x' * 300_000}\n\nNext thought")
    await expect(ada.message).to_be_focused()
    await ada.say("Shorter now")
    await expect(ada.by("guide")).to_have_count(1)
    await assert_sent_once(world, ada, "Shorter now")


async def test_a_message_that_an_archived_chat_refuses_can_be_tried_again(ada: Person) -> None:
    problem = {"code": "SESSION_NOT_ACTIVE", "detail": "it is archived", "status": 409}
    await ada.page.route("**/context", lambda route: route.fulfill(status=409, json=problem))
    await ada.say("Too late")
    await expect(ada.by("user")).to_contain_text("Not sent: this chat is archived.")
    await ada.page.unroute("**/context")
    await ada.by("user").get_by_role("button", name="Try again").click()
    await expect(ada.by("guide")).to_have_count(1)


async def test_a_window_that_sends_leaves_the_half_written_message_of_another_one(
    ada: Person, open_page: Opener
) -> None:
    other = await open_page(f"/?session={ada.session}", beside=ada)
    await ada.message.fill("Half of mine")
    await other.say("Whole of the other")
    await expect(other.by("guide")).to_have_count(1)
    await ada.page.reload()
    await expect(ada.message).to_have_value("Half of mine")
    await other.page.reload()
    await other.is_connected()
    await expect(other.message).to_have_value("")


async def test_a_half_written_message_outlives_its_window(ada: Person, open_page: Opener) -> None:
    await ada.message.fill("Half a mess")
    later = await open_page(f"/?session={ada.session}", beside=ada)
    await ada.page.close()
    await expect(later.message).to_have_value("Half a mess")


async def test_a_gateway_that_is_back_is_said_to_be_back_with_its_first_answer(ada: Person, world: World) -> None:
    await world.gateway.kill()
    await expect(ada.status).to_contain_text("Not connected")
    looks: list[Route] = []

    async def fail_once(route: Route) -> None:
        looks.append(route)
        if len(looks) == 1:
            await route.abort()  # later ones are left without an answer

    async with ada.page.expect_event("requestfailed", lambda request: request.url.endswith("/readyz")):
        await ada.page.route("**/readyz", fail_once)
    await world.gateway.start()
    await ada.is_connected()
