"""The JSON Schemas of a chat session's messages and answers, for callers in any language."""

from typing import Annotated, Any, Final

from pydantic import Field
from pydantic.json_schema import JsonSchemaValue

from journeys.chat_session.answers import (
    ChatMessages,
    ChatSessionHistory,
    ChatSessionList,
    ChatSessionView,
    DeletedChatSession,
    InitializedChatSession,
    UpdatedChatSession,
    UpdateReceipt,
)
from journeys.chat_session.messages import (
    ENGINE_AUTHORS,
    DeleteChatSession,
    GetChatMessages,
    GetChatSession,
    GetChatSessionHistory,
    InitializeChatSession,
    InitialState,
    JourneyArgument,
    ListChatSessions,
    SignalChatContext,
    UpdateChatContext,
    UpdateChatSession,
)
from journeys.chat_session.names import DELETE, EDIT, GET, HISTORY, INITIALIZE, JOURNEY_ID, LIST, MESSAGES, UPDATE
from journeys.chat_session.nexus import UpdateChatContextOperation
from journeys.json_schema import json_schema
from journeys.messages import Request

ARGUMENTS: Final[dict[str, type[Request]]] = {
    f"{JOURNEY_ID}.argument": JourneyArgument,
    f"{UPDATE}.signal": SignalChatContext,
    f"{UPDATE}.operation": UpdateChatContextOperation,
}
"""What callers send besides `REQUESTS`: the workflow's argument, the signal, and the Nexus operation's input."""

REQUESTS: Final[dict[str, type[Request]]] = {
    INITIALIZE: InitializeChatSession,
    GET: GetChatSession,
    UPDATE: UpdateChatContext,
    EDIT: UpdateChatSession,
    DELETE: DeleteChatSession,
    LIST: ListChatSessions,
    MESSAGES: GetChatMessages,
    HISTORY: GetChatSessionHistory,
}
"""The request of each intent that has an answer."""

ANSWERS: Final[dict[str, Any]] = {
    INITIALIZE: InitializedChatSession,
    GET: ChatSessionView,
    UPDATE: Annotated[
        UpdatedChatSession | UpdateReceipt,
        Field(description="The answer to `update_chat_context`; `returning` says which of the two."),
    ],
    EDIT: UpdateReceipt,
    DELETE: DeletedChatSession,
    LIST: ChatSessionList,
    MESSAGES: ChatMessages,
    HISTORY: ChatSessionHistory,
}
"""The answer to each of `REQUESTS`."""


def _present(*names: str) -> JsonSchemaValue:
    """A schema that requires these members; null means absent."""
    return {"required": list(names), "properties": {name: {"not": {"type": "null"}} for name in names}}


_TIME_OR_NAME: Final = {"oneOf": [_present("requested_at"), _present("session_name")]}
_OTHERS_AUTHOR: Final = {"not": {"required": ["author"], "properties": {"author": {"enum": list(ENGINE_AUTHORS)}}}}
_WHOLE_REPLACEMENT: Final = {
    "if": {"required": ["merge_strategy"], "properties": {"merge_strategy": {"const": "replace"}}},
    "then": _present("context", "base_revision"),
}

# The classes' validators check these rules. pydantic cannot describe a validator in a schema.
_RULES: Final[dict[type[Request], list[JsonSchemaValue]]] = {
    InitializeChatSession: [_TIME_OR_NAME],
    InitialState: [_TIME_OR_NAME],
    JourneyArgument: [{"if": _present("initialize"), "then": _present("user_id")}],
    GetChatMessages: [{"not": _present("before", "after")}],
    SignalChatContext: [_OTHERS_AUTHOR, _WHOLE_REPLACEMENT],
    UpdateChatContext: [_OTHERS_AUTHOR, _WHOLE_REPLACEMENT],
    UpdateChatContextOperation: [_OTHERS_AUTHOR, _WHOLE_REPLACEMENT],
    UpdateChatSession: [_OTHERS_AUTHOR, {"not": _present("user_id", "new_user_id")}],
}


def _request_schema(request: type[Request]) -> JsonSchemaValue:
    schema = json_schema(request, mode="request")
    for model, rules in _RULES.items():
        described = schema if model is request else schema.get("$defs", {}).get(model.__name__)
        if described is not None:
            described["allOf"] = rules
    return schema


def chat_session_schemas() -> dict[str, JsonSchemaValue]:
    """All schemas by their names: `<intent>.request`, `<intent>.answer`, and those of `ARGUMENTS`."""
    schemas = {name: _request_schema(argument) for name, argument in ARGUMENTS.items()}
    for intent, request in REQUESTS.items():
        schemas[f"{intent}.request"] = _request_schema(request)
        schemas[f"{intent}.answer"] = json_schema(ANSWERS[intent], mode="answer")
    return dict(sorted(schemas.items()))
