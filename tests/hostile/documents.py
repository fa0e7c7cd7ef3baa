"""Documents that are costly to handle, and messages that do not fit the contract."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from journeys.chat_session.limits import Limits
from tests.support.documents import nested_json

Shape = Callable[[random.Random], Any]

SHAPES: Final[Mapping[str, Shape]] = {
    "short floats": lambda rng: rng.randrange(100) + 0.5,
    "whole floats": lambda rng: float(rng.randrange(10)),
    "long floats": lambda rng: rng.random(),
    "tiny floats": lambda rng: rng.random() * 1e-6,
    "integers": lambda rng: rng.randrange(10**6),
    "strings": lambda rng: "ä" * rng.randrange(8),
    "deep objects": lambda rng: {"a": {"b": {"c": {"d": [rng.randrange(10)]}}}},
}


def escaped(text: str) -> str:
    """A text as JSON with every letter written as `\\u00XX`: six bytes instead of one."""
    return '"' + "".join(f"\\u{ord(letter):04x}" for letter in text) + '"'


def filled(shape: str, size: int) -> list[Any]:
    """A list of items of this shape, with nearly `size` bytes of JSON."""
    rng, items, used = random.Random(size), [], 0
    while used < size - 64:
        items.append(SHAPES[shape](rng))
        used += len(json.dumps(items[-1], separators=(",", ":"))) + 1
    return items


SECRET = "s3cret"
NEARLY_ONE_MB = 990_000  # a server with the embedded one's settings passes on no more
CHANGE_BYTES = Limits().change_bytes


def raw(data: bytes, encoding: bytes = b"json/plain") -> RawValue:
    """A payload that the client's converter leaves as it is."""
    return RawValue(Payload(metadata={"encoding": encoding}, data=data))


def marked(mark: str) -> RawValue:
    """A payload that the SDK takes for one of its own."""
    return RawValue(Payload(metadata={mark: b"true"}))


def with_text(fitting: dict[str, Any], field: str, text: str) -> RawValue:
    """A message with one field's JSON written by hand."""
    written = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in fitting.items() if name != field]
    return raw(("{" + ",".join([*written, f"{json.dumps(field)}:{text}"]) + "}").encode())


def misfits(fitting: dict[str, Any]) -> dict[str, Sequence[Any]]:
    """Arguments that do not fit the contract; `fitting` is a message that does."""
    as_json = json.dumps(fitting).encode()
    return {
        "no argument": [],
        "two arguments": [fitting, fitting],
        "an argument and null": [fitting, None],
        "five arguments": [fitting, 1, "two", None, raw(b"{")],
        "null": [None],
        "a boolean": [True],
        "a number": [1],
        "a text": [SECRET],
        "a list": [[fitting]],
        "an empty object": [{}],
        "bytes": [SECRET.encode()],
        "no bytes": [b""],
        "an empty payload": [RawValue(Payload())],
        "a payload without encoding": [RawValue(Payload(data=as_json))],
        "encrypted": [raw(as_json, b"binary/encrypted")],
        "protobuf": [raw(as_json, b"json/protobuf")],
        "binary protobuf": [raw(as_json, b"binary/protobuf")],
        "kept in another place": [raw(as_json, b"json/external-storage-reference")],
        "kept in another place, with a mark": [marked("__temporal_external_storage_reference")],
        "an envelope of the SDK's own": [marked("__temporal_system_payload")],
        "an encoding that is no text": [raw(as_json, b"\xff\xfe")],
        "no JSON at all": [raw(b"")],
        "half of it": [raw(as_json[:-1])],
        "more than it": [raw(as_json + b"}")],
        "not UTF-8": [raw(b'{"tenant_id":"\xff"}')],
        "UTF-16": [raw(as_json.decode().encode("utf-16"))],
        "UTF-16 without a mark": [raw(as_json.decode().encode("utf-16-le"))],
        "UTF-8 with a mark": [raw(as_json.decode().encode("utf-8-sig"))],
        "spaces alone": [raw(b" " * 100_000)],
        "an object of spaces": [raw(b" " * 100_000 + b"{")],
        "control characters": [raw(b"{" + b"\x01" * 100_000)],
        "a hundred thousand brackets": [raw(b"[" * 100_000)],
        "an unknown field": [fitting | {SECRET: SECRET}],
        "an unknown field that no text can hold": [raw(as_json[:-1] + b',"\\ud800":1}')],
        "an unknown field with control characters": [fitting | {"\x00\n": 1}],
        "a field twice, once wrong": [raw(as_json[:-1] + b',"tenant_id":1}')],
        "a tenant of another type": [fitting | {"tenant_id": {"tenant_id": SECRET}}],
        "a tenant that is NaN": [with_text(fitting, "tenant_id", "NaN")],
        "a tenant beyond all doubles": [with_text(fitting, "tenant_id", "1e400")],
        "a tenant of 5,000 digits": [with_text(fitting, "tenant_id", "9" * 5000)],
        "a tenant with a lone surrogate": [with_text(fitting, "tenant_id", '"\\udfff"')],
        "a tenant with NUL": [with_text(fitting, "tenant_id", '"\\u0000"')],
        "a tenant of nearly 1 MB": [fitting | {"tenant_id": "x" * NEARLY_ONE_MB}],
    }


UNFAITHFUL = {
    "NaN": '{"a":NaN}',
    "infinity": '{"a":[-Infinity]}',
    "a number beyond all doubles": '{"a":1e400}',
    "NUL": '{"a":"\\u0000"}',
    "NUL in a key": '{"a":{"\\u0000":1}}',
    "a lone high surrogate": '{"a":"\\ud800"}',
    "a lone low surrogate": '{"a":["\\udc00x"]}',
    "a lone surrogate in a key": '{"\\ud800":1}',
    "surrogates the wrong way round": '{"a":"\\udc00\\ud800"}',
    "an integer beyond 2^53": '{"a":9007199254740992}',
    "an integer below -2^53": '{"a":-9007199254740992}',
    "an integer of 64 bits": '{"a":18446744073709551615}',
    "an integer of 5,000 digits": '{"a":' + "9" * 5000 + "}",
    "an integral double": '{"a":1e22}',
    "the largest double": '{"a":1.7976931348623157e308}',
    "33 levels": nested_json(33),
    "150 levels": nested_json(150),
    "250 levels": nested_json(250),
    "10,000 levels": nested_json(10_000),
    "a list for an object": '["s3cret"]',
    "a text for an object": '"s3cret"',
}
TOO_LARGE = {
    "128 KiB": '{"a":"' + "x" * CHANGE_BYTES + '"}',
    "128 KiB in many parts": json.dumps({str(each): each for each in range(CHANGE_BYTES // 10)}),
    "128 KiB as sent": '{"a":"' + "\\u0078" * (CHANGE_BYTES // 6) + '"}',
    "nearly 1 MB": '{"a":"' + "x" * NEARLY_ONE_MB + '"}',
}
LARGE = {*TOO_LARGE, "a hundred thousand brackets", "a tenant of nearly 1 MB"}
FOREIGN = {"a tenant with a lone surrogate", "a tenant with NUL"}
"""Messages whose tenant can be read, but is not the session's."""


def misfit_codes(sent: Mapping[str, object]) -> dict[str, str]:
    """The code of each; a message that is too large is not even looked at."""
    return dict.fromkeys(sent, "INVALID_PARAMETER") | {"a tenant of nearly 1 MB": "CONTEXT_TOO_LARGE"}


def changes(fitting: dict[str, Any]) -> tuple[dict[str, Sequence[Any]], dict[str, str]]:
    """Arguments that no change can have, and the code of each."""
    sent = misfits(fitting)
    codes = misfit_codes(sent)
    for name, text in (UNFAITHFUL | TOO_LARGE).items():
        sent[name] = [with_text(fitting, "context", text)]
        codes[name] = "INVALID_PARAMETER" if name in UNFAITHFUL else "CONTEXT_TOO_LARGE"
    for name in ("NaN", "NUL", "a lone high surrogate", "an integral double", "150 levels"):
        sent[f"{name}, appended"] = [with_text(fitting, "append", '{"list":[' + UNFAITHFUL[name] + "]}")]
        codes[f"{name}, appended"] = "INVALID_PARAMETER"
    return sent, codes
