"""A session's states, computed from its ledger by rules of the checker's own instead of the journey's."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pydantic import JsonValue

from journeys.canonical_json import canonical_hash
from journeys.chat_session.session import LedgerEntry
from tests.chaos.evidence import Opening
from tests.chaos.findings import State


def replay(opening: Opening, ledger: Iterable[LedgerEntry]) -> list[State]:
    """The session at revision 0 and after each entry of its ledger, as the contract's rules make it."""
    states = [
        State(
            active_agent=opening.active_agent,
            context=opening.context,
            context_hash=canonical_hash(opening.context),
            title=None,
            lifecycle_state="ACTIVE",
            user_id=opening.user_id,
        )
    ]
    for entry in ledger:
        after = _edited if is_edit(entry.change) else _changed
        states.append(after(states[-1], entry.change))
    return states


def is_edit(change: Mapping[str, JsonValue]) -> bool:
    """Whether a change is one of `update_chat_session`: it has only the members that were sent."""
    return "merge_strategy" not in change


def _edited(state: State, change: Mapping[str, JsonValue]) -> State:
    title, lifecycle_state, user_id = (change.get(name) for name in ("title", "lifecycle_state", "new_user_id"))
    return replace(
        state,
        title=state.title if title is None else str(title) or None,
        lifecycle_state=str(lifecycle_state or state.lifecycle_state),
        user_id=str(user_id or state.user_id),
    )


def _changed(state: State, change: Mapping[str, JsonValue]) -> State:
    agent = str(change.get("active_agent") or state.active_agent)
    if change["merge_strategy"] == "merge" and not change["context"] and not change["append"]:
        return replace(state, active_agent=agent)
    before: JsonValue = {} if change["merge_strategy"] == "replace" else state.context
    context = before if change["context"] is None else _merged(before, change["context"])
    assert isinstance(context, dict)
    additions = change["append"] or {}
    assert isinstance(additions, dict)
    for name, items in additions.items():
        array = context.get(name, [])
        assert isinstance(array, list)
        assert isinstance(items, list)
        context = {**context, name: _appended(array, items)}
    return replace(state, active_agent=agent, context=context, context_hash=canonical_hash(context))


def _merged(target: JsonValue, patch: JsonValue) -> JsonValue:
    if not isinstance(patch, dict):
        return patch
    members = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        members[name] = _merged(members.get(name), value)
        if value is None:
            del members[name]
    return members


def _appended(array: list[JsonValue], items: list[JsonValue]) -> list[JsonValue]:
    array = list(array)
    for item in items:
        name = _name(item)
        place = next((place for place, each in enumerate(array) if name is not None and _name(each) == name), None)
        if place is None:
            array.append(item)
        else:
            array[place] = item
    return array


def _name(item: JsonValue) -> str | None:
    name = item.get("id") if isinstance(item, dict) else None
    return name if isinstance(name, str) else None
