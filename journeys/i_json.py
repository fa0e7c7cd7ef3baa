"""I-JSON (RFC 7493): the JSON that Temporal, PostgreSQL and clients in every language hand on unchanged.

Everything else is refused: NaN and infinities, numbers between -1e-100 and 1e-100 other than zero, integers beyond
±(2^53-1) (also if they are written as `1e22`), NUL characters (PostgreSQL text has none) and lone surrogates (UTF-8 has
none).
"""

import math
import re
from typing import Any

from journeys.errors import InvalidParameter

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer that every JSON implementation holds exactly (RFC 7493 section 2.2)."""

# jsonb stores a smaller number in a few bytes, but writes it out with hundreds of digits.
_MIN_MAGNITUDE = 1e-100

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")

# A level with more values than this may hold the same objects again and again. Then each object is checked once.
_MANY = 100_000


def check_i_json(value: object, *, field: str, depth: int) -> None:
    """Check that a JSON value stays unchanged on its way, and is nested no deeper than allowed.

    Args:
        value: JSON as Python objects.
        field: The field of the request that holds the value, for the error.
        depth: How many levels of objects and arrays the value may have.

    Raises:
        InvalidParameter: The value would be altered, or is nested too deeply.
    """
    # Level by level, because a call for each value is slow: a message may have ten thousand of them.
    texts: list[Any] = []
    level: list[Any] = [value]
    while level:
        below: list[Any] = []
        for each in level:
            kind = type(each)
            if kind is int or kind is float:
                if not _MIN_MAGNITUDE <= each <= MAX_SAFE_INTEGER:
                    _check_number(each, field)
            elif kind is str:
                texts.append(each)
            elif kind is dict or kind is list or kind is tuple:
                if depth < 1:
                    raise InvalidParameter(f"{field}: nested too deeply; flatten it", field=field)
                if kind is dict:
                    texts += each
                    below += each.values()
                else:
                    below += each
            elif each is not None and kind is not bool:
                level.append(_without_subclass(each, field))
        level = below if len(below) < _MANY else list({id(each): each for each in below}.values())
        depth -= 1
    _check_texts(texts, field)


def _without_subclass(value: object, field: str) -> object:
    """Convert a value whose class extends a JSON type to that type."""
    if isinstance(value, str):
        return str.__str__(value)
    kinds: tuple[type[Any], ...] = (int, float, dict, list, tuple)
    for kind in kinds:
        if isinstance(value, kind):
            return kind(value)
    raise InvalidParameter(f"{field}: is not JSON", field=field)


def _check_texts(texts: list[str], field: str) -> None:
    try:
        text = "".join(texts)
    except TypeError:
        raise InvalidParameter(f"{field}: the keys of an object must be strings", field=field) from None
    if not text.isascii() or "\x00" in text:
        found = _NOT_STORABLE.search(text)
        if found:
            kind = "NUL characters" if found[0] == "\x00" else "lone surrogates"
            raise InvalidParameter(f"{field}: {kind} cannot be stored; remove them", field=field)


def _check_number(number: float, field: str) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise InvalidParameter(f"{field}: NaN and infinities are not JSON", field=field)
    if 0 < abs(number) < _MIN_MAGNITUDE:
        raise InvalidParameter(
            f"{field}: a number below 1e-100 is written out at length by the store; send it as a string", field=field
        )
    if abs(number) > MAX_SAFE_INTEGER:  # every double of this size is integral
        raise InvalidParameter(
            f"{field}: an integer beyond ±(2^53-1) does not survive JSON; send it as a string", field=field
        )
