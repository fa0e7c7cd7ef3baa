"""The state of Google ADK in the contexts of chat sessions.

A session's context has its own state. The state of an app, and that of a user in an app, have chat sessions of their
own. All of them keep it in one member, so that what others have in a context stays theirs.

Each value is in an array of its own: a merge patch replaces arrays whole, but it merges an object into the one that was
there, and takes null for a removal. A value that PostgreSQL cannot store is the text of its JSON instead of an array.
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
"""The member of a context that has the state, and of a message's body that has an event."""

APP_PREFIX: Final = "app:"
USER_PREFIX: Final = "user:"
TEMP_PREFIX: Final = "temp:"
_PREFIXES: Final = (APP_PREFIX, USER_PREFIX, TEMP_PREFIX)


class AdkSession(Record):
    """What a context says of ADK's session. Without it, the chat session is none of ADK's.

    Attributes:
        after_revision: The revision before which the session was not there: older events are of an earlier session of
            this name, which was deleted.
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
        """The state of this session only. A key with a prefix was not written here, and would pass for shared state."""
        return {key: value for key, value in decode(self.state).items() if not key.startswith(_PREFIXES)}


@dataclass(frozen=True)
class StateChange:
    """A change of state, by where the values belong; the keys have no prefixes.

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
        """Divide state as ADK has it. What is temporary is left out; what is not JSON becomes text, as ADK does it."""
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
    """State as ADK has it, with prefixes."""
    return (
        dict(session)
        | {f"{APP_PREFIX}{key}": value for key, value in app.items()}
        | {f"{USER_PREFIX}{key}": value for key, value in user.items()}
    )


def encode(values: Mapping[str, JsonValue]) -> Context:
    """Values as a context has them."""
    return {key: [value] if can_be_stored(value) else json.dumps(value) for key, value in values.items()}


def patch(values: Mapping[str, JsonValue]) -> Context:
    """The merge patch of a context that sets these values, and leaves the others."""
    return {MEMBER: {"state": encode(values)}}


def decode(state: JsonValue) -> dict[str, JsonValue]:
    """The values of a context. What has another form is not ADK's."""
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
    """The values in the context of a chat session that has nothing but state."""
    member = context.get(MEMBER)
    return decode(member.get("state")) if isinstance(member, dict) else {}
