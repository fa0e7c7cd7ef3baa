"""A worker's cache of sessions is checked before a cached session is taken for the stored one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.chat_session_cache import SessionCache
from journeys.canonical_json import canonical_hash
from journeys.chat_session.keys import session_id
from journeys.chat_session.limits import MIB
from journeys.chat_session.rules import Draft
from tests.support.decided_messages import a_session
from tests.support.documents import documents, texts, thoroughly


def a_draft(context: Any = None, *, session: str = "a", revision: int = 3) -> Draft:
    return Draft.of(a_session(context, chat_session_id=session_id(session), revision=revision))


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
