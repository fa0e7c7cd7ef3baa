"""The parts of a change of a session's context and transcript, as the client takes them."""

from collections.abc import Mapping, Sequence
from typing import Literal, Required, TypedDict

from pydantic import JsonValue


class ContextChange(TypedDict, total=False):
    """A change of a session's context.

    Attributes:
        tenant_id: The tenant that the session belongs to.
        user_id: The user that the session belongs to; None if a service acts for the tenant.
        context: A JSON Merge Patch (RFC 7396): deep merge, None removes a key, arrays are replaced.
        append: Items to add to the end of top-level arrays. An item replaces the item that has the same string `id`.
        messages: Messages to add to the transcript, each with members of your own. A message replaces the one that has
            the same `id`. `role` says whose message it is; a user's messages have the role `user`.
        remove_messages: IDs of messages to remove from the transcript, before `messages` are added.
        active_agent: The agent that leads from now on: `guide` or `liaison_<pillar>`.
        turn: Ask the agent that then leads to act; it must be one that takes turns.
        merge_strategy: `replace` applies `context` to an empty context. It needs the current `base_revision`.
        base_revision: The revision that the change was written against.
        idempotency_key: Identifies the change: it is applied once, however often it is sent under this key.
        author: Who makes the change; kept in the ledger.
    """

    tenant_id: Required[str]
    user_id: str | None
    context: Mapping[str, JsonValue] | None
    append: Mapping[str, Sequence[JsonValue]] | None
    messages: Sequence[Mapping[str, JsonValue]] | None
    remove_messages: Sequence[str] | None
    active_agent: str | None
    turn: bool
    merge_strategy: Literal["merge", "replace"]
    base_revision: int | None
    idempotency_key: str | None
    author: str | None
