"""The published schemas and the engine agree on the form of a message."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from journeys.chat_session.messages import MessageEnvelope
from journeys.chat_session.names import JOURNEY_ID
from journeys.chat_session.schemas import ANSWERS, ARGUMENTS, REQUESTS, chat_session_schemas
from journeys.errors import InvalidParameter
from journeys.messages import parse
from tests.support.schemas import SCHEMAS, misfits, schema_files

ID = "31dca87f-efb8-5ac5-b6df-13a4bc321dfd"
ADA = {"tenant_id": "acme", "user_id": "ada"}
TIME = "2026-01-27T10:05:12Z"
MODELS = ARGUMENTS | {f"{intent}.request": request for intent, request in REQUESTS.items()}

ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    (f"{JOURNEY_ID}.argument", {"chat_session_id": ID, "tenant_id": "acme"}),
    (f"{JOURNEY_ID}.argument", {"chat_session_id": ID, **ADA, "initialize": {"requested_at": TIME}}),
    (f"{JOURNEY_ID}.argument", {"chat_session_id": ID, **ADA, "initialize": {"session_name": "a", "title": ""}}),
    ("initialize_chat_session.request", ADA | {"requested_at": "2026-01-27 10:05:12.5+01:00", "session_name": None}),
    ("initialize_chat_session.request", ADA | {"session_name": "my first", "active_agent": None, "context": None}),
    ("get_chat_session.request", {"tenant_id": "ä" * 127}),
    ("get_chat_session.request", {"tenant_id": "acme", "chat_session_id": ID, "at_revision": 0}),
    ("update_chat_context.signal", {"tenant_id": "acme"}),
    ("update_chat_context.operation", {"tenant_id": "acme", "chat_session_id": ID, "context": {"a": None}}),
    ("update_chat_context.request", {"tenant_id": "acme", "messages": [{"id": "m1", "text": [1]}, {"role": None}]}),
    ("update_chat_context.request", {"tenant_id": "acme", "merge_strategy": None, "returning": "receipt"}),
    (
        "update_chat_context.request",
        {"tenant_id": "acme", "merge_strategy": "replace", "context": {}, "base_revision": 0},
    ),
    ("update_chat_session.request", {"tenant_id": "acme", "user_id": None, "new_user_id": "bob"}),
    ("delete_chat_session.request", ADA | {"author": "user"}),
    ("list_chat_sessions.request", {"tenant_id": "acme", "limit": None}),
    ("get_chat_messages.request", {"tenant_id": "acme", "chat_session_id": ID, "before": "x", "after": None}),
    ("get_chat_session_history.request", {"tenant_id": "acme", "chat_session_id": ID, "limit": 1000}),
]

REFUSED: list[tuple[str, dict[str, Any]]] = [
    (f"{JOURNEY_ID}.argument", {"chat_session_id": ID.upper(), "tenant_id": "acme"}),
    (f"{JOURNEY_ID}.argument", {"chat_session_id": ID, "tenant_id": "acme", "initialize": {"session_name": "a"}}),
    (f"{JOURNEY_ID}.argument", {"chat_session_id": ID, **ADA, "initialize": {}}),
    ("initialize_chat_session.request", ADA),
    ("initialize_chat_session.request", ADA | {"requested_at": TIME, "session_name": "my first"}),
    ("initialize_chat_session.request", ADA | {"requested_at": "2026-01-27T10:05:12"}),
    ("initialize_chat_session.request", ADA | {"session_name": "größer"}),
    ("initialize_chat_session.request", ADA | {"session_name": "a", "active_agent": "boss"}),
    ("get_chat_session.request", {"tenant_id": ""}),
    ("get_chat_session.request", {"tenant_id": "a\nb"}),
    ("get_chat_session.request", {"tenant_id": "a" * 256}),
    ("get_chat_session.request", {"tenant_id": "acme", "at_revision": -1}),
    ("update_chat_context.signal", {"tenant_id": "acme", "returning": "receipt"}),
    ("update_chat_context.signal", {"tenant_id": "acme", "author": "manual"}),
    ("update_chat_context.operation", {"tenant_id": "acme"}),
    ("update_chat_context.operation", {"tenant_id": "acme", "chat_session_id": ID, "author": "journey"}),
    ("update_chat_context.request", {"tenant_id": "acme", "author": ""}),
    ("update_chat_context.request", {"tenant_id": "acme", "merge_strategy": "replace", "context": {}}),
    ("update_chat_context.request", {"tenant_id": "acme", "messages": []}),
    ("update_chat_context.request", {"tenant_id": "acme", "messages": [{"id": ""}]}),
    ("update_chat_context.request", {"tenant_id": "acme", "messages": ["hello"]}),
    ("update_chat_context.request", {"tenant_id": "acme", "append": {"list": 1}}),
    ("update_chat_context.request", {"tenant_id": "acme", "idempotency_key": "k" * 129}),
    ("update_chat_session.request", ADA | {"new_user_id": "bob"}),
    ("update_chat_session.request", ADA | {"lifecycle_state": "DELETED"}),
    ("update_chat_session.request", ADA | {"title": "t" * 201}),
    ("list_chat_sessions.request", {"tenant_id": "acme", "limit": 101}),
    ("get_chat_messages.request", {"tenant_id": "acme", "chat_session_id": ID, "before": "x", "after": "y"}),
    ("get_chat_session_history.request", {"tenant_id": "acme"}),
]


def test_the_published_schemas_are_current() -> None:
    published = {file.name: file.read_text("utf-8") for file in SCHEMAS.iterdir()}
    assert published == schema_files(), "run `make schemas`"


@pytest.mark.parametrize("name", chat_session_schemas())
def test_every_schema_is_a_valid_schema_with_a_description(name: str) -> None:
    schema = chat_session_schemas()[name]
    Draft202012Validator.check_schema(schema)
    assert schema["description"]


def test_every_intent_has_both_its_schemas() -> None:
    assert REQUESTS.keys() == ANSWERS.keys()


@pytest.mark.parametrize(("name", "message"), ACCEPTED)
def test_what_the_engine_accepts_fits_its_schema(name: str, message: dict[str, Any]) -> None:
    parse(MODELS[name], message)
    assert not misfits(name, message)


@pytest.mark.parametrize(("name", "message"), REFUSED)
def test_what_the_engine_refuses_by_its_form_does_not_fit_its_schema(name: str, message: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        parse(MODELS[name], message)
    assert misfits(name, message)


def test_every_field_of_a_request_is_described() -> None:
    for name in MODELS:
        for field, schema in chat_session_schemas()[name]["properties"].items():
            assert schema.get("description"), f"{name}: {field}"


def test_a_message_of_the_transcript_may_have_members_of_its_own() -> None:
    assert set(MessageEnvelope.model_fields) == {"id", "role"}
    assert not misfits("update_chat_context.request", {"tenant_id": "acme", "messages": [{"anything": {"at": "all"}}]})
