"""CPU and memory of processes, as Linux counts them in `/proc`."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/<pid>/stat after the command's name, see proc_pid_stat(5).
_PARENT, _OWN, _REAPED, _THREADS, _RESIDENT = 1, slice(11, 13), slice(13, 15), 17, 21


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    fields: list[str]

    @property
    def parent(self) -> int:
        return int(self.fields[_PARENT])

    @property
    def seconds(self) -> float:
        """CPU time of the process and of its children that have ended."""
        reaped = sum(map(int, self.fields[_REAPED])) / _TICK
        if self.fields[_THREADS] == "1":  # exact; the other source is cut to hundredths of a second
            try:
                return reaped + int((_PROC / str(self.pid) / "schedstat").read_text().split()[0]) / 1e9
            except OSError:
                pass
        return reaped + sum(map(int, self.fields[_OWN])) / _TICK


def cpu_seconds(roots: Mapping[str, int | None]) -> dict[str, float | None]:
    """The CPU time of processes with all their descendants.

    Args:
        roots: Process IDs by name; None for a part that has no process.

    Returns:
        Seconds by the same names; None if the part has no process, or `/proc` does not show it.
    """
    if not _PROC.is_dir():
        return dict.fromkeys(roots)
    seen = list(_processes())
    children: dict[int, list[_Process]] = {}
    for process in seen:
        children.setdefault(process.parent, []).append(process)
    known = {process.pid: process for process in seen}
    return {
        name: None if pid is None or pid not in known else _with_children(known[pid], children)
        for name, pid in roots.items()
    }


def resident_bytes(pid: int) -> int:
    """The resident memory of a process.

    Raises:
        OSError: There is no such process, or no `/proc`.
    """
    return int(_fields(pid)[_RESIDENT]) * _PAGE


def _with_children(process: _Process, children: Mapping[int, list[_Process]]) -> float:
    return process.seconds + sum(_with_children(each, children) for each in children.get(process.pid, ()))


def _processes() -> Iterable[_Process]:
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                yield _Process(int(entry.name), _fields(int(entry.name)))
            except OSError:  # the process has ended meanwhile
                continue


def _fields(pid: int) -> list[str]:
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
