"""How an untrusted message becomes a typed one, in the same way wherever it arrives."""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from journeys.errors import InvalidParameter
from journeys.i_json import Unreadable, check_i_json

# The JSON parser's own limit. The contract's limit on nesting is a setting and is checked later.
_PARSER_DEPTH = 200


class Request(BaseModel):
    """A message that a caller sends: frozen, strict, without unknown fields; null means absent."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, raw: object) -> object:
        if isinstance(raw, dict):
            return {name: value for name, value in raw.items() if value is not None}
        return raw


class Record(BaseModel):
    """A message that the engine writes: frozen; unknown fields, which a newer engine may add, are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


RequestType = TypeVar("RequestType", bound=Request)


def parse(model: type[RequestType], raw: object) -> RequestType:
    """Read one message.

    Args:
        model: The message's type.
        raw: JSON as Python objects, `Unreadable`, or the model itself.

    Raises:
        InvalidParameter: The message does not fit; `field` is one of the model's field names or "".
    """
    if isinstance(raw, model):
        return raw
    if isinstance(raw, Unreadable):
        raise InvalidParameter(f"the request cannot be read: {raw.reason}")
    if not isinstance(raw, dict):
        raise InvalidParameter("the request must be one JSON object")
    for name, value in raw.items():
        if name not in model.model_fields:
            raise InvalidParameter(f"unknown field {ascii(name)[:80]}; known are {', '.join(model.model_fields)}")
        check_i_json(value, field=name, depth=_PARSER_DEPTH)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise _invalid_parameter(model, error) from None


def parse_only(model: type[RequestType], arguments: Sequence[object]) -> RequestType:
    """Read the message of a call that must have exactly one argument.

    Raises:
        InvalidParameter: The message does not fit, or there is not exactly one argument.
    """
    if len(arguments) != 1:
        raise InvalidParameter(f"the call must have exactly one argument, a JSON object; it has {len(arguments)}")
    return parse(model, arguments[0])


def _invalid_parameter(model: type[BaseModel], error: ValidationError) -> InvalidParameter:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    top = str(first["loc"][0]) if first["loc"] else ""
    field = top if top in model.model_fields else ""
    # The location may hold names that the sender chose, so it is made printable.
    where = ".".join(ascii(str(part))[1:-1][:40] for part in first["loc"][:4]) or "the request"
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return InvalidParameter(f"{where}: {reason}", field=field)
