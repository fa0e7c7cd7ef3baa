"""The agents as a process of their own, which may be killed."""

import asyncio
import sys

import pytest

from embedded import StackAddresses
from examples.agents.settings import AgentSettings
from journeys.client.settings import read_settings
from journeys.errors import InvalidParameter
from tests.agents.conftest import AGENTS, Chat
from tests.support.commands import command_process, read_line, run_command, wait_for_exit
from tests.support.journeys import Journeys
from tests.support.partials_server import PartialsServer

AGENTS_PROGRAM = (sys.executable, "-m", "examples.agents")

# The same agents, who take many seconds for an answer.
SLOW = """
import runpy
from examples.agents import scripted_model

assert scripted_model._SECONDS_PER_WORD
scripted_model._SECONDS_PER_WORD = 0.5
runpy.run_module("examples.agents", run_name="__main__")
"""


def environment(addresses: StackAddresses, task_queue: str, **more: str) -> dict[str, str]:
    return {"TEMPORAL_ADDRESS": addresses.temporal_address, "JOURNEY_TASK_QUEUE": task_queue} | more


async def test_an_answer_stands_once_if_the_agents_are_killed_while_they_write_it(journeys: Journeys) -> None:
    async with journeys.worker(agents=AGENTS), PartialsServer.running() as gateway:
        settings = environment(
            journeys.addresses,
            journeys.task_queue,
            JOURNEY_GATEWAY_URL=gateway.url,
            JOURNEY_GATEWAY_TOKEN="secret",
        )
        async with command_process(sys.executable, "-c", SLOW, **settings) as victim:
            await read_line(victim.stderr, "polling")
            chat = await Chat.begin(journeys)
            asked = await chat.say("Hello")
            await asyncio.wait_for(gateway.received.wait(), 30)
            victim.kill()
            await victim.wait()
        assert await chat.answers() == [], "the agents have answered before they were killed"
        async with command_process(*AGENTS_PROGRAM, **settings) as other:
            await read_line(other.stderr, "polling")
            assert await asyncio.wait_for(chat.turn(asked).result(), 60) == chat.message_id(asked)
            other.terminate()
            status, _, complained = await wait_for_exit(other)
    (answer,) = await chat.answers()
    assert answer.body["text"].endswith("see JOURNEY_AGENT_MODEL.)")
    assert {body["message_id"] for body in gateway.bodies} == {answer.id}
    assert (status, "Traceback" in complained) == (0, False)


async def test_a_model_that_there_is_not_is_named() -> None:
    done = await run_command(*AGENTS_PROGRAM, JOURNEY_AGENT_MODEL="no such model")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("INVALID_PARAMETER: JOURNEY_AGENT_MODEL: ")
    assert "Traceback" not in done.stderr


def test_a_gateway_that_is_no_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNEY_GATEWAY_URL", "nowhere")
    with pytest.raises(InvalidParameter, match="JOURNEY_GATEWAY_URL"):
        read_settings(AgentSettings)


async def test_it_names_its_agents() -> None:
    done = await run_command(*AGENTS_PROGRAM, "--names")
    assert done.returncode == 0
    assert done.stdout.strip().split(",") == sorted(AGENTS)
