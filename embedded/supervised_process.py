"""A server process on a directory of its own that never outlives the process that started it."""

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

_POLL_SECONDS = 0.01
_READY_SECONDS = 60.0
_LOG_TAIL_BYTES = 4096
_COMPLAINT = re.compile("error|fatal|panic", re.IGNORECASE)


class SupervisedProcess:
    """One server at a time, run by a supervisor process on a directory that nobody else uses meanwhile.

    Two locks in the directory say who is there. `owner.lock` is held by the process that uses this object, from
    `starting` to `stop`. `server.lock` is held by supervisor, server and the server's children: once it is free, not
    one of them is left.

    Attributes:
        name: what the server is called in messages.
        directory: where it runs, with its locks and its log.
        log: what the server wrote, all starts one after the other.
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
        """The exit status of the last command, None while it runs; see `supervisor.main`."""
        return self._supervisor.poll() if self._supervisor is not None else None

    @asynccontextmanager
    async def starting(self, *, mode: int) -> AsyncIterator[None]:
        """Claim the directory for this process while the body starts the server; undo all of it if that fails.

        A server that is left over in the directory is ended first.

        Args:
            mode: permissions of the directory, which is created where it is missing.

        Raises:
            EmbeddedStackError: another process uses the directory, or the operating system refuses something.
            RuntimeError: the server runs already.
        """
        if self._supervisor is not None and self._supervisor.poll() is None:
            raise RuntimeError(f"{self.name} runs already in {self.directory}")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if self._owner_fd is None:
                self._owner_fd = self._own()
            self.directory.chmod(mode)
            os.close(await self._lock_server())
            yield
        except BaseException as error:
            await self.stop()
            if isinstance(error, OSError):
                raise EmbeddedStackError(
                    f"{self.name} cannot run in {self.directory} ({error}): mend that, or name another data directory"
                ) from error
            raise

    async def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], account: tuple[int, int] | None = None
    ) -> None:
        """Start the command, in the claimed directory and a session of its own.

        Args:
            command: program and arguments; the program by its full path.
            environment: the whole environment of the command.
            account: user and group number to run it as, None for this process's own.

        Raises:
            EmbeddedStackError: a server that was left over does not end.
        """
        await self._end(supervisor.KILL)  # what ran before has ended; this cleans up after it
        lock_fd = await self._lock_server()
        try:
            self._supervisor = self._spawn(command, environment, account, lock_fd)
        finally:
            os.close(lock_fd)

    async def ready(self, check: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the server answers.

        Args:
            check: says whether it does; asked again and again.

        Raises:
            PortTakenError: the server ended, because another program listens on a port of its own.
            EmbeddedStackError: it ended, or it does not answer within a minute.
        """
        deadline = time.monotonic() + _READY_SECONDS
        while not await check():
            if self.returncode is not None:
                raise self._failure(f"{self.name} ended while starting")
            if time.monotonic() > deadline:
                raise self._failure(f"{self.name} does not answer after {_READY_SECONDS:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)

    async def finished(self) -> None:
        """Wait until the command has ended by itself.

        Raises:
            EmbeddedStackError: it failed.
        """
        if self._supervisor is not None and await asyncio.to_thread(self._supervisor.wait) != 0:
            raise self._failure(f"{self.name} failed")

    async def stop(self) -> None:
        """Ask the server to end, kill it when it takes longer than the grace, and give up the directory."""
        await self._end(supervisor.STOP)
        if self._owner_fd is not None:
            os.close(self._owner_fd)
            self._owner_fd = None

    async def kill(self) -> None:
        """Kill the server (SIGKILL) and keep the directory, for a start that follows."""
        await self._end(supervisor.KILL)

    def _own(self) -> int:
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
        """Wait for the server lock, ending who holds it: we own the directory, so that is a leftover."""
        fd = os.open(self.directory / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            for number in (self._stop_signal, signal.SIGKILL):
                deadline = time.monotonic() + self._grace_seconds
                signalled = False
                while not _try_lock(fd):
                    # Its supervisor may be at it, or be dead as well. Asking twice does no harm.
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
            "command": list(command),
            "lock_fd": lock_fd,
            "stop_signal": self._stop_signal,
            "grace_seconds": self._grace_seconds,
            "account": account,
        }
        log_fd = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)  # it may quote what users wrote
        with os.fdopen(log_fd, "ab") as log:
            self._log_start = log.seek(0, os.SEEK_END)
            # Not asyncio's: its transport kills the process when the loop goes away, and the server would stay.
            return subprocess.Popen(  # noqa: S603 - no shell; every part is ours
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
        with suppress(BrokenPipeError):  # it has ended already
            self._supervisor.stdin.write(order)
        await asyncio.to_thread(self._supervisor.wait)
        os.close(await self._lock_server())  # children of a killed server go a moment after it
        self._supervisor.stdin.close()
        self._supervisor = None

    def _failure(self, what: str) -> EmbeddedStackError:
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").split("\n")
        written = [line.strip() for line in lines if line.strip()]
        if any("address already in use" in line.lower() for line in written):
            return PortTakenError(f"{what}: another program took one of its ports; start again")
        complaints = [line for line in written if _COMPLAINT.search(line)]  # hints and farewells may follow them
        last = (complaints or written or ["it said nothing"])[-1]
        return EmbeddedStackError(f"{what}: {last} (see {self.log})")


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _signal_holder(fd: int, number: signal.Signals) -> bool:
    """Signal the server that is written in the lock file, unless its number belongs to another process by now."""
    holder = os.pread(fd, 64, 0).decode()
    pid = int(holder.partition(" ")[0] or 0)
    with suppress(ProcessLookupError):
        if pid and supervisor.process_identity(pid) == holder:
            os.kill(pid, number)
            return True
    return False
