"""How an untrusted message becomes a typed one, in the same way wherever it arrives.

A message arrives as an unread payload. A workflow calls `check_form`, which is cheap, before it takes the message in.
Activities and clients call `read`, which parses the JSON, and `parse`, which gives the message its type.
"""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

import jiter
from pydantic import (
    BaseModel,
    ConfigDict,
    JsonValue,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from temporalio.common import RawValue

from journeys.errors import InvalidParameter
from journeys.i_json import check_i_json

JSON_ENCODING: Final = b"json/plain"

# As deep as JSON parsers go. The contract's limit on nesting is a setting.
_PARSER_DEPTH: Final = 200
# A number that underflows has such an exponent or so many zeros. A pattern with a fixed first character is fast.
_TINY_EXPONENT: Final = re.compile(r"-(?<=[eE]-)\d{3}")
_MANY_ZEROS: Final = "0" * 100
_SMALLEST: Final = 5e-324
_SPACE: Final = b" \t\r\n"
# The beginning of pydantic's messages. Ours begin with the field's name instead.
_SUBJECT: Final = re.compile("(Value error, )?((Input|List|String) (?=should ))?")
# Tells the validators of `JsonObject` and `JsonArray` that the message was checked, and that nobody else holds it.
_OWN: Final = "own"
# In the words of JSON, not of Python.
_REASONS: Final = {"dict_type": "should be a JSON object", "list_type": "should be a JSON array"}


def _unless_own(kind: type) -> WrapValidator:
    """Skip pydantic's check and copy of a container that `parse` has checked and may keep."""

    def validate(value: object, copy: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
        return value if info.context is _OWN and type(value) is kind else copy(value)

    return WrapValidator(validate)


JsonObject = Annotated[dict[str, JsonValue], _unless_own(dict)]
"""A JSON object with any members."""

JsonArray = Annotated[list[JsonValue], _unless_own(list)]
"""A JSON array of any items."""


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


def check_form(arguments: Sequence[object]) -> bytes:
    """Check that a call has one argument that may be a JSON object, without parsing it.

    Args:
        arguments: The call's arguments as a journey's worker hands them on: `RawValue` each.

    Returns:
        The argument's data.

    Raises:
        InvalidParameter: The argument cannot be a JSON object, or there is not exactly one argument.
    """
    if len(arguments) != 1:
        raise InvalidParameter(f"the call must have exactly one argument, a JSON object; it has {len(arguments)}")
    (argument,) = arguments
    assert isinstance(argument, RawValue)
    payload = argument.payload
    encoding = payload.metadata.get("encoding", b"")
    if encoding != JSON_ENCODING:
        named = ascii(encoding.decode(errors="replace"))[:60]
        raise InvalidParameter(f"the request cannot be read: its encoding is {named}; send json/plain")
    data: bytes = payload.data
    if not data[:64].lstrip(_SPACE).startswith(b"{") and not data.lstrip(_SPACE).startswith(b"{"):
        raise InvalidParameter("the request must be one JSON object")
    return data


def read(data: bytes | str) -> object:
    """Parse a message's JSON.

    Raises:
        InvalidParameter: The message is not JSON, or an object has a member name twice, which peers read differently.
    """
    try:
        text = data if isinstance(data, str) else data.decode(errors="surrogatepass")
        may_underflow = _MANY_ZEROS in text or _TINY_EXPONENT.search(text) is not None
        if not may_underflow:
            try:
                return jiter.from_json(text.encode(), allow_inf_nan=False, catch_duplicate_keys=True)
            except ValueError:
                pass  # the standard library is slow, but it may read the message, or says what is wrong with it
        return json.loads(
            text,
            object_pairs_hook=_build_object,
            parse_constant=_refuse_constant,
            parse_float=_parse_small_float if may_underflow else None,
        )
    except InvalidParameter:
        raise
    except RecursionError:
        raise InvalidParameter("the request cannot be read: it is nested too deeply; flatten it") from None
    except ValueError as error:
        raise InvalidParameter(f"the request cannot be read: it is not JSON that can be kept: {error}") from None


def parse(model: type[RequestType], raw: object, *, depth: int = _PARSER_DEPTH, is_own: bool = False) -> RequestType:
    """Give a message its type.

    Args:
        model: The message's type.
        raw: JSON as Python objects, or the model itself.
        depth: How many levels of objects and arrays a field may have.
        is_own: Whether `raw` comes from `read`, and nobody else holds it. The message then keeps its parts uncopied.

    Raises:
        InvalidParameter: The message does not fit; `field` is one of the model's field names or "".
    """
    if isinstance(raw, model):
        return raw
    if not isinstance(raw, dict):
        raise InvalidParameter("the request must be one JSON object")
    for name, value in raw.items():
        if name not in model.model_fields:
            raise InvalidParameter(f"unknown field {ascii(name)[:80]}; known are {', '.join(model.model_fields)}")
        check_i_json(value, field=name, depth=depth)
    try:
        return model.model_validate(raw, context=_OWN if is_own else None)
    except ValidationError as error:
        raise _invalid_parameter(model, error) from None


def reason_of(message: str) -> str:
    """The reason that a message of pydantic gives, to follow a field's name."""
    return _SUBJECT.sub("", message, count=1)


def parse_only(model: type[RequestType], arguments: Sequence[object]) -> RequestType:
    """Read the message of a call that must have exactly one argument.

    Raises:
        InvalidParameter: The message does not fit, or there is not exactly one argument.
    """
    return parse(model, read(check_form(arguments)), is_own=True)


def _build_object(members: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(members)
    if len(found) < len(members):
        raise InvalidParameter("the request cannot be read: an object has a member name twice")
    return found


def _parse_small_float(text: str) -> float:
    """Parse a number. One that underflows becomes the smallest number, which no rule accepts, instead of zero."""
    number = float(text)
    underflows = not number and any(digit in "123456789" for digit in re.split("[eE]", text)[0])
    return _SMALLEST if underflows else number


def _refuse_constant(constant: str) -> object:
    raise InvalidParameter(f"the request cannot be read: {constant} is not JSON")


def _invalid_parameter(model: type[BaseModel], error: ValidationError) -> InvalidParameter:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    top = str(first["loc"][0]) if first["loc"] else ""
    field = top if top in model.model_fields else ""
    # The location may hold names that the sender chose, so it is made printable.
    where = ".".join(ascii(str(part))[1:-1][:40] for part in first["loc"][:4]) or "the request"
    reason = _REASONS.get(
        first["type"], reason_of(first["msg"]).removesuffix(", not 0").removesuffix(" after validation")
    )
    return InvalidParameter(f"{where}: {reason}", field=field)
