"""The tenants whose content a context holds: everything that callers send names its tenant."""

from collections.abc import Mapping

from pydantic import JsonValue

OWNER = "owner"


def owners(value: JsonValue | Mapping[str, JsonValue]) -> set[str]:
    """The tenants that a JSON value names as owners, at any depth."""
    if isinstance(value, Mapping):
        own = value.get(OWNER)
        found = {own} if isinstance(own, str) else set()
        return found.union(*(owners(each) for each in value.values()))
    if isinstance(value, list):
        return set().union(*(owners(each) for each in value))
    return set()
