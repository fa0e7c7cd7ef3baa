"""What the agents promise: each turn makes one message or none, whatever dies, fails or is stopped in between."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic_ai.exceptions import ModelConnectionError, UserError
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import CancelledError
from temporalio.worker import Replayer

from examples.agents import turn_activities, worker
from examples.agents.agent_turn import AgentTurnWorkflow
from examples.agents.conversation import (
    MAX_CONTEXT_CHARACTERS,
    MAX_KEY_CHARACTERS,
    MAX_NOTE_CHARACTERS,
    MAX_NOTES,
)
from journeys import ChatSessions
from journeys.chat_session.agent_turns import agent_turn_id
from journeys.errors import EngineUnavailable
from tests.agents.conftest import AGENTS, Agents, Chat
from tests.agents.models import FailingModel, PausingModel, ToolCallingModel
from tests.support.journeys import Journeys
from tests.support.polling import eventually
from tests.support.watching import unless_unknown

PATIENCE = 30


async def result_of(chat: Chat, revision: int) -> str | None:
    """The ID of a turn's message."""
    result: str | None = await asyncio.wait_for(chat.turn(revision).result(), PATIENCE)
    return result


async def end_of(chat: Chat, revision: int) -> BaseException | None:
    """The cause of a turn's failure."""
    with pytest.raises(WorkflowFailureError) as failure:
        await result_of(chat, revision)
    return failure.value.cause


async def replay(chat: Chat, revision: int) -> None:
    """Replay a turn: the SDK raises an error if the workflow decides otherwise than before."""
    replayer = Replayer(workflows=[AgentTurnWorkflow], data_converter=pydantic_data_converter)
    await replayer.replay_workflow(await chat.turn(revision).fetch_history())


async def test_the_guide_proposes_a_hand_over_and_the_liaison_knows_what_was_said(
    journeys: Journeys, agents: Agents
) -> None:
    async with journeys.worker(agents=AGENTS), agents():
        chat = await Chat.begin(journeys)
        await result_of(chat, await chat.say("Hello, I am Ada."))
        await result_of(chat, await chat.say("My newsletter needs a new text."))
        await result_of(chat, await chat.say("Yes, please."))
        liaisons = await chat.turn_revision()
        await result_of(chat, liaisons)
        await replay(chat, liaisons)
        row = await journeys.row(chat.session)
    welcome, proposal, handing_over, liaison = await chat.answers()
    assert [each.author for each in (welcome, proposal, handing_over)] == ["guide"] * 3
    assert proposal.body["proposed_agent"] == "liaison_content"
    assert "Shall I hand you over?" in proposal.body["text"]
    assert (liaison.author, liaison.id) == ("liaison_content", chat.message_id(liaisons))
    assert "My newsletter needs a new text." in liaison.body["text"]
    assert "Hello, I am Ada." in liaison.body["text"]
    assert row
    assert row["active_agent"] == "liaison_content"
    assert all("This answer is scripted" in each.body["text"] for each in await chat.answers())
    assert {each.body["model"] for each in await chat.answers()} == {"scripted"}


async def test_a_liaison_hands_back_to_the_guide_who_answers(journeys: Journeys, agents: Agents) -> None:
    async with journeys.worker(agents=AGENTS), agents():
        chat = await Chat.begin(journeys, active_agent="liaison_insights")
        await result_of(chat, await chat.say("Bring me back to the guide."))
        await result_of(chat, await chat.turn_revision())
    assert [each.author for each in await chat.answers()] == ["liaison_insights", "guide"]


async def test_two_quick_messages_get_one_answer_to_both(journeys: Journeys, agents: Agents) -> None:
    model = PausingModel()
    async with journeys.worker(agents=AGENTS), agents(model):
        chat = await Chat.begin(journeys)
        first = await chat.say("What is the time?")
        await model.began.wait()
        second = await chat.say("In Paris?")
        assert await result_of(chat, first) is None, "nobody waits for its answer any more"
        model.may_end.set()
        assert await result_of(chat, second) == chat.message_id(second)
    (answer,) = await chat.answers()
    assert answer.body["text"] == "You asked: What is the time?\n\nIn Paris? (the end)"


async def test_a_turn_that_is_overtaken_right_before_it_stores_adds_nothing(
    journeys: Journeys, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    update, overtaken = ChatSessions.update_context, False

    async def overtake_first(self: ChatSessions, chat_session_id: str, **change: Any) -> Any:
        nonlocal overtaken
        if change.get("author") == "guide" and not overtaken:
            overtaken = True
            await chat.say("And tomorrow?")
        return await update(self, chat_session_id, **change)

    monkeypatch.setattr(ChatSessions, "update_context", overtake_first)
    async with journeys.worker(agents=AGENTS), agents():
        chat = await Chat.begin(journeys)
        assert await result_of(chat, await chat.say("Today?")) is None
        await result_of(chat, await chat.turn_revision())
    (answer,) = await chat.answers()
    assert answer.id == chat.message_id(2)


async def test_an_answer_whose_acknowledgement_is_lost_stands_once(
    journeys: Journeys, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    update, losses = ChatSessions.update_context, 1

    async def lose_the_first(self: ChatSessions, chat_session_id: str, **change: Any) -> Any:
        nonlocal losses
        answer = await update(self, chat_session_id, **change)
        if change.get("active_agent") and losses:
            losses -= 1
            raise EngineUnavailable("the reply was lost")
        return answer

    monkeypatch.setattr(ChatSessions, "update_context", lose_the_first)
    async with journeys.worker(agents=AGENTS), agents():
        chat = await Chat.begin(journeys, active_agent="liaison_journey")
        asked = await chat.say("Back to the guide, please.")
        assert await result_of(chat, asked) == chat.message_id(asked), "its own hand-over does not overtake it"
        await result_of(chat, await chat.turn_revision())
    assert losses == 0
    assert [each.author for each in await chat.answers()] == ["liaison_journey", "guide"]


async def stop_a_turn(chat: Chat, model: PausingModel, text: str = "A long story, please.") -> int:
    """Stop a turn while its model writes; return the revision that asked for it."""
    asked = await chat.say(text)
    await model.began.wait()
    await chat.turn(asked).cancel()
    assert isinstance(await end_of(chat, asked), CancelledError)
    return asked


async def test_a_turn_that_is_stopped_ends_at_once_and_keeps_what_was_written(
    journeys: Journeys, agents: Agents
) -> None:
    model = PausingModel()
    async with journeys.worker(agents=AGENTS), agents(model):
        chat = await Chat.begin(journeys)
        asked = await stop_a_turn(chat, model)
        await asyncio.wait_for(model.was_cancelled.wait(), 5)
        described = await chat.turn(asked).describe()
        await replay(chat, asked)
    (answer,) = await chat.answers()
    assert described.status is WorkflowExecutionStatus.CANCELED
    assert (answer.id, answer.author) == (chat.message_id(asked), "guide")
    assert answer.body == {"text": "You asked: A long story, please.", "model": "pausing", "status": "stopped"}


async def test_a_turn_that_is_stopped_before_it_has_written_leaves_a_note(journeys: Journeys, agents: Agents) -> None:
    model = PausingModel(is_silent=True)
    async with journeys.worker(agents=AGENTS), agents(model):
        chat = await Chat.begin(journeys)
        asked = await stop_a_turn(chat, model)
        await replay(chat, asked)
    (note,) = await chat.answers()
    assert (note.id, note.body) == (chat.message_id(asked), {"text": "Stopped.", "status": "stopped"})


async def test_the_guide_answers_the_newest_message_after_a_stop(journeys: Journeys, agents: Agents) -> None:
    async with journeys.worker(agents=AGENTS):
        chat = await Chat.begin(journeys)
        for is_silent in (True, False):
            model = PausingModel(is_silent=is_silent)
            async with agents(model):
                await stop_a_turn(chat, model, "A long story, please. " * 20)
            async with agents():
                await result_of(chat, await chat.say("Rather a short one."))
            *_, answer = await chat.answers()
            assert "You wrote: “Rather a short one.”" in answer.body["text"]


async def test_what_it_is_about_and_what_is_wanted_is_shared_with_the_answer(
    journeys: Journeys, agents: Agents
) -> None:
    async with journeys.worker(agents=AGENTS), agents():
        chat = await Chat.begin(journeys)
        before = await journeys.get(chat.session)
        asked = await chat.say("Our newsletters are too long.")
        await result_of(chat, asked)
        session = await journeys.get(chat.session)
        await result_of(chat, await chat.say("Yes, please."))
        await result_of(chat, await chat.turn_revision())
        later = await journeys.get(chat.session)
    assert before["context"] == {}
    assert session["context"] == {"topic": "newsletter", "wish": "Our newsletters are too long."}
    assert session["revision"] == asked + 1, "in one change with the answer"
    assert later["context"] == session["context"]


async def test_what_a_model_shares_has_limits_and_is_removed_if_it_is_empty(journeys: Journeys, agents: Agents) -> None:
    notes = [("topic", ""), ("due\0", "x" * 10_000), *((f"key {number}" * 50, "?") for number in range(10))]
    model = ToolCallingModel([("remember", {"key": key, "value": value}) for key, value in notes])
    async with journeys.worker(agents=AGENTS), agents(model):
        chat = await Chat.begin(journeys, context={"topic": "news", "kept": True})
        await result_of(chat, await chat.say("Hello"))
        context = (await journeys.get(chat.session))["context"]
    assert "topic" not in context
    assert context["kept"] is True
    assert len(context["due"]) == MAX_NOTE_CHARACTERS
    assert len(context) == MAX_NOTES
    assert all(len(key) <= MAX_KEY_CHARACTERS for key in context)


async def test_a_shared_context_that_an_agent_cannot_see_as_a_whole_is_left_alone(
    journeys: Journeys, agents: Agents
) -> None:
    large = {"much": "x" * MAX_CONTEXT_CHARACTERS}
    async with journeys.worker(agents=AGENTS), agents():
        chat = await Chat.begin(journeys, context=large)
        await result_of(chat, await chat.say("Our newsletters are too long."))
        assert (await journeys.get(chat.session))["context"] == large


async def test_a_turn_that_its_worker_leaves_in_the_middle_is_taken_up_by_the_next_one(
    journeys: Journeys, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_GRACEFUL_SHUTDOWN", timedelta(0))
    model = PausingModel()
    async with journeys.worker(agents=AGENTS):
        chat = await Chat.begin(journeys)
        async with agents(model):
            asked = await chat.say("Hello")
            await model.began.wait()
        model.may_end.set()
        async with agents(model):
            assert await result_of(chat, asked) == chat.message_id(asked)
    (answer,) = await chat.answers()
    assert answer.body["text"] == "You asked: Hello (the end)"


@pytest.mark.parametrize(
    ("error", "attempts"), [(ModelConnectionError("m", "away"), 4), (UserError("no such model"), 1)]
)
async def test_a_model_that_fails_for_good_says_so_once(
    journeys: Journeys, agents: Agents, error: Exception, attempts: int
) -> None:
    model = FailingModel(error)
    async with journeys.worker(agents=AGENTS), agents(model):
        chat = await Chat.begin(journeys)
        asked = await chat.say("Hello")
        await end_of(chat, asked)
        await replay(chat, asked)
    (note,) = await chat.answers()
    assert model.attempts == attempts
    assert (note.id, note.body["status"]) == (chat.message_id(asked), "failed")
    assert "the model reports an error" in note.body["text"]
    assert "half an answer" not in note.body["text"]


async def test_an_answer_that_the_session_does_not_take_is_told_as_failed(journeys: Journeys, agents: Agents) -> None:
    async with journeys.worker(agents=AGENTS, max_change_bytes=600), agents():
        chat = await Chat.begin(journeys)
        asked = await chat.say("x" * 100)
        await end_of(chat, asked)
    (note,) = await chat.answers()
    assert (note.id, note.body["status"]) == (chat.message_id(asked), "failed")
    assert "does not take the answer" in note.body["text"]


async def test_what_a_turn_has_said_stands_if_it_is_run_again_and_says_something_else(
    journeys: Journeys, agents: Agents
) -> None:
    async with journeys.worker(agents=AGENTS):
        chat = await Chat.begin(journeys)
        said = {"id": chat.message_id(2), "role": "assistant", "text": "As I said."}
        key = agent_turn_id(chat.session, 2)
        await journeys.update(chat.session, {"messages": [said], "author": "guide", "idempotency_key": key})
        async with agents():
            assert await result_of(chat, await chat.say("Hello")) == chat.message_id(2)
    (answer,) = await chat.answers()
    assert answer.body["text"] == "As I said."


async def test_a_turn_whose_time_is_over_says_so(journeys: Journeys, agents: Agents) -> None:
    async with journeys.worker(agents=AGENTS, turn_seconds=6), agents(PausingModel()):
        chat = await Chat.begin(journeys)
        await end_of(chat, await chat.say("Hello"))
    (note,) = await chat.answers()
    assert "it took too long" in note.body["text"]


async def test_notes_of_failed_turns_are_not_shown_to_the_model(journeys: Journeys, agents: Agents) -> None:
    async with journeys.worker(agents=AGENTS):
        chat = await Chat.begin(journeys)
        async with agents(FailingModel(UserError("no"))):
            await end_of(chat, await chat.say("One?"))
        model = PausingModel()
        model.may_end.set()
        async with agents(model):
            await result_of(chat, await chat.say("Two?"))
    _, answer = await chat.answers()
    assert answer.body["text"] == "You asked: One?\n\nTwo? (the end)"


async def test_a_turn_of_a_session_that_is_put_away_or_deleted_ends_without_a_message(
    journeys: Journeys, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_activities, "_LOOK_SECONDS", 0.1)
    model = PausingModel()
    async with journeys.worker(agents=AGENTS), agents(model):
        archived, deleted = await Chat.begin(journeys), await Chat.begin(journeys)
        first, second = await archived.say("Hello"), await deleted.say("Hello")
        await model.began.wait()
        await journeys.edit(archived.session, {"lifecycle_state": "ARCHIVED"})
        assert await result_of(archived, first) is None
        await journeys.delete(deleted.session)

        async def is_over() -> bool:  # the erasure also cancels it, and removes it within a minute
            described = await unless_unknown(deleted.turn(second).describe())
            return described is None or described.status is not WorkflowExecutionStatus.RUNNING

        await eventually(is_over)
    assert await archived.answers() == []
    assert await journeys.row(deleted.session)


async def test_the_trace_tells_what_a_turn_waits_for(journeys: Journeys, agents: Agents) -> None:
    model = PausingModel()
    async with journeys.worker(agents=AGENTS), agents(model):
        chat = await Chat.begin(journeys)
        asked = await chat.say("Hello")
        await model.began.wait()
        metadata = await chat.turn(asked).query("__temporal_workflow_metadata")
        assert metadata.current_details == "Waits for the model, which writes guide's answer."
        (pending,) = (await chat.turn(asked).describe()).raw_description.pending_activities
        assert pending.activity_type.name == "write_answer"
        model.may_end.set()
        await result_of(chat, asked)


async def test_steps_wait_for_the_end_of_an_outage(
    journeys: Journeys, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, outages = ChatSessions.get, 3

    async def away_at_first(self: ChatSessions, *args: Any, **kwargs: Any) -> Any:
        nonlocal outages
        if outages:
            outages -= 1
            raise EngineUnavailable("nobody polls the task queue")
        return await get(self, *args, **kwargs)

    async with journeys.worker(agents=AGENTS, turn_seconds=60), agents():
        chat = await Chat.begin(journeys)
        monkeypatch.setattr(ChatSessions, "get", away_at_first)
        asked = await chat.say("Hello")
        assert await result_of(chat, asked) == chat.message_id(asked)
    assert outages == 0
