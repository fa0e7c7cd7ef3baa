"""A worker's cache and a workflow's copy of a session are checked before they are taken for the stored one."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.chat_session_cache import SessionCache
from journeys.canonical_json import canonical, canonical_hash
from journeys.chat_session.folding import FoldedContext
from journeys.chat_session.keys import session_id
from journeys.chat_session.limits import MAX_UNFOLDED_BYTES, MIB, Limits
from journeys.chat_session.messages import InitializeChatSession, UpdateChatContext
from journeys.chat_session.rules import Applied, Change, Draft, decide
from journeys.errors import JourneyError
from journeys.messages import parse
from tests.support.documents import documents, items, objects, texts, thoroughly

NOW = datetime(2026, 1, 27, 10, 5, 12, tzinfo=UTC)


def a_draft(context: dict[str, Any] | None = None, *, session: str = "a", revision: int = 3) -> Draft:
    created = parse(
        InitializeChatSession, {"tenant_id": "acme", "user_id": "ada", "requested_at": "2026-01-27T10:05:12Z"}
    ).session(NOW)
    context = context or {}
    return Draft.of(
        created.model_copy(
            update={
                "chat_session_id": session_id(session),
                "context": context,
                "context_hash": canonical_hash(context),
                "revision": revision,
            }
        )
    )


# The worker's cache.


def test_a_cached_session_is_found_by_revision_and_hash_only() -> None:
    cache, draft = SessionCache(), a_draft({"a": 1})
    session = draft.session
    cache.put(draft)
    assert cache.get(session.chat_session_id, 3, session.context_hash) is draft
    assert cache.get(session.chat_session_id, 2, session.context_hash) is None
    assert cache.get(session.chat_session_id, 4, session.context_hash) is None
    assert cache.get(session.chat_session_id, 3, canonical_hash({"a": True})) is None
    assert cache.get(session_id("b"), 3, session.context_hash) is None


@pytest.mark.parametrize(("revision", "context_hash"), [(None, None), (3, None), (None, canonical_hash({}))])
def test_what_knows_no_revision_or_no_hash_is_a_miss(revision: int | None, context_hash: str | None) -> None:
    """Somebody has edited the database, or the workflow has loaded nothing yet."""
    cache, draft = SessionCache(), a_draft()
    cache.put(draft)
    assert cache.get(draft.session.chat_session_id, revision, context_hash) is None


def test_a_session_is_cached_once_and_can_be_forgotten() -> None:
    cache, old, new = SessionCache(), a_draft(revision=3), a_draft(revision=4)
    cache.put(old)
    cache.put(new)
    session = new.session
    assert cache.get(session.chat_session_id, 3, session.context_hash) is None
    assert cache.get(session.chat_session_id, 4, session.context_hash) is new
    for _ in range(2):
        cache.forget(session.chat_session_id)
        assert cache.get(session.chat_session_id, 4, session.context_hash) is None


def test_the_cache_is_bounded_and_drops_what_was_not_used_for_longest() -> None:
    cache = SessionCache()
    drafts = [a_draft({"a": "x" * (MIB // 8 - 100), "n": number}, session=str(number)) for number in range(20)]

    def held(draft: Draft) -> bool:
        session = draft.session
        found = cache.get(session.chat_session_id, session.revision, session.context_hash)
        return found is not None and found.session == session

    for draft in drafts:
        cache.put(draft)
        assert held(drafts[0]), "it is used again and again"
    assert 10 < sum(map(held, drafts)) <= 16
    assert held(drafts[-1])
    for draft in drafts:
        cache.forget(draft.session.chat_session_id)
    small = [a_draft(session=f"small {number}") for number in range(1200)]
    for draft in small:
        cache.put(draft)
    assert [held(draft) for draft in small] == [False] * 200 + [True] * 1000


@given(st.dictionaries(texts, documents, max_size=4))
@thoroughly()
def test_a_session_that_was_not_used_for_long_is_still_the_same(context: dict[str, Any]) -> None:
    cache, draft = SessionCache(), a_draft(context)
    cache.put(draft)
    for number in range(64):
        cache.put(a_draft(session=f"other {number}"))
    found = cache.get(draft.session.chat_session_id, draft.session.revision, draft.session.context_hash)
    assert found is not None
    assert found is not draft
    assert (found.session, found.fold_length) == (draft.session, draft.fold_length)
    assert found.canonical.encode() == draft.canonical.encode()


# The workflow's copy.


def test_a_copy_is_read_only_if_it_has_the_stores_hash() -> None:
    copy = FoldedContext({"a": 1}, canonical_hash({"a": 1}))
    assert copy.read(canonical_hash({"a": 1})) == {"a": 1}
    assert copy.read(canonical_hash({"a": 2})) is None
    copy.add_all([b'{"tenant_id":"acme","context":{"a":2}}'])
    assert copy.read(canonical_hash({"a": 1})) is None
    assert copy.read(canonical_hash({"a": 2})) == {"a": 2}
    assert copy.read(canonical_hash({"a": True})) is None


@pytest.mark.parametrize("stale", [{"a": 2}, {}])
def test_a_copy_that_is_not_what_the_stores_hold_is_found_out(stale: dict[str, Any]) -> None:
    """The copy came with the stores' hash; a change that is folded onto the copy shows that it was wrong."""
    copy = FoldedContext(stale, canonical_hash({"a": 1}))
    copy.add_all([b'{"tenant_id":"acme","context":{"b":1}}'])
    assert copy.read(canonical_hash({"a": 1, "b": 1})) is None


def test_no_more_waits_unfolded_than_a_task_can_fold() -> None:
    copy = FoldedContext({}, canonical_hash({}))
    size = 20_000
    for number in range(12):
        copy.add_all([json.dumps({"tenant_id": "acme", "append": {"list": [str(number) + "x" * size]}}).encode()])
        assert copy._unfolded_bytes <= MAX_UNFOLDED_BYTES
        assert sum(map(len, copy._unfolded)) == copy._unfolded_bytes
    expected = {"list": [str(number) + "x" * size for number in range(12)]}
    assert copy.read(canonical_hash(expected)) == expected


_requests = st.fixed_dictionaries(
    {"tenant_id": st.just("acme")},
    optional={
        "context": objects | st.none(),
        "append": st.dictionaries(st.sampled_from(["a", "list"]), st.lists(items, max_size=2), max_size=2) | st.none(),
        "active_agent": st.sampled_from(["guide", "liaison_health"]),
        "merge_strategy": st.sampled_from(["merge", "replace", None]),
        "base_revision": st.just(3),
        "author": st.just("guide"),
        "returning": st.just("receipt"),
    },
)


@thoroughly(150)
@given(objects, st.lists(_requests, max_size=5))
def test_a_copy_follows_the_decisions_to_the_byte(context: dict[str, Any], sent: list[dict[str, Any]]) -> None:
    draft = a_draft(context)
    copy = FoldedContext(context, draft.session.context_hash)
    for number, asked in enumerate(sent):
        raw = asked | ({"base_revision": draft.session.revision} if "base_revision" in asked else {})
        try:
            request = parse(UpdateChatContext, raw)
        except JourneyError:
            continue
        decision = decide(draft, Change.of(request, key=str(number), identity=str(number)), {}, Limits(), NOW)
        if isinstance(decision, Applied):
            draft = decision.draft
            copy.add_all([json.dumps(raw).encode()])
    read = copy.read(draft.session.context_hash)
    assert read is not None
    assert canonical(read) == canonical(draft.session.context) == draft.canonical.encode()
    assert draft.canonical.size == len(draft.canonical.encode())
