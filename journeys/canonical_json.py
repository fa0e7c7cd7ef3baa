"""Canonical JSON (RFC 8785) and its hashes.

Two changes, or two contexts, are the same exactly if their canonical bytes are equal. Python's `==` cannot decide that,
because `1 == True`.
"""

import json
import re
from hashlib import sha256

import rfc8785

# Finds a number with a fraction or an exponent in compact JSON. A match inside a string costs time and nothing else.
_NON_INTEGER = re.compile(r"(?:^|[:\[,])-?\d+[.e]")
_STRING_OR_NON_INTEGER = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+)')
# Keys sorted by code points are also sorted by UTF-16 code units, unless a document has characters of both kinds.
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_ABOVE_SURROGATES = re.compile("[\ue000-\uffff]")


def canonical(value: object) -> bytes:
    """Write a JSON value in its canonical form.

    The standard library differs from RFC 8785 in two points: the order of keys (section 3.2.3: by UTF-16 code units)
    and numbers that are not integers (section 3.2.2.3: as ECMAScript writes them). Only a document that has one of the
    two is corrected. An integer that a double cannot hold keeps its digits: the contract refuses it, but somebody who
    edits the database can store it.

    Args:
        value: JSON as Python objects: dict, list, str, int, float, bool, None.

    Returns:
        UTF-8 bytes.

    Raises:
        ValueError: The value holds a lone surrogate, or a number that is not finite.
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if not text.isascii() and _ASTRAL.search(text) and _ABOVE_SURROGATES.search(text):
        text = json.dumps(_sort_keys_by_utf16(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if _NON_INTEGER.search(text):
        text = _STRING_OR_NON_INTEGER.sub(_as_ecmascript, text)
    return text.encode()


def canonical_hash(value: object) -> str:
    """The lower-case hex SHA-256 of a value's canonical form."""
    return sha256(canonical(value)).hexdigest()


def _as_ecmascript(token: re.Match[str]) -> str:
    text = token[0]
    return text if text.startswith('"') else rfc8785.dumps(float(text)).decode()


def _sort_keys_by_utf16(value: object) -> object:
    if isinstance(value, dict):
        ordered = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
        return {key: _sort_keys_by_utf16(item) for key, item in ordered}
    if isinstance(value, list):
        return [_sort_keys_by_utf16(item) for item in value]
    return value
