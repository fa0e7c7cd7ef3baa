"""The schemas of the document: the contract's models, without the fields that HTTP has elsewhere."""

import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from journeys.chat_session.answers import (
    ChatMessages,
    ChatSessionHistory,
    ChatSessionList,
    InitializedChatSession,
    UpdatedChatSession,
    UpdateReceipt,
)
from journeys.chat_session.messages import InitializeChatSession, MessageEnvelope, UpdateChatContext, UpdateChatSession
from journeys.chat_session.session import ChatSessionArtifact
from starter.http.dev_tokens import DevToken, DevTokenRequest
from starter.http.problems import ProblemDetails
from starter.http.routes.context import CHANGE_FIELDS
from starter.http.routes.messages import ENGINE_FIELDS, MESSAGES_FIELDS
from starter.http.routes.service import Health
from starter.http.routes.sessions import INITIALIZE_FIELDS, UPDATE_FIELDS
from starter.http.routes.turns import PartialText
from starter.http.stream.events import ChangeEvent, EndEvent, FollowedMessage, PartialEvent, SessionEvent

Schema = dict[str, Any]

_PREFIX: Final = "#/components/schemas/"
_ATTRIBUTE: Final = re.compile(r"^ {8}(\w+): ((?:.+\n?)(?: {12}.+\n?)*)", re.MULTILINE)

_ANSWERS: Final[tuple[type[BaseModel], ...]] = (
    ChatSessionArtifact,
    InitializedChatSession,
    UpdatedChatSession,
    UpdateReceipt,
    ChatSessionList,
    ChatMessages,
    ChatSessionHistory,
    SessionEvent,
    ChangeEvent,
    PartialEvent,
    EndEvent,
    ProblemDetails,
    Health,
)

_ABSENT_IF_NULL: Final[dict[str, set[str]]] = {
    "UpdateReceipt": {"message_ids"},
    "UpdatedChatSession": {"message_ids"},
    "ProblemDetails": {"outcome"},
    "FollowedMessage": set(FollowedMessage.model_fields) - {"id"},
}

# Descriptions of fields that the contract describes for other transports than HTTP.
_OVER_HTTP: Final[dict[str, dict[str, str]]] = {
    "GetChatSession": {
        "at_revision": "Answer `revision`, `context`, `context_hash` and `active_agent` as they were after this "
        "revision, and all else as it is now.",
    },
    "GetChatMessages": {"after": "The cursor `newer` of a page: read the messages after that page. Not with `before`."},
}
_DESCRIPTIONS: Final = {
    "InitializedChatSession": "The session as it is now.",
    "UpdateReceipt": "The session without its context, and what became of the change.",
    "UpdatedChatSession": "The session as it is now, and what became of the change.",
}


def ref(name: str) -> Schema:
    """A reference to a schema."""
    return {"$ref": _PREFIX + name}


def all_schemas(*, has_dev_tokens: bool) -> dict[str, Schema]:
    """Every schema by its name.

    Args:
        has_dev_tokens: Whether the gateway issues tokens for development.
    """
    schemas = _definitions((*_ANSWERS, DevToken) if has_dev_tokens else _ANSWERS, "serialization")
    for name, schema in schemas.items():
        if "properties" in schema:
            schema["required"] = [each for each in schema["properties"] if each not in _ABSENT_IF_NULL.get(name, ())]
    for name in ("LedgerEntry", "ChangeEvent"):
        _drop(schemas[name], ENGINE_FIELDS)
    messages = _definitions([MessageEnvelope], "validation")["MessageEnvelope"]
    schemas |= {
        "NewChatSession": _body(InitializeChatSession, INITIALIZE_FIELDS),
        "ChatSessionChange": _body(UpdateChatSession, UPDATE_FIELDS),
        "ChatContextChange": _body(UpdateChatContext, CHANGE_FIELDS),
        "NewChatMessages": _body(UpdateChatContext, MESSAGES_FIELDS, required=("messages",)),
        "NewChatMessage": messages | {"title": "NewChatMessage", "additionalProperties": True},
        "PartialText": _body(PartialText, tuple(PartialText.model_fields)),
    }
    if has_dev_tokens:
        schemas["DevTokenRequest"] = _body(DevTokenRequest, tuple(DevTokenRequest.model_fields))
    return schemas


def query_schema(model: type[BaseModel], name: str) -> Schema:
    """The schema of one field of a request, as a parameter of a query."""
    field = _not_null(model.model_json_schema()["properties"][name])
    field.pop("title", None)
    return field


def query_description(model: type[BaseModel], name: str) -> str:
    """The description of a query's parameter, which is a field of a request."""
    return _field_descriptions(model)[name]


def _not_null(field: Schema) -> Schema:
    """The schema of a field that cannot be null."""
    field = dict(field)
    options = [each for each in field.pop("anyOf", ()) if each.get("type") != "null"]
    if options:
        field |= options[0]
    if field.get("default", 0) is None:
        del field["default"]
    return field


def _definitions(models: Collection[type[BaseModel]], mode: JsonSchemaMode) -> dict[str, Schema]:
    _, found = models_json_schema([(model, mode) for model in models], ref_template=_PREFIX + "{model}")
    definitions: dict[str, Schema] = found["$defs"]
    classes = {each.__name__: each for each in _subclasses(BaseModel)}
    for name, schema in definitions.items():
        if name in classes:
            _explain(schema, classes[name])
    return definitions


def _subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in model.__subclasses__():
        yield each
        yield from _subclasses(each)


def _explain(schema: Schema, model: type[BaseModel]) -> None:
    """Describe each field by the docstrings of the model and its bases, and the schema by the rest of the model's."""
    descriptions = _field_descriptions(model)
    schema["description"] = _DESCRIPTIONS.get(
        model.__name__, str(schema.get("description", "")).partition("Attributes:")[0].strip()
    )
    for name, field in schema.get("properties", {}).items():
        field.pop("title", None)
        if name in descriptions:
            field["description"] = descriptions[name]


def _field_descriptions(model: type[BaseModel]) -> dict[str, str]:
    descriptions = dict(_OVER_HTTP.get(model.__name__, {}))
    for each in model.__mro__:
        _, _, attributes = (each.__doc__ or "").partition("Attributes:\n")
        for name, text in _ATTRIBUTE.findall(attributes):
            descriptions.setdefault(name, " ".join(text.split()).replace("None", "null"))
    return descriptions


def _body(model: type[BaseModel], fields: Collection[str], required: Collection[str] = ()) -> Schema:
    """The schema of a body that has some of a request's fields: tenant and user are known from the token."""
    schema = model.model_json_schema(ref_template=_PREFIX + "{model}")
    _drop(schema, set(schema["properties"]) - set(fields))
    schema["required"] = [*schema.get("required", ()), *required]
    if "messages" in schema["properties"]:
        _refer_to_messages(schema["properties"]["messages"])
    for name in required:
        schema["properties"][name] = _not_null(schema["properties"][name])
    _explain(schema, model)
    for unwanted in ("title", "description", "$defs"):  # `$defs` are among the answers' schemas
        schema.pop(unwanted, None)
    return schema


def _refer_to_messages(schema: Schema) -> None:
    """A message's known members have a schema of their own."""
    (items,) = (option for option in schema["anyOf"] if option.get("type") == "array")
    items["items"] = ref("NewChatMessage")


def _drop(schema: Schema, names: Collection[str]) -> None:
    for name in names:
        del schema["properties"][name]
    schema["required"] = [name for name in schema.get("required", ()) if name not in names]
