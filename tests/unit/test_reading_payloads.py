"""The JSON of a payload is read as it was written, or refused."""

import json
from typing import Any
from unittest.mock import patch

import jiter
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from journeys.chat_session.messages import (
    GetChatSession,
    SignalChatContext,
)
from journeys.errors import InvalidParameter
from journeys.messages import check_form, parse_only, read
from tests.support.documents import documents, thoroughly
from tests.unit.contract_requests import (
    check_error,
    raw_value,
)

# How a payload is read.


@pytest.mark.parametrize("data", [b"{}", b" {}", b"\r\n\t {}", b" " * 1000 + b"{", b"{nonsense", b"{\xff"], ids=ascii)
def test_a_form_that_may_be_an_object_is_handed_on_as_it_came(data: bytes) -> None:
    """A workflow looks no further, since a long read would slow down its workflow task."""
    assert check_form([raw_value(data)]) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b" " * 1000,
        b"[]",
        b"[{}]",
        b"null",
        b"1",
        b'"{}"',
        b"\xef\xbb\xbf{}",
        b"\x0b{}",
        b"\xa0{}",
        b"\x00{}",
    ],
    ids=lambda data: ascii(data)[:30],
)
def test_a_form_that_can_be_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidParameter, match="one JSON object") as raised:
        check_form([raw_value(data)])
    check_error(GetChatSession, raised.value, "")


@pytest.mark.parametrize(
    "encoding",
    [
        None,
        b"",
        b"binary/null",
        b"binary/plain",
        b"binary/encrypted",
        b"json/protobuf",
        b"JSON/PLAIN",
        b"json/plain ",
        b"\xff\xfe\x00",
        b"\n\x1b[31m" * 20,
        b"x" * 10_000,
        "\U000e0001".encode() * 1_000,
    ],
    ids=lambda encoding: ascii(encoding)[:30],
)
def test_what_is_encoded_in_another_way_is_refused_by_its_form(encoding: bytes | None) -> None:
    for data in (b'{"tenant_id":"acme"}', b"", b"\xff"):
        with pytest.raises(InvalidParameter, match="json/plain") as raised:
            check_form([raw_value(data, encoding)])
        check_error(GetChatSession, raised.value, "")
        assert raised.value.message.isprintable()


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b'{"tenant_id":"acme"',
        b'{"tenant_id":"acme"}x',
        b"{tenant_id:1}",
        b"{'tenant_id':'acme'}",
        b'{"a":1,}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":"\xff"}',
        b'{"a":"\xc3"}',
        b'{"a":"\n"}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":inf}',
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"a":' + b"9" * 10_000 + b"}",
    ],
    ids=lambda data: ascii(data)[:30],
)
def test_what_is_no_json_is_refused_when_it_is_read(data: bytes) -> None:
    with pytest.raises(InvalidParameter, match=r"JSON|nested") as raised:
        read(data)
    check_error(GetChatSession, raised.value, "")
    assert raised.value.message.isprintable()
    with pytest.raises(InvalidParameter) as parsed:
        parse_only(GetChatSession, [raw_value(data)])
    assert str(parsed.value) == str(raised.value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"tenant_id":"acme","tenant_id":"acme"}',
        b'{"tenant_id":"acme","tenant\\u005fid":"globex"}',
        b'{"tenant_id":"acme","context":{"a":1,"b":2,"a":1}}',
        b'{"tenant_id":"acme","append":{"a":[{"id":"m1","id":"m2"}]}}',
    ],
)
def test_a_member_name_that_stands_twice_is_refused(data: bytes) -> None:
    """One peer takes the first, another the last: a message may be checked by one value and used by the other."""
    with pytest.raises(InvalidParameter, match="twice") as raised:
        parse_only(SignalChatContext, [raw_value(data)])
    check_error(SignalChatContext, raised.value, "")


@pytest.mark.parametrize(
    "data",
    [b'{"a":"\\ud800"}', b'{"\\udfff":1}', b'{"a":"\\ude00\\ud83d"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\\u0000"}'],
)
def test_a_text_that_no_peer_carries_is_refused(data: bytes) -> None:
    request = b'{"tenant_id":"acme","context":' + data + b"}"
    with pytest.raises(InvalidParameter) as raised:
        parse_only(SignalChatContext, [raw_value(request)])
    check_error(SignalChatContext, raised.value, "context")


@pytest.mark.parametrize(
    "number",
    [
        *(b"1e400", b"-1e400", b"1e22", b"9007199254740992", b"123456789012345678901234567890"),
        *(b"1e-101", b"-1e-323", b"1e-324", b"1e-400", b"-0.1e-400", b"0." + b"0" * 400 + b"1"),
    ],
    ids=lambda number: ascii(number)[:30],
)
def test_a_number_that_no_peer_carries_is_refused(number: bytes) -> None:
    request = b'{"tenant_id":"acme","context":{"n":' + number + b"}}"
    with pytest.raises(InvalidParameter) as raised:
        parse_only(SignalChatContext, [raw_value(request)])
    check_error(SignalChatContext, raised.value, "context")


@thoroughly(200)
@given(st.binary(max_size=30), st.sampled_from([b"json/plain", b"", b"binary/null"]) | st.binary(max_size=60))
@example(b"{\xff", b"json/plain")
@example(b"{", "\U000e0001".encode() * 100)
def test_bytes_of_any_kind_and_any_encoding_fit_or_are_refused(data: bytes, encoding: bytes) -> None:
    with pytest.raises(InvalidParameter) as raised:
        parse_only(GetChatSession, [raw_value(data, encoding)])
    check_error(GetChatSession, raised.value)
    assert raised.value.message.isprintable()


@thoroughly(200)
@given(st.text(st.sampled_from('{}[]":,\\ud8dc0123456789eE+-.truefalsn \x00\xff'), max_size=12))
def test_what_nearly_is_json_is_read_as_json_or_refused(text: str) -> None:
    try:
        value = read(text.encode())
    except InvalidParameter as error:
        check_error(GetChatSession, error, "")
    else:
        assert json.loads(text) == value


@thoroughly(150)
@given(documents)
def test_json_is_read_as_it_was_written(document: Any) -> None:
    for ascii_only in (True, False):
        written = json.dumps(document, ensure_ascii=ascii_only)
        assert json.dumps(read(written)) == json.dumps(read(written.encode())) == json.dumps(document)


# JSON and near-JSON: repeated member names, numbers of every kind, escapes, spaces.
_spaces = st.text(st.sampled_from(" \t\r\n"), max_size=1)
_numbers = st.from_regex(r"-?(0|[1-9]\d{0,25})(\.\d{1,25})?([eE][-+]?\d{1,3})?", fullmatch=True) | st.sampled_from(
    ["-0", "-0.0", "00", "1.", "1e400", "1e-400", "NaN", "-Infinity", "0." + "0" * 400 + "1", "9" * 4301, "9" * 4300]
)
_strings = st.lists(
    st.sampled_from(
        ["a", "\u00e9", "\U0001f600", "\x00", "\ud800", "\\n", "\\u0000", "\\u0061", "\\ud83d\\ude00", "\\ud83d", "\\x"]
    ),
    max_size=3,
).map(lambda parts: f'"{"".join(parts)}"')
_values: st.SearchStrategy[str] = st.recursive(
    _numbers | _strings | st.sampled_from(["true", "false", "null", "nul"]),
    lambda children: (
        st.lists(children, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(st.sampled_from(['"a"', '"b"', '"c"', '"\\u0061"']), _spaces, children), max_size=3).map(
            lambda members: "{" + ",".join(f"{name}{space}:{value}" for name, space, value in members) + "}"
        )
    ),
    max_leaves=8,
)


def read_or_refused(data: bytes | str) -> str:
    """The value that is read from a text, with the types of its numbers, or the words of the refusal."""
    try:
        return repr(read(data))
    except InvalidParameter as error:
        return str(error)


@thoroughly(600)
@given(_values, _spaces | st.sampled_from(["\ufeff", "\x00", "x", "]"]), st.sampled_from([0, 30, 195, 201, 1000]))
def test_the_fast_parser_reads_what_the_strict_one_reads(text: str, after: str, levels: int) -> None:
    """The fast parser changes neither what is JSON, nor the type of a number, nor the words of a refusal."""
    written = "[" * levels + text + "]" * levels + after
    for data in (written, written.encode(errors="surrogatepass")):
        with patch.object(jiter, "from_json", side_effect=ValueError):
            strictly = read_or_refused(data)
        assert read_or_refused(data) == strictly
