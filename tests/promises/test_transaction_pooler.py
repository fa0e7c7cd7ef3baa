"""Through PgBouncer in transaction mode: nothing fails, and no statement is answered with another's rows."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from pydantic_core import from_json

from embedded import StackAddresses
from embedded.ports import LOOPBACK
from embedded.supervised_process import SupervisedProcess
from tests.support.journeys import Journeys
from tests.support.own_ports import choose_own_ports
from tests.support.watching import assert_stored, until_revision
from tests.support.worker_processes import worker_environment, worker_process

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
POOL_SIZE = 2
NAME = "behind-pgbouncer"
SESSIONS = 15
CHANGES = 5

pytestmark = pytest.mark.skipif(
    PGBOUNCER is None,
    reason="there is no program pgbouncer; `apt-get install pgbouncer`, or as your system does it",
)


@asynccontextmanager
async def pooler(folder: Path, *urls: str) -> AsyncIterator[list[str]]:
    """The same URLs, through a PgBouncer in transaction mode with a few connections to each database."""
    (port,) = choose_own_ports(1)
    servers = [urlsplit(url) for url in urls]
    lines = [
        "[databases]",
        *(
            f"store{number} = host={server.hostname} port={server.port} dbname={server.path[1:]}"
            f" user={server.username} password={server.password}"
            for number, server in enumerate(servers)
        ),
        "[pgbouncer]",
        f"listen_addr = {LOOPBACK}",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = any",
        "pool_mode = transaction",
        f"default_pool_size = {POOL_SIZE}",
        "max_client_conn = 200",
    ]
    settings = folder / "pgbouncer.ini"
    settings.write_text("\n".join(lines))
    assert PGBOUNCER is not None
    account = ["--user=nobody"] if os.geteuid() == 0 else []  # PgBouncer refuses to run as root
    process = SupervisedProcess("PgBouncer", folder, stop_signal=signal.SIGINT, grace_seconds=5)

    async def answers() -> bool:
        try:
            connection = await asyncpg.connect(f"postgresql://anybody@{LOOPBACK}:{port}/store0", ssl=False)
        except OSError:
            return False
        await connection.close()
        return True

    async with process.claim_directory(mode=0o700):
        await process.start([PGBOUNCER, *account, str(settings)], environment=os.environ)
        await process.wait_until_ready(answers)
    try:
        yield [
            f"postgresql://anybody@{LOOPBACK}:{port}/store{number}?application_name={NAME}"
            for number in range(len(urls))
        ]
    finally:
        await process.stop()


async def connections(journeys: Journeys) -> int:
    """The number of connections to Supabase that all workers have together."""
    found: int = await journeys.supabase.fetchval(
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = $1",
        NAME,
    )
    return found


async def talk(journeys: Journeys, number: int) -> str:
    """Change one session with notes of its own, and check each answer; returns its ID."""
    sessions = journeys.sessions
    tenant_id, user_id = f"{journeys.tenant_id}-{number % 3}", f"user {number}"
    session = await sessions.initialize(tenant_id=tenant_id, user_id=user_id, context={"owner": number})
    identity = session.chat_session_id
    assert (session.user_id, session.context) == (user_id, {"owner": number})
    notes: list[str] = []
    for change in range(CHANGES):
        note = f"session {number}, change {change}, {'x' * (number + change)}"
        if change % 3 == 2:
            await sessions.signal_context(identity, tenant_id=tenant_id, append={"notes": [note]}, author=user_id)
        else:
            answer = await sessions.update_context(
                identity, tenant_id=tenant_id, append={"notes": [note]}, author=user_id, idempotency_key=f"k {change}"
            )
            assert (answer.tenant_id, answer.applied_revision) == (tenant_id, change + 1)
            assert answer.context == {"owner": number, "notes": [*notes, note]}
        notes.append(note)
        latest, entries = await asyncio.gather(
            sessions.get(tenant_id=tenant_id, user_id=user_id),
            sessions.history(identity, tenant_id=tenant_id, user_id=user_id, after_revision=0),
        )
        assert (latest.chat_session_id, latest.context["owner"]) == (identity, number)
        assert {entry.author for entry in entries} <= {user_id}
        written = [(entry.change["append"] or {})["notes"] for entry in entries]  # type: ignore[call-overload,index]
        assert written == [[each] for each in notes[: len(written)]]
    row = await until_revision(journeys, identity, CHANGES)
    assert (row["tenant_id"], row["user_id"]) == (tenant_id, user_id)
    assert row["context"] == {"owner": number, "notes": notes}
    await assert_stored(journeys, identity, CHANGES)
    return identity


async def test_many_sessions_share_a_few_connections_and_nothing_is_mixed_up(
    journeys: Journeys, tmp_path: Path
) -> None:
    own = journeys.addresses
    async with pooler(tmp_path, own.supabase_db_url, own.state_surface_url) as (supabase, state_surface):
        pooled: StackAddresses = replace(own, supabase_db_url=supabase, state_surface_url=state_surface)
        environment = worker_environment(pooled, journeys.task_queue, JOURNEY_TRANSACTION_POOLER="true")
        async with worker_process(environment) as first, worker_process(environment) as second:
            identities = await asyncio.gather(*(talk(journeys, number) for number in range(SESSIONS)))
            assert 0 < await connections(journeys) <= POOL_SIZE
            said = [from_json(line) for line in first.logged + second.logged if line.startswith("{")]
    assert len(set(identities)) == SESSIONS
    complaints = [str(line) for line in said if line["level"] != "info"]
    # On a busy machine, an activity's attempt may time out, and is made again.
    excused = ("Activity cancelled", "Cannot find activity to cancel")
    assert [line for line in complaints if not any(each in line for each in excused)] == [], "nothing failed"
