"""How an untrusted message becomes a typed one, the same way at every entrance."""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from journeys.errors import InvalidParameter
from journeys.i_json import Unreadable, check_i_json

# What the JSON parser itself allows; the contract's own limit on nesting is a setting and judged later.
_PARSER_DEPTH = 200


class Request(BaseModel):
    """A message that somebody sends: frozen, strict, no unknown fields; null means absent."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, raw: object) -> object:
        if isinstance(raw, dict):
            return {name: value for name, value in raw.items() if value is not None}
        return raw


class Record(BaseModel):
    """A message that the engine itself writes: frozen; a newer engine may add fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")


RequestType = TypeVar("RequestType", bound=Request)


def parse(model: type[RequestType], raw: object) -> RequestType:
    """Read one message.

    Args:
        model: The message's type.
        raw: JSON as Python objects, `Unreadable`, or the model itself.

    Raises:
        InvalidParameter: It does not fit; `field` is one of the model's own field names or "".
    """
    if isinstance(raw, model):
        return raw
    if isinstance(raw, Unreadable):
        raise InvalidParameter(f"the request cannot be read: {raw.reason}")
    if not isinstance(raw, dict):
        raise InvalidParameter("the request is one JSON object")
    for name, value in raw.items():
        if name not in model.model_fields:
            raise InvalidParameter(f"unknown field {ascii(name)[:80]}; known are {', '.join(model.model_fields)}")
        check_i_json(value, field=name, depth=_PARSER_DEPTH)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise _invalid(model, error) from None


def parse_only(model: type[RequestType], arguments: Sequence[object]) -> RequestType:
    """Read the one message that a call takes, whatever number of arguments it came with.

    Raises:
        InvalidParameter: It does not fit, or there is not exactly one.
    """
    if len(arguments) != 1:
        raise InvalidParameter(f"takes exactly one argument, a JSON object, and got {len(arguments)}")
    return parse(model, arguments[0])


def _invalid(model: type[BaseModel], error: ValidationError) -> InvalidParameter:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    top = str(first["loc"][0]) if first["loc"] else ""
    field = top if top in model.model_fields else ""
    # Names that the sender chose are in it, so it is made printable.
    where = ".".join(ascii(str(part))[1:-1][:40] for part in first["loc"][:4]) or "the request"
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return InvalidParameter(f"{where}: {reason}", field=field)
