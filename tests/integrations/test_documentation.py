"""The examples of the page on agent frameworks run as they are printed."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from textwrap import indent
from typing import Any

import agents
import pydantic_ai
import pytest
from agents.testing import ScriptedModel, assistant_message
from google.adk.agents import LlmAgent
from google.adk.cli.service_registry import get_service_registry, load_services_module
from pydantic_ai.models.test import TestModel

from journeys.chat_session.keys import named_session_key, session_id
from journeys.integrations.google_adk import TranscriptSessionService
from tests.integrations.scripted_adk_model import ScriptedAdkModel
from tests.support.journeys import Journeys
from tests.support.paths import REPOSITORY


def printed_code(framework: str) -> list[str]:
    page = (REPOSITORY / "docs" / "agents-frameworks.md").read_text("utf-8")
    return re.findall(r"```python\n(.*?)```", page.partition(f"\n## {framework}\n")[2].partition("\n## ")[0], re.S)


def printed(framework: str) -> Callable[[object], Awaitable[Any]]:
    """The example of a framework, as a function that takes an agent."""
    code, *_ = printed_code(framework)
    names: dict[str, Any] = {}
    exec(f"async def example(agent):\n{indent(f'{code}return result', '    ')}\n", names)
    example: Callable[[object], Awaitable[Any]] = names["example"]
    return example


@pytest.fixture(autouse=True)
def _configured(served: Journeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", served.addresses.temporal_address)
    monkeypatch.setenv("JOURNEY_TASK_QUEUE", served.task_queue)


async def test_the_examples_run_and_frameworks_share_a_session(served: Journeys) -> None:
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


async def test_the_command_line_of_google_adk_keeps_its_sessions_here(served: Journeys, tmp_path: Path) -> None:
    _, services = printed_code("Google ADK")
    (tmp_path / "services.py").write_text(services)
    load_services_module(str(tmp_path))
    # Outside of the loop that the server runs later, as ADK does it.
    service = await asyncio.to_thread(get_service_registry().create_session_service, f"journeys://{served.tenant_id}")
    assert isinstance(service, TranscriptSessionService)
    await service.create_session(app_name="concierge", user_id="ada", session_id="thread-7")
    named = session_id(named_session_key(served.tenant_id, "ada", "concierge/thread-7"))
    assert (await served.sessions.get(named, tenant_id=served.tenant_id)).revision == 0
