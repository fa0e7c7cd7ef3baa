"""A caller's append-only log: what it is about to send, and then what became of it."""

import json
from pathlib import Path
from typing import Self

from tests.chaos.evidence import Call


class Journal:
    """The log of one start of a caller. A line is written before anything is sent, and survives the caller."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("x", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, call: Call) -> None:
        """Note a call as it stands now; the last note of it counts."""
        self._file.write(call.model_dump_json() + "\n")
        self._file.flush()


def read_journals(folder: Path) -> list[Call]:
    """All calls of a run's logs. A killed caller may have left half a line, which is skipped."""
    calls: dict[str, Call] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                call = Call.model_validate(json.loads(line))
                calls[call.call] = call
    return list(calls.values())
