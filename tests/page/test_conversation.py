"""A person and the agents talk: what is written appears, is answered once, and the next agent knows it."""

from playwright.async_api import expect

from journeys.chat_session.agent_turns import agent_turn_id
from journeys.chat_session.keys import message_id
from tests.page.configured import configure
from tests.page.conftest import AWAY, Opener, World
from tests.page.person import Person, pass_time
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


async def test_two_quick_messages_stay_in_their_order(ada: Person, world: World) -> None:
    world.agent.script(waits=True)
    await ada.say("One")
    await ada.say("Two")
    await expect(ada.by("user")).to_have_count(2)
    await expect(ada.by("user").nth(0)).to_contain_text("One")
    await expect(ada.by("user").nth(1)).to_contain_text("Two")


async def test_a_turn_can_be_stopped_and_what_was_written_stays(ada: Person, world: World) -> None:
    world.agent.script(waits=True)
    await ada.say("Think long")
    await expect(ada.by("guide")).to_contain_text(PARTIAL)
    await ada.page.get_by_role("button", name="Stop").click()
    await expect(ada.by("guide")).to_contain_text("Written by the model “a script”, until it was stopped")
    await expect(ada.by("guide")).to_contain_text(PARTIAL)
    await expect(ada.page.get_by_role("button", name="Stop")).to_be_hidden()
    await expect(ada.conversation.get_by_text("You have stopped Guide.")).to_be_hidden()


async def test_an_answer_that_begins_to_be_seen_before_its_question_is_shown_on(ada: Person, world: World) -> None:
    world.agent.script(waits=True)
    early = {"message_id": message_id(ada.session, agent_turn_id(ada.session, 1), 0), "text": "Let me"}
    (await world.service.post(f"/v1/chat-sessions/{ada.session}/partials", json=early)).raise_for_status()
    await expect(ada.conversation).to_contain_text("Let me")
    await ada.say("Think long")
    await expect(ada.by("guide")).to_contain_text(PARTIAL)
    world.agent.go_on.set()
    await expect(ada.by("guide")).to_contain_text("I know 1 of your messages.")


async def test_an_agent_of_whom_nothing_comes_is_said_to_be_silent_until_something_does(
    ada: Person, world: World
) -> None:
    await ada.page.clock.install()
    await ada.page.reload()
    await ada.is_connected()
    await ada.agent.select_option(AWAY)
    await ada.say("Anybody there?")
    about_to_answer = ada.conversation.get_by_text("Solution liaison is about to answer…")
    silent = ada.conversation.get_by_text("Solution liaison has not answered yet. It may be busy, or away.")
    await expect(about_to_answer).to_be_visible()
    await pass_time(ada.page, 16)
    await expect(silent).to_be_visible()
    await expect(ada.page.get_by_role("button", name="Stop")).to_be_visible()

    path = f"/v1/chat-sessions/{ada.session}"
    partial = {"message_id": "m", "text": "Half a"}
    (await world.service.post(f"{path}/partials", json=partial)).raise_for_status()
    await expect(ada.by(AWAY)).to_contain_text("Half a")
    await expect(silent).to_be_hidden()
    await pass_time(ada.page, 16)
    await expect(ada.conversation.get_by_text("Solution liaison has not finished its answer yet.")).to_be_visible()
    cursor = "article => getComputedStyle(article.querySelector('.text'), '::after').display"
    assert await ada.by(AWAY).evaluate(cursor) == "none"

    revision = (await world.service.get(path)).json()["turn_revision"]
    answer = {"messages": [{"role": "assistant", "text": "Here I am"}], "author": AWAY}
    key = {"idempotency-key": f"agent-turn/{ada.session}/{revision}"}
    (await world.service.post(f"{path}/messages", json=answer, headers=key)).raise_for_status()
    await expect(ada.by(AWAY)).to_contain_text("Here I am")
    await expect(ada.conversation.get_by_text("has not")).to_be_hidden()


async def test_what_an_overtaken_turn_writes_on_is_not_shown_as_the_next_answer(ada: Person, world: World) -> None:
    path = f"/v1/chat-sessions/{ada.session}/partials"
    await ada.agent.select_option(AWAY)
    await ada.say("I need a newsletter")
    about_to_answer = ada.conversation.get_by_text("Solution liaison is about to answer…")
    await expect(about_to_answer).to_be_visible()
    await world.service.post(path, json={"message_id": "overtaken", "text": "For whom"})
    await expect(ada.by(AWAY)).to_contain_text("For whom")
    await ada.say("For our members")
    await expect(about_to_answer).to_be_visible()
    await world.service.post(path, json={"message_id": "overtaken", "text": "For whom is"})
    await world.service.post(path, json={"message_id": "next", "text": "Gladly"})
    await expect(ada.by(AWAY).last).to_contain_text("Gladly")
    await expect(ada.by(AWAY)).to_have_count(1)


async def test_what_nobody_is_asked_to_go_on_with_goes_away(ada: Person, world: World) -> None:
    await ada.page.clock.install()
    await ada.page.reload()
    await ada.is_connected()
    path = f"/v1/chat-sessions/{ada.session}/partials"
    await world.service.post(path, json={"message_id": "m", "text": "Half a"})
    await expect(ada.by("guide")).to_contain_text("Half a")
    await pass_time(ada.page, 16)
    await expect(ada.by("guide")).to_have_count(0)


async def test_an_agent_that_is_stopped_and_does_not_say_so_is_said_to_be_stopped(ada: Person, world: World) -> None:
    await ada.agent.select_option(AWAY)
    await ada.say("Anybody there?")
    await expect(ada.conversation.get_by_text("Solution liaison is about to answer…")).to_be_visible()
    await world.service.post(
        f"/v1/chat-sessions/{ada.session}/partials", json={"message_id": "m", "text": "Half a sen"}
    )
    await expect(ada.by(AWAY)).to_contain_text("Half a sen")
    await ada.page.get_by_role("button", name="Stop").click()
    stopped = ada.conversation.get_by_text("You have stopped Solution liaison.")
    await expect(stopped).to_be_visible()
    await expect(ada.by(AWAY)).to_contain_text("Half a sen")
    await expect(ada.by(AWAY)).not_to_have_attribute("aria-busy", "true")
    await ada.page.reload()
    await expect(stopped).to_be_visible()
    await ada.agent.select_option("guide")
    await ada.say("Then you")
    await expect(ada.by("guide")).to_have_count(1)
    await expect(stopped).to_be_hidden()


async def test_an_agent_that_takes_no_turns_here_is_said_to_take_none(ada: Person, world: World) -> None:
    hint = ada.page.get_by_text("Finance liaison takes no turns here")
    path = f"/v1/chat-sessions/{ada.session}/context"
    (await world.service.patch(path, json={"active_agent": "liaison_finance"})).raise_for_status()
    await expect(hint).to_be_visible()
    await expect(hint).to_contain_text("hand over to Guide or another agent")
    await ada.say("Hello?")
    await expect(ada.by("user")).to_have_count(1)
    await expect(hint).to_be_visible()
    await ada.agent.select_option("guide")
    await expect(hint).to_be_hidden()


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
    await expect(proposal).to_be_visible()
    goes_on = await ada.hold("**/context")
    await proposal.click()
    await expect(proposal).to_be_hidden()  # at once, so that it cannot be pressed again
    goes_on.set()
    await expect(ada.by("liaison_insights")).to_have_count(1)
    await expect(ada.agent).to_have_value("liaison_insights")
    await expect(proposal).to_be_hidden()
    await expect(ada.message).to_be_focused()


async def test_a_hand_over_that_is_refused_is_said_and_forgotten(ada: Person, world: World) -> None:
    world.agent.script(proposes="liaison_insights")
    await ada.say("Figures, please")
    proposal = ada.by("guide").get_by_role("button", name="Hand over to Insights liaison")
    await expect(proposal).to_be_visible()
    await expect(ada.page.get_by_role("heading", name="Figures, please")).to_be_visible()
    problem = {"code": "SESSION_NOT_ACTIVE", "detail": "it is archived", "status": 409}
    await ada.page.route("**/context", lambda route: route.fulfill(status=409, json=problem))
    await proposal.click()
    said = ada.page.get_by_role("alert")
    await expect(said).to_contain_text("Not handed over to Insights liaison: this chat is archived.")
    await expect(ada.agent).to_have_value("guide")
    named = await world.service.patch(f"/v1/chat-sessions/{ada.session}", json={"title": "Figures"})
    named.raise_for_status()
    await expect(ada.page.get_by_role("heading", name="Figures", exact=True)).to_be_visible()
    await expect(said).to_contain_text("Not handed over to Insights liaison: this chat is archived.")
    await ada.page.get_by_role("button", name="Sign out").click()
    await expect(ada.page.get_by_role("textbox", name="User")).to_be_visible()


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
