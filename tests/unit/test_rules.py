"""Changes are decided on one by one, in one order, and only one that is applied leaves a trace."""

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.canonical_json import canonical, canonical_hash
from journeys.chat_session.limits import Limits
from journeys.chat_session.rules import Applied, Known, as_known
from journeys.errors import InvalidParameter
from tests.support.decided_messages import LIMITS, NOW, Story, a_session, applied, code_and_field, duplicate, refusal
from tests.support.documents import objects, thoroughly

# The order of the rules.

# Faults of a change, in the order in which the rules check them, each with the code and field of its refusal.
WRONGS: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"user_id": "eve"}, ("SESSION_NOT_FOUND", "")),
    ({"idempotency_key": "used"}, ("IDEMPOTENCY_CONFLICT", "idempotency_key")),
    ({"base_revision": 99}, ("REVISION_CONFLICT", "base_revision")),
    ({"append": {"topic": ["x"]}}, ("INVALID_PARAMETER", "append")),
    ({"context": {"large": "x" * 200}}, ("CONTEXT_TOO_LARGE", "context")),
]


def a_crowded_session() -> Story:
    """A session near its limit, with a change in its ledger under the key `used`."""
    story = Story(session=a_session({"topic": "sleep"}), limits=Limits(context_bytes=100))
    applied(story.tell(active_agent="liaison_health", idempotency_key="used"))
    return story


@pytest.mark.parametrize("first", range(len(WRONGS)), ids=[expected[0] for _, expected in WRONGS])
def test_of_all_that_is_wrong_the_first_is_told(first: int) -> None:
    story = a_crowded_session()
    asked: dict[str, Any] = {}
    for wrong, _ in WRONGS[first:]:
        asked |= wrong
    assert code_and_field(story.tell(**asked)) == WRONGS[first][1]


@pytest.mark.parametrize(("wrong", "expected"), WRONGS, ids=[expected[0] for _, expected in WRONGS])
def test_each_wrong_alone_is_told_as_well(wrong: dict[str, Any], expected: tuple[str, str]) -> None:
    assert code_and_field(a_crowded_session().tell(**wrong)) == expected


def test_a_tenant_learns_nothing_of_anothers_keys() -> None:
    story = a_crowded_session()
    assert code_and_field(story.tell(tenant_id="globex", idempotency_key="used")) == ("SESSION_NOT_FOUND", "")
    same = story.tell(tenant_id="globex", idempotency_key="used", active_agent="liaison_health")
    assert code_and_field(same) == ("SESSION_NOT_FOUND", "")
    other = story.tell(user_id="eve", idempotency_key="used", active_agent="liaison_health")
    assert code_and_field(other) == ("SESSION_NOT_FOUND", "")
    assert str(refusal(same)) == str(refusal(other)) == str(refusal(story.tell(user_id="nobody")))


@pytest.mark.parametrize("user_id", ["Ada", "ada ", "a"])
def test_only_the_sessions_own_user_or_a_service_of_the_tenant_may_change_it(user_id: str) -> None:
    story = Story()
    assert code_and_field(story.tell(user_id=user_id, active_agent="liaison_health")) == ("SESSION_NOT_FOUND", "")
    applied(story.tell(user_id=None, active_agent="liaison_health"))
    assert code_and_field(story.tell(tenant_id="globex", user_id=None, active_agent="guide"))[0] == "SESSION_NOT_FOUND"


def test_a_message_that_was_applied_is_told_so_although_the_session_was_given_away() -> None:
    story = Story()
    first = applied(story.tell(message="m", active_agent="liaison_health"))
    story.session = story.session.model_copy(update={"user_id": "bob"})
    again = story.tell(message="m", active_agent="liaison_health")
    assert again == Known(as_known(first.entry), duplicate=False)
    for other in ({"run": "another"}, {"tenant_id": "globex"}, {"active_agent": "guide"}):
        same: dict[str, Any] = {"message": "m", "active_agent": "liaison_health"}
        assert code_and_field(story.tell(**same | other)) == ("SESSION_NOT_FOUND", "")


def test_a_duplicate_is_one_whatever_could_be_said_against_it_now() -> None:
    story = Story(session=a_session({"topic": "sleep"}))
    change: dict[str, Any] = {"context": {"log": "x" * 50}, "append": {"events": [1]}, "idempotency_key": "k"}
    first = applied(story.tell(**change, base_revision=0))
    applied(story.tell(context={"events": "no array any more"}))
    story.limits = Limits(context_bytes=20, change_bytes=20)
    for base in (None, 0, 1, 99):
        known = duplicate(story.tell(**change, base_revision=base))
        assert known == as_known(first.entry)
        assert known.revision == 1
    replacing: dict[str, Any] = {"context": {"b": 1}, "merge_strategy": "replace"}
    story.limits = LIMITS
    applied(story.tell(**replacing, base_revision=2, idempotency_key="r"))
    duplicate(story.tell(**replacing, base_revision=2, idempotency_key="r"))


def test_a_key_is_looked_up_before_the_state_and_the_state_before_the_base() -> None:
    story = Story()
    first = applied(story.tell(context={"a": 1}, idempotency_key="k"))
    story.session = story.session.model_copy(update={"lifecycle_state": "ARCHIVED"})
    assert duplicate(story.tell(context={"a": 1}, idempotency_key="k")) == as_known(first.entry)
    assert code_and_field(story.tell(context={"a": 2}, idempotency_key="k"))[0] == "IDEMPOTENCY_CONFLICT"
    assert code_and_field(story.tell(context={"a": 2}, base_revision=99))[0] == "SESSION_NOT_ACTIVE"
    assert code_and_field(story.tell(messages=[{}], tenant_id="globex"))[0] == "SESSION_NOT_FOUND"


def test_messages_are_judged_after_the_context_and_before_its_size() -> None:
    story = Story(session=a_session({"topic": "sleep"}), limits=Limits(context_bytes=30, change_bytes=1000))
    large: dict[str, Any] = {"context": {"large": "x" * 99}, "messages": [{"role": "assistant"}]}
    assert code_and_field(story.tell(append={"topic": [1]}, messages=[{"role": "assistant"}])) == (
        "INVALID_PARAMETER",
        "append",
    )
    assert code_and_field(story.tell(**large)) == ("INVALID_PARAMETER", "messages")
    assert code_and_field(story.tell(**large, base_revision=99))[0] == "REVISION_CONFLICT"
    assert code_and_field(story.tell(**large | {"messages": [{}]}))[0] == "CONTEXT_TOO_LARGE"


def test_the_base_is_checked_before_the_change_is_tried() -> None:
    story = Story(session=a_session({"topic": "sleep"}))
    assert code_and_field(story.tell(append={"topic": [1]}, base_revision=1))[0] == "REVISION_CONFLICT"


def test_a_change_that_changes_nothing_is_no_larger_than_what_is_there() -> None:
    story = Story(session=a_session({"large": "x" * 200}), limits=Limits(context_bytes=100))
    applied(story.tell(context={"large": "x" * 200}))
    applied(story.tell())


# The base.


KINDS: list[dict[str, Any]] = [
    {"context": {"b": 1}},
    {"context": {"b": 1}, "merge_strategy": "replace"},
    {"append": {"list": [1]}},
    {"active_agent": "liaison_health"},
    {},
]


@pytest.mark.parametrize("asked", KINDS, ids="-".join)
@pytest.mark.parametrize("base", [0, 1, 2, 4, 5, 2**53 - 1])
def test_a_base_that_is_not_the_current_revision_conflicts_whatever_the_change(
    asked: dict[str, Any], base: int
) -> None:
    story = Story()
    for revision in range(3):
        applied(story.tell(context={f"key {revision}": revision}))
    conflict = refusal(story.tell(**asked, base_revision=base))
    assert (conflict.code, conflict.field) == ("REVISION_CONFLICT", "base_revision")
    assert " 3" in conflict.message, "it names the current revision"
    assert story.session.revision == 3
    assert applied(story.tell(**asked, base_revision=3)).entry.revision == 4


def test_a_known_key_is_judged_before_the_base() -> None:
    story = Story()
    applied(story.tell(context={"a": 1}, base_revision=0, idempotency_key="k"))
    duplicate(story.tell(context={"a": 1}, base_revision=0, idempotency_key="k"))
    conflict = story.tell(context={"a": 2}, base_revision=0, idempotency_key="k")
    assert code_and_field(conflict) == ("IDEMPOTENCY_CONFLICT", "idempotency_key")


def test_replacing_needs_a_base() -> None:
    story = Story(session=a_session({"a": 1}))
    asked: dict[str, Any] = {"context": {"b": 1}, "merge_strategy": "replace"}
    with pytest.raises(InvalidParameter) as refused:
        story.tell(**asked)
    assert refused.value.field == "base_revision"
    assert applied(story.tell(**asked, base_revision=0)).draft.session.context == {"b": 1}


# Replace or merge, then append, then agent.


def test_replacing_is_a_patch_of_nothing() -> None:
    story = Story(session=a_session({"a": 1, "b": {"c": 1}}))
    story.tell(context={"b": {"d": 1, "gone": None}, "e": None}, merge_strategy="replace", base_revision=0)
    assert story.session.context == {"b": {"d": 1}}


def test_items_are_appended_to_the_patched_context() -> None:
    story = Story(session=a_session({"messages": ["old"], "topic": "sleep"}))
    story.tell(context={"messages": None}, append={"messages": ["new"]})
    assert story.session.context == {"messages": ["new"], "topic": "sleep"}
    story.tell(context={"messages": ["replaced"]}, append={"messages": ["added"]})
    assert story.session.context == {"messages": ["replaced", "added"], "topic": "sleep"}
    story.tell(context={}, append={"messages": ["n"]}, merge_strategy="replace", base_revision=2)
    assert story.session.context == {"messages": ["n"]}
    refused = story.tell(context={"messages": "a text"}, append={"messages": ["n"]})
    assert code_and_field(refused) == ("INVALID_PARAMETER", "append")
    applied(story.tell(context={"messages": ["made an array"]}, append={"messages": ["n"]}))


@pytest.mark.parametrize("value", [None, {}, "text", 0, True])
def test_nothing_is_appended_to_what_is_no_array(value: Any) -> None:
    story = Story(session=a_session({"messages": value}))
    assert code_and_field(story.tell(append={"messages": []})) == ("INVALID_PARAMETER", "append")
    assert story.session.context == {"messages": value}


def test_two_writers_lose_nothing_of_each_other() -> None:
    story = Story()
    for base, writer in enumerate(["liaison_health", "liaison_work"]):
        for number in range(3):
            item = {"id": f"{writer}-{number}", "text": "Hello"}
            sent: dict[str, Any] = {"append": {"messages": [item]}, "author": writer, "message": item["id"]}
            applied(story.tell(**sent))
            duplicate(story.tell(**sent, run="the next run"))
        messages: Any = story.session.context["messages"]
        assert len(messages) == 3 * (base + 1)


def test_everything_at_once_is_one_revision() -> None:
    decision = applied(
        Story().tell(
            context={"topic": "sleep"},
            append={"messages": [{"id": "m1"}]},
            active_agent="liaison_health",
            author="guide",
            idempotency_key="k",
            message="update 1",
        )
    )
    context = {"topic": "sleep", "messages": [{"id": "m1"}]}
    assert decision.draft.session == a_session(context, active_agent="liaison_health", revision=1)
    assert decision.draft.canonical.encode() == canonical(context)
    entry = decision.entry
    assert entry.change == {
        "context": {"topic": "sleep"},
        "append": {"messages": [{"id": "m1"}]},
        "active_agent": "liaison_health",
        "merge_strategy": "merge",
    }
    assert entry.change_hash == canonical_hash(entry.change)
    assert (entry.revision, entry.idempotency_key, entry.author) == (1, "k", "guide")
    assert (entry.active_agent, entry.context_hash) == ("liaison_health", canonical_hash(context))
    assert entry.applied_at == decision.draft.session.updated_at == NOW
    assert entry.message == "run/update 1"


# What changes nothing.


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"context": {}},
        {"context": {"a": 1}},
        {"context": {"a": 1.0}},
        {"context": {"absent": None}},
        {"append": {}},
        {"append": {"list": []}},
        {"append": {"list": [{"id": "m1"}]}},
        {"active_agent": "guide"},
        {"author": "ada"},
        {"returning": "receipt"},
    ],
)
def test_what_changes_nothing_is_a_revision_all_the_same(asked: dict[str, Any]) -> None:
    """Without a row in the ledger, the change could not be found after a crash, and would be applied late."""
    stored = a_session({"a": 1, "list": [{"id": "m1"}]})
    story = Story(session=stored)
    telling: list[dict[str, Any]] = [{}, {"idempotency_key": "k"}, {"base_revision": 2}]
    for revision, told in enumerate(telling, start=1):
        decision = applied(story.tell(**asked, **told, message=f"update {revision}"))
        after = decision.draft.session
        assert after.revision == decision.entry.revision == revision
        assert after.context_hash == decision.entry.context_hash == stored.context_hash
        assert after.active_agent == stored.active_agent
        assert canonical(after.context) == canonical(stored.context)
        duplicate(story.tell(**asked, **told, message=f"update {revision}", run="the next run"))
    assert len(story.known) == 3


@pytest.mark.parametrize(("before", "after"), [(1, True), (True, 1), (0, False), (1.0, True), ([0], [False]), ("1", 1)])
def test_values_that_only_python_holds_for_equal_are_a_change(before: Any, after: Any) -> None:
    story = Story(session=a_session({"a": before}))
    decision = applied(story.tell(context={"a": after}))
    assert canonical(decision.draft.session.context) == canonical({"a": after})


def test_a_key_of_a_change_that_changed_nothing_is_still_used() -> None:
    story = Story()
    applied(story.tell(active_agent="guide", idempotency_key="k"))
    duplicate(story.tell(active_agent="guide", idempotency_key="k"))
    conflict = story.tell(active_agent="liaison_health", idempotency_key="k")
    assert code_and_field(conflict) == ("IDEMPOTENCY_CONFLICT", "idempotency_key")


# What an applied change leaves, and a refused one does not.

REFUSED: list[dict[str, Any]] = [
    {"tenant_id": "globex", "context": {"a": 2}, "idempotency_key": "new"},
    {"user_id": "eve", "context": {"a": 2}, "idempotency_key": "new"},
    {"context": {"a": 2}, "idempotency_key": "k"},
    {"context": {"a": 2}, "base_revision": 9, "idempotency_key": "new"},
    {"context": {}, "merge_strategy": "replace", "base_revision": 0, "idempotency_key": "new"},
    {"append": {"a": [1]}, "active_agent": "liaison_work", "idempotency_key": "new"},
    {"context": {"b": "x" * 500}, "active_agent": "liaison_work", "idempotency_key": "new"},
]


@pytest.mark.parametrize("asked", REFUSED, ids="-".join)
def test_a_refused_change_leaves_no_trace_for_those_after_it(asked: dict[str, Any]) -> None:
    story, untouched = (Story(limits=Limits(context_bytes=300)) for _ in range(2))
    for each in (story, untouched):
        applied(each.tell(context={"a": 1}, idempotency_key="k"))
    refusal(story.tell(**asked))
    assert story.session == untouched.session
    assert story.known == untouched.known
    after: dict[str, Any] = {"context": {"a": 3}, "base_revision": 1, "idempotency_key": "new", "message": "after"}
    one, other = (applied(each.tell(**after)) for each in (story, untouched))
    assert (one.entry, one.draft.session) == (other.entry, other.draft.session)


def test_a_revision_is_one_more_and_time_never_goes_back() -> None:
    story = Story(session=a_session(revision=41))
    times = [NOW, NOW + timedelta(seconds=5), NOW - timedelta(hours=1), NOW + timedelta(seconds=6)]
    seen = []
    for number, now in enumerate(times):
        story.now = now
        decision = applied(story.tell(context={"a": number}))
        after = decision.draft.session
        assert decision.entry.revision == after.revision == 42 + number
        assert decision.entry.applied_at == after.updated_at
        assert after.created_at == NOW
        seen.append(after.updated_at)
    assert seen == [times[0], times[1], times[1], times[3]]


changes = st.fixed_dictionaries(
    {},
    optional={
        "context": objects,
        "append": st.dictionaries(st.sampled_from(["a", "messages"]), st.lists(objects, max_size=2), max_size=2),
        "active_agent": st.sampled_from(["guide", "liaison_health"]),
        "base_revision": st.integers(0, 4),
        "idempotency_key": st.sampled_from(["k1", "k2", "k3"]),
        "user_id": st.sampled_from(["ada", "ada", "ada", "eve"]),
    },
)


@thoroughly(120)
@given(st.lists(changes, max_size=6))
def test_whatever_is_sent_the_ledger_tells_what_the_session_is(sent: list[dict[str, Any]]) -> None:
    story = Story(limits=Limits(context_bytes=120))
    ledger = []
    stood = set()
    for number, asked in enumerate(sent):
        before, copied, keys = story.session, deepcopy(story.session), dict(story.known)
        decision = story.tell(**asked, message=str(number))
        assert before == copied
        assert canonical(before.context) == canonical(copied.context)
        if isinstance(decision, Applied):
            stood.add(number)
            ledger.append(decision.entry)
            assert story.session.revision == before.revision + 1
            assert len(canonical(story.session.context)) <= 120
        else:
            assert story.session is before
            assert story.known == keys
    assert [entry.revision for entry in ledger] == list(range(1, len(ledger) + 1))
    assert story.session.context_hash == canonical_hash(story.session.context)
    for entry in ledger[-1:]:
        assert entry.active_agent == story.session.active_agent
        assert entry.context_hash == story.session.context_hash
    after = story.session
    for number, asked in enumerate(sent):  # all of it is delivered again, to this run and to the next
        if number in stood:
            decision = story.tell(**asked, message=str(number))
            assert isinstance(decision, Known)
            assert not decision.duplicate
            duplicate(story.tell(**asked, message=str(number), run="the next run"))
    assert story.session is after
