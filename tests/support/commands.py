"""The command line as people and programs use it: real processes."""

import asyncio
import os
import re
import subprocess
import sysconfig
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import JsonValue
from pydantic_core import from_json

PATIENCE_SECONDS: Final = 150.0  # some commands start other programs, one after the other
JOURNEY: Final = str(Path(sysconfig.get_path("scripts")) / "journey")

_AT_ONCE = asyncio.Semaphore(2)
_AMBIENT = re.compile(
    "(TEMPORAL|JOURNEY|SUPABASE|STATE_SURFACE|TTY)_|(FORCE_COLOR|GITHUB_ACTIONS|PY_COLORS|COLUMNS|TERMINAL_WIDTH)$"
)


def environment_with(environment: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, without variables that would change a command's behaviour, plus the test's own."""
    return {name: value for name, value in os.environ.items() if not _AMBIENT.match(name)} | dict(environment)


async def run_command(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    async with _AT_ONCE:
        return await asyncio.to_thread(
            subprocess.run,
            command,
            env=environment_with(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


async def run_journey(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `journey` to its end."""
    return await run_command(JOURNEY, *arguments, **environment)


@asynccontextmanager
async def command_process(*command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process of a command that keeps running; it is killed unless the test has ended it."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment_with(environment),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def read_line(stream: asyncio.StreamReader | None, holding: str = "") -> str:
    """Read up to the next line that holds a text; returns that line."""
    assert stream is not None
    read = ""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while said := (await stream.readline()).decode():
            read += said
            if holding in said:
                return said
    raise AssertionError(f"no line with {holding!r} in:\n{read}")


@asynccontextmanager
async def collected_lines(stream: asyncio.StreamReader | None) -> AsyncIterator[list[str]]:
    """The lines that a program writes while the context is open; the list grows as they come."""
    assert stream is not None
    lines: list[str] = []

    async def collect() -> None:
        while said := await stream.readline():
            lines.append(said.decode())

    collecting = asyncio.create_task(collect())
    try:
        yield lines
    finally:
        collecting.cancel()
        with suppress(asyncio.CancelledError):
            await collecting


async def wait_for_exit(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    """Wait for the exit; returns the status and the rest of standard output and standard error."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        said, complained = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(), complained.decode()


def only_object(output: str) -> dict[str, JsonValue]:
    """The single JSON object of an output."""
    value = from_json(output)
    assert isinstance(value, dict)
    assert output.count("\n") == 1
    return value
