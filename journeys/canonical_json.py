"""Canonical JSON (RFC 8785) and its hashes.

Two documents are the same change, or the same context, exactly when their canonical bytes are equal. Python's
`==` would not do: `1 == True == 1.0`.
"""

import json
import operator
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

# Code points and UTF-16 code units give the same order, unless a document has characters of both of these kinds.
_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")
_ABOVE_SURROGATES: Final = re.compile("[\ue000-\uffff]")

_STRING: Final = re.compile(r'("[^"\\]*+(?:\\.[^"\\]*+)*+")')
_ZERO_FRACTION: Final = re.compile(r"\.0(?!\d)")
_NEGATIVE_ZERO: Final = re.compile(r"-0(?![\d.])")
_EXPONENT: Final = re.compile(r"(?P<digits>\d(?:\.\d++)?)e(?P<exponent>[-+]\d++)")


def canonical(value: object) -> bytes:
    """Write a JSON value in its one canonical form.

    The standard library writes the same bytes as RFC 8785, except for the order of keys (section 3.2.3: by UTF-16 code
    unit) and for floats that it writes with `.0` or with an exponent (section 3.2.2.3: as ECMAScript does). Only these
    are rewritten, and only in a document that has some. An integer that a double cannot hold keeps its digits: the
    contract refuses it, but an edit of the database can store it.

    Args:
        value: JSON as Python objects: dict, list, str, int, float, bool, None.

    Returns:
        UTF-8 bytes.

    Raises:
        ValueError: The value holds a number that is not finite or a lone surrogate.
    """
    text = json.dumps(
        value,
        sort_keys=True,
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
        check_circular=False,  # JSON has no cycles, and the check takes a quarter of the time
    )
    if not text.isascii() and _ASTRAL.search(text) and _ABOVE_SURROGATES.search(text):
        text = json.dumps(_by_utf16(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A string can look like such a number, which only costs time.
    if "e-" in text or "e+" in text or _ZERO_FRACTION.search(text):
        pieces = _STRING.split(text)  # the odd ones are the strings
        pieces[::2] = _as_ecmascript("\n".join(pieces[::2])).split("\n")
        text = "".join(pieces)
    return text.encode()


def canonical_hash(value: object) -> str:
    """The lower-case hex SHA-256 of a value's canonical form."""
    return sha256(canonical(value)).hexdigest()


class CanonicalObject:
    """A JSON object with the canonical form of each member, so that a change rewrites only the members that it changes.

    Attributes:
        document: The object. It is never changed in place.
        size: The size of the canonical form in bytes.
    """

    __slots__ = ("_members", "document", "size")

    def __init__(self, document: Mapping[str, object], *, before: "CanonicalObject | None" = None) -> None:
        """Write the members of an object.

        Args:
            document: The object. A member that is `bytes` is a canonical form itself.
            before: An earlier form of the object. A member that is the same Python object is not written again. If a
                list begins with the same Python objects as before, only the items after them are written.

        Raises:
            ValueError: See `canonical`.
        """
        self.document = document
        self._members: dict[str, bytes] = {
            key: _write_member(key, value) if before is None else before._rewrite_member(key, value)
            for key, value in document.items()
        }
        self.size = 2 + sum(map(len, self._members.values())) + max(len(self._members) - 1, 0)

    def _rewrite_member(self, key: str, value: object) -> bytes:
        if key not in self._members:
            return _write_member(key, value)
        earlier = self.document[key]
        if earlier is value:
            return self._members[key]
        if isinstance(earlier, list) and isinstance(value, list) and _begins_with(value, earlier):
            return self._members[key][:-1] + b"," + canonical(value[len(earlier) :])[1:]
        return _write_member(key, value)

    def encode(self) -> bytes:
        """The canonical form."""
        ascii_only = all(map(str.isascii, self._members))
        keys = sorted(self._members) if ascii_only else sorted(self._members, key=_utf16)
        return b"{" + b",".join([self._members[key] for key in keys]) + b"}"

    def hash(self) -> str:
        """The lower-case hex SHA-256 of the canonical form."""
        return sha256(self.encode()).hexdigest()


def _write_member(key: str, value: object) -> bytes:
    return canonical(key) + b":" + (value if isinstance(value, bytes) else canonical(value))


def _begins_with(items: list[object], earlier: list[object]) -> bool:
    """Whether a list has the same Python objects as an earlier one, and more after them."""
    return 0 < len(earlier) < len(items) and all(map(operator.is_, earlier, items))


def _as_ecmascript(numbers: str) -> str:
    """Rewrite the numbers in a text that has no strings."""
    numbers = _ZERO_FRACTION.sub("", numbers)
    if "e" in numbers:
        numbers = _EXPONENT.sub(_rewrite_exponent, numbers)
    return _NEGATIVE_ZERO.sub("0", numbers)


def _rewrite_exponent(number: re.Match[str]) -> str:
    exponent = int(number["exponent"])
    digits = number["digits"].replace(".", "")
    if -7 < exponent < 0:
        return f"0.{'0' * (-exponent - 1)}{digits}"
    if 0 < exponent < 21:
        return digits.ljust(exponent + 1, "0")
    return f"{number['digits']}e{exponent:+d}"


def _by_utf16(value: object) -> object:
    if isinstance(value, dict):
        return {key: _by_utf16(value[key]) for key in sorted(value, key=_utf16)}
    if isinstance(value, list):
        return [_by_utf16(item) for item in value]
    return value


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be")
