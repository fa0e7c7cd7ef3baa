"""A model of Google ADK without a network."""

from collections.abc import AsyncGenerator

from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types
from pydantic import PrivateAttr


class ScriptedAdkModel(BaseLlm):
    """A model that gives scripted answers, and keeps what it was asked."""

    _answers: list[str | types.FunctionCall] = PrivateAttr()
    _asked: list[list[types.Content]] = PrivateAttr(default_factory=list)

    def __init__(self, *answers: str | types.FunctionCall) -> None:
        super().__init__(model="scripted")
        self._answers = list(answers)

    @property
    def asked(self) -> list[list[str | None]]:
        return [[part.text for content in contents for part in content.parts or ()] for contents in self._asked]

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        self._asked.append(list(llm_request.contents))
        answer = self._answers.pop(0)
        part = types.Part(text=answer) if isinstance(answer, str) else types.Part(function_call=answer)
        if stream and isinstance(answer, str):
            for letter in answer:
                letters = types.Content(role="model", parts=[types.Part(text=letter)])
                yield LlmResponse(content=letters, partial=True)
        yield LlmResponse(content=types.Content(role="model", parts=[part]), partial=False)
