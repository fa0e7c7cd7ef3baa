"""The example agents beside the embedded stack, as a process of their own."""

import asyncio
import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM
from typing import Final

from embedded.errors import EmbeddedStackError
from embedded.keep_running import keep_running
from embedded.supervised_process import SupervisedProcess
from starter.dev_gateway import DevGateway

# -P: import no modules from the current directory.
_PROGRAM: Final = (sys.executable, "-P", "-m", "examples.agents")
_GRACE_SECONDS: Final = 5.0


async def example_agents() -> frozenset[str]:
    """The names of the example agents; none if this installation lacks them or a package that they need.

    Raises:
        EmbeddedStackError: They are installed, but do not start.
    """
    if not (importlib.util.find_spec("examples") and importlib.util.find_spec("pydantic_ai")):
        return frozenset()
    asked = await asyncio.create_subprocess_exec(
        *_PROGRAM,
        "--names",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # a terminal's Ctrl-C is for this process alone
    )
    try:
        names, _ = await asked.communicate()
    except asyncio.CancelledError:
        asked.kill()
        await asked.wait()
        raise
    if asked.returncode != 0:
        raise EmbeddedStackError("the example agents cannot be listed")
    return frozenset(names.decode().strip().split(","))


@asynccontextmanager
async def dev_agents(
    agents: frozenset[str], data_dir: Path, gateway: DevGateway, *, progress: Callable[[str], None]
) -> AsyncIterator[Callable[[], Coroutine[None, None, None]] | None]:
    """Run the example agents until the context ends; they end even if this process is killed.

    Args:
        agents: The agents' names; nothing is run if there are none.
        data_dir: The folder of the stack's data, in which they have a folder for their log.
        gateway: The stack's gateway, which shows their unfinished answers.
        progress: Called with a line about each step.

    Yields:
        A function that starts the agents again whenever they end, until it is cancelled; None if there are none.

    Raises:
        EmbeddedStackError: They do not start.
    """
    if not agents:
        yield None
        return
    process = SupervisedProcess(
        "the example agents", data_dir / "agents", stop_signal=SIGTERM, grace_seconds=_GRACE_SECONDS
    )

    async def start() -> None:
        await process.start(_PROGRAM, environment=_environment(gateway))

    progress(f"starting the example agents {', '.join(sorted(agents))}")
    async with process.claim_directory(mode=0o700):
        log_start = process.log.stat().st_size if process.log.exists() else 0

        async def polls() -> bool:
            with process.log.open("rb") as log:
                log.seek(log_start)
                return b"polling for" in log.read()

        await start()
        await process.wait_until_ready(polls)
    try:
        yield lambda: keep_running(process.wait_for_end, start, progress=progress)
    finally:
        await process.stop()


def _environment(gateway: DevGateway) -> dict[str, str]:
    """This process's environment, in which the model is configured, but with this stack's addresses."""
    addresses = gateway.addresses
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
    return inherited | {
        "TEMPORAL_ADDRESS": addresses.temporal_address,
        "TEMPORAL_NAMESPACE": addresses.temporal_namespace,
        "JOURNEY_TASK_QUEUE": addresses.task_queue,
        "JOURNEY_GATEWAY_URL": addresses.http_url or "",
        "JOURNEY_GATEWAY_TOKEN": gateway.service_token.get_secret_value(),
    }
