"""The processes that work in a directory, as everything does that a stack on this machine starts."""

import operator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.polling import eventually

needs_proc = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for processes in /proc")


def processes_in(directory: Path) -> dict[int, str]:
    """The command line of each process, by ID, whose working directory is in this one, supervisors included."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").readlink().is_relative_to(directory.resolve()):
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    return found


def commands_below(pid: int) -> list[str]:
    """The command line of each child of a process."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ") for child in children]
    except OSError:  # one of them has ended
        return []


async def until_nothing_runs_in(directory: Path) -> None:
    """Wait until the last process in a directory has ended."""
    await eventually(lambda: processes_in(directory), operator.not_)
