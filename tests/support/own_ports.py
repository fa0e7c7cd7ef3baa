"""Ports that neither another process of the tests nor the product chooses, even while the server of one is down."""

import os
import secrets
from contextlib import suppress
from typing import Final

from embedded import EmbeddedStackError
from embedded.ports import PortRequest, choose_ports

_FIRST: Final = 11_000  # browsers do not open 10080; the product chooses above 20,000
_RANGES: Final = 8
_EACH: Final = 1_000

_chosen: set[int] = set()


def choose_own_ports(number: int) -> list[int]:
    """Choose as many free loopback ports. This process has chosen none of them before."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _RANGES
    begin = _FIRST + worker * _EACH
    left = sorted({*range(begin, begin + _EACH)} - _chosen)
    found: list[int] = []
    for port in secrets.SystemRandom().sample(left, len(left)):
        with suppress(EmbeddedStackError):
            found += choose_ports([PortRequest("a test", required=port)])
        if len(found) == number:
            _chosen.update(found)
            return found
    raise AssertionError(f"no {number} free ports from {begin} on")
