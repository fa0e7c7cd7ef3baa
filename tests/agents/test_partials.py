"""An answer is shown while it is written, and showing it harms nothing."""

import asyncio

import pytest

from examples.agents.partials import Partials
from journeys.chat_session.agent_turns import AgentTurn
from tests.agents.conftest import AGENTS, Agents, Chat
from tests.agents.models import PausingModel
from tests.support.journeys import Journeys
from tests.support.partials_server import PartialsServer
from tests.support.polling import eventually

SESSION = "0b5ad1a4-0000-5000-8000-000000000000"
TURN = AgentTurn(tenant_id="acmé", user_id="ada", chat_session_id=SESSION, active_agent="guide", revision=1)


async def test_the_text_so_far_is_shown_under_the_message_id_that_the_answer_will_have(
    journeys: Journeys, agents: Agents
) -> None:
    model = PausingModel()
    async with (
        PartialsServer.running() as gateway,
        journeys.worker(agents=AGENTS),
        agents(model, gateway_url=gateway.url, gateway_token="secret"),
    ):
        chat = await Chat.begin(journeys)
        asked = await chat.say("Hello")
        await asyncio.wait_for(gateway.received.wait(), 30)
        model.may_end.set()
        await asyncio.wait_for(chat.turn(asked).result(), 30)
    (answer,) = await chat.answers()
    assert gateway.bodies[0] == {"message_id": answer.id, "text": "You asked: Hello"}
    assert gateway.heads[0].startswith(f"POST /v1/chat-sessions/{chat.session}/partials HTTP/1.1\r\n")
    assert "authorization: bearer secret\r\n" in gateway.heads[0].lower()
    assert f"x-tenant-id: {journeys.tenant_id}\r\n" in gateway.heads[0].lower()


async def test_five_texts_a_second_are_sent_the_latest_each_time() -> None:
    async with PartialsServer.running() as gateway:
        partials = Partials(gateway.url, "secret")
        async with partials.shown(TURN, "m") as partial:
            for number in range(10_000):
                partial.show(str(number))
                if number % 100 == 0:
                    await asyncio.sleep(0)
            await eventually(lambda: gateway.bodies and gateway.bodies[-1]["text"] == "9999")
            for number in range(3):
                partial.show(f"more {number}")
                await eventually(lambda: gateway.bodies[-1]["text"].startswith("more"))
        await partials.close()
    assert all(later - earlier > 0.15 for earlier, later in zip(gateway.came, gateway.came[1:], strict=False))
    assert len(gateway.bodies) < 10


@pytest.mark.parametrize("status", [404, 500, None], ids=["absent", "failing", "silent"])
async def test_a_gateway_that_takes_nothing_harms_no_turn(
    journeys: Journeys, agents: Agents, status: int | None
) -> None:
    async with (
        PartialsServer.running(status) as gateway,
        journeys.worker(agents=AGENTS),
        agents(gateway_url=gateway.url, gateway_token="secret"),
    ):
        chat = await Chat.begin(journeys)
        asked = await chat.say("Hello")
        assert await asyncio.wait_for(chat.turn(asked).result(), 30) == chat.message_id(asked)
    assert len(gateway.bodies) >= 1


async def test_a_gateway_that_is_away_harms_no_turn(journeys: Journeys, agents: Agents) -> None:
    async with journeys.worker(agents=AGENTS), agents(gateway_url="http://127.0.0.1:1", gateway_token="secret"):
        chat = await Chat.begin(journeys)
        asked = await chat.say("Hello")
        assert await asyncio.wait_for(chat.turn(asked).result(), 30) == chat.message_id(asked)
