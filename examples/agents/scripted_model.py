"""The model if none is configured: it follows a script, says so, and needs no key and no network."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Final

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_core import to_json

from examples.agents.roster import Roster
from examples.agents.writer import HAS_FLOOR

SCRIPTED: Final = "scripted"
"""The model's name."""

_NOTICE: Final = "(This answer is scripted: no model is configured, see JOURNEY_AGENT_MODEL.)"
_AGREES: Final = re.compile(r"\b(yes|yeah|yep|sure|ok|okay|please|go ahead|ja|oui)\b", re.IGNORECASE)
_BACK: Final = re.compile(r"\b(guide|back)\b", re.IGNORECASE)
_MIN_WISH_WORDS: Final = 3
_SECONDS_PER_WORD: Final = 0.03
"""About as fast as one can read, so that the answer is seen to grow."""


def scripted_model(name: str, roster: Roster) -> FunctionModel:
    """The scripted model of an agent."""

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        script = _Script(name, roster, messages)
        offered = {tool.name for tool in info.function_tools}
        calls = [call for call in script.tool_calls() if call[0] in offered and not script.tool_was_called]
        if calls:
            yield {place: DeltaToolCall(tool, to_json(said).decode()) for place, (tool, said) in enumerate(calls)}
            return
        for word in re.findall(r"\S+\s*", f"{script.text()} {_NOTICE}"):
            await asyncio.sleep(_SECONDS_PER_WORD)
            yield word

    return FunctionModel(stream_function=stream, model_name=SCRIPTED)


class _Script:
    """An agent's next step in a conversation."""

    def __init__(self, name: str, roster: Roster, messages: list[ModelMessage]) -> None:
        self._name = name
        self._roster = roster
        asked = list(_asked(messages))
        self._is_asked = asked[-1] != HAS_FLOOR
        self._asked = [text for text in asked if text != HAS_FLOOR]
        self._last = self._asked[-1] if self._asked else ""
        self._newest = self._last.rpartition("\n\n")[2]
        self._proposed = self._agent_named_in(_last_answer(messages)) if name == "guide" else None
        self.tool_was_called = any(isinstance(part, ToolReturnPart) for part in messages[-1].parts)

    def tool_calls(self) -> list[tuple[str, dict[str, str]]]:
        """The tools to call first, each with its arguments."""
        hand_over = self._hand_over()
        calls = [(hand_over[0], {"agent": hand_over[1]})] if hand_over else []
        if self._is_asked and not (hand_over and hand_over[0] == "hand_over"):
            calls += [("remember", {"key": key, "value": value}) for key, value in self._notes()]
        return calls

    def _notes(self) -> Iterator[tuple[str, str]]:
        """Notes for all agents: the topic, and the user's wish."""
        if topic := self._topic_of(self._last):
            yield "topic", topic[1]
        if len(self._newest.split()) >= _MIN_WISH_WORDS:
            yield "wish", _short(self._newest)

    def _hand_over(self) -> tuple[str, str] | None:
        """The tool to call for a hand-over or its proposal, and the agent to name."""
        if self._name != "guide":
            return ("hand_over", "guide") if _BACK.search(self._last) else None
        if self._proposed and _AGREES.search(self._last):
            return "hand_over", self._proposed
        topic = self._topic_of(self._last)
        return ("propose_hand_over", topic[0]) if topic else None

    def text(self) -> str:
        """The agent's answer."""
        match self._hand_over() if self.tool_was_called else None:
            case ("hand_over", agent):
                return f"I hand over to {self._roster[agent].title}."
            case ("propose_hand_over", agent):
                other = self._roster[agent]
                return f"That is for {other.title}, who {other.purpose}. Shall I hand you over?"
        return self._introduction() if self._name == "guide" else self._summary()

    def _introduction(self) -> str:
        others = ", ".join(f"{other.title} {other.purpose}" for name, other in self._roster.items() if name != "guide")
        said = f"You wrote: “{_short(self._newest)}”. " if self._newest else ""
        return f"{said}I am the guide. Tell me what you need, and I know who can help: {others}."

    def _summary(self) -> str:
        me = self._roster[self._name]
        known = "; ".join(f"“{_short(text)}”" for text in self._asked[-4:])
        said = f" I know what was said before. You wrote: {known}." if known else ""
        return f"I am {me.title}, the one who {me.purpose}.{said} What should come first?"

    def _topic_of(self, text: str) -> tuple[str, str] | None:
        """The agent that the text is for, and the word that says so."""
        words = set(re.findall(r"\w+", text.lower()))
        for name, profile in self._roster.items():
            for topic in profile.topics:
                if topic in words or f"{topic}s" in words:
                    return name, topic
        return None

    def _agent_named_in(self, text: str) -> str | None:
        return next((name for name, profile in self._roster.items() if f"for {profile.title}," in text), None)


def _asked(messages: list[ModelMessage]) -> Iterator[str]:
    for message in messages:
        if isinstance(message, ModelRequest):
            yield from (
                part.content
                for part in message.parts
                if isinstance(part, UserPromptPart) and isinstance(part.content, str)
            )


def _last_answer(messages: list[ModelMessage]) -> str:
    for message in reversed(messages):
        if isinstance(message, ModelResponse):
            texts = [part.content for part in message.parts if isinstance(part, TextPart)]
            if texts:
                return texts[-1]
    return ""


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}…"
