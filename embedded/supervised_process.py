"""Run a server in a directory of its own, so that it never outlives the process that started it."""

import asyncio
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from embedded import supervisor
from embedded.errors import EmbeddedStackError, PortTakenError
from journeys.errors import ERRORS

_POLL_SECONDS = 0.01
_READY_SECONDS = 60.0
_LOG_TAIL_BYTES = 65_536  # a panic of Temporal writes more than 4 KiB after its cause
_COMPLAINT = re.compile("error|fatal|panic", re.IGNORECASE)


class SupervisedProcess:
    """One server at a time, run by a supervisor process, in a directory that no other process may use meanwhile.

    The directory has two lock files. The process that uses this object holds `owner.lock` from `claim_directory` to
    `stop`. The supervisor, the server and the server's children hold `server.lock`: once it is free, none of them is
    left.

    Attributes:
        name: The server's name in messages.
        directory: The server's working directory, with its locks and its log.
        log: The file with the output of every start, one after the other.
    """

    def __init__(self, name: str, directory: Path, *, stop_signal: signal.Signals, grace_seconds: float) -> None:
        self.name: Final = name
        self.directory: Final = directory.absolute()
        self.log: Final = self.directory / "server.log"
        self._stop_signal = stop_signal
        self._grace_seconds = grace_seconds
        self._owner_fd: int | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def returncode(self) -> int | None:
        """The exit status of the last command; None while it runs, or if none was started. See `supervisor.main`."""
        return self._supervisor.poll() if self._supervisor is not None else None

    @asynccontextmanager
    async def claim_directory(self, *, mode: int) -> AsyncIterator[None]:
        """Claim the directory for this process, until `stop`; the body of the context starts the server.

        First ends a server that an earlier process left behind in the directory. If the body fails, stops the server
        and gives up the directory.

        Args:
            mode: Permissions of the directory, which is created if it is missing.

        Raises:
            EmbeddedStackError: Another process uses the directory, or the operating system refuses a step.
            RuntimeError: The server is already running.
        """
        if self._supervisor is not None and self._supervisor.poll() is None:
            raise RuntimeError(f"{self.name} is already running in {self.directory}")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if self._owner_fd is None:
                self._owner_fd = self._lock_directory()
            self.directory.chmod(mode)
            os.close(await self._lock_server())
            yield
        except BaseException as error:
            await self.stop()
            if isinstance(error, OSError):
                raise EmbeddedStackError(
                    f"{self.name} cannot run in {self.directory} ({error}): fix this, or name another data directory"
                ) from error
            raise

    async def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], account: tuple[int, int] | None = None
    ) -> None:
        """Start a command in the claimed directory, in a session of its own.

        Args:
            command: Program and arguments; the program by its full path.
            environment: The command's whole environment.
            account: User and group number to run the command as; None for this process's own.

        Raises:
            EmbeddedStackError: A server of an earlier start does not end.
        """
        await self._end(supervisor.KILL)  # the previous command has ended; this reaps its supervisor
        lock_fd = await self._lock_server()
        try:
            self._supervisor = self._spawn(command, environment, account, lock_fd)
        finally:
            os.close(lock_fd)

    async def wait_until_ready(self, check: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the server answers.

        Args:
            check: Whether the server answers; called again until it returns true.

        Raises:
            PortTakenError: The server ended because another program listens on one of its ports.
            EmbeddedStackError: The server ended, or does not answer within a minute.
        """
        deadline = time.monotonic() + _READY_SECONDS
        while not await check():
            if self.returncode is not None:
                raise self._error(f"{self.name} ended while starting")
            if time.monotonic() > deadline:
                raise self._error(f"{self.name} does not answer after {_READY_SECONDS:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)

    async def wait_for_exit(self) -> None:
        """Wait until the command has ended by itself.

        Raises:
            EmbeddedStackError: The command failed.
        """
        if self._supervisor is not None and await asyncio.to_thread(self._supervisor.wait) != 0:
            raise self._error(f"{self.name} failed")

    async def wait_for_end(self) -> str:
        """Wait until the command has ended by itself; returns how, in a few words.

        The log's last line is quoted only if it is an error of this project: the last line of another program need
        not be the cause.
        """
        assert self._supervisor is not None
        status = await asyncio.to_thread(self._supervisor.wait)
        number = -status if status < 0 else status - 128
        ended = f"ended by signal {number}" if number > 0 else f"ended with exit status {status}"
        last = (self._written() or [""])[-1]
        return f"{self.name}: {ended}" + (f": {last}" if last.partition(": ")[0] in ERRORS else "")

    async def stop(self) -> None:
        """Ask the server to end, kill it if it takes longer than `grace_seconds`, and give up the directory."""
        await self._end(supervisor.STOP)
        if self._owner_fd is not None:
            os.close(self._owner_fd)
            self._owner_fd = None

    async def kill(self) -> None:
        """Kill the server (SIGKILL) and keep the directory for the next start."""
        await self._end(supervisor.KILL)

    def _lock_directory(self) -> int:
        fd = os.open(self.directory / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not _try_lock(fd):
            owner = os.pread(fd, 32, 0).decode()
            os.close(fd)
            raise EmbeddedStackError(
                f"the data directory {self.directory} is in use by process {owner}: end it, or name another directory"
            )
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        return fd

    async def _lock_server(self) -> int:
        """Lock `server.lock`, after ending a server that holds it.

        The directory is claimed, so a server that holds the lock is left over from an earlier start.
        """
        fd = os.open(self.directory / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            for number in (self._stop_signal, signal.SIGKILL):
                deadline = time.monotonic() + self._grace_seconds
                signalled = False
                while not _try_lock(fd):
                    # The server's supervisor may be dead, or may be ending the server. A second signal does no harm.
                    signalled = signalled or _signal_holder(fd, number)
                    if time.monotonic() > deadline:
                        break
                    await asyncio.sleep(_POLL_SECONDS)
                else:
                    return fd
            raise EmbeddedStackError(
                f"a {self.name} of an earlier start ({os.pread(fd, 64, 0).decode()}) still runs on {self.directory} "
                "and does not end: end it, or name another directory"
            )
        except BaseException:
            os.close(fd)
            raise

    def _spawn(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        account: tuple[int, int] | None,
        lock_fd: int,
    ) -> subprocess.Popen[bytes]:
        supervised: supervisor.SupervisedCommand = {
            "argv": list(command),
            "lock_fd": lock_fd,
            "stop_signal": self._stop_signal,
            "grace_seconds": self._grace_seconds,
            "account": account,
        }
        # Only for this user: the log may quote user data.
        log_fd = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(log_fd, "ab") as log:
            self._log_start = log.seek(0, os.SEEK_END)
            # Not asyncio's subprocess: its transport kills the supervisor when the loop closes, and then nobody would
            # end the server.
            return subprocess.Popen(  # noqa: S603 - no shell, no input from outside
                [sys.executable, "-I", "-S", supervisor.__file__, json.dumps(supervised)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                bufsize=0,
                cwd=self.directory,
                env=dict(environment),
                pass_fds=[lock_fd],
                start_new_session=True,
            )

    async def _end(self, order: bytes) -> None:
        if self._supervisor is None or self._supervisor.stdin is None:
            return
        with suppress(BrokenPipeError):  # the supervisor has ended already
            self._supervisor.stdin.write(order)
        await asyncio.to_thread(self._supervisor.wait)
        os.close(await self._lock_server())  # waits for the children of a killed server, too
        self._supervisor.stdin.close()
        self._supervisor = None

    def _error(self, summary: str) -> EmbeddedStackError:
        """The error with this summary and the most telling line of the log."""
        written = self._written()
        if any("address already in use" in line.lower() for line in written):
            return PortTakenError(f"{summary}: another program took one of its ports; start again")
        # The last line may be a hint, or a message about the shutdown.
        complaints = [line for line in written if _COMPLAINT.search(line)]
        last = (complaints or written or ["it wrote no output"])[-1]
        return EmbeddedStackError(f"{summary}: {last} (see {self.log})")

    def _written(self) -> list[str]:
        """The last lines that the command has written."""
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").split("\n")
        return [line.strip() for line in lines if line.strip()]


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _signal_holder(fd: int, number: signal.Signals) -> bool:
    """Signal the server that the lock file names, unless it has ended: its number may be another process's.

    Returns:
        Whether the server was signalled.
    """
    holder = os.pread(fd, 64, 0).decode()
    pid = int(holder.partition(" ")[0] or 0)
    with suppress(ProcessLookupError):
        if pid and supervisor.process_identity(pid) == holder:
            os.kill(pid, number)
            return True
    return False
