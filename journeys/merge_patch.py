"""Apply a change to a JSON document: merge, then append.

No document is changed in place, so the result shares its unchanged parts with the document before.
"""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from journeys.errors import InvalidParameter


def merge_patch(target: JsonValue, patch: JsonValue) -> JsonValue:
    """Apply a JSON Merge Patch (RFC 7396 section 2): deep merge, null removes a key, arrays are replaced.

    Args:
        target: The document before.
        patch: The change; a patch that is not an object replaces the target.

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
    """Add items to the end of top-level arrays, so that two writers do not overwrite each other's items.

    A missing array is created. If an item has a string `id` that the array already has, the item replaces the first
    item with this `id`, so a message that is sent twice is there once. If the new items share an `id`, the last wins.

    Args:
        document: The document before.
        additions: The new items, by the top-level key of their array.

    Returns:
        The document after.

    Raises:
        InvalidParameter: The document holds something other than an array under one of the keys.
    """
    appended = dict(document)
    for key, items in additions.items():
        array = appended.get(key, [])
        if not isinstance(array, list):
            raise InvalidParameter(
                "append: the context holds something other than an array under one of these keys", field="append"
            )
        appended[key] = _append_or_replace(array, items)
    return appended


def _append_or_replace(array: list[JsonValue], items: Sequence[JsonValue]) -> list[JsonValue]:
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
