"""The JSON Schema of a message, with the descriptions that its class gives.

A schema describes a message as far as JSON Schema can. The engine also checks sizes in bytes, nesting, and values that
JSON peers cannot carry faithfully.
"""

import inspect
import re
from typing import Any, Final, Literal

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from journeys.messages import Request

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_ATTRIBUTE: Final = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def json_schema(message: Any, *, mode: Literal["request", "answer"]) -> JsonSchemaValue:  # noqa: ANN401 - or a union
    """Describe a message as JSON Schema (2020-12).

    Args:
        message: A `Request`, a `Record`, or a union of records.
        mode: An answer always has the fields that have a default; a request may leave them out.
    """
    schema = TypeAdapter(message).json_schema(
        mode="validation" if mode == "request" else "serialization", schema_generator=_Generator
    )
    return {"$schema": DIALECT} | schema


class _Generator(GenerateJsonSchema):
    """Describes models and fields as their docstrings do, and says that null means absent in a request."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        model = schema["cls"]
        description, attributes = _read_docstring(model)
        described["description"] = description
        properties = described["properties"]
        for name, text in attributes.items():
            if name in properties:
                properties[name]["description"] = text
        if issubclass(model, Request):
            for name in properties.keys() - set(described.get("required", ())):
                properties[name] = _or_null(properties[name])
        return described

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        # An answer has all its fields; in a request, null means absent.
        if self.mode == "serialization" or schema.get("default") is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: object) -> bool:
        del schema
        return False

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        if self.mode == "serialization" and field["type"] == "model-field":
            return field.get("serialization_exclude_if") is None
        return super().field_is_required(field, total)


def _or_null(schema: JsonSchemaValue) -> JsonSchemaValue:
    if {"type": "null"} in schema.get("anyOf", ()):
        return schema
    about = {name: schema.pop(name) for name in ("default", "description") if name in schema}
    return {"anyOf": [schema, {"type": "null"}]} | about


def _read_docstring(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """The descriptions of a model and of its attributes; a base class describes the attributes that it defines."""
    attributes: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel):
            _, _, section = inspect.cleandoc(each.__doc__ or "").partition("\nAttributes:\n")
            attributes |= {name: _in_json_terms(text) for name, text in _ATTRIBUTE.findall(section)}
    description, _, _ = inspect.cleandoc(model.__doc__ or "").partition("\nAttributes:\n")
    return _in_json_terms(description), attributes


def _in_json_terms(text: str) -> str:
    """A docstring's text in the terms of JSON, with one line for each paragraph."""
    paragraphs = (re.sub(r"\s+", " ", paragraph).strip() for paragraph in text.split("\n\n"))
    said = re.sub(r"\bNone\b", "null", "\n\n".join(paragraphs)).strip()
    return said[:1].upper() + said[1:]
