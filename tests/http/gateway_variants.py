"""Commands that start the gateway with other time limits, or another limit of open files."""

import importlib
import shlex
import sys
from typing import Final

from tests.support.commands import JOURNEY

Command = tuple[str, ...]

RESERVED: Final = 100
"""How many files a gateway keeps for itself."""

_CLOCKS: Final = {
    "head": "connections._HEAD_SECONDS",
    "linger": "connections._LINGER_SECONDS",
    "stalled": "connections.STALLED_SECONDS",
    "body": "bodies.BODY_SECONDS",
}

_WITH_CLOCKS: Final = """
import sys
from starter.cli.app import main
from starter.http import bodies, connections

{clocks}
sys.argv[1:] = ["gateway"]
main()
"""


def with_clocks(**seconds: float) -> Command:
    """A gateway with other time limits: for a head, a body, the unread rest of a request, and a stalled reader."""
    for name in seconds:
        module, _, constant = _CLOCKS[name].partition(".")
        assert hasattr(importlib.import_module(f"starter.http.{module}"), constant), f"there is no {constant} any more"
    clocks = "\n".join(f"{_CLOCKS[name]} = {value!r}" for name, value in seconds.items())
    return sys.executable, "-c", _WITH_CLOCKS.format(clocks=clocks)


def with_files(number: int, command: Command = (JOURNEY, "gateway")) -> Command:
    """A gateway that may open `number` files: `RESERVED` for itself, and one for each connection."""
    return "/bin/sh", "-c", f"ulimit -n {number}; exec {shlex.join(command)}"
