"""Canonical JSON (RFC 8785) and the hashes that are taken of it.

Two documents are the same change, or the same context, exactly when their canonical bytes are equal. Python's
`==` would not do: `1 == True == 1.0`.
"""

import json
import re
from hashlib import sha256

import rfc8785

# In compact output a number follows one of these signs. A string can look the same, which only costs time.
_A_FRACTION = re.compile(r"(?:^|[:\[,])-?\d+[.e]")
_STRING_OR_FRACTION = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+)')
# Code points order as UTF-16 code units do unless a document has characters of both of these kinds.
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_ABOVE_SURROGATES = re.compile("[\ue000-\uffff]")


def canonical(value: object) -> bytes:
    """Write a JSON value in its one canonical form.

    The standard library writes the same bytes as RFC 8785 but for the order of keys (section 3.2.3: by UTF-16
    code unit) and for numbers that are not integers (section 3.2.2.3: as ECMAScript does), so only these are
    mended, and only where they occur. An integer that a double cannot hold, which the contract refuses
    but a hand on the database can store, keeps its digits.

    Args:
        value: JSON as Python objects: dict, list, str, int, float, bool, None.

    Returns:
        UTF-8 bytes.

    Raises:
        ValueError: The value holds a number that is not finite or a lone surrogate.
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if not text.isascii() and _ASTRAL.search(text) and _ABOVE_SURROGATES.search(text):
        text = json.dumps(_by_utf16(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if _A_FRACTION.search(text):
        text = _STRING_OR_FRACTION.sub(_as_ecmascript, text)
    return text.encode()


def canonical_hash(value: object) -> str:
    """The lower-case hex SHA-256 of a value's canonical form."""
    return sha256(canonical(value)).hexdigest()


def _as_ecmascript(token: re.Match[str]) -> str:
    text = token[0]
    return text if text.startswith('"') else rfc8785.dumps(float(text)).decode()


def _by_utf16(value: object) -> object:
    if isinstance(value, dict):
        ordered = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
        return {key: _by_utf16(item) for key, item in ordered}
    if isinstance(value, list):
        return [_by_utf16(item) for item in value]
    return value
