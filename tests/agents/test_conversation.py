"""What an agent is shown, and what it says, is bounded."""

from examples.agents.conversation import (
    MAX_ANSWER_CHARACTERS,
    MAX_CONTEXT_CHARACTERS,
    MAX_CONVERSATION_CHARACTERS,
    MAX_MESSAGE_CHARACTERS,
    MAX_MESSAGES,
    clean,
    show_conversation,
)
from journeys.chat_session.answers import ChatMessage
from journeys.chat_session.session import Context

NOW = "2026-01-27T10:05:00.000000Z"


def message(number: int, body: Context, role: str | None = "user") -> ChatMessage:
    return ChatMessage(
        id=str(number), role=role, author=role, revision=number, created_at=NOW, updated_at=NOW, body=body
    )


def test_the_latest_messages_are_shown_each_cut_to_its_limit() -> None:
    long = "x" * (MAX_MESSAGE_CHARACTERS + 1)
    shown = show_conversation(tuple(message(number, {"text": f"{number} {long}"}) for number in range(1, 100)), {})
    assert shown.messages[-1].text.startswith("99 xxx")
    assert all(len(said.text) == MAX_MESSAGE_CHARACTERS and said.text.endswith("…") for said in shown.messages)
    assert len(shown.messages) == MAX_CONVERSATION_CHARACTERS // MAX_MESSAGE_CHARACTERS
    short = show_conversation(tuple(message(number, {"text": "x"}) for number in range(1, 100)), {})
    assert len(short.messages) == MAX_MESSAGES


def test_a_message_without_a_text_is_shown_as_json_and_a_large_context_is_cut() -> None:
    shown = show_conversation((message(1, {"text": 1, "b": [None]}),), {"a": "x" * 100_000})
    assert shown.messages[0].text == '{"text":1,"b":[null]}'
    assert len(shown.shared_context) == MAX_CONTEXT_CHARACTERS


def test_an_answer_has_no_character_that_the_journeys_refuse() -> None:
    assert clean(" a\0b\ud800 ") == "ab?"
    assert len(clean("x" * 100_000)) == MAX_ANSWER_CHARACTERS
