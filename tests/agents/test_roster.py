"""An agent is one file."""

import re
import sys
from pathlib import Path

import pytest

from examples.agents import pillars
from examples.agents.roster import agent_names, read_roster
from tests.support.paths import REPOSITORY


def test_each_agents_file_names_what_the_agent_is_for() -> None:
    roster = read_roster()
    assert list(roster) == ["guide", "liaison_content", "liaison_insights", "liaison_journey", "liaison_solution"]
    assert all(profile.title.startswith("the ") and profile.purpose for profile in roster.values())
    topics = [topic for profile in roster.values() for topic in profile.topics]
    assert len(topics) == len(set(topics)), "the script brings a word to one liaison only"


def test_the_file_that_the_page_shows_is_another_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (REPOSITORY / "docs" / "agents.md").read_text("utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "liaison_finance.py").write_text(shown, "utf-8")
    monkeypatch.setattr(pillars, "__path__", [*pillars.__path__, str(tmp_path)])
    try:
        roster = read_roster()
    finally:
        sys.modules.pop(f"{pillars.__name__}.liaison_finance", None)
    assert "liaison_finance" in agent_names()
    assert roster["liaison_finance"].title == "the finance liaison"
