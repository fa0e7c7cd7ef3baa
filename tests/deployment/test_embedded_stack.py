"""What the embedded stack promises, tried on real servers."""

import asyncio
import fcntl
import http.client
import importlib.metadata
import ipaddress
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import asyncpg
import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from embedded import (
    EmbeddedPostgres,
    EmbeddedStack,
    EmbeddedStackError,
    EmbeddedTemporal,
    embedded_stack,
)
from embedded.supervised_process import SupervisedProcess
from journeys.search_attributes import SEARCH_ATTRIBUTES
from tests.support.databases import fetch_value
from tests.support.migrated_stack import migrated_stack
from tests.support.own_ports import choose_own_ports
from tests.support.paths import REPOSITORY
from tests.support.polling import eventually
from tests.support.processes_of_a_directory import needs_proc, processes_in, until_nothing_runs_in

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL under another account")

# Runs a stack in the directory of its first argument until its standard input ends or it is killed.
PARENT = """
import asyncio, json, sys
from dataclasses import asdict
from pathlib import Path
from embedded import embedded_stack

async def main():
    async with embedded_stack(Path(sys.argv[1])) as stack:
        print(json.dumps(asdict(stack.addresses)), flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""

# Notes the signal to end, but does not end.
DEAF = """
import signal
from pathlib import Path

signal.signal(signal.SIGTERM, lambda *_: Path("asked").touch())
Path("deaf").touch()
while True:
    signal.pause()
"""


# -------------------------------------------------------------------------------------------------------- helpers


def on_a_port_of_its_own(folder: Path) -> EmbeddedPostgres:
    """A server whose port no other server takes, so that it can be started again."""
    return EmbeddedPostgres(folder, port=choose_own_ports(1)[0])


def server_pid(directory: Path) -> int:
    return int((directory / "server.lock").read_text().split()[0])


def process_status(directory: Path) -> str:
    return Path(f"/proc/{server_pid(directory)}/status").read_text()


def listening_addresses(directory: Path) -> list[str]:
    """The IP address of every socket that a process in the directory listens on."""
    sockets = set()
    for pid in processes_in(directory):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                sockets.add(str(descriptor.readlink()))
    heard = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            local, state, inode = (line.split()[column] for column in (1, 3, 9))
            if f"socket:[{inode}]" in sockets and (table.startswith("udp") or state == "0A"):
                raw = bytes.fromhex(local.partition(":")[0])
                words = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
                heard.append(str(ipaddress.ip_address(words)))
    return heard


def kill_supervisors(directory: Path, number: signal.Signals) -> None:
    for pid, line in processes_in(directory).items():
        if "supervisor.py" in line:
            os.kill(pid, number)


def get(url: str) -> int:
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    finally:
        connection.close()


async def start_journey(stack: EmbeddedStack, workflow_id: str) -> None:
    client = await Client.connect(stack.addresses.temporal_address)
    tenant = SearchAttributePair(SearchAttributeKey.for_keyword("TenantId"), "tenant")
    await client.start_workflow(
        "nobody_runs_it", id=workflow_id, task_queue="nobody", search_attributes=TypedSearchAttributes([tenant])
    )


async def journey_runs(stack: EmbeddedStack, workflow_id: str) -> bool:
    client = await Client.connect(stack.addresses.temporal_address)
    description = await client.get_workflow_handle(workflow_id).describe()
    return description.status is WorkflowExecutionStatus.RUNNING


@contextmanager
def python_process(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def parent_of_a_stack(data_dir: Path) -> AsyncIterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    with python_process(PARENT, str(data_dir)) as parent:
        assert parent.stdout is not None
        yield parent, json.loads(await asyncio.to_thread(parent.stdout.readline))


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user can reach, unlike pytest's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def listener() -> Iterator[int]:
    """A port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# ------------------------------------------------------------------------------------------------ what it provides


async def test_a_fresh_stack_answers_on_every_address_it_names(tmp_path: Path) -> None:
    told: list[str] = []
    async with embedded_stack(tmp_path / "data", progress=told.append) as stack:
        addresses = stack.addresses
        assert get(addresses.temporal_ui_url) == 200
        client = await Client.connect(addresses.temporal_address, namespace=addresses.temporal_namespace)
        listed = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=addresses.temporal_namespace)
        )
        assert set(listed.custom_attributes) == set(SEARCH_ATTRIBUTES)
        await start_journey(stack, "journey")

        assert await fetch_value(addresses.supabase_db_url, "select current_database()") == "postgres"
        assert await fetch_value(addresses.state_surface_url, "select current_database()") == "state_surface"
        assert str(await fetch_value(addresses.supabase_db_url, "show server_version")).startswith("17.")
        assert await fetch_value(addresses.supabase_db_url, "show fsync") == "on"
        assert await fetch_value(addresses.supabase_db_url, "show timezone") == "UTC"
    assert sorted(told) == ["initialising PostgreSQL", "starting PostgreSQL", "starting Temporal"]


@needs_proc
async def test_no_server_listens_on_anything_but_loopback(tmp_path: Path) -> None:
    async with embedded_stack(tmp_path):
        heard = listening_addresses(tmp_path)
    assert len(heard) >= 3
    assert set(heard) == {"127.0.0.1"}


async def test_a_wrong_password_opens_no_database(tmp_path: Path) -> None:
    postgres = on_a_port_of_its_own(tmp_path)
    await postgres.start()
    try:
        parts = urlsplit(postgres.url("postgres"))
        with pytest.raises(asyncpg.InvalidPasswordError):
            await fetch_value(f"postgresql://postgres:wrong@127.0.0.1:{parts.port}/postgres", "select 1")
        assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600
    finally:
        await postgres.stop()


async def test_a_database_is_created_once_whatever_its_name(tmp_path: Path) -> None:
    postgres = on_a_port_of_its_own(tmp_path)
    await postgres.start()
    try:
        for _ in range(2):
            await postgres.create_database('Odd "name"/?')
        assert await fetch_value(postgres.url('Odd "name"/?'), "select current_database()") == 'Odd "name"/?'
    finally:
        await postgres.stop()


# ------------------------------------------------------------------------------------------------- what it keeps


async def test_data_outlives_the_stack_in_a_directory_with_odd_characters(tmp_path: Path) -> None:
    data_dir = tmp_path / "it's a ?#%41 dir"
    async with embedded_stack(data_dir) as stack:
        await fetch_value(stack.addresses.supabase_db_url, "create table kept as select 7 as value")
        await start_journey(stack, "journey")
    async with embedded_stack(data_dir) as stack:
        assert await fetch_value(stack.addresses.supabase_db_url, "select value from kept") == 7
        assert await journey_runs(stack, "journey")


async def test_killed_servers_start_again_on_their_ports_with_all_they_acknowledged(tmp_path: Path) -> None:
    async with migrated_stack(tmp_path) as stack:
        await fetch_value(stack.addresses.supabase_db_url, "create table kept as select 7 as value")
        await asyncio.gather(*(start_journey(stack, f"journey/{number}") for number in range(20)))
        await asyncio.gather(stack.postgres.kill(), stack.temporal.kill())
        with pytest.raises(ConnectionRefusedError):
            get(stack.addresses.temporal_ui_url)
        with pytest.raises(OSError, match="Connect call failed"):
            await fetch_value(stack.addresses.supabase_db_url, "select 1")

        await asyncio.gather(stack.postgres.start(), stack.temporal.start())
        assert await fetch_value(stack.addresses.supabase_db_url, "select value from kept") == 7
        for number in range(20):
            assert await journey_runs(stack, f"journey/{number}")
        assert get(stack.addresses.temporal_ui_url) == 200


async def test_starting_twice_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    postgres = on_a_port_of_its_own(tmp_path)
    await postgres.start()
    try:
        with pytest.raises(RuntimeError, match="already running"):
            await postgres.start()
        assert await fetch_value(postgres.url("postgres"), "select 1") == 1
    finally:
        await postgres.stop()


async def test_an_initialisation_that_was_cut_short_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("17\n")
    postgres = on_a_port_of_its_own(tmp_path)
    await postgres.start()
    assert not (tmp_path / "data.new").exists()
    await postgres.stop()


# ------------------------------------------------------------------------------------------------- what it ends


@needs_proc
async def test_nothing_is_left_running_after_the_context_ends_in_an_exception(tmp_path: Path) -> None:
    async def fail() -> NoReturn:
        async with embedded_stack(tmp_path):
            assert len(processes_in(tmp_path)) >= 4
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not processes_in(tmp_path)


@needs_proc
@pytest.mark.parametrize("moment", ["initialising PostgreSQL", "starting PostgreSQL"])
async def test_nothing_is_left_running_after_a_cancelled_start(tmp_path: Path, moment: str) -> None:
    reached = asyncio.Event()
    postgres = EmbeddedPostgres(tmp_path, progress=lambda told: reached.set() if told == moment else None)
    start = asyncio.create_task(postgres.start())
    await reached.wait()
    await eventually(lambda: processes_in(tmp_path), pause=0)  # the start would end during a pause
    assert start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not processes_in(tmp_path)

    await postgres.start()
    assert await fetch_value(postgres.url("postgres"), "select 1") == 1
    await postgres.stop()


@needs_proc
async def test_nothing_is_left_running_when_one_server_cannot_start(tmp_path: Path, listener: int) -> None:
    with pytest.raises(EmbeddedStackError):
        async with embedded_stack(tmp_path, postgres_port=listener):
            pytest.fail("it started")
    assert not processes_in(tmp_path)


@needs_proc
async def test_nothing_is_left_running_after_sigkill_of_the_parent(tmp_path: Path) -> None:
    async with parent_of_a_stack(tmp_path) as (parent, addresses):
        await fetch_value(addresses["supabase_db_url"], "create table kept as select 7 as value")
        parent.kill()
    await until_nothing_runs_in(tmp_path)
    async with embedded_stack(tmp_path) as stack:
        assert await fetch_value(stack.addresses.supabase_db_url, "select value from kept") == 7


@needs_proc
async def test_nothing_is_left_running_after_sigkill_in_the_middle_of_a_first_start(tmp_path: Path) -> None:
    def has_begun() -> bool:  # on a busy machine, this process may see it only afterwards
        is_complete = (tmp_path / "postgres" / "data").exists()
        return is_complete or any("data.new" in line for line in processes_in(tmp_path).values())

    with python_process(PARENT, str(tmp_path)) as parent:
        await eventually(has_begun, pause=0)
        parent.kill()
    await until_nothing_runs_in(tmp_path)


@needs_proc
async def test_a_start_right_after_sigkill_waits_for_the_old_servers_to_end(tmp_path: Path) -> None:
    async with parent_of_a_stack(tmp_path) as (parent, _):
        parent.kill()
        parent.wait()
        async with embedded_stack(tmp_path) as stack:
            assert await fetch_value(stack.addresses.supabase_db_url, "select 1") == 1


@needs_proc
async def test_servers_orphaned_with_their_supervisors_are_replaced_at_the_next_start(tmp_path: Path) -> None:
    async with parent_of_a_stack(tmp_path) as (parent, addresses):
        await fetch_value(addresses["supabase_db_url"], "create table kept as select 7 as value")
        orphans = [server_pid(tmp_path / name) for name in ("postgres", "temporal")]
        kill_supervisors(tmp_path, signal.SIGKILL)
        parent.kill()
    assert set(orphans) <= set(processes_in(tmp_path))
    async with embedded_stack(tmp_path) as stack:
        assert not set(orphans) & set(processes_in(tmp_path))
        assert await fetch_value(stack.addresses.supabase_db_url, "select value from kept") == 7


@needs_proc
async def test_stop_ends_a_server_that_lost_its_supervisor(tmp_path: Path) -> None:
    postgres = on_a_port_of_its_own(tmp_path)
    await postgres.start()
    kill_supervisors(tmp_path, signal.SIGKILL)
    await postgres.stop()
    assert not processes_in(tmp_path)


@needs_proc
async def test_a_terminated_supervisor_ends_its_server_in_order(tmp_path: Path) -> None:
    postgres = on_a_port_of_its_own(tmp_path)
    await postgres.start()
    kill_supervisors(tmp_path, signal.SIGTERM)
    await until_nothing_runs_in(tmp_path)
    assert "database system is shut down" in (tmp_path / "server.log").read_text()
    await postgres.stop()


@needs_proc
async def test_a_server_that_ignores_its_signal_is_killed_after_the_grace(tmp_path: Path) -> None:
    process = SupervisedProcess("deaf", tmp_path, stop_signal=signal.SIGTERM, grace_seconds=2)
    async with process.claim_directory(mode=0o700):
        await process.start([sys.executable, "-c", DEAF], environment=os.environ)
        await eventually((tmp_path / "deaf").exists)
    await process.stop()
    assert (tmp_path / "asked").exists()
    assert not processes_in(tmp_path)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("INFO httpx2: HTTP Request failed with an error", "it: ended with exit status 3"),
        ("INVALID_PARAMETER: no such model", "it: ended with exit status 3: INVALID_PARAMETER: no such model"),
    ],
)
async def test_a_line_of_the_log_is_the_cause_of_an_end_only_if_it_is_an_error_of_ours(
    tmp_path: Path, written: str, told: str
) -> None:
    process = SupervisedProcess("it", tmp_path, stop_signal=signal.SIGTERM, grace_seconds=5)
    async with process.claim_directory(mode=0o700):
        await process.start([sys.executable, "-c", f"print({written!r}); exit(3)"], environment=os.environ)
        assert await process.wait_for_end() == told
    await process.stop()


@needs_proc
async def test_a_signal_to_the_terminal_s_group_reaches_no_server(tmp_path: Path) -> None:
    postgres = on_a_port_of_its_own(tmp_path)
    await postgres.start()
    sessions = {os.getsid(pid) for pid in processes_in(tmp_path)}
    await postgres.stop()
    assert sessions
    assert os.getsid(0) not in sessions


async def test_process_numbers_that_others_have_by_now_are_not_signalled(tmp_path: Path) -> None:
    with python_process("import signal; signal.pause()") as stranger:
        postgres = on_a_port_of_its_own(tmp_path)
        await postgres.start()
        await postgres.stop()
        (tmp_path / "server.lock").write_text(f"{stranger.pid} 1")
        (tmp_path / "data" / "postmaster.pid").write_text(f"{stranger.pid}\n{tmp_path}\n1\n1\n\n\n\nready\n")
        await postgres.start()
        assert await fetch_value(postgres.url("postgres"), "select 1") == 1
        await postgres.stop()
        assert stranger.poll() is None


async def test_a_lock_that_a_stranger_holds_is_an_error_and_the_stranger_lives(tmp_path: Path) -> None:
    with python_process("import signal; signal.pause()") as stranger, (tmp_path / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{stranger.pid} 1")
        lock.flush()
        process = SupervisedProcess("server", tmp_path, stop_signal=signal.SIGTERM, grace_seconds=0.1)
        with pytest.raises(EmbeddedStackError, match=f"server of an earlier start .{stranger.pid} 1. still runs"):
            async with process.claim_directory(mode=0o700):
                pytest.fail("it started")
        assert stranger.poll() is None


# ----------------------------------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize("which", ["temporal_port", "ui_port", "postgres_port"])
async def test_a_named_port_in_use_is_an_error_that_names_it(tmp_path: Path, listener: int, which: str) -> None:
    with pytest.raises(EmbeddedStackError, match=rf"port {listener} .*name another port"):
        async with embedded_stack(
            tmp_path,
            temporal_port=listener if which == "temporal_port" else None,
            ui_port=listener if which == "ui_port" else None,
            postgres_port=listener if which == "postgres_port" else None,
        ):
            pytest.fail("it started")


async def test_named_ports_are_used(tmp_path: Path) -> None:
    ports = choose_own_ports(2)
    temporal = EmbeddedTemporal(tmp_path, port=ports[0], ui_port=ports[1])
    await temporal.start()
    await temporal.stop()
    assert (temporal.address, temporal.ui_url) == (f"127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}")


async def test_stacks_that_start_at_once_share_no_port(tmp_path: Path) -> None:
    servers = [EmbeddedPostgres(tmp_path / str(number)) for number in range(4)]
    try:
        await asyncio.gather(*(server.start() for server in servers))
        assert len({urlsplit(server.url("x")).port for server in servers}) == 4
        for server in servers:
            assert await fetch_value(server.url("postgres"), "select 1") == 1
    finally:
        await asyncio.gather(*(server.stop() for server in servers))


async def test_a_directory_in_use_is_refused_and_its_server_is_left_alone(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / "postgres")
    await postgres.start()
    try:
        with pytest.raises(EmbeddedStackError, match=f"in use by process {os.getpid()}: end it, or name another"):
            async with embedded_stack(tmp_path):
                pytest.fail("it started")
        assert await fetch_value(postgres.url("postgres"), "select 1") == 1
    finally:
        await postgres.stop()


async def test_a_cluster_of_another_major_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("16\n")
    (tmp_path / "password").write_text("secret")
    with pytest.raises(EmbeddedStackError, match=r"made by PostgreSQL 16 and this is 17: move it away"):
        await on_a_port_of_its_own(tmp_path).start()
    assert (tmp_path / "data" / "PG_VERSION").read_text() == "16\n"


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedStackError, match=r"file/postgres|file/temporal"):
        async with embedded_stack(tmp_path / "file"):
            pytest.fail("it started")


@pytest.mark.parametrize("server", [EmbeddedPostgres, EmbeddedTemporal])
async def test_without_the_extra_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: type[EmbeddedPostgres] | type[EmbeddedTemporal]
) -> None:
    def not_installed(name: str) -> NoReturn:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", not_installed)
    with pytest.raises(EmbeddedStackError, match=r"not installed: run `make setup`"):
        await server(tmp_path / "data").start()


async def test_a_server_that_cannot_start_is_quoted_in_one_line(tmp_path: Path) -> None:
    postgres = on_a_port_of_its_own(tmp_path)
    await postgres.start()
    await postgres.stop()
    with (tmp_path / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedStackError, match=r"ended while starting: .*FATAL.*server\.log\)$") as caught:
        await postgres.start()
    assert "\n" not in str(caught.value)


# --------------------------------------------------------------------------------------------- under whose account


@needs_root
@needs_proc
async def test_root_s_postgres_has_no_privilege_where_it_needs_none(open_directory: Path) -> None:
    postgres = EmbeddedPostgres(open_directory / "postgres")
    await postgres.start()
    status = process_status(open_directory / "postgres")
    await postgres.stop()
    assert "CapEff:\t0000000000000000" in status
    assert "Uid:\t0" not in status


@needs_root
@needs_proc
async def test_root_s_postgres_runs_below_a_closed_directory_and_leaves_it_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed to others"
    closed.mkdir(mode=0o700)
    postgres = EmbeddedPostgres(closed / "data" / "postgres")
    await postgres.start()
    assert await fetch_value(postgres.url("postgres"), "select 1") == 1
    assert "Uid:\t0" not in process_status(closed / "data" / "postgres")
    await postgres.stop()
    assert closed.stat().st_mode & 0o777 == 0o700


@needs_root
async def test_a_user_who_is_not_root_and_has_no_home_can_run_it_all(open_directory: Path, tmp_path: Path) -> None:
    python = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/local/bin:/usr/bin")
    if python is None:
        pytest.skip("no Python of this version that every user can run")
    installed = Path(sysconfig.get_path("purelib"))
    if not all(folder.stat().st_mode & 0o001 for folder in (*REPOSITORY.parents, *installed.parents)):
        pytest.skip("not every user can reach this checkout and what is installed for it")
    shutil.chown(open_directory, "nobody")
    ended = await asyncio.to_thread(
        subprocess.run,
        [python, "-c", PARENT, str(open_directory / "data of nobody")],
        cwd=open_directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        user="nobody",
        group=pwd.getpwnam("nobody").pw_gid,
        extra_groups=[],
        env={"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path]), "HOME": str(tmp_path)},
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["temporal_namespace"] == "default"
