"""Anyone who knows the user, the time and the request derives the same keys and IDs, in any language."""

import json
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from importlib.resources import files
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
import rfc8785
from hypothesis import assume, example, given
from hypothesis import strategies as st

from journeys.canonical_json import canonical, canonical_hash
from journeys.chat_session.keys import is_session_id, message_id, named_session_key, session_id, session_key, update_key
from journeys.chat_session.messages import (
    InitializeChatSession,
    SignalChatContext,
    UpdateChatContext,
    UpdateChatSession,
)
from journeys.chat_session.names import workflow_id
from journeys.chat_session.rules import Change
from journeys.identifiers import intent_key
from journeys.messages import parse
from tests.support.documents import documents, objects, thoroughly

VECTORS: dict[str, Any] = json.loads(files("journeys.chat_session").joinpath("idempotency_keys.json").read_bytes())
SESSIONS: list[dict[str, Any]] = VECTORS["session_keys"]["cases"]
NAMED: list[dict[str, Any]] = VECTORS["named_session_keys"]["cases"]
MESSAGES: list[dict[str, Any]] = VECTORS["message_ids"]["cases"]
UPDATES: list[dict[str, Any]] = VECTORS["update_keys"]["cases"]
EDITS: list[dict[str, Any]] = VECTORS["edit_keys"]["cases"]
CALLERS: list[dict[str, Any]] = VECTORS["caller_keys"]["cases"]

SESSION = "31dca87f-efb8-5ac5-b6df-13a4bc321dfd"
OTHER_SESSION = "31dca87f-efb8-5ac5-b6df-13a4bc321dfe"

ids = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=6)
offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=offsets)  # noqa: DTZ001 - bounds have none


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


def initialization(case: dict[str, Any]) -> InitializeChatSession:
    return parse(InitializeChatSession, {name: case[name] for name in ("tenant_id", "user_id", "requested_at")})


def request(case: dict[str, Any]) -> UpdateChatContext | UpdateChatSession:
    """The request whose change a vector shows."""
    told = {name: case[name] for name in ("author", "base_revision")}
    fields = {"tenant_id": "acme", **told, **case["change"]}
    return parse(UpdateChatSession, fields) if case in EDITS else parse(UpdateChatContext, fields)


# The published vectors.


@pytest.mark.parametrize("case", SESSIONS, ids=named)
def test_a_published_session_key_holds_in_itself(case: dict[str, Any]) -> None:
    assert json.loads(case["canonical_text"]) == {
        "intent": "initialize_chat_session",
        "tenant_id": case["tenant_id"],
        "timestamp_window": case["timestamp_window"],
        "user_id": case["user_id"],
    }
    assert hashed(case["canonical_text"]) == case["session_key"]
    namespace = uuid5(NAMESPACE_URL, "journey_coexistence_chat_session")
    assert VECTORS["session_keys"]["namespace"] == str(namespace)
    assert str(uuid5(namespace, case["session_key"])) == case["chat_session_id"]
    assert case["workflow_id"] == f"chat-session/{case['chat_session_id']}"


@pytest.mark.parametrize("case", SESSIONS, ids=named)
def test_the_contract_derives_a_published_session(case: dict[str, Any]) -> None:
    asked = initialization(case)
    assert asked.key == case["session_key"]
    assert asked.requested_at
    assert session_key(case["tenant_id"], case["user_id"], asked.requested_at) == case["session_key"]
    assert session_id(asked.key) == case["chat_session_id"]
    assert workflow_id(session_id(asked.key)) == case["workflow_id"]
    window = datetime.fromisoformat(case["timestamp_window"])
    assert session_key(case["tenant_id"], case["user_id"], window) == case["session_key"]


def test_published_sessions_are_the_same_exactly_where_tenant_user_and_minute_are() -> None:
    scopes = {(case["tenant_id"], case["user_id"], case["timestamp_window"]) for case in SESSIONS}
    assert len(scopes) == len({case["session_key"] for case in SESSIONS})
    assert len(scopes) == len({case["chat_session_id"] for case in SESSIONS})
    assert len(scopes) < len(SESSIONS)


@pytest.mark.parametrize("case", NAMED, ids=named)
def test_a_published_named_session_holds_in_itself_and_is_derived(case: dict[str, Any]) -> None:
    scope = {name: case[name] for name in ("session_name", "tenant_id", "user_id")}
    assert json.loads(case["canonical_text"]) == scope | {"intent": "initialize_chat_session"}
    assert rfc8785.dumps(json.loads(case["canonical_text"])).decode() == case["canonical_text"]
    assert hashed(case["canonical_text"]) == case["session_key"] == named_session_key(**scope)
    asked = parse(InitializeChatSession, dict(scope))
    assert asked.key == case["session_key"]
    assert session_id(asked.key) == case["chat_session_id"]
    assert workflow_id(session_id(asked.key)) == case["workflow_id"]


def test_named_sessions_differ_from_each_other_and_from_those_of_a_minute() -> None:
    keys = {case["session_key"] for case in NAMED}
    assert len(keys) == len(NAMED)
    assert not keys & {case["session_key"] for case in SESSIONS}


@pytest.mark.parametrize("case", MESSAGES, ids=named)
def test_a_published_message_id_is_derived(case: dict[str, Any]) -> None:
    session, key, index = case["chat_session_id"], case["idempotency_key"], case["index"]
    assert str(uuid5(UUID(session), f"{key}/{index}")) == case["message_id"] == message_id(session, key, index)
    asked = parse(UpdateChatContext, {"tenant_id": "acme", "messages": [{}] * index + [{"text": "Hello!"}]})
    assert asked.message_ids(session, key)[index] == case["message_id"]


@pytest.mark.parametrize("case", UPDATES + EDITS, ids=named)
def test_a_published_update_key_holds_in_itself(case: dict[str, Any]) -> None:
    told = ("message",) if case["base_revision"] is None else ("author", "base_revision")
    state = {name: case[name] for name in told}
    if case in EDITS:
        assert set(case["change"]) <= {"title", "lifecycle_state", "new_user_id"}
    else:
        fields = {"active_agent", "append", "context", "merge_strategy"}
        assert set(case["change"]) - {"messages", "remove_messages"} == fields
    assert rfc8785.dumps(case["change"]).decode() == case["canonical_change"]
    assert rfc8785.dumps({"change": case["change"], **state}).decode() == case["canonical_state"]
    key = {"chat_session_id": case["chat_session_id"], "context_hash": hashed(case["canonical_state"])}
    assert rfc8785.dumps(key).decode() == case["canonical_text"]
    assert hashed(case["canonical_change"]) == case["change_hash"]
    assert hashed(case["canonical_state"]) == case["context_hash"]
    assert hashed(case["canonical_text"]) == case["idempotency_key"]


@pytest.mark.parametrize("case", UPDATES + EDITS, ids=named)
def test_the_contract_derives_a_published_update_key(case: dict[str, Any]) -> None:
    asked = request(case)
    message = case["message"] or "a message that does not count"
    assert canonical(asked.change).decode() == case["canonical_change"]
    assert asked.key(case["chat_session_id"], message) == case["idempotency_key"]
    change = Change.of(asked, key=case["idempotency_key"], identity="a run/an update")
    assert change.content_hash == case["change_hash"]
    told = {name: case[name] for name in ("author", "base_revision")}
    content = case["canonical_change"].encode()
    assert update_key(case["chat_session_id"], content, message=message, **told) == case["idempotency_key"]


def test_published_update_keys_are_the_same_exactly_where_session_change_and_state_are() -> None:
    scopes = {(case["chat_session_id"], case["canonical_state"]) for case in UPDATES}
    assert len(scopes) == len({case["idempotency_key"] for case in UPDATES})
    assert len(scopes) < len(UPDATES)


@pytest.mark.parametrize("case", CALLERS, ids=named)
def test_the_contract_takes_a_published_key_of_a_caller(case: dict[str, Any]) -> None:
    fields = {"tenant_id": "acme", "idempotency_key": case["caller_key"], "base_revision": case["base_revision"]}
    asked = parse(UpdateChatContext, fields | case["change"])
    assert asked.key(case["chat_session_id"], "a message") == case["idempotency_key"] == case["caller_key"]
    assert canonical(asked.change).decode() == case["canonical_change"]
    change = Change.of(asked, key=case["caller_key"], identity="a run/an update")
    assert change.content_hash == case["change_hash"] == hashed(case["canonical_change"])


def test_the_vectors_explain_themselves() -> None:
    for name, part in VECTORS.items():
        lines = part if name == "about" else part["about"]
        assert lines
        assert all(isinstance(line, str) and line for line in lines)
    for part in (SESSIONS, NAMED, UPDATES, EDITS, CALLERS, MESSAGES):
        assert len({case["name"] for case in part}) == len(part)


# Session keys.


@thoroughly()
@given(ids, ids, moments)
def test_the_session_key_is_the_hash_of_who_asked_and_in_which_minute(tenant: str, user: str, at: datetime) -> None:
    scope = {
        "intent": "initialize_chat_session",
        "tenant_id": tenant,
        "timestamp_window": at.astimezone(UTC).strftime("%Y").zfill(4)
        + at.astimezone(UTC).strftime("-%m-%dT%H:%M:00Z"),
        "user_id": user,
    }
    assert session_key(tenant, user, at) == sha256(rfc8785.dumps(scope)).hexdigest()


@thoroughly()
@given(st.tuples(ids, ids), st.tuples(ids, ids), moments)
@example(("a", "bc"), ("ab", "c"), datetime(2026, 1, 27, 10, 5, tzinfo=UTC))
@example(("a", 'b","user_id":"c'), ('a","user_id":"b', "c"), datetime(2026, 1, 27, 10, 5, tzinfo=UTC))
def test_other_tenants_and_users_have_other_sessions(
    one: tuple[str, str], other: tuple[str, str], at: datetime
) -> None:
    assume(one != other)
    assert session_key(*one, at) != session_key(*other, at)
    assert session_id(session_key(*one, at)) != session_id(session_key(*other, at))


@thoroughly()
@given(moments, offsets, st.integers(0, 59_999_999))
def test_a_minute_is_one_session_wherever_its_clock_stands(at: datetime, offset: timezone, microseconds: int) -> None:
    start = at.astimezone(UTC).replace(second=0, microsecond=0)
    key = session_key("acme", "ada", start)
    within = start + timedelta(microseconds=microseconds)
    assert session_key("acme", "ada", within.astimezone(offset)) == key
    assert session_key("acme", "ada", start + timedelta(minutes=1)) != key
    assert session_key("acme", "ada", start - timedelta(microseconds=1)) != key


def test_a_retry_after_the_minute_finds_its_session_by_the_time_that_was_stamped() -> None:
    asked = {"tenant_id": "acme", "user_id": "ada", "requested_at": "2026-01-27T10:05:59.999999Z"}
    first, retry = (parse(InitializeChatSession, dict(asked)) for _ in range(2))
    first.check(session_id(first.key), datetime(2026, 1, 27, 10, 5, 59, tzinfo=UTC))
    retry.check(session_id(first.key), datetime(2026, 1, 27, 18, 0, 0, tzinfo=UTC))


def test_agent_and_context_do_not_count() -> None:
    asked = {"tenant_id": "acme", "user_id": "ada", "requested_at": "2026-01-27T10:05:12Z"}
    other = asked | {"active_agent": "liaison_health", "context": {"topic": "sleep"}}
    assert parse(InitializeChatSession, asked).key == parse(InitializeChatSession, other).key


def test_an_intents_key_does_not_depend_on_the_order_of_its_scope() -> None:
    expected = hashed('{"a":"1","b":"2","intent":"greet"}')
    assert intent_key("greet", a="1", b="2") == intent_key("greet", b="2", a="1") == expected


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (SESSION, True),
        (SESSION.upper(), False),
        (SESSION.replace("-", ""), False),
        ("{" + SESSION + "}", False),
        (SESSION + "\n", False),
        (" " + SESSION, False),
        (SESSION[:-1], False),
        ("", False),
        ("chat-session/" + SESSION, False),
    ],
)
def test_a_session_id_is_a_uuid_in_its_canonical_form(text: str, *, is_one: bool) -> None:
    assert is_session_id(text) is is_one


# Update keys.


@thoroughly()
@given(objects | st.none(), st.integers(0, 2**53 - 1) | st.none(), st.none() | ids, st.text(min_size=1, max_size=8))
def test_an_update_key_is_the_hash_of_session_change_and_state(
    context: Any, base: int | None, author: str | None, message: str
) -> None:
    assume(not any("\ud800" <= character <= "\udfff" for character in message))
    asked = SignalChatContext(tenant_id="acme", context=context, base_revision=base, author=author)
    change = {"active_agent": None, "append": None, "context": context, "merge_strategy": "merge"}
    state: dict[str, Any] = {"message": message} if base is None else {"author": author, "base_revision": base}
    inner = sha256(rfc8785.dumps({"change": change, **state})).hexdigest()
    outer = rfc8785.dumps({"chat_session_id": SESSION, "context_hash": inner})
    assert asked.key(SESSION, message) == sha256(outer).hexdigest()


@thoroughly()
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), documents, max_size=3), objects)
def test_changes_that_differ_have_different_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    assume(canonical(one) != canonical(other))
    first, second = (SignalChatContext(tenant_id="acme", context=context, base_revision=1) for context in (one, other))
    assert first.key(SESSION, "m") != second.key(SESSION, "m")
    assert canonical_hash(first.change) != canonical_hash(second.change)


def test_who_sends_a_change_and_how_it_is_answered_do_not_count() -> None:
    plain = parse(UpdateChatContext, {"tenant_id": "acme", "active_agent": "guide", "base_revision": 4})
    for more in (
        {"user_id": "ada"},
        {"tenant_id": "globex"},
        {"returning": "receipt"},
        {"merge_strategy": "merge"},
    ):
        fields = {"tenant_id": "acme", "active_agent": "guide", "base_revision": 4} | more
        assert parse(UpdateChatContext, fields).key(SESSION, "m") == plain.key(SESSION, "m")
    signalled = parse(SignalChatContext, {"tenant_id": "acme", "active_agent": "guide", "base_revision": 4})
    assert signalled.key(SESSION, "another message") == plain.key(SESSION, "m")


def test_two_authors_who_say_the_same_on_one_base_make_two_changes() -> None:
    based, free = (
        [
            parse(SignalChatContext, {"tenant_id": "acme", "active_agent": "guide", "author": author} | base)
            for author in (None, "guide", "liaison_health", "null")
        ]
        for base in ({"base_revision": 4}, dict[str, Any]())
    )
    assert len({asked.key(SESSION, "m") for asked in based}) == len(based)
    assert len({asked.key(SESSION, "m") for asked in free}) == 1


def test_every_part_of_a_change_counts() -> None:
    plain = {"tenant_id": "acme", "context": {"a": 1}, "base_revision": 4}
    variants: list[dict[str, Any]] = [
        plain,
        plain | {"context": None},
        plain | {"context": {}},
        plain | {"context": {"a": True}},
        plain | {"context": {"a": "1"}},
        plain | {"append": {}},
        plain | {"append": {"a": []}},
        plain | {"active_agent": "guide"},
        plain | {"merge_strategy": "replace"},
        plain | {"base_revision": 5},
        plain | {"base_revision": None},
    ]
    keys = {parse(SignalChatContext, fields).key(SESSION, "m") for fields in variants}
    assert len(keys) == len(variants)


def test_without_a_base_each_message_is_a_change_of_its_own_and_the_same_message_is_one() -> None:
    asked = parse(SignalChatContext, {"tenant_id": "acme", "active_agent": "guide"})
    assert asked.key(SESSION, "run/1") == asked.key(SESSION, "run/1")
    assert asked.key(SESSION, "run/1") != asked.key(SESSION, "run/2")
    assert asked.key(SESSION, "run/1") != asked.key(OTHER_SESSION, "run/1")


def test_a_message_cannot_pass_for_a_base() -> None:
    based = parse(SignalChatContext, {"tenant_id": "acme", "active_agent": "guide", "base_revision": 1})
    free = parse(SignalChatContext, {"tenant_id": "acme", "active_agent": "guide"})
    assert based.key(SESSION, "1") != free.key(SESSION, "1")
