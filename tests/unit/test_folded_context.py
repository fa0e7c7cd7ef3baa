"""A workflow's copy of a context is folded from the accepted changes, and is read only if it has the stores' hash."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.canonical_json import canonical, canonical_hash
from journeys.chat_session.folding import FoldedContext
from journeys.chat_session.limits import MAX_UNFOLDED_BYTES, Limits
from journeys.chat_session.messages import UpdateChatContext
from journeys.chat_session.rules import Applied, Change, Draft, decide
from journeys.errors import JourneyError
from journeys.messages import parse
from tests.support.decided_messages import NOW, a_session
from tests.support.documents import items, objects, thoroughly


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
    draft = Draft.of(a_session(context))
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
