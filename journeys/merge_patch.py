"""How a change meets a JSON document: merge, then append. Nothing is changed in place.

Unchanged parts of the result are the very objects of the target: a document is never mutated, so they are
safe to share.
"""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from journeys.errors import InvalidParameter


def merge_patch(target: JsonValue, patch: JsonValue) -> JsonValue:
    """Apply a JSON Merge Patch (RFC 7396 section 2): deep merge, null removes a key, arrays are replaced.

    Args:
        target: The document before.
        patch: The change; a patch that is no object replaces the target.

    Returns:
        The document after.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def append_items(document: dict[str, JsonValue], additions: Mapping[str, Sequence[JsonValue]]) -> dict[str, JsonValue]:
    """Add items to the end of top-level arrays, so that two writers add messages without overwriting each other.

    An array that is not there is created. An item with a string `id` that already stands in the array replaces
    the first such item whole, so a message that is sent twice stands once; within one list the last wins.

    Args:
        document: The document before.
        additions: Items by the array's top-level key.

    Returns:
        The document after.

    Raises:
        InvalidParameter: A key holds something other than an array.
    """
    appended = dict(document)
    for key, items in additions.items():
        array = appended.get(key, [])
        if not isinstance(array, list):
            raise InvalidParameter("append: a key named here holds something other than an array", field="append")
        appended[key] = _with_items(array, items)
    return appended


def _with_items(array: list[JsonValue], items: Sequence[JsonValue]) -> list[JsonValue]:
    extended = list(array)
    if all(_id_of(item) is None for item in items):
        return extended + list(items)
    places: dict[str, int] = {}
    for place, item in enumerate(extended):
        if (name := _id_of(item)) is not None:
            places.setdefault(name, place)
    for item in items:
        name = _id_of(item)
        if name is not None and name in places:
            extended[places[name]] = item
            continue
        if name is not None:
            places[name] = len(extended)
        extended.append(item)
    return extended


def _id_of(item: JsonValue) -> str | None:
    name = item.get("id") if isinstance(item, dict) else None
    return name if isinstance(name, str) else None
