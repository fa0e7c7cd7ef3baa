"""I-JSON (RFC 7493): the JSON that Temporal, PostgreSQL and clients in every language hand on unchanged.

Everything else is refused: NaN and infinities, numbers below 1e-100 other than zero, integers that a double cannot hold
exactly (also if they are written as `1e22`), NUL characters (PostgreSQL text has none) and lone surrogates (UTF-8 has
none).
"""

import math
import re

from journeys.errors import InvalidParameter

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer that every JSON implementation holds exactly (RFC 7493 section 2.2)."""

# jsonb keeps smaller numbers in a few bytes, and writes hundreds of digits when it is read.
_MIN_MAGNITUDE = 1e-100

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


def check_i_json(value: object, *, field: str, depth: int) -> None:
    """Check that a JSON value stays unchanged on its way, and is nested no deeper than allowed.

    Args:
        value: JSON as Python objects.
        field: The field of the request that holds the value, for the error.
        depth: How many levels of objects and arrays the value may have.

    Raises:
        InvalidParameter: The value would be altered, or is nested too deeply.
    """
    if isinstance(value, str):
        _check_text(value, field)
    elif isinstance(value, dict):
        _check_depth(depth, field)
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidParameter(f"{field}: the keys of an object must be strings", field=field)
            _check_text(key, field)
            check_i_json(item, field=field, depth=depth - 1)
    elif isinstance(value, list | tuple):
        _check_depth(depth, field)
        for item in value:
            # A list of numbers may be long: no call for most of them.
            kind = type(item)
            if (kind is float or kind is int) and _MIN_MAGNITUDE <= item <= MAX_SAFE_INTEGER:
                continue
            check_i_json(item, field=field, depth=depth - 1)
    elif isinstance(value, float):
        _check_float(value, field)
    elif isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            raise InvalidParameter(
                f"{field}: an integer beyond ±(2^53-1) does not survive JSON; send it as a string",
                field=field,
            )
    elif value is not None:
        raise InvalidParameter(f"{field}: is not JSON", field=field)


def _check_text(text: str, field: str) -> None:
    if not text.isascii() or "\x00" in text:
        found = _NOT_STORABLE.search(text)
        if found:
            kind = "NUL characters" if found[0] == "\x00" else "lone surrogates"
            raise InvalidParameter(f"{field}: {kind} cannot be stored; remove them", field=field)


def _check_float(number: float, field: str) -> None:
    if not math.isfinite(number):
        raise InvalidParameter(f"{field}: NaN and infinities are not JSON", field=field)
    if 0 < abs(number) < _MIN_MAGNITUDE:
        raise InvalidParameter(
            f"{field}: a number below 1e-100 is written out at length by the store; send it as a string", field=field
        )
    if abs(number) > MAX_SAFE_INTEGER:  # every double of this size is integral
        raise InvalidParameter(
            f"{field}: an integer beyond ±(2^53-1) does not survive JSON; send it as a string",
            field=field,
        )


def _check_depth(depth: int, field: str) -> None:
    if depth < 1:
        raise InvalidParameter(f"{field}: nested too deeply; flatten it", field=field)
