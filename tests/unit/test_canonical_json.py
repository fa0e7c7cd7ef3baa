"""A document has one canonical form, the one of RFC 8785, whatever wrote it."""

import json
import struct
from hashlib import sha256
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from journeys.canonical_json import CanonicalObject, canonical, canonical_hash
from tests.support.documents import documents, floats, texts, thoroughly

# RFC 8785 appendix B: the bits of a double, and how it is written.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


def double(bits: str) -> float:
    number: float = struct.unpack(">d", bytes.fromhex(bits))[0]
    return number


@thoroughly(300)
@given(documents)
@example({"\ue000": 1, "\U00010000": 2})
@example({"a": {"\uffff": 1.5, "\U0010ffff": -0.0}, "b": ["\U0001f600", "\ufb33"]})
@example(['1.50,":2.0', 1.50, {"3e7": '\\",4.0,"'}])
@example({"\\": 1e-7, '"': 1e21})
def test_the_fast_path_writes_what_the_reference_writes(document: Any) -> None:
    assert canonical(document) == rfc8785.dumps(document)


@thoroughly(200)
@given(floats)
@example(1e-324)
@example(-0.0)
@example(1e21)
@example(1e20)
@example(123456789012345680000.0)
def test_a_number_is_written_the_same_alone_and_among_others(number: float) -> None:
    written = rfc8785.dumps(number)
    assert canonical(number) == written
    assert canonical([number, {"n": number}]) == b"[" + written + b',{"n":' + written + b"}]"


@thoroughly()
@given(st.dictionaries(texts, st.booleans(), max_size=8), st.randoms(use_true_random=False))
def test_the_order_in_which_keys_were_written_does_not_count(document: dict[str, bool], random: Any) -> None:
    shuffled = list(document.items())
    random.shuffle(shuffled)
    assert canonical(dict(shuffled)) == canonical(document)


@thoroughly()
@given(documents)
def test_what_is_canonical_stays_as_it_is(document: Any) -> None:
    written = canonical(document)
    assert canonical(json.loads(written)) == written


@thoroughly()
@given(documents)
def test_the_hash_is_that_of_the_canonical_bytes(document: Any) -> None:
    assert canonical_hash(document) == sha256(rfc8785.dumps(document)).hexdigest()


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_the_numbers_of_rfc_8785_appendix_b(bits: str, text: str) -> None:
    assert canonical(double(bits)).decode() == text
    assert canonical({"n": [double(bits)]}).decode() == '{"n":[' + text + "]}"


@pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"])
def test_what_is_no_number_is_an_error(bits: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"n": double(bits)})


def test_the_sample_of_rfc_8785_section_3_2_2() -> None:
    document = json.loads(
        r"""{
          "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
          "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
          "literals": [null, true, false]
        }"""
    )
    # Section 3.2.4 prints these bytes.
    assert canonical(document) == bytes.fromhex(
        "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e756d62657273223a"
        "5b3333333333333333332e333333333333332c31652b33302c342e352c302e3030322c31652d3237"
        "5d2c22737472696e67223a22e282ac245c75303030665c6e4127425c225c5c5c5c5c222f227d"
    )


def test_the_order_of_keys_of_rfc_8785_section_3_2_3() -> None:
    document = json.loads(
        r"""{
          "\u20ac": "Euro Sign",
          "\r": "Carriage Return",
          "\ufb33": "Hebrew Letter Dalet With Dagesh",
          "1": "One",
          "\ud83d\ude00": "Emoji: Grinning Face",
          "\u0080": "Control",
          "\u00f6": "Latin Small Letter O With Diaeresis"
        }"""
    )
    assert list(json.loads(canonical(document)).values()) == [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]


def test_keys_are_ordered_at_every_depth() -> None:
    document = {"z": [{"\ufb33": 1, "\U0001f600": {"\ue000": 1, "\U00010000": 2}}]}
    assert canonical(document).decode() == '{"z":[{"\U0001f600":{"\U00010000":2,"\ue000":1},"\ufb33":1}]}'


@pytest.mark.parametrize("text", ["1.0", ":1.50", "[2.0,", ',-3.0e10"', '\\"4.0', "1e5", "-0.0"])
def test_a_string_that_looks_like_a_number_is_left_alone(text: str) -> None:
    assert json.loads(canonical({text: [text, 1.0]})) == {text: [text, 1]}
    assert canonical([text]) == rfc8785.dumps([text])


def test_only_control_characters_quotes_and_backslashes_are_escaped() -> None:
    written = canonical("\x00\x1f\b\t\n\f\r\"\\/\x7f\u2028<>&'\u00e9").decode()
    assert written == '"\\u0000\\u001f\\b\\t\\n\\f\\r\\"\\\\/\x7f\u2028<>&\'\u00e9"'


def test_truth_and_one_are_different_and_one_with_a_fraction_of_nothing_is_one() -> None:
    assert canonical([1]) == canonical([1.0]) == b"[1]"
    assert canonical([True]) == b"[true]"
    assert canonical([0]) == canonical([-0.0]) == b"[0]"
    assert canonical([False]) == b"[false]"


@pytest.mark.parametrize("integer", [2**53, -(2**53), 10**22, 12345678901234567890123])
def test_an_integer_that_a_double_cannot_hold_keeps_its_digits(integer: int) -> None:
    assert canonical({"n": [integer, 0.5]}).decode() == '{"n":[' + str(integer) + ",0.5]}"


@pytest.mark.parametrize("text", ["\ud800", "a\udc00b", "\ude00\ud83d"])
def test_a_lone_surrogate_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        canonical([text])
    with pytest.raises(ValueError, match="surrogates"):
        canonical({text: 1.5})


@pytest.mark.parametrize("document", [float("nan"), [float("inf")], {"n": {"n": float("-inf")}}])
def test_a_number_that_is_not_finite_is_an_error(document: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical(document)


@thoroughly()
@given(st.dictionaries(texts, documents, max_size=4), st.sets(texts))
def test_an_object_is_written_the_same_of_members_that_are_written_already(
    document: dict[str, Any], written: set[str]
) -> None:
    members = {name: canonical(value) if name in written else value for name, value in document.items()}
    assert CanonicalObject(members).encode() == canonical(document)
