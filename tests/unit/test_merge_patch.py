"""A patch changes what it names and nothing else, and what one writer appends no other overwrites."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from journeys.canonical_json import canonical
from journeys.errors import InvalidParameter
from journeys.merge_patch import append_items, merge_patch
from tests.support.documents import documents, items, objects, thoroughly

# RFC 7396 appendix A: the original, the patch, the result.
RFC_7396 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]

anything = objects | documents
lists = st.lists(items, max_size=5)


def same(one: Any, other: Any) -> bool:
    return canonical(one) == canonical(other)


def has_null_members(document: Any) -> bool:
    """Whether objects, not counting those inside arrays, have members that are null."""
    return isinstance(document, dict) and any(value is None or has_null_members(value) for value in document.values())


# Merge.


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396)
def test_the_examples_of_rfc_7396(target: Any, patch: Any, result: Any) -> None:
    assert same(merge_patch(target, patch), result)


def test_the_example_of_rfc_7396_section_3() -> None:
    target: Any = {
        "title": "Goodbye!",
        "author": {"givenName": "John", "familyName": "Doe"},
        "tags": ["example", "sample"],
        "content": "This will be unchanged",
    }
    patch: Any = {
        "title": "Hello!",
        "phoneNumber": "+01-123-456-7890",
        "author": {"familyName": None},
        "tags": ["example"],
    }
    assert merge_patch(target, patch) == {
        "title": "Hello!",
        "author": {"givenName": "John"},
        "tags": ["example"],
        "content": "This will be unchanged",
        "phoneNumber": "+01-123-456-7890",
    }


@thoroughly()
@given(anything, anything)
def test_a_patch_applied_twice_is_applied_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert same(merge_patch(once, patch), once)


@thoroughly()
@given(anything, anything)
def test_neither_the_document_nor_the_patch_is_changed(target: Any, patch: Any) -> None:
    before, asked = deepcopy(target), deepcopy(patch)
    merge_patch(target, patch)
    assert same(target, before)
    assert same(patch, asked)


@thoroughly()
@given(objects, objects)
@example({"a": 1}, {"a": None})
def test_null_removes_a_key_and_what_is_not_named_stays(target: dict[str, Any], patch: dict[str, Any]) -> None:
    result: Any = merge_patch(target, patch)
    assert set(result) == {key for key in {*target, *patch} if patch.get(key, ...) is not None}
    for key in set(target) - set(patch):
        assert same(result[key], target[key])
    for key, value in patch.items():
        if value is not None:
            assert same(result[key], merge_patch(target.get(key), value))


@thoroughly()
@given(objects)
def test_a_patch_of_nothing_leaves_no_null_but_in_arrays(patch: dict[str, Any]) -> None:
    assert not has_null_members(merge_patch({}, patch))


@thoroughly()
@given(objects, objects)
def test_an_empty_patch_changes_nothing(target: dict[str, Any], other: dict[str, Any]) -> None:
    assert same(merge_patch(target, {}), target)
    assert same(merge_patch(target, dict.fromkeys(set(other) - set(target))), target)


@thoroughly()
@given(objects, objects, objects)
def test_patches_of_different_keys_can_come_in_either_order(
    target: dict[str, Any], one: dict[str, Any], other: dict[str, Any]
) -> None:
    one = {key: value for key, value in one.items() if key not in other}
    assert same(merge_patch(merge_patch(target, one), other), merge_patch(merge_patch(target, other), one))


def test_a_key_inside_an_object_is_changed_without_its_neighbours() -> None:
    target: Any = {"mood": {"level": 2, "since": "May"}, "topic": "sleep"}
    assert merge_patch(target, {"mood": {"level": 3}}) == {"mood": {"level": 3, "since": "May"}, "topic": "sleep"}


def test_an_array_is_replaced_whole_with_its_nulls() -> None:
    patch: Any = {"list": [None, {"a": None}]}
    assert json.dumps(merge_patch({"list": [1, 2, 3]}, patch)) == '{"list": [null, {"a": null}]}'


# Append.


@thoroughly()
@given(objects, lists)
def test_an_appended_list_stands_once_however_often_it_is_sent(document: dict[str, Any], sent: list[Any]) -> None:
    named = [item for item in sent if isinstance(item, dict) and isinstance(item.get("id"), str)]
    document = document | {"messages": [1, {"id": 2}]}
    once = append_items(document, {"messages": named})
    assert same(append_items(once, {"messages": named}), once)


@thoroughly()
@given(lists, lists)
def test_appending_changes_neither_the_document_nor_the_items(array: list[Any], sent: list[Any]) -> None:
    document: Any = {"messages": array, "other": {"kept": [1]}}
    before, asked = deepcopy(document), deepcopy(sent)
    append_items(document, {"messages": sent, "new": sent})
    assert same(document, before)
    assert same(sent, asked)


@thoroughly()
@given(lists, lists, lists)
def test_different_messages_of_two_writers_all_survive_in_either_order(
    array: list[Any], ours: list[Any], theirs: list[Any]
) -> None:
    ours = [{"id": f"ours-{number}", "text": item} for number, item in enumerate(ours)]
    theirs = [{"id": f"theirs-{number}", "text": item} for number, item in enumerate(theirs)]
    for first, second in ((ours, theirs), (theirs, ours)):
        document = append_items({"messages": array}, {"messages": first})
        assert same(append_items(document, {"messages": second})["messages"], array + first + second)


@thoroughly()
@given(lists)
def test_what_has_no_text_for_an_id_is_added_each_time(sent: list[Any]) -> None:
    nameless = [item for item in sent if not (isinstance(item, dict) and isinstance(item.get("id"), str))]
    assert same(append_items({"a": nameless}, {"a": nameless})["a"], nameless + nameless)


@thoroughly()
@given(lists, lists)
def test_the_last_of_a_list_wins_in_the_place_of_the_first(array: list[Any], sent: list[Any]) -> None:
    result: Any = append_items({"messages": array}, {"messages": sent})["messages"]
    for name in ("m1", "m2", "m3"):
        before = [place for place, item in enumerate(array) if isinstance(item, dict) and item.get("id") == name]
        wins = [item for item in sent if isinstance(item, dict) and item.get("id") == name]
        after = [place for place, item in enumerate(result) if isinstance(item, dict) and item.get("id") == name]
        if before:
            assert after == before
        else:
            assert len(after) == min(len(wins), 1)
        if wins:
            assert same(result[after[0]], wins[-1])


def test_a_message_sent_again_replaces_the_first_of_its_id_whole() -> None:
    document: Any = {"messages": [{"id": "m1", "text": "old", "seen": True}, 7, {"id": "m1", "text": "later"}]}
    result = append_items(document, {"messages": [{"id": "m1", "text": "new"}]})
    assert result == {"messages": [{"id": "m1", "text": "new"}, 7, {"id": "m1", "text": "later"}]}


def test_within_one_list_the_last_wins() -> None:
    sent: Any = [{"id": "m1", "n": 1}, {"id": "m2"}, {"id": "m1", "n": 3}]
    assert append_items({}, {"messages": sent}) == {"messages": [{"id": "m1", "n": 3}, {"id": "m2"}]}


def test_an_empty_text_is_an_id_and_a_number_is_none() -> None:
    sent: Any = [{"id": ""}, {"id": ""}, {"id": 1}, {"id": 1}, {"id": None}, {"id": None}, {"id": ["x"]}, {"id": ["x"]}]
    assert append_items({}, {"a": sent}) == {"a": [{"id": ""}, *sent[2:]]}


def test_an_array_that_is_not_there_is_created() -> None:
    assert append_items({"a": 1}, {"messages": ["x"], "events": []}) == {"a": 1, "messages": ["x"], "events": []}


def test_several_arrays_grow_at_once() -> None:
    assert append_items({"a": [1], "b": [1]}, {"a": [2], "b": [3]}) == {"a": [1, 2], "b": [1, 3]}


@pytest.mark.parametrize("value", [None, {}, {"id": "m1"}, "text", 0, 1.5, True])
def test_any_other_value_in_the_place_of_the_array_is_refused(value: Any) -> None:
    document = {"messages": value, "events": []}
    with pytest.raises(InvalidParameter, match=r"^INVALID_PARAMETER: append: ") as refused:
        append_items(document, {"events": [1], "messages": [{"id": "m1"}]})
    assert refused.value.field == "append"
    assert same(document, {"messages": value, "events": []})


def test_nulls_inside_items_are_kept() -> None:
    sent: Any = [None, {"id": "m1", "reply_to": None, "deep": {"x": None}}, [None]]
    result = append_items({"messages": [{"id": "m1", "reply_to": "m0", "text": "gone"}]}, {"messages": sent})
    assert json.dumps(result) == ('{"messages": [{"id": "m1", "reply_to": null, "deep": {"x": null}}, null, [null]]}')
