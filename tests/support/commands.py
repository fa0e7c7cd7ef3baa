"""The command line as people and programs use it: real processes."""

import asyncio
import os
import re
import subprocess
import sysconfig
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import JsonValue
from pydantic_core import from_json

PATIENCE_SECONDS: Final = 60.0
JOURNEY: Final = str(Path(sysconfig.get_path("scripts")) / "journey")

_AT_ONCE = asyncio.Semaphore(2)
_AMBIENT = re.compile("(TEMPORAL|JOURNEY|SUPABASE|STATE_SURFACE)_|(FORCE_COLOR|GITHUB_ACTIONS|PY_COLORS|COLUMNS)$")


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what would change a command's behaviour, and what the test adds."""
    return {name: value for name, value in os.environ.items() if not _AMBIENT.match(name)} | dict(environment)


async def run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    async with _AT_ONCE:
        return await asyncio.to_thread(
            subprocess.run,
            command,
            env=surroundings(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


async def journey(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `journey` to its end."""
    return await run(JOURNEY, *arguments, **environment)


@asynccontextmanager
async def running(*command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command that goes on; it is killed where the test has not ended it."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=surroundings(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def line(stream: asyncio.StreamReader | None, holding: str = "") -> str:
    """The next line that holds a text."""
    assert stream is not None
    read = ""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while said := (await stream.readline()).decode():
            read += said
            if holding in said:
                return said
    raise AssertionError(f"no line with {holding!r} in:\n{read}")


async def end_of(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    """Exit status, and what it has yet to say on standard output and standard error."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        said, complained = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(), complained.decode()


def the_object(output: str) -> dict[str, JsonValue]:
    """The one JSON object that an output is, and nothing besides."""
    value = from_json(output)
    assert isinstance(value, dict)
    assert output.count("\n") == 1
    return value


def processes_in(directory: Path) -> dict[int, str]:
    """The processes whose working directory is there, as every embedded server's and guardian's is."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").readlink().is_relative_to(directory.resolve()):
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    return found


async def eventually(check: Callable[[], bool], promise: str) -> None:
    """Wait for something that nobody announces."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not check():
        assert time.monotonic() < deadline, promise
        await asyncio.sleep(0.02)
