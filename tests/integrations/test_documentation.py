"""The examples of the page on agent frameworks run as they are printed."""

import re
from collections.abc import Awaitable, Callable
from textwrap import indent
from typing import Any

import agents
import pydantic_ai
import pytest
from agents.testing import ScriptedModel, assistant_message
from google.adk.agents import LlmAgent
from pydantic_ai.models.test import TestModel

from journeys.chat_session.keys import named_session_key, session_id
from tests.integrations.scripted_adk_model import ScriptedAdkModel
from tests.support.journeys import Journeys
from tests.support.paths import REPOSITORY


def printed(framework: str) -> Callable[[object], Awaitable[Any]]:
    """The example of a framework, as a function that takes an agent."""
    page = (REPOSITORY / "docs" / "agents-frameworks.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page.partition(f"\n## {framework}\n")[2].partition("\n## ")[0], re.S)
    names: dict[str, Any] = {}
    exec(f"async def example(agent):\n{indent(f'{code}return result', '    ')}\n", names)
    example: Callable[[object], Awaitable[Any]] = names["example"]
    return example


async def test_the_examples_run_and_frameworks_share_a_session(
    served: Journeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", served.addresses.temporal_address)
    monkeypatch.setenv("JOURNEY_TASK_QUEUE", served.task_queue)
    agents.set_tracing_disabled(disabled=True)
    scripted = ScriptedModel([[assistant_message("Two")]])
    assert (await printed("OpenAI Agents SDK")(agents.Agent(name="guide", model=scripted))).final_output == "Two"
    other = pydantic_ai.Agent(TestModel(custom_output_text="Three"))
    assert (await printed("pydantic-ai")(other)).output == "Three"
    shared = session_id(named_session_key("acme", "ada", "thread-7"))
    assert (await served.sessions.get(shared, tenant_id="acme")).message_count == 4
    *_, last = await printed("Google ADK")(LlmAgent(name="guide", model=ScriptedAdkModel("Four")))
    assert last.content.parts[0].text == "Four"
    named = session_id(named_session_key("acme", "ada", "concierge/thread-7"))
    assert (await served.sessions.get(named, tenant_id="acme")).message_count == 2
