"""The documentation's statements about the code are true."""

import ast
import re
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from examples.agents.settings import AgentSettings
from journeys.chat_session.errors import SessionNotFound
from journeys.client.settings import ClientSettings
from journeys.errors import ERRORS
from journeys.retry_policies import (
    LOCAL_TOTAL,
    QUERY_HEAD_START,
    REGULAR_HEARTBEAT,
    REGULAR_RETRIES,
    STICKY_TIMEOUT,
    WORKFLOW_TASK_TIMEOUT,
)
from starter.http.settings import GatewaySettings
from stores.settings import StoreSettings
from tests.support.paths import REPOSITORY
from worker.settings import WorkerSettings

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *DOCS.glob("*.md")]


def test_every_test_that_the_page_on_reliability_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (DOCS / "reliability.md").read_text("utf-8"))
    assert len(named) > 25
    for file, function in named:
        defined = {getattr(node, "name", "") for node in ast.parse((REPOSITORY / file).read_text("utf-8")).body}
        assert function in defined, f"{file}::{function}"


def test_every_promise_names_a_test() -> None:
    promises = (DOCS / "reliability.md").read_text("utf-8").partition("## Not promised")[0].split("\n### ")[1:]
    assert len(promises) > 8
    for promise in promises:
        assert re.search(r"- Shown by:\s[\s\S]*`tests/[\w/]+\.py::\w+`", promise), promise.splitlines()[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_path_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    rooms = "journeys|stores|workflows|activities|worker|embedded|starter|examples|clients|bench|tests|supabase|docs"
    for path in re.findall(rf"`((?:{rooms})/[\w/.]*)`", text):
        example = "pillar_briefing" in path and not path.startswith("tests/")
        assert example or (REPOSITORY / path).exists(), path


def documented_settings() -> dict[str, str]:
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", (DOCS / "settings.md").read_text("utf-8"), re.MULTILINE)
    return {name: default.strip().strip("`") for names, default in rows for name in re.findall(r"`(\w+)`", names)}


@pytest.mark.parametrize("settings", [ClientSettings, StoreSettings, WorkerSettings, GatewaySettings, AgentSettings])
def test_every_setting_is_documented_with_its_default(settings: type[BaseSettings]) -> None:
    documented = documented_settings()
    prefix = settings.model_config.get("env_prefix", "")
    for name, field in settings.model_fields.items():
        variable = str(field.validation_alias or f"{prefix}{name}".upper())
        said = documented[variable]
        if isinstance(field.default, bool):
            assert said == str(field.default).lower()
        elif isinstance(field.default, int | float | str):
            assert said == f"{field.default}"
        elif field.default is None:
            assert said == "none"


def test_the_timeouts_that_the_pages_tell_are_those_of_the_code() -> None:
    calling, reliability = ((DOCS / name).read_text("utf-8") for name in ("calling.md", "reliability.md"))
    task_timeout = f"{WORKFLOW_TASK_TIMEOUT.total_seconds():g}"
    assert f"task_timeout=timedelta(seconds={task_timeout})" in calling
    assert f"workflow task timeout of {task_timeout} s" in reliability
    assert f"tried twice within {LOCAL_TOTAL.total_seconds():g} s" in reliability
    assert f"the sticky timeout, {STICKY_TIMEOUT.total_seconds():g} s" in reliability
    assert f"the heartbeat timeout, {REGULAR_HEARTBEAT.total_seconds():g} s" in reliability
    assert REGULAR_RETRIES.maximum_interval == timedelta(seconds=5)
    assert "retries every 5 s" in re.sub(r"\s+", " ", reliability)
    assert f"longer than {QUERY_HEAD_START / timedelta(milliseconds=1):g} ms" in re.sub(r"\s+", " ", reliability)


def test_every_error_of_a_chat_session_is_documented() -> None:
    ours = {code for code, error in ERRORS.items() if error.__module__.startswith("journeys.")}
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", (DOCS / "calling.md").read_text("utf-8"), re.MULTILINE))
    assert listed == ours >= {SessionNotFound.code}
