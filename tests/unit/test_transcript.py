"""How a batch changes the transcript: as its changes would one by one, with one write for each message at most."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.canonical_json import canonical_hash
from journeys.chat_session.limits import Limits
from journeys.chat_session.messages import InitializeChatSession, SignalChatContext, UpdateChatContext
from journeys.chat_session.rules import Applied, Change, Draft, decide
from journeys.chat_session.transcript import StoredMessage, TranscriptDraft, WrittenMessage, edit_transcript
from journeys.errors import InvalidParameter, JourneyError
from journeys.messages import parse
from tests.support.documents import thoroughly

NOW = datetime(2026, 1, 27, 10, 5, 12, tzinfo=UTC)
Json = dict[str, Any]
Store = dict[str, WrittenMessage]


def without_bodies(store: Store, names: tuple[str, ...]) -> dict[str, StoredMessage]:
    """The stored messages with these names, as a statement returns them."""
    return {
        name: StoredMessage(**{field: getattr(store[name], field) for field in StoredMessage.model_fields})
        for name in names
        if name in store
    }


def write_batch(store: Store, changes: list[tuple[int, SignalChatContext]], session: str) -> list[bool]:
    """Decide changes and write them, as the activity does; returns which of them were accepted."""
    found: dict[str, StoredMessage] = {}
    while True:
        draft, accepted, added = TranscriptDraft(found), [], 0
        for revision, change in changes:
            ids = change.message_ids(session, f"key {revision}")
            try:
                edit = edit_transcript(change, ids, draft.messages, revision=revision, at=NOW)
            except InvalidParameter:
                draft.look_up(change)
                accepted.append(False)
            else:
                draft.apply(edit)
                added += edit.added
                accepted.append(True)
        write = draft.write()
        missed = without_bodies(store, write.assumed_absent)
        if not missed:
            break
        found |= missed
    names = [message.message_id for message in write.written] + list(write.removed)
    assert len(set(names)) == len(names)
    before = len(store)
    for name in write.removed:
        del store[name]
    for message in write.written:
        store[message.message_id] = message
    assert len(store) == before + added
    places = {(message.first_revision, message.ordinal) for message in store.values()}
    assert len(places) == len(store)
    return accepted


SESSION = "31dca87f-efb8-5ac5-b6df-13a4bc321dfd"
names = st.sampled_from(["a", "b", "c", "d"])
said = st.fixed_dictionaries(
    {"n": st.integers(0, 9)}, optional={"id": names, "role": st.sampled_from(["user", "tool"])}
)
changes = st.fixed_dictionaries(
    {"tenant_id": st.just("acme")},
    optional={
        "user_id": st.just("ada"),
        "author": st.sampled_from(["ada", "guide"]),
        "messages": st.lists(said, min_size=1, max_size=3),
        "remove_messages": st.lists(names, min_size=1, max_size=3),
    },
)


@thoroughly(300)
@given(st.lists(changes, max_size=8), st.lists(st.integers(1, 4), max_size=8))
def test_a_batch_has_the_effect_of_its_changes_one_by_one(sent: list[Json], sizes: list[int]) -> None:
    requests = []
    for revision, raw in enumerate(sent, 1):
        try:
            requests.append((revision, parse(SignalChatContext, raw)))
        except JourneyError:
            continue
    one_by_one: Store = {}
    alone = [write_batch(one_by_one, [each], SESSION)[0] for each in requests]
    batched: Store = {}
    together: list[bool] = []
    rest = requests
    for size in [*sizes, len(requests)]:
        together += write_batch(batched, rest[:size], SESSION)
        rest = rest[size:]
    assert together == alone
    assert batched == one_by_one


def test_a_refusal_that_rests_on_an_absent_message_is_looked_up_first() -> None:
    """A user's replacement may name any role: the stored message keeps its own, and only a new one would take it."""
    store: Store = {}
    added = parse(SignalChatContext, {"tenant_id": "acme", "user_id": "ada", "messages": [{"id": "a"}]})
    replaced = parse(
        SignalChatContext, {"tenant_id": "acme", "user_id": "ada", "messages": [{"id": "a", "role": "x", "n": 2}]}
    )
    assert write_batch(store, [(1, replaced)], SESSION) == [False]
    assert write_batch(store, [(2, added)], SESSION) == [True]
    assert write_batch(store, [(3, replaced)], SESSION) == [True]
    assert (store["a"].role, store["a"].body) == ("user", {"n": 2})


def a_draft() -> Draft:
    asked = {"tenant_id": "acme", "user_id": "ada", "session_name": "n", "context": {"notes": [1, {"a": 2}]}}
    return Draft.of(parse(InitializeChatSession, asked).session(NOW))


def decided(draft: Draft, **asked: Any) -> Applied:
    request = parse(UpdateChatContext, {"tenant_id": "acme"} | asked)
    decision = decide(draft, Change.of(request, key="key", identity="run/update"), {}, Limits(context_bytes=10), NOW)
    assert isinstance(decision, Applied), decision
    return decision


@pytest.mark.parametrize("more", [{}, {"context": {}}, {"append": {}}, {"active_agent": "liaison_health"}])
def test_a_change_that_keeps_the_context_does_not_look_at_it(more: Json) -> None:
    """It is neither copied, nor written canonically, nor hashed, however large it is."""
    before = a_draft()
    after = decided(before, messages=[{"text": "Hello"}], **more).draft
    assert after.canonical is before.canonical
    assert after.session.context is before.session.context
    assert after.session.context_hash is before.session.context_hash
    assert (after.session.revision, after.session.message_count) == (1, 1)


def test_the_ledger_has_ids_and_hashes_and_the_change_hash_covers_the_bodies() -> None:
    applied = decided(a_draft(), messages=[{"id": "m1", "role": "tool", "text": "secret"}], remove_messages=["m0"])
    content = {
        "context": None,
        "append": None,
        "active_agent": None,
        "merge_strategy": "merge",
        "messages": [{"id": "m1", "role": "tool", "text": "secret"}],
        "remove_messages": ["m0"],
    }
    assert applied.entry.change_hash == canonical_hash(content)
    assert applied.entry.change == content | {
        "messages": [{"id": "m1", "body_hash": canonical_hash({"text": "secret"})}]
    }


def test_an_error_about_a_message_shows_nothing_of_it() -> None:
    with pytest.raises(InvalidParameter) as refused:
        parse(UpdateChatContext, {"tenant_id": "acme", "messages": [{}, {"id": "secret" * 30}]})
    assert refused.value.field == "messages"
    assert "id: should have at most 128 characters" in refused.value.message
    assert "secret" not in refused.value.message
