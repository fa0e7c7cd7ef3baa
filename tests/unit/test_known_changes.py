"""A change in the ledger is answered again to the message that made it, and is a duplicate for every other message."""

from typing import Any

import pytest

from journeys.canonical_json import canonical_hash
from journeys.chat_session.rules import Known, as_known
from tests.support.decided_messages import Story, applied, code_and_field, duplicate


def test_the_same_key_with_the_same_change_is_a_duplicate() -> None:
    story = Story()
    first = applied(story.tell(context={"a": 1}, idempotency_key="k"))
    again = duplicate(story.tell(context={"a": 1}, idempotency_key="k"))
    assert again == as_known(first.entry)
    assert again.revision == first.entry.revision == 1
    assert again.idempotency_key == "k"
    assert again.context_hash == canonical_hash({"a": 1})
    assert again.message == "run/message 1"
    assert story.session.revision == 1


@pytest.mark.parametrize(
    "other",
    [
        {"context": {"a": 2}},
        {"context": {"a": True}},
        {"context": None},
        {"append": {"a": []}},
        {"active_agent": "guide"},
        {"merge_strategy": "replace", "base_revision": 1},
    ],
)
def test_the_same_key_with_another_change_is_a_conflict(other: dict[str, Any]) -> None:
    story = Story()
    applied(story.tell(context={"a": 1}, idempotency_key="k"))
    asked = {"context": {"a": 1}, "idempotency_key": "k"} | other
    assert code_and_field(story.tell(**asked)) == ("IDEMPOTENCY_CONFLICT", "idempotency_key")
    assert story.session.revision == 1


@pytest.mark.parametrize(
    "other",
    [
        {"base_revision": 0},
        {"base_revision": 1},
        {"base_revision": 99},
        {"author": "somebody else"},
        {"returning": "receipt"},
        {"user_id": None},
        {"context": {"a": 1.0}},
    ],
)
def test_base_author_and_returning_do_not_count(other: dict[str, Any]) -> None:
    story = Story()
    applied(story.tell(context={"a": 1}, idempotency_key="k", author="ada"))
    asked = {"context": {"a": 1}, "idempotency_key": "k", "author": "ada"} | other
    duplicate(story.tell(**asked))


def test_the_same_content_by_the_same_author_on_the_same_base_is_one_change() -> None:
    story = Story()
    applied(story.tell(append={"messages": ["Hello"]}, base_revision=0, author="ada"))
    duplicate(story.tell(append={"messages": ["Hello"]}, base_revision=0, author="ada"))
    for author in ("guide", None):
        other = story.tell(append={"messages": ["Hello"]}, base_revision=0, author=author)
        assert code_and_field(other) == ("REVISION_CONFLICT", "base_revision")
    applied(story.tell(append={"messages": ["Hello"]}, base_revision=1))
    assert story.session.context == {"messages": ["Hello", "Hello"]}


def test_the_same_message_delivered_twice_is_one_change() -> None:
    story = Story()
    first = applied(story.tell(append={"messages": ["Hello"]}, message="update 1"))
    applied(story.tell(context={"topic": "sleep"}))
    again = story.tell(append={"messages": ["Hello"]}, message="update 1", run="the next run")
    assert duplicate(again) == as_known(first.entry)
    applied(story.tell(append={"messages": ["Hello"]}, message="update 2"))


@pytest.mark.parametrize("keyed", [{}, {"idempotency_key": "k"}, {"base_revision": 0}], ids="-".join)
def test_the_message_that_made_a_change_is_told_so_again_and_is_no_duplicate(keyed: dict[str, Any]) -> None:
    """A worker may die after it has stored a change and before it could say so."""
    story = Story()
    first = applied(story.tell(context={"a": 1}, message="update 1", **keyed))
    assert first.entry.message == "run/update 1"
    applied(story.tell(context={"a": 2}))
    told = story.tell(context={"a": 1}, message="update 1", **keyed)
    assert told == Known(as_known(first.entry), duplicate=False)
    assert story.session.context == {"a": 2}


@pytest.mark.parametrize(
    ("first", "second"),
    [({}, {}), ({"idempotency_key": "k"}, {}), ({"idempotency_key": "k"}, {"idempotency_key": "l"})],
    ids=["no keys", "one key", "two keys"],
)
def test_a_known_message_with_another_change_is_judged_as_a_new_one(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    """As if a sender reused an update ID: its new change is neither taken for the old one nor lost."""
    story = Story()
    applied(story.tell(context={"a": 1}, message="update 1", **first))
    other = applied(story.tell(context={"a": 2}, message="update 1", **second))
    assert (other.entry.revision, other.entry.message) == (2, "run/update 1")
    assert story.session.context == {"a": 2}
    again = story.tell(context={"a": 2}, message="update 1", **second)
    assert again == Known(as_known(other.entry), duplicate=False)


@pytest.mark.parametrize("message", ["update 1", "update 2"])
def test_a_known_key_with_another_change_is_a_conflict_for_the_message_that_used_it_too(message: str) -> None:
    story = Story()
    applied(story.tell(context={"a": 1}, message="update 1", idempotency_key="k"))
    other = story.tell(context={"a": 2}, message=message, idempotency_key="k")
    assert code_and_field(other) == ("IDEMPOTENCY_CONFLICT", "idempotency_key")
    assert story.session.context == {"a": 1}


def test_a_change_that_no_message_made_is_a_duplicate_for_all() -> None:
    story = Story()
    first = applied(story.tell(context={"a": 1}, idempotency_key="k"))
    story.known["k"] = as_known(first.entry.model_copy(update={"message": None}))
    assert duplicate(story.tell(context={"a": 1}, idempotency_key="k")).message is None


def test_toggling_there_and_back_and_there_again_is_three_changes() -> None:
    for based in (False, True):
        story = Story()
        for revision, agent in enumerate(["liaison_health", "guide", "liaison_health"]):
            base: dict[str, Any] = {"base_revision": revision} if based else {}
            assert applied(story.tell(active_agent=agent, **base)).draft.session.active_agent == agent
        assert story.session.revision == 3
        assert len(story.known) == 3
