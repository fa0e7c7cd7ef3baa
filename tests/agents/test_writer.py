"""What a model does with its tools takes effect in the model's order."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

import pytest

from examples.agents import writer
from examples.agents.conversation import MAX_NOTES, Answer, Conversation, ConversationMessage, clean
from examples.agents.roster import read_roster
from examples.agents.writer import Writer
from tests.agents.models import ToolCallingModel

CALLS: Final = 20


async def answer(calls: Sequence[tuple[str, Mapping[str, str]]]) -> Answer:
    """The answer of a guide that calls these tools in one response."""
    asked = Conversation(messages=(ConversationMessage(role="user", author="user", text="Hello"),), shared_context="{}")
    return await Writer("guide", read_roster(), ToolCallingModel(calls)).write(asked, lambda _: None)


async def test_of_several_notes_under_one_key_the_last_one_stays_and_later_keys_than_fit_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = [f"key {number}" for number in range(MAX_NOTES + 3)]
    keys += ["key 0"] * (CALLS - len(keys))

    def slower_the_earlier_it_was_written(text: str, *limit: int) -> str:
        time.sleep((CALLS - int(text)) / 100 if text.isdigit() else 0)
        return clean(text, *limit)

    monkeypatch.setattr(writer, "clean", slower_the_earlier_it_was_written)
    written = await answer([("remember", {"key": key, "value": f"{place}"}) for place, key in enumerate(keys)])
    assert written.context == {"key 0": f"{CALLS - 1}"} | {keys[place]: f"{place}" for place in range(1, MAX_NOTES)}


@pytest.mark.parametrize(("tool", "told"), [("hand_over", "hand_over"), ("propose_hand_over", "proposed_agent")])
async def test_of_two_hand_overs_the_last_one_counts(monkeypatch: pytest.MonkeyPatch, tool: str, told: str) -> None:
    first, last = sorted(read_roster().keys() - {"guide"})[:2]
    other = Writer._other

    def slow_for_the_first(self: Writer, agent: str) -> str:
        time.sleep(0.2 if agent == first else 0)
        return other(self, agent)

    monkeypatch.setattr(Writer, "_other", slow_for_the_first)
    written = await answer([(tool, {"agent": agent}) for agent in (first, last)])
    assert getattr(written, told) == last
