"""Workers and callers: processes that are started again when they die, and that do not outlive this one."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from embedded import supervisor
from embedded.supervised_process import SupervisedProcess

_POLL_SECONDS: Final = 0.05
_GRACE_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 0.5


class Member:
    """One process of the fleet.

    Attributes:
        name: What it is called.
        ended_by_itself: How often it ended though nobody had killed it.
        done: Set once it has ended with status 0; it is not started again then.
    """

    def __init__(self, name: str, folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Describe the process; nothing is started yet.

        Args:
            name: What it is called.
            folder: Its own, with its log.
            command: Program and arguments.
            environment: Its whole environment.
        """
        self.name: Final = name
        self.ended_by_itself = 0
        self.done: Final = asyncio.Event()
        self._process: Final = SupervisedProcess(name, folder, stop_signal=signal.SIGTERM, grace_seconds=_GRACE_SECONDS)
        self._command = command
        self._environment = environment
        self._turn = asyncio.Lock()
        self._killed = asyncio.Event()

    async def keep(self) -> None:
        """Keep it running until it is done or this is cancelled."""
        try:
            while not self.done.is_set():
                async with self._turn:
                    self._killed.clear()
                    async with self._process.claim_directory(mode=0o700):
                        await self._process.start(self._command, environment=self._environment)
                if await self._was_killed():
                    continue  # `kill` holds the turn until the process may be started again
                if self._process.returncode == 0:
                    self.done.set()
                else:
                    self.ended_by_itself += 1
                    await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            await self._process.stop()

    async def kill(self, seconds: float) -> None:
        """Kill it (SIGKILL), and let it be started again after some seconds."""
        async with self._turn:
            self._killed.set()
            await self._process.kill()
            await asyncio.sleep(seconds)

    async def pause(self, seconds: float) -> None:
        """Suspend it (SIGSTOP) for some seconds."""
        async with self._turn:
            with suppress(ProcessLookupError):
                process = self._living()
                os.kill(process, signal.SIGSTOP)
                try:
                    await asyncio.sleep(seconds)
                finally:
                    os.kill(process, signal.SIGCONT)

    async def _was_killed(self) -> bool:
        """Wait until the process has ended; return whether `kill` ended it."""
        while self._process.returncode is None and not self._killed.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._killed.wait(), _POLL_SECONDS)
        return self._killed.is_set()

    def _living(self) -> int:
        """The PID; an error if the process has ended, because another process may have its PID by now."""
        holder = (self._process.directory / "server.lock").read_text()
        process = int(holder.partition(" ")[0] or 0)
        if not process or supervisor.process_identity(process) != holder:
            raise ProcessLookupError
        return process
