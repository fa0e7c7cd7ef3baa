"""Models that do what a test needs."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence

from pydantic_ai.messages import ModelMessage, ModelRequest, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel


class PausingModel(FunctionModel):
    """Repeats what it is asked, if it is not silent, and waits for `may_end` before the end of its answer."""

    def __init__(self, *, is_silent: bool = False) -> None:
        self._is_silent = is_silent
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.was_cancelled = asyncio.Event()
        super().__init__(stream_function=self._stream, model_name="pausing")

    async def _stream(self, messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        if not self._is_silent:
            yield f"You asked: {prompt_of(messages)}"
        self.began.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.was_cancelled.set()
            raise
        yield " (the end)"


class FailingModel(FunctionModel):
    """Fails each time, after half an answer."""

    def __init__(self, error: Exception) -> None:
        self.attempts = 0
        self._error = error
        super().__init__(stream_function=self._stream, model_name="failing")

    async def _stream(self, _messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        self.attempts += 1
        yield "half an answer"
        raise self._error


class ToolCallingModel(FunctionModel):
    """Calls tools with these arguments, all in one response, and answers."""

    def __init__(self, calls: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        self._calls = calls
        super().__init__(stream_function=self._stream, model_name="calling")

    async def _stream(self, messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        if any(isinstance(part, ToolReturnPart) for part in messages[-1].parts):
            yield "It is done."
            return
        for place, (tool, arguments) in enumerate(self._calls):
            yield {place: DeltaToolCall(tool, json.dumps(arguments), tool_call_id=str(place))}


def prompt_of(messages: list[ModelMessage]) -> str:
    """Everything that the model has been asked since its last answer."""
    assert isinstance(messages[-1], ModelRequest)
    return " | ".join(str(part.content) for part in messages[-1].parts if isinstance(part, UserPromptPart))
