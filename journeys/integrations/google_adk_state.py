"""The state of Google ADK in the contexts of chat sessions.

The state of a session is in its context. The state of an app, and the state of a user in an app, have chat sessions of
their own. The state is always in one member, so that it never touches other members of a context.

Each value is in an array of its own: a merge patch replaces an array as a whole, but merges an object into the earlier
one, and takes null for a removal. A value that PostgreSQL cannot store is kept as the text of its JSON instead.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from pydantic import JsonValue, ValidationError
from pydantic_core import to_jsonable_python

from journeys.chat_session.session import Context, Revision
from journeys.integrations.message_objects import can_be_stored
from journeys.messages import Record

MEMBER: Final = "google_adk"
"""The member of a context for the state, and of a message's body for an event."""

APP_PREFIX: Final = "app:"
USER_PREFIX: Final = "user:"
TEMP_PREFIX: Final = "temp:"
_PREFIXES: Final = (APP_PREFIX, USER_PREFIX, TEMP_PREFIX)


class AdkSession(Record):
    """ADK's session in a context. Without it, the chat session is none of ADK's.

    Attributes:
        after_revision: The revision that created the session. Events up to it are of an earlier session of this name,
            which was deleted.
        state: Its state, as `encode` writes it.
    """

    app_name: str
    session_id: str
    after_revision: Revision
    state: dict[str, JsonValue]

    @classmethod
    def of(cls, context: Context) -> Self | None:
        """ADK's session in a context, if there is one. Anyone who may change the context may have written it."""
        try:
            return cls.model_validate(context.get(MEMBER))
        except ValidationError:
            return None

    @property
    def own_state(self) -> dict[str, JsonValue]:
        """The state of this session only. A key with a prefix is another writer's, and would pass for shared state."""
        return {key: value for key, value in decode(self.state).items() if not key.startswith(_PREFIXES)}


@dataclass(frozen=True)
class StateChange:
    """A change of state, divided by scope; the keys have no prefixes.

    Attributes:
        session: For this session.
        user: For all sessions that the user has in the app.
        app: For all sessions of the app.
    """

    session: dict[str, JsonValue] = field(default_factory=dict)
    user: dict[str, JsonValue] = field(default_factory=dict)
    app: dict[str, JsonValue] = field(default_factory=dict)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """Divide ADK's state by scope. Temporary values are left out, and values that are not JSON become text."""
        change = cls()
        for key, value in to_jsonable_python(dict(state), serialize_unknown=True).items():
            if key.startswith(APP_PREFIX):
                change.app[key.removeprefix(APP_PREFIX)] = value
            elif key.startswith(USER_PREFIX):
                change.user[key.removeprefix(USER_PREFIX)] = value
            elif not key.startswith(TEMP_PREFIX):
                change.session[key] = value
        return change


def merge(session: Mapping[str, Any], user: Mapping[str, Any], app: Mapping[str, Any]) -> dict[str, Any]:
    """ADK's state, whose shared keys have prefixes."""
    return (
        dict(session)
        | {f"{APP_PREFIX}{key}": value for key, value in app.items()}
        | {f"{USER_PREFIX}{key}": value for key, value in user.items()}
    )


def encode(values: Mapping[str, JsonValue]) -> Context:
    """Values in the form that a context keeps."""
    return {key: [value] if can_be_stored(value) else json.dumps(value) for key, value in values.items()}


def patch(values: Mapping[str, JsonValue]) -> Context:
    """A merge patch that sets these values in a context, and leaves the others."""
    return {MEMBER: {"state": encode(values)}}


def decode(state: JsonValue) -> dict[str, JsonValue]:
    """The values of a context's state. Members of another form are not ADK's."""
    values: dict[str, JsonValue] = {}
    for key, stored in state.items() if isinstance(state, dict) else ():
        if isinstance(stored, list) and len(stored) == 1:
            values[key] = stored[0]
        elif isinstance(stored, str):
            try:
                values[key] = json.loads(stored)
            except ValueError:
                continue
    return values


def state_of(context: Context) -> dict[str, JsonValue]:
    """The values in the context of a chat session that only keeps shared state."""
    member = context.get(MEMBER)
    return decode(member.get("state")) if isinstance(member, dict) else {}
