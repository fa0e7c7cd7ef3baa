"""A time is read in each form of RFC 3339 and written in one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journeys.chat_session.keys import session_id
from journeys.chat_session.messages import (
    InitializeChatSession,
    JourneyArgument,
)
from journeys.errors import InvalidParameter
from journeys.identifiers import timestamp
from journeys.messages import parse
from tests.unit.contract_requests import (
    INITIALIZE,
    INITIALIZING,
    refuses,
)

# Times.


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-27T10:05:12Z", "2026-01-27T10:05:12.000000Z"),
        ("2026-01-27T10:05:12z", "2026-01-27T10:05:12.000000Z"),
        ("2026-01-27t10:05:12z", "2026-01-27T10:05:12.000000Z"),
        ("2026-01-27 10:05:12Z", "2026-01-27T10:05:12.000000Z"),
        ("2026-01-27T10:05:12+00:00", "2026-01-27T10:05:12.000000Z"),
        ("2026-01-27T10:05:12-00:00", "2026-01-27T10:05:12.000000Z"),
        ("2026-01-27T10:05:12+05:30", "2026-01-27T04:35:12.000000Z"),
        ("2026-01-27T23:05:12-11:00", "2026-01-28T10:05:12.000000Z"),
        ("2026-01-27T10:05:12+23:59", "2026-01-26T10:06:12.000000Z"),
        ("2026-01-27T10:05:12.5Z", "2026-01-27T10:05:12.500000Z"),
        ("2026-01-27T10:05:12.000001Z", "2026-01-27T10:05:12.000001Z"),
        ("2026-01-27T10:05:59.999999999Z", "2026-01-27T10:05:59.999999Z"),
        ("2028-02-29T23:59:59Z", "2028-02-29T23:59:59.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("0001-01-01T00:00:00-01:00", "0001-01-01T01:00:00.000000Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z"),
    ],
)
def test_a_time_is_any_form_of_rfc_3339_and_written_in_one(text: str, moment: str) -> None:
    asked = parse(InitializeChatSession, INITIALIZE | {"requested_at": text})
    assert asked.requested_at
    assert asked.requested_at.tzinfo is UTC
    assert timestamp(asked.requested_at) == moment
    assert asked.model_dump(mode="json")["requested_at"] == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-27T10:05:12",
        "2026-01-27 10:05:12",
        "2026-01-27",
        "10:05:12Z",
        "2026-01-27T10:05Z",
        "2026-01-27T10Z",
        "20260127T100512Z",
        "2026-W05-2T10:05:12Z",
        "2026-027T10:05:12Z",
        "2026-01-27T10:05:12+0530",
        "2026-01-27T10:05:12+05",
        "2026-01-27T10:05:12+05:30:15",
        "2026-01-27T10:05:12+24:00",
        "2026-01-27T10:05:12+05:60",
        "2026-01-27T10:05:12-00:99",
        "2026-01-27T10:05:12 Z",
        "2026-01-27T10:05:12.Z",
        "2026-01-27T10:05:12,5Z",
        "2026-01-27_10:05:12Z",
        "2026-01-27T10:05:60Z",
        "2016-12-31T23:59:60Z",
        "2026-01-27T24:00:00Z",
        "2026-01-27T10:60:00Z",
        "2026-02-29T10:05:12Z",
        "2026-13-01T10:05:12Z",
        "2026-00-01T10:05:12Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        "-2026-01-27T10:05:12Z",
        "2026-01-27T10:05:12Z\n",
        " 2026-01-27T10:05:12Z",
        "2026-01-27T10:05:12Z[Europe/Berlin]",
        "\u0662\u0660\u0662\u0666-01-27T10:05:12Z",
        "2026-01-27T10:05:12\u017f",
        "1769508312",
        "now",
        "",
        1769508312,
        1769508312.5,
        True,
        ["2026-01-27T10:05:12Z"],
        {"seconds": 1},
    ],
    ids=ascii,
)
def test_what_is_no_time_with_its_zone_is_refused(text: Any) -> None:
    assert refuses(InitializeChatSession, INITIALIZE | {"requested_at": text}) == "requested_at"
    assert refuses(JourneyArgument, INITIALIZING | {"initialize": {"requested_at": text}}) == "initialize"


def test_a_session_is_not_created_in_the_future() -> None:
    now = datetime(2026, 1, 27, 10, 0, tzinfo=UTC)
    for ahead, fits in ((-365 * 86400.0, True), (0, True), (299, True), (300, True), (300.000001, False), (1e9, False)):
        asked_at = timestamp(now + timedelta(seconds=ahead))
        asked = parse(InitializeChatSession, INITIALIZE | {"requested_at": asked_at})
        if fits:
            asked.check(session_id(asked.key), now)
        else:
            with pytest.raises(InvalidParameter, match="five minutes") as raised:
                asked.check(session_id(asked.key), now)
            assert raised.value.field == "requested_at"


def test_the_far_future_is_only_too_far_ahead() -> None:
    asked = parse(InitializeChatSession, INITIALIZE | {"requested_at": "9999-12-31T23:59:59Z"})
    with pytest.raises(InvalidParameter, match="five minutes"):
        asked.check(session_id(asked.key), datetime(2026, 1, 27, tzinfo=UTC))
