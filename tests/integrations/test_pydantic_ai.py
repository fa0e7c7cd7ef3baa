"""The message history for pydantic-ai: what a run, and agents that share a conversation, can rely on."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from agents.items import TResponseInputItem
from pydantic_ai import Agent
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

from journeys import ContextTooLarge, EngineUnavailable, IdempotencyConflict, InvalidParameter
from journeys.integrations.openai_agents import TranscriptSession
from journeys.integrations.pydantic_ai import EndedRun, TranscriptHistory
from tests.integrations.counted_calls import (
    CountedCalls,
    add_as_another,
    assert_that_no_message_costs_more_than_the_first,
    bodies,
    identity,
)
from tests.support.journeys import Journeys


class Scripted:
    """A model that gives scripted answers, and keeps what it was asked."""

    def __init__(self, *answers: str | ToolCallPart) -> None:
        self._answers = list(answers)
        self.asked: list[list[ModelMessage]] = []

    def answer(self, messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        self.asked.append(list(messages))
        answer = self._answers.pop(0)
        return ModelResponse(parts=[TextPart(answer) if isinstance(answer, str) else answer])

    async def stream(self, messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        (part,) = self.answer(messages, info).parts
        assert isinstance(part, TextPart)
        for letter in part.content:
            yield letter

    def agent(self, **options: Any) -> Agent[None, str]:
        return Agent(FunctionModel(self.answer, stream_function=self.stream), **options)


class Run:
    """A run that has ended, with messages of a test's own."""

    def __init__(self, run_id: str, *messages: ModelMessage) -> None:
        self.run_id = run_id
        self._messages = messages

    def new_messages(self) -> list[ModelMessage]:
        return list(self._messages)


def turn(run_id: str, *contents: str) -> EndedRun:
    return Run(run_id, *(ModelRequest(parts=[UserPromptPart(content)]) for content in contents))


def texts(messages: list[ModelMessage]) -> list[str]:
    """What was said, in order."""
    parts = (part for message in messages for part in message.parts)
    return [str(part.content) for part in parts if isinstance(part, UserPromptPart | TextPart)]


@pytest.fixture
def history(served: Journeys, sessions: CountedCalls) -> TranscriptHistory:
    return TranscriptHistory("thread", sessions=sessions, tenant_id=served.tenant_id, user_id="ada")


def another(served: Journeys, name: str = "thread", *, user_id: str = "ada", **more: Any) -> TranscriptHistory:
    """The object of another process."""
    return TranscriptHistory(name, sessions=served.sessions, tenant_id=served.tenant_id, user_id=user_id, **more)


async def test_a_run_is_given_what_earlier_runs_said(served: Journeys, history: TranscriptHistory) -> None:
    model = Scripted("Hello Ada", "You are Ada")
    first = await model.agent().run("I am Ada", message_history=await history.load())
    await history.append(first)
    elsewhere = another(served)
    second = await model.agent().run("Who am I?", message_history=await elsewhere.load())
    await elsewhere.append(second)
    assert texts(model.asked[-1]) == ["I am Ada", "Hello Ada", "Who am I?"]
    assert await history.load() == second.all_messages()
    assert second.conversation_id == first.conversation_id
    page = await served.sessions.messages(identity(served, "thread"), tenant_id=served.tenant_id)
    assert [message.role for message in page.messages] == [None, "assistant"] * 2


async def test_messages_come_back_as_the_run_made_them(served: Journeys, history: TranscriptHistory) -> None:
    model = Scripted(ToolCallPart("read_file", {"path": "żółw 🐢"}), "An archive")
    agent = model.agent(instructions="Be brief")

    @agent.tool_plain
    def read_file(path: str) -> dict[str, object]:
        return {"content": "PK\x00\x03", "size": 2**60, "deep": [[[[[[[[[[[[[[[[[path]]]]]]]]]]]]]]]]]}

    run = await agent.run(["What is it?", BinaryContent(b"\x00\xff", media_type="image/png")])
    await history.append(run)
    loaded = await history.load()
    assert loaded == ModelMessagesTypeAdapter.validate_json(run.all_messages_json())
    (result,) = [part for message in loaded for part in message.parts if isinstance(part, ToolReturnPart)]
    assert result.content == read_file("żółw 🐢")
    page = await served.sessions.messages(identity(served, "thread"), tenant_id=served.tenant_id)
    assert [message.role for message in page.messages] == [None, "assistant"] * 2


async def test_people_read_what_was_said_and_agents_do_not_read_that(
    served: Journeys, history: TranscriptHistory
) -> None:
    picture = BinaryContent(b"\x00", media_type="image/png")
    shown: list[tuple[ModelMessage, str | None]] = [
        (ModelRequest(parts=[SystemPromptPart("secret"), UserPromptPart(["a", picture, "b"])]), "a\nb"),
        (ModelRequest(parts=[UserPromptPart([picture])]), "[user-prompt]"),
        (ModelRequest(parts=[UserPromptPart("a\x00b")]), None),
        (ModelRequest(parts=[UserPromptPart("x" * 60_000)]), None),
        (ModelResponse(parts=[ThinkingPart("x"), ToolCallPart("read_file", {})]), "[thinking] [tool-call read_file]"),
        (ModelRequest(parts=[ToolReturnPart("read_file", "x", tool_call_id="c")]), "[tool-return read_file]"),
        (ModelResponse(parts=[ThinkingPart("x"), TextPart("Two")]), "Two"),
    ]
    await history.append(Run("run", *(message for message, _ in shown)))
    assert [body.get("text") for body in await bodies(served, "thread")] == [text for _, text in shown]
    assert texts(await history.load())[-1] == "Two"


async def test_a_run_is_appended_once_however_often_it_is_sent(served: Journeys, history: TranscriptHistory) -> None:
    run = await Scripted("Hello").agent().run("Hi")
    await asyncio.gather(history.append(run), another(served).append(run), history.append(run))
    assert await history.load() == run.all_messages()
    await history.append(await Scripted("Hello").agent().run("Hi"))
    assert texts(await history.load()) == ["Hi", "Hello"] * 2


async def test_a_run_whose_acknowledgement_was_lost_is_appended_once(
    history: TranscriptHistory, sessions: CountedCalls
) -> None:
    contents = [f"{number}" for number in range(230)]
    run = turn("run", *contents)
    sessions.lose_answers = 2
    for _ in range(2):
        with pytest.raises(EngineUnavailable):
            await history.append(run)
    await history.append(run)
    assert texts(await history.load()) == contents


async def test_other_messages_of_the_same_run_are_refused(history: TranscriptHistory) -> None:
    await history.append(turn("run", "first attempt"))
    with pytest.raises(IdempotencyConflict):
        await history.append(turn("run", "second attempt"))
    assert texts(await history.load()) == ["first attempt"]


async def test_a_streamed_run_and_one_that_is_iterated_are_appended_like_others(history: TranscriptHistory) -> None:
    agent = Scripted("Hello", "Bye").agent()
    async with agent.run_stream("Hi") as streamed:
        await streamed.get_output()
    await history.append(streamed)
    async with agent.iter("Ciao") as iterated:
        async for _ in iterated:
            pass
    assert iterated.result
    await history.append(iterated)
    await history.append(iterated.result)
    assert texts(await history.load()) == ["Hi", "Hello", "Ciao", "Bye"]


async def test_a_run_that_has_not_ended_is_refused_and_can_be_appended_at_its_end(history: TranscriptHistory) -> None:
    agent = Scripted("Hello", "Bye", "Never mind").agent()
    async with agent.run_stream("Hi") as streamed:
        with pytest.raises(InvalidParameter, match="the run has not ended"):
            await history.append(streamed)
        await streamed.get_output()
        await history.append(streamed)
    async with agent.iter("Ciao") as iterated:
        async for _ in iterated:
            if iterated.result is None:
                with pytest.raises(InvalidParameter, match="the run has not ended"):
                    await history.append(iterated)
    await history.append(iterated)
    async with agent.run_stream("Wait") as cancelled:
        await cancelled.cancel()
    await history.append(cancelled)
    assert texts(await history.load())[:5] == ["Hi", "Hello", "Ciao", "Bye", "Wait"]


async def test_two_agents_share_a_conversation_and_lose_nothing(served: Journeys) -> None:
    turns = 5

    async def converse(name: str) -> list[str]:
        model = Scripted(*(f"{name} answers {turn}" for turn in range(turns)))
        agent, shared = model.agent(), another(served, author=name)
        for turn in range(turns):
            await shared.append(await agent.run(f"{name} is asked {turn}", message_history=await shared.load()))
        return [text for turn in range(turns) for text in (f"{name} is asked {turn}", f"{name} answers {turn}")]

    expected = await asyncio.gather(converse("guide"), converse("liaison_finance"))
    found = texts(await another(served).load())
    assert len(found) == 4 * turns
    for name, told in zip(("guide", "liaison_finance"), expected, strict=True):
        assert [text for text in found if text.startswith(f"{name} ")] == told
    assert all("is asked" in asked and "answers" in told for asked, told in zip(found[::2], found[1::2], strict=True))
    page = await served.sessions.messages(identity(served, "thread"), tenant_id=served.tenant_id)
    assert {message.author for message in page.messages} == {"guide", "liaison_finance"}


async def test_the_latest_messages_are_loaded_in_their_order(history: TranscriptHistory) -> None:
    await history.append(turn("run", *"abcdef"))
    assert texts(await history.load(2)) == ["e", "f"]
    assert len(await history.load(100)) == 6
    assert await history.load(0) == []


async def test_clearing_removes_the_messages_and_keeps_the_session_and_what_is_not_its_own(
    served: Journeys, history: TranscriptHistory
) -> None:
    item: TResponseInputItem = {"role": "user", "content": "of another framework"}
    session = TranscriptSession("thread", sessions=served.sessions, tenant_id=served.tenant_id, user_id="ada")
    await history.append(turn("run", *(f"{number}" for number in range(120))))
    await session.add_items([item])
    await add_as_another(served, "thread", messages=[{"text": "from the chat page"}], context={"topic": "rent"})
    assert len(await history.load()) == 120
    assert await session.get_items() == [item]
    await history.clear()
    assert await history.load() == []
    assert await session.get_items() == [item]
    assert len(await bodies(served, "thread")) == 2
    seen = await served.sessions.get(identity(served, "thread"), tenant_id=served.tenant_id)
    assert (seen.context, seen.message_count) == ({"topic": "rent"}, 2)


async def test_a_run_that_was_cleared_away_does_not_come_back(history: TranscriptHistory) -> None:
    run = turn("run", "a")
    await history.append(run)
    await history.clear()
    await history.append(run)
    assert await history.load() == []


async def test_a_user_puts_no_words_into_the_history(served: Journeys, history: TranscriptHistory) -> None:
    await history.append(turn("run", "mine"))
    (stored,) = await bodies(served, "thread")
    await add_as_another(served, "thread", user_id="ada", messages=[stored])
    assert texts(await history.load()) == ["mine"]


async def test_tenants_and_users_and_names_are_separate(served: Journeys, history: TranscriptHistory) -> None:
    await history.append(turn("run", "mine"))
    for other in (another(served, "thread2"), another(served, user_id="eve")):
        assert await other.load() == []
        await other.append(turn("run", "theirs"))
    assert texts(await history.load()) == ["mine"]


async def test_a_message_that_is_too_large_is_refused(history: TranscriptHistory) -> None:
    with pytest.raises(ContextTooLarge):
        await history.append(turn("run", "x" * 200_000))


async def test_a_call_ends_at_the_clients_deadline(journeys: Journeys) -> None:
    impatient = journeys.sessions_within(timedelta(seconds=0.5))
    history = TranscriptHistory("thread", sessions=impatient, tenant_id=journeys.tenant_id, user_id="ada")
    with pytest.raises(EngineUnavailable):
        await asyncio.wait_for(history.load(), 10)


async def test_the_last_message_costs_what_the_first_did(
    served: Journeys, history: TranscriptHistory, sessions: CountedCalls
) -> None:
    await history.append(turn("large", "x" * 100_000))
    for first in range(0, 300, 10):
        # Ten updates of a session may wait.
        await asyncio.gather(*(history.append(turn(f"{number}", "x" * 2_000)) for number in range(first, first + 10)))
    assert sessions.calls == {"initialize": 1, "update_context": 301}
    await assert_that_no_message_costs_more_than_the_first(served, "thread", messages=301)
    assert len(await history.load(20)) == 20
    assert sessions.calls["messages"] == 1
    assert len(await history.load()) == 301
    assert sessions.calls["messages"] == 5
