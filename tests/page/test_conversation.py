"""A person and the agents talk: what is written appears, is answered once, and the next agent knows it."""

from playwright.async_api import expect

from tests.page.configured import configure
from tests.page.conftest import Opener, World
from tests.page.person import Person
from tests.page.scripted_agent import PARTIAL


async def test_a_first_visit_finds_a_new_session_which_the_guide_leads(open_page: Opener) -> None:
    ada = await open_page(signs_in=False)
    await expect(ada.page.get_by_text("For development only")).to_be_visible()
    await ada.sign_in()
    await expect(ada.agent).to_have_value("guide")
    await expect(ada.page.get_by_text("How can we help?")).to_be_visible()
    await expect(ada.articles).to_have_count(0)
    await expect(ada.sessions.get_by_role("listitem")).to_have_count(1)
    await expect(ada.message).to_be_focused()


async def test_a_visit_finds_the_latest_session_and_what_was_said(ada: Person, open_page: Opener) -> None:
    await ada.say("The first thing")
    await expect(ada.by("guide")).to_have_count(1)
    later = await open_page()
    await expect(later.by("user")).to_contain_text("The first thing")
    await expect(later.by("guide")).to_have_count(1)
    assert later.session == ada.session


async def test_an_answer_is_seen_while_it_is_written_and_stands_once(ada: Person, world: World) -> None:
    world.agent.script(waits=True)
    await ada.say("How was May?")
    await expect(ada.by("user")).to_contain_text("How was May?")
    await expect(ada.by("guide")).to_contain_text(PARTIAL)
    await expect(ada.by("guide")).to_have_attribute("aria-busy", "true")
    world.agent.go_on.set()
    await expect(ada.by("guide")).to_contain_text("“How was May?”. I know 1 of your messages.")
    await expect(ada.by("guide")).not_to_have_attribute("aria-busy", "true")
    await expect(ada.articles).to_have_count(2)


async def test_two_quick_messages_stay_in_their_order_and_get_one_answer(ada: Person, world: World) -> None:
    world.agent.script(waits=True)
    await ada.say("One")
    await ada.say("Two")
    await expect(ada.by("user")).to_have_count(2)
    await expect(ada.by("user").nth(0)).to_contain_text("One")
    await expect(ada.by("user").nth(1)).to_contain_text("Two")


async def test_a_turn_can_be_stopped(ada: Person, world: World) -> None:
    world.agent.script(waits=True)
    await ada.say("Think long")
    await expect(ada.by("guide")).to_contain_text(PARTIAL)
    await ada.page.get_by_role("button", name="Stop").click()
    await expect(ada.by("guide")).to_contain_text("Stopped.")
    await expect(ada.page.get_by_role("button", name="Stop")).to_be_hidden()


async def test_a_turn_that_nobody_answers_in_time_says_so(ada: Person, world: World) -> None:
    await configure(ada.page, turn_seconds=2)
    await ada.page.reload()
    await ada.is_connected()
    world.agent.script(waits=True)
    await ada.say("Anybody there?")
    await expect(ada.conversation.get_by_text("Guide has not answered in time.")).to_be_visible()
    world.agent.go_on.set()
    await expect(ada.by("guide")).to_contain_text("“Anybody there?”")
    await expect(ada.conversation.get_by_text("Guide has not answered in time.")).to_be_hidden()


async def test_a_gateway_that_is_killed_in_mid_answer_leaves_one_answer(ada: Person, world: World) -> None:
    world.agent.script(waits=True)
    await ada.say("Go on")
    await expect(ada.by("guide")).to_contain_text(PARTIAL)
    await world.gateway.kill()
    await expect(ada.status).to_contain_text("Not connected")
    await world.gateway.start()
    await ada.is_connected()
    world.agent.go_on.set()
    await expect(ada.by("guide")).to_contain_text("I know 1 of your messages.")
    await ada.page.reload()
    await expect(ada.by("guide")).to_have_count(1)


async def test_a_worker_that_is_killed_in_mid_answer_leaves_one_answer(ada: Person, world: World) -> None:
    world.agent.script(waits=True)
    await ada.say("Go on")
    await expect(ada.by("guide")).to_contain_text(PARTIAL)
    await world.worker.kill()
    world.agent.go_on.set()
    await ada.say("And then?")
    await expect(ada.by("user").last).to_contain_text("Not sent yet")
    await world.worker.start()
    await expect(ada.by("guide").nth(0)).to_contain_text("I know 1 of your messages.")
    await expect(ada.by("guide").nth(1)).to_contain_text("I know 2 of your messages.")
    await ada.page.reload()
    await expect(ada.by("guide")).to_have_count(2)
    await expect(ada.by("user")).to_have_count(2)


async def test_a_hand_over_and_back_keeps_the_conversation(ada: Person) -> None:
    await ada.say("I need a newsletter")
    await expect(ada.by("guide")).to_have_count(1)
    await ada.agent.select_option("liaison_content")
    await expect(ada.conversation.get_by_text("You handed over to Content liaison")).to_be_visible()
    await ada.say("For our members")
    await expect(ada.by("liaison_content")).to_contain_text("I know 2 of your messages.")
    await ada.agent.select_option("guide")
    await expect(ada.conversation.get_by_text("You handed over to Guide")).to_be_visible()
    await ada.say("Thanks")
    await expect(ada.by("guide").last).to_contain_text("I know 3 of your messages.")
    await ada.page.reload()
    await expect(ada.articles).to_have_count(6)
    await expect(ada.conversation.get_by_text("You handed over to Guide")).to_be_visible()


async def test_a_hand_over_that_an_agent_proposes_is_one_press_and_gives_the_floor(ada: Person, world: World) -> None:
    world.agent.script(proposes="liaison_insights")
    await ada.say("Figures, please")
    proposal = ada.by("guide").get_by_role("button", name="Hand over to Insights liaison")
    await proposal.click()
    await expect(ada.by("liaison_insights")).to_have_count(1)
    await expect(ada.agent).to_have_value("liaison_insights")
    await expect(proposal).to_be_hidden()
    await expect(ada.message).to_be_focused()


async def test_two_windows_stay_in_step(ada: Person, open_page: Opener) -> None:
    other = await open_page(f"/?session={ada.session}", beside=ada)
    await ada.say("Seen in both")
    await expect(other.by("user")).to_contain_text("Seen in both")
    await expect(other.by("guide")).to_have_count(1)
    await other.agent.select_option("liaison_content")
    await expect(ada.agent).to_have_value("liaison_content")
    await other.say("And back")
    await expect(ada.by("user").last).to_contain_text("And back")
    await expect(ada.articles).to_have_count(4)
    await expect(other.articles).to_have_count(4)


async def test_a_link_leads_to_the_trace(ada: Person) -> None:
    link = ada.page.get_by_role("link", name="Trace")
    address = f"http://temporal-ui.example/namespaces/default/workflows/chat-session%2F{ada.session}"
    await expect(link).to_have_attribute("href", address)
