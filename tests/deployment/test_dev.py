"""What `journey dev` promises: everything on one machine, found by one line, gone without a trace, its data kept."""

import asyncio
import http.client
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from temporalio.client import Client

from embedded.ports import LOOPBACK
from embedded.postgres import _PREFERRED_PORT
from journeys import ChatSessions
from journeys.chat_session.agent_turns import agent_turn_id
from journeys.chat_session.keys import session_id, session_key
from journeys.chat_session.names import workflow_id
from starter.dev_agents import example_agents
from tests.support.commands import (
    JOURNEY,
    command_process,
    only_object,
    read_line,
    run_command,
    run_journey,
    wait_for_exit,
)
from tests.support.databases import execute, fetch_value
from tests.support.own_ports import choose_own_ports
from tests.support.polling import eventually
from tests.support.processes_of_a_directory import commands_below, processes_in, until_nothing_runs_in

Addresses = dict[str, Any]

# Python imports it as it starts.
ENDLESS_LIST = """
import signal, sys

if "examples.agents" in sys.orig_argv:
    signal.pause()
"""


@asynccontextmanager
async def dev(data_dir: Path, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Addresses]]:
    """A running `journey dev`, once it has said where everything is."""
    async with command_process(JOURNEY, "dev", "--data-dir", str(data_dir), "--json", *arguments) as process:
        yield process, only_object(await read_line(process.stdout))


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Path, Addresses]]:
    """One `journey dev` for all tests that leave it running."""
    data_dir = tmp_path_factory.mktemp("shared")
    async with dev(data_dir) as (_, addresses):
        yield data_dir, addresses


@pytest.fixture
def own_ports() -> Iterator[tuple[int, int]]:
    """Ports of Temporal and its Web UI that no other stack of this machine takes as soon as they are free.

    Nor does the stack's PostgreSQL, which has no option for its port, get the one that all stacks prefer.
    """
    temporal, ui = choose_own_ports(2)
    with ExitStack() as held:
        with suppress(OSError):  # another stack has it
            held.enter_context(socket.create_server((LOOPBACK, _PREFERRED_PORT)))
        yield temporal, ui


def at_ports(ports: tuple[int, int]) -> tuple[str, ...]:
    return "--temporal-port", str(ports[0]), "--ui-port", str(ports[1])


async def connect_sessions(addresses: Addresses) -> ChatSessions:
    client = await Client.connect(addresses["temporal_address"], namespace=addresses["temporal_namespace"])
    return ChatSessions(client, task_queue=addresses["task_queue"])


def ports_of(addresses: Addresses) -> list[int]:
    urls = [
        f"grpc://{addresses['temporal_address']}",
        addresses["temporal_ui_url"],
        addresses["supabase_db_url"],
        addresses["http_url"],
    ]
    return [port for url in urls if (port := urlsplit(url).port)]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def test_one_line_says_where_everything_is_and_all_of_it_answers(shared: tuple[Path, Addresses]) -> None:
    _, addresses = shared
    assert list(addresses) == [
        "temporal_address",
        "temporal_namespace",
        "temporal_ui_url",
        "task_queue",
        "supabase_db_url",
        "state_surface_url",
        "http_url",
    ]
    assert addresses["http_url"].startswith("http://127.0.0.1:")
    assert addresses["task_queue"] == "coexistence-journeys"
    page = http.client.HTTPConnection(urlsplit(addresses["temporal_ui_url"]).netloc, timeout=10)
    page.request("GET", "/")
    assert page.getresponse().status == 200
    page.close()
    for store, table in (("supabase_db_url", "public.chat_sessions"), ("state_surface_url", "state_surface.artifacts")):
        await execute(addresses[store], f"select from {table}")


async def test_any_client_of_temporal_holds_a_session_there(shared: tuple[Path, Addresses]) -> None:
    _, addresses = shared
    client = await Client.connect(addresses["temporal_address"], namespace=addresses["temporal_namespace"])
    now = datetime.now(UTC)
    identity = session_id(session_key("acme", "ada", now))
    journey_of_ada = await client.start_workflow(
        "journey_coexistence_chat_session",
        {
            "chat_session_id": identity,
            "tenant_id": "acme",
            "user_id": "ada",
            "initialize": {"requested_at": now.isoformat()},
        },
        id=workflow_id(identity),
        task_queue=addresses["task_queue"],
    )
    change = {"tenant_id": "acme", "context": {"topic": "rent"}}
    answer: Addresses = await journey_of_ada.execute_update("update_chat_context", change)
    assert (answer["revision"], answer["context"]) == (1, {"topic": "rent"})
    stored = f"select revision from public.chat_sessions where chat_session_id = '{identity}'"
    assert await fetch_value(addresses["supabase_db_url"], stored) == 1


async def test_the_example_agents_answer_there(shared: tuple[Path, Addresses]) -> None:
    _, addresses = shared
    client = await Client.connect(addresses["temporal_address"], namespace=addresses["temporal_namespace"])
    sessions = ChatSessions(client, task_queue=addresses["task_queue"])
    session = await sessions.initialize(tenant_id="acme", user_id="grace", session_name="talk")
    asked = await sessions.update_context(
        session.chat_session_id, tenant_id="acme", user_id="grace", messages=[{"text": "Hello"}], turn=True
    )
    turn = client.get_workflow_handle(agent_turn_id(session.chat_session_id, asked.turn_revision))
    await asyncio.wait_for(turn.result(), 60)
    page = await sessions.messages(session.chat_session_id, tenant_id="acme", user_id="grace")
    assert [message.author for message in page.messages] == [None, "guide"]


async def test_what_is_killed_is_started_again_and_said_in_one_line_each(
    tmp_path: Path, own_ports: tuple[int, int]
) -> None:
    async with command_process(JOURNEY, "dev", "--data-dir", str(tmp_path), *at_ports(own_ports)) as process:
        printed = [await read_line(process.stdout)]
        while "session initialize" not in printed[-1]:
            printed.append(await read_line(process.stdout))
        addresses = dict(line.split(maxsplit=1) for line in "".join(printed[:7]).splitlines())
        made = only_object((await run_command("bash", "-c", f"{printed[-1].strip()} --json")).stdout)
        client = await Client.connect(addresses["temporal_address"], namespace=addresses["temporal_namespace"])
        names = {"agents": "the example agents", "postgres": "PostgreSQL", "temporal": "Temporal"}
        for directory in names:
            os.kill(int((tmp_path / directory / "server.lock").read_text().split()[0]), signal.SIGKILL)
        async with asyncio.timeout(60):
            assert process.stderr is not None
            told: set[str] = set()
            while len(told) < len(names):
                line = (await process.stderr.readline()).decode()
                told |= {line.strip()} if "signal" in line else set()
        assert told == {f"{name}: ended by signal 9; starting again in 1 s" for name in names.values()}

        sessions = ChatSessions(client, task_queue=addresses["task_queue"], deadline=timedelta(seconds=60))
        identity = str(made["chat_session_id"])
        asked = await sessions.update_context(identity, tenant_id="acme", messages=[{"text": "Hello"}], turn=True)
        turn = client.get_workflow_handle(agent_turn_id(identity, asked.turn_revision))
        await asyncio.wait_for(turn.result(), 60)
        page = await sessions.messages(identity, tenant_id="acme")
        assert [message.author for message in page.messages] == [None, "guide"]
        process.send_signal(signal.SIGINT)
        status, _, complained = await wait_for_exit(process)
    assert (status, complained.splitlines()[-1]) == (0, f"stopped; the data is in {tmp_path}")
    await until_nothing_runs_in(tmp_path)


async def test_agents_that_cannot_start_are_named(tmp_path: Path) -> None:
    done = await run_journey("dev", "--json", "--data-dir", str(tmp_path), JOURNEY_AGENT_MODEL="no such model")
    assert (done.returncode, done.stdout) == (1, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ENGINE_UNAVAILABLE: the example agents ended while starting: ")
    assert "JOURNEY_AGENT_MODEL" in last
    await until_nothing_runs_in(tmp_path)


async def test_without_pydantic_ai_it_runs_without_the_example_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_ai", None)
    assert await example_agents() == frozenset()


async def test_who_ends_it_as_it_begins_hears_nothing_more_of_it(tmp_path: Path) -> None:
    # It lists the agents first, which here takes until it is ended.
    (tmp_path / "sitecustomize.py").write_text(ENDLESS_LIST)
    command = (JOURNEY, "dev", "--json", "--data-dir", str(tmp_path / "data"))
    async with command_process(*command, PYTHONPATH=str(tmp_path)) as process:
        await eventually(lambda: any("examples.agents" in command for command in commands_below(process.pid)))
        process.send_signal(signal.SIGINT)
        assert await wait_for_exit(process) == (0, "", "")


async def test_two_of_them_run_side_by_side(shared: tuple[Path, Addresses], tmp_path: Path) -> None:
    _, first = shared
    async with dev(tmp_path) as (process, second):
        assert set(ports_of(first)).isdisjoint(ports_of(second))
        one, other = await connect_sessions(first), await connect_sessions(second)
        moment = datetime.now(UTC)
        created = await one.initialize(tenant_id="t", user_id="u", requested_at=moment, context={"stack": 1})
        twin = await other.initialize(tenant_id="t", user_id="u", requested_at=moment, context={"stack": 2})
        assert created.chat_session_id == twin.chat_session_id
        assert (created.context, twin.context) == ({"stack": 1}, {"stack": 2})
        process.send_signal(signal.SIGINT)
        await wait_for_exit(process)
        await until_nothing_runs_in(tmp_path)


async def test_a_start_that_cannot_be_says_why(shared: tuple[Path, Addresses], tmp_path: Path) -> None:
    data_dir, addresses = shared
    occupied = str(ports_of(addresses)[0])
    file = tmp_path / "file"
    file.touch()
    gateway = str(urlsplit(addresses["http_url"]).port)
    twice, port, nowhere, page = await asyncio.gather(
        run_journey("dev", "--json", "--data-dir", str(data_dir)),
        run_journey("dev", "--json", "--data-dir", str(tmp_path / "data"), "--temporal-port", occupied),
        run_journey("dev", "--json", "--data-dir", str(file / "data")),
        run_journey("dev", "--json", "--data-dir", str(tmp_path / "other"), "--http-port", gateway),
    )
    for done, reason in (
        (twice, "is in use by process"),
        (port, occupied),
        (nowhere, str(file)),
        (page, f"port {gateway}"),
    ):
        assert (done.returncode, done.stdout) == (1, "")
        last = done.stderr.splitlines()[-1]
        assert last.startswith("ENGINE_UNAVAILABLE: ")
        assert reason in last
        assert "Traceback" not in done.stderr
    assert not processes_in(tmp_path)
    assert not (tmp_path / "other").exists(), "a port that is taken is noticed before anything is made"
    await (await connect_sessions(addresses)).initialize(tenant_id="t", user_id="still there")


async def test_nothing_runs_after_its_end_and_sessions_go_on_at_the_next_start(
    tmp_path: Path, own_ports: tuple[int, int]
) -> None:
    session = ""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        async with dev(tmp_path, *at_ports(own_ports)) as (process, addresses):
            session = await add_to(session, addresses)
            process.send_signal(number)
            status, said, complained = await wait_for_exit(process)
        assert said == ""
        if number is signal.SIGKILL:
            assert status == -signal.SIGKILL
        else:
            assert status == 0, complained
            assert not processes_in(tmp_path)
            assert "Traceback" not in complained
        await until_nothing_runs_in(tmp_path)
        assert all(map(is_free, own_ports))
    async with dev(tmp_path, *at_ports(own_ports)) as (_, addresses):
        seen = await (await connect_sessions(addresses)).get(await add_to(session, addresses), tenant_id="acme")
    assert (seen.revision, seen.context) == (3, {"topic": "rent", "notes": [1, 1, 1]})


async def add_to(session: str, addresses: Addresses) -> str:
    """Add a note to a session, or create it if there is none yet; its ID."""
    sessions = await connect_sessions(addresses)
    if session:
        await sessions.update_context(session, tenant_id="acme", append={"notes": [1]})
        return session
    return (await sessions.initialize(tenant_id="acme", user_id="ada", context={"topic": "rent"})).chat_session_id


# --- the tokens that it gives to everybody on this machine

WANTED = {"tenant_id": "acme", "user_id": "ada"}


def at_gateway(addresses: Addresses, **options: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=addresses["http_url"], timeout=30, trust_env=False, verify=False, **options)


async def ask_for_token(addresses: Addresses, **options: Any) -> httpx2.Response:
    async with at_gateway(addresses) as anybody:
        return await anybody.post("/v1/dev/token", **options)


async def test_a_token_for_development_opens_the_gateway(shared: tuple[Path, Addresses]) -> None:
    _, addresses = shared
    issued = await ask_for_token(addresses, json=WANTED)
    assert "development" in issued.json()["note"]
    headers = {"authorization": f"Bearer {issued.json()['access_token']}"}
    async with at_gateway(addresses, headers=headers) as ada:
        created = await ada.post("/v1/chat-sessions", json={"session_name": "over HTTP"})
        assert (created.status_code, created.json()["user_id"]) == (201, "ada")
        assert "/v1/dev/token" in (await ada.get("/openapi.json")).json()["paths"]


async def test_a_services_token_for_development_opens_every_tenant(shared: tuple[Path, Addresses]) -> None:
    _, addresses = shared
    issued = await ask_for_token(addresses, json={"role": "service_role"})
    headers = {"authorization": f"Bearer {issued.json()['access_token']}"}
    async with at_gateway(addresses, headers=headers) as service:
        for tenant in ("acme", "another"):
            assert (await service.get("/v1/chat-sessions", headers={"x-tenant-id": tenant})).status_code == 200
        assert (await service.get("/v1/chat-sessions")).status_code == 400


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "[::1]", "LOCALHOST"])
async def test_a_token_is_issued_under_every_name_of_this_machine(shared: tuple[Path, Addresses], host: str) -> None:
    assert (await ask_for_token(shared[1], json=WANTED, headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", ""]
)
async def test_a_page_that_leads_its_own_name_here_gets_no_token(shared: tuple[Path, Addresses], host: str) -> None:
    for wanted in (WANTED, {"role": "service_role"}):
        refused = await ask_for_token(shared[1], json=wanted, headers={"host": host})
        assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_page_that_sends_what_it_may_send_unasked_gets_no_token(
    shared: tuple[Path, Addresses], media_type: str
) -> None:
    body = b'{"tenant_id": "acme", "user_id": "ada"}'
    refused = await ask_for_token(shared[1], content=body, headers={"content-type": media_type})
    assert (refused.status_code, refused.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_token_is_for_a_tenant_and_a_user_that_there_can_be(shared: tuple[Path, Addresses]) -> None:
    unfit = ({"tenant_id": ""}, {"user_id": None}, {"role": "service_role"}, {"role": "anon"})
    for wanted in ({}, {"tenant_id": "acme"}, *(WANTED | each for each in unfit)):
        refused = await ask_for_token(shared[1], json=wanted)
        assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_PARAMETER")
