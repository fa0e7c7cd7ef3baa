"""Identifiers, keys and authors have the forms that the contract allows, and no others."""

import pytest

from journeys.chat_session.messages import (
    GetChatSession,
    GetChatSessionHistory,
    InitializeChatSession,
    JourneyArgument,
    SignalChatContext,
    UpdateChatContext,
)
from journeys.messages import parse
from tests.unit.contract_requests import (
    CHANGE,
    ENGINE_KEYS,
    HISTORY,
    INITIALIZE,
    LEAST,
    refuses,
)

# Identifiers.


@pytest.mark.parametrize("name", ["tenant_id", "user_id"])
@pytest.mark.parametrize("character", ["x", " ", "\u00e9", "\U0001f600", "\u2028", "\ue000", '"', "\u0301"])
def test_an_id_has_up_to_255_bytes_of_any_script(name: str, character: str) -> None:
    most = 255 // len(character.encode())  # a search attribute has no room for more
    for model in (InitializeChatSession, JourneyArgument, SignalChatContext, GetChatSession):
        for length in (1, most):
            assert getattr(parse(model, LEAST[model] | {name: character * length}), name) == character * length
        assert refuses(model, LEAST[model] | {name: character * (most + 1)}) == name


@pytest.mark.parametrize("name", ["tenant_id", "user_id"])
@pytest.mark.parametrize("character", [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))], ids=ascii)
def test_an_id_has_no_control_characters(name: str, character: str) -> None:
    for model in (InitializeChatSession, JourneyArgument, SignalChatContext, GetChatSession):
        assert refuses(model, LEAST[model] | {name: f"a{character}b"}) == name
        assert refuses(model, LEAST[model] | {name: f"ab{character}"}) == name


@pytest.mark.parametrize("key", ["x", " ", "~", "k" * 128, "".join(map(chr, range(0x20, 0x7F)))])
def test_a_key_is_any_printable_ascii(key: str) -> None:
    assert parse(SignalChatContext, CHANGE | {"idempotency_key": key}).idempotency_key == key


@pytest.mark.parametrize("key", ENGINE_KEYS)
@pytest.mark.parametrize("model", [SignalChatContext, UpdateChatContext])
def test_only_a_service_may_use_the_engines_keys(model: type[SignalChatContext], key: str) -> None:
    assert parse(model, CHANGE | {"idempotency_key": key}).idempotency_key == key
    assert refuses(model, CHANGE | {"idempotency_key": key, "user_id": "ada"}) == "idempotency_key"


@pytest.mark.parametrize("key", ["agent-turn", "Manual/1", " manual/", "a/manual/", "initialized/"])
def test_a_user_may_use_what_only_looks_like_an_engines_key(key: str) -> None:
    assert parse(SignalChatContext, CHANGE | {"idempotency_key": key, "user_id": "ada"}).idempotency_key == key


@pytest.mark.parametrize("author", ["manuals", "Manual", "journey ", "the journey"])
def test_an_author_may_be_called_almost_as_the_engine_is(author: str) -> None:
    assert parse(SignalChatContext, CHANGE | {"author": author}).author == author


@pytest.mark.parametrize("author", ["x", "x" * 64, "\U0001f600" * 64, "liaison_health", "a service (nightly)"])
def test_an_author_has_up_to_64_characters(author: str) -> None:
    assert parse(SignalChatContext, CHANGE | {"author": author}).author == author


@pytest.mark.parametrize("agent", ["guide", "liaison_a", "liaison_health", "liaison_a1_", "liaison_life_2"])
def test_an_agent_is_the_guide_or_a_pillars_liaison(agent: str) -> None:
    assert parse(SignalChatContext, CHANGE | {"active_agent": agent}).active_agent == agent
    assert parse(InitializeChatSession, INITIALIZE | {"active_agent": agent}).active_agent == agent


@pytest.mark.parametrize("revision", [0, 1, 2**53 - 1])
def test_a_revision_is_any_integer_that_every_peer_holds(revision: int) -> None:
    assert parse(SignalChatContext, CHANGE | {"base_revision": revision}).base_revision == revision
    assert parse(GetChatSessionHistory, HISTORY | {"after_revision": revision}).after_revision == revision
