"""The parent process of one server: it outlives its own parent, the owner, and then ends the server.

`supervised_process` runs this file as a script, with the standard library alone and in a session of its own. The
owner is the process that starts the supervisor. Standard input is a pipe, and only the owner has its writing end.
However the owner dies, SIGKILL included, the kernel closes the writing end; a closed pipe means "stop". The
supervisor never signals another program by mistake: the kernel does not reuse the server's process number before
the supervisor, as the server's parent, has waited for the server.

Standard input carries one-byte orders, `STOP` and `KILL`. Standard output and error are the server's log.
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
    """The server's command and how to end it: the supervisor's only argument, as JSON.

    Attributes:
        argv: The server's program and arguments.
        lock_fd: An inherited descriptor that holds the server lock. The server and all its children inherit it
            in turn, so the lock is free exactly when none of them is left. The supervisor writes the server's
            `process_identity` into the file.
        stop_signal: Number of the signal that asks the server to end.
        grace_seconds: How long the server may take to end before it is killed.
        account: User and group number to run the server as, or None for the supervisor's own.
    """

    argv: list[str]
    lock_fd: int
    stop_signal: int
    grace_seconds: float
    account: tuple[int, int] | None


def process_identity(pid: int) -> str:
    """Identify a process, so that a later process with the same number is not taken for it.

    Returns:
        The number and, if the system has `/proc`, the start time in clock ticks since boot.

    Raises:
        ProcessLookupError: There is no process with this number.
    """
    os.getpgid(pid)
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return str(pid)
    return f"{pid} {after_name[19]}"


def _run_until_exit(
    server: subprocess.Popen[bytes], command: SupervisedCommand, wake_fd: int, received_sigterms: list[int]
) -> None:
    """Carry out orders until the server has ended. Every signal makes `wake_fd` readable."""
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
        elif not stopping and (order in {STOP, b""} or received_sigterms):
            server.send_signal(command["stop_signal"])
            stopping = True
            kill_at = time.monotonic() + command["grace_seconds"]


def main() -> int:
    """Run the server until it ends by itself, or end it on an order, on SIGTERM or when the owner dies.

    Returns:
        The server's exit status; 128 plus the signal's number if a signal ended the server; 126 if the server
        could not be executed.
    """
    command: SupervisedCommand = json.loads(sys.argv[1])
    wake_fd, signalled_fd = os.pipe()
    os.set_blocking(signalled_fd, False)
    signal.set_wakeup_fd(signalled_fd)
    received_sigterms: list[int] = []
    # Handlers rather than SIG_IGN: the server would inherit an ignored signal.
    signal.signal(signal.SIGTERM, lambda number, _: received_sigterms.append(number))
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    user, group = command["account"] or (None, None)
    try:
        server = subprocess.Popen(  # noqa: S603 - no shell; the owner chose the program
            command["argv"],
            stdin=subprocess.DEVNULL,
            pass_fds=[command["lock_fd"]],
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
    except OSError as error:
        sys.stderr.write(f"cannot execute {command['argv'][0]}: {error}\n")
        return _CANNOT_EXECUTE
    os.ftruncate(command["lock_fd"], 0)
    os.pwrite(command["lock_fd"], process_identity(server.pid).encode(), 0)
    _run_until_exit(server, command, wake_fd, received_sigterms)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


if __name__ == "__main__":
    sys.exit(main())
