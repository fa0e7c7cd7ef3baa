"""The parent of one server process: it outlives whoever asked for the server, and ends the server then.

Run as a script by `supervised_process`, with the standard library alone and in a session of its own. It holds the
reading end of a pipe whose writing end only the asking process has. The kernel closes that end however the asking
process dies, SIGKILL included; a closed pipe means "stop". Being the server's parent it can never signal a
stranger: the number of a process that is not waited for yet is not given to another one.

Standard input carries one-byte orders, `STOP` and `KILL`; standard output and error are the server's log.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TypedDict

STOP = b"s"
KILL = b"k"
_CANNOT_EXECUTE = 126


class SupervisedCommand(TypedDict):
    """What the supervisor is told, as JSON in its only argument.

    Attributes:
        command: the server's program and arguments.
        lock_fd: the inherited descriptor that holds the lock. The server and all its children inherit it in
            turn, so that the lock is free exactly when none of them is left. Who runs is written into the file.
        stop_signal: number of the signal that asks the server to end.
        grace_seconds: how long the server may take to end before it is killed.
        account: user and group number to run the server as, or None for the supervisor's own.
    """

    command: list[str]
    lock_fd: int
    stop_signal: int
    grace_seconds: float
    account: tuple[int, int] | None


def process_identity(pid: int) -> str:
    """Tell a process from a later one with the same number.

    Returns:
        The number and, where `/proc` has it, the start time in clock ticks since boot.

    Raises:
        ProcessLookupError: there is no such process.
    """
    os.getpgid(pid)
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return str(pid)
    return f"{pid} {after_name[19]}"


def _watch(server: subprocess.Popen[bytes], supervised: SupervisedCommand, wake_fd: int, terminated: list[int]) -> None:
    sources = [0, wake_fd]
    stopping = False
    kill_at: float | None = None
    while server.poll() is None:
        remaining = None if kill_at is None else max(0.0, kill_at - time.monotonic())
        readable = select.select(sources, [], [], remaining)[0]
        if wake_fd in readable:
            os.read(wake_fd, 512)
        order = os.read(0, 1) if 0 in readable else None
        if order == b"":
            sources.remove(0)
        if order == KILL or (kill_at is not None and time.monotonic() >= kill_at):
            server.kill()
            kill_at = None
        elif not stopping and (order in {STOP, b""} or terminated):
            server.send_signal(supervised["stop_signal"])
            stopping = True
            kill_at = time.monotonic() + supervised["grace_seconds"]


def main() -> int:
    """Run the server until it ends or is told to.

    Returns:
        The server's exit status, 128 more than the signal that ended it, or 126 where it could not be executed.
    """
    supervised: SupervisedCommand = json.loads(sys.argv[1])
    wake_fd, signalled_fd = os.pipe()
    os.set_blocking(signalled_fd, False)
    signal.set_wakeup_fd(signalled_fd)
    terminated: list[int] = []
    # Handlers, because a signal that is ignored here would be ignored by the server as well.
    signal.signal(signal.SIGTERM, lambda number, _: terminated.append(number))
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    user, group = supervised["account"] or (None, None)
    try:
        server = subprocess.Popen(  # noqa: S603 - no shell; the asking process chose it
            supervised["command"],
            stdin=subprocess.DEVNULL,
            pass_fds=[supervised["lock_fd"]],
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
    except OSError as error:
        sys.stderr.write(f"cannot execute {supervised['command'][0]}: {error}\n")
        return _CANNOT_EXECUTE
    os.ftruncate(supervised["lock_fd"], 0)
    os.pwrite(supervised["lock_fd"], process_identity(server.pid).encode(), 0)
    _watch(server, supervised, wake_fd, terminated)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


if __name__ == "__main__":
    sys.exit(main())
