"""Callers over HTTP: the examples in docs/calling.md, which run as printed, and the TypeScript client.

The client's own tests are in `clients/typescript/test`.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from starter.dev_engine import DevAddresses
from starter.dev_gateway import dev_gateway
from starter.http.problems import STATUS
from tests.support.commands import JOURNEY, run_command
from tests.support.http_gateways import SECRET
from tests.support.journeys import Journeys
from tests.support.own_ports import choose_own_ports
from tests.support.paths import REPOSITORY
from tests.support.typescript_client import CLIENT, TYPES, build, compile_example, write_types

PAGE = (REPOSITORY / "docs" / "calling.md").read_text("utf-8")


@pytest.fixture(scope="module")
def client_tests() -> list[str]:
    """Compile the TypeScript client; returns its test files. Only for this file: those of others run meanwhile."""
    build()
    return [str(file) for file in CLIENT.glob("dist/test/*.test.js")]


@pytest.fixture
async def url(journeys: Journeys, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The gateway of a `journey dev`."""
    monkeypatch.setenv("JOURNEY_TASK_QUEUE", journeys.task_queue)
    stack = DevAddresses(
        temporal_address=journeys.addresses.temporal_address,
        temporal_namespace="default",
        temporal_ui_url="http://127.0.0.1:8233",
        task_queue=journeys.task_queue,
        supabase_db_url=journeys.addresses.supabase_db_url,
        state_surface_url=journeys.addresses.state_surface_url,
    )
    (port,) = choose_own_ports(1)
    async with journeys.worker(), dev_gateway(stack, port=port) as gateway:
        assert gateway.addresses.http_url
        yield gateway.addresses.http_url


def block(language: str, url: str) -> str:
    """The page's one block in a language, with the address of the running gateway."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found.count("http://127.0.0.1:8000") == 1
    return str(found).replace("http://127.0.0.1:8000", url)


async def test_the_curl_commands_lead_from_nothing_to_a_deleted_session(url: str) -> None:
    done = await run_command("bash", "-c", block("bash", url))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    seen = list(map(int, re.findall(r"^id: (\d+)$", done.stdout, re.MULTILINE)))
    # The follower runs beside the other commands, so it may begin after the first changes.
    assert seen in [[*range(begin, 5)] for begin in range(5)]
    assert done.stdout.count('"duplicate":true') == 1
    read = re.findall(r'^\{"(?:topic|text)":[^,\n]*\}$', done.stdout, re.MULTILINE)
    assert read == ['{"topic":"invoices"}', '{"text":"I mean in May."}', '{"text":"What is open?"}']
    assert done.stdout.count("event: end\n") == done.stdout.count('data: {"reason":"deleted"}\n') == 1


async def test_the_typescript_program_does_the_same(url: str, client_tests: list[str]) -> None:
    # The gateway runs in this process: its statements would time out while a compiler holds the event loop up.
    program = await asyncio.to_thread(compile_example, block("ts", url))
    done = await run_command("node", str(program))
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    revisions = [
        "0 guide undefined",
        "1 guide { text: 'What is open?' }",
        "2 guide { text: 'I mean in May.' }",
        "3 liaison_insights { text: 'I mean in May.' }",
        "4 liaison_insights { text: 'I mean in May.' }",
    ]
    followed = [line for line in said if line.startswith(("session", "change", "end"))]
    begin = int(followed[0].split()[1])
    assert followed == [
        f"session {revisions[begin]}",
        *(f"change {each}" for each in revisions[begin + 1 :]),
        "end: deleted",
    ]
    assert "somebody was faster; decide anew: { topic: 'invoices' }" in said
    assert "the first message: { text: 'What is open?' }" in said


def test_every_code_of_the_gateway_is_told_with_its_status() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| ([^|]+) \|", PAGE, re.MULTILINE)
    told = {
        (code, status)
        for statuses, codes in rows
        for code in re.findall(r"`(\w+)`", codes)
        for status in statuses.split(", ")
    }
    assert {code for code, _ in told} == STATUS.keys()
    assert {(code, str(status)) for code, status in STATUS.items()} <= told


def test_the_types_of_the_typescript_client_are_those_of_the_openapi_document(tmp_path: Path) -> None:
    made = tmp_path / "schema.ts"
    write_types(made)
    assert made.read_text("utf-8") == TYPES.read_text("utf-8"), "run `make client-types`"


async def test_the_typescript_client_calls_and_follows_sessions_at_gateways(
    journeys: Journeys, client_tests: list[str]
) -> None:
    async with journeys.worker():
        done = await run_command(
            *("node", "--test", "--test-concurrency=3", "--test-timeout=50000", "--test-reporter=spec"),
            *client_tests,
            TEST_JOURNEY=JOURNEY,
            TEST_TENANT=journeys.tenant_id,
            TEMPORAL_ADDRESS=journeys.addresses.temporal_address,
            SUPABASE_DB_URL=journeys.addresses.supabase_db_url,
            SUPABASE_JWT_SECRET=SECRET,
            JOURNEY_TASK_QUEUE=journeys.task_queue,
        )
    assert done.returncode == 0, done.stdout
