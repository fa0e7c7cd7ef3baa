"""What `journey worker` promises as a process: an orderly end, a start only if it can work, logs for machines."""

import asyncio
import re
import signal
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from pydantic_core import from_json
from temporalio.api.enums.v1 import EventType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from journeys import ChatSessions
from journeys.search_attributes import SEARCH_ATTRIBUTES
from tests.support.commands import JOURNEY, command_process, only_object, read_line, run_journey, wait_for_exit
from tests.support.journeys import Journeys
from tests.support.own_ports import choose_own_ports
from tests.support.polling import eventually
from tests.support.watching import count
from tests.support.worker_processes import worker_environment

WORKER = (JOURNEY, "worker")


@pytest.fixture
def environment(journeys: Journeys) -> dict[str, str]:
    return worker_environment(journeys.addresses, journeys.task_queue)


def log_lines(text: str) -> list[dict[str, Any]]:
    """Log lines as a collector reads them: one JSON object each."""
    return [from_json(line) for line in text.splitlines()]


async def test_sigterm_under_load_drains_and_loses_nothing_acknowledged(
    journeys: Journeys, environment: dict[str, str]
) -> None:
    acknowledged: dict[str, list[int]] = {}
    enough, over = asyncio.Event(), asyncio.Event()

    async def talk(identity: str) -> None:
        while not over.is_set():
            answer = await journeys.update(identity, {"context": {"n": len(acknowledged[identity])}})
            acknowledged[identity].append(answer["applied_revision"])
            if min(map(len, acknowledged.values())) >= 5:
                enough.set()

    async with command_process(*WORKER, **environment) as first:
        await read_line(first.stderr, "polling")
        for _ in range(6):
            acknowledged[await journeys.create_session()] = []
        async with asyncio.TaskGroup() as group:
            talks = [group.create_task(talk(identity)) for identity in acknowledged]
            await enough.wait()
            first.send_signal(signal.SIGTERM)
            status, said, complained = await wait_for_exit(first)
            enough.clear()
            before = {identity: len(revisions) for identity, revisions in acknowledged.items()}
            async with command_process(*WORKER, **environment) as second:
                await enough.wait()  # the second worker has continued a session
                over.set()
                await asyncio.wait(talks)
                second.send_signal(signal.SIGTERM)
                assert (await wait_for_exit(second))[0] == 0
    assert (status, said) == (0, ""), complained
    log_lines(complained)
    for identity, revisions in acknowledged.items():
        assert len(revisions) > before[identity]
        assert revisions == list(range(1, len(revisions) + 1))
        assert [entry["revision"] for entry in await journeys.ledger(identity)] == revisions


async def test_a_namespace_without_the_search_attributes_is_refused_until_it_is_migrated(
    journeys: Journeys, environment: dict[str, str]
) -> None:
    name = f"namespace-{uuid4().hex[:8]}"
    await journeys.client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=Duration(seconds=86400))
    )
    client = await Client.connect(journeys.addresses.temporal_address, namespace=name)
    await until_namespace_is_known(client)
    there = environment | {"TEMPORAL_NAMESPACE": name}

    refused = await run_journey("worker", **there)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.fullmatch(r"ENGINE_UNAVAILABLE: .*TenantId, UserId, ActiveAgent.*`journey migrate`\n", refused.stderr)

    first = await run_journey("migrate", "--json", **there)
    assert (first.returncode, only_object(first.stdout)["search_attributes"]) == (0, list(SEARCH_ATTRIBUTES))
    second = await run_journey("migrate", "--json", **there)
    assert second.returncode == 0, second.stderr
    assert only_object(second.stdout) == {"supabase": [], "state_surface": [], "search_attributes": []}

    async with command_process(*WORKER, **there) as worker:
        await read_line(worker.stderr, "polling")
        session = await ChatSessions(client, task_queue=journeys.task_queue).initialize(tenant_id="t", user_id="u")
        assert session.revision == 0


async def until_namespace_is_known(client: Client) -> None:
    """Wait until the server knows a new namespace."""

    async def is_known() -> bool:
        try:
            await client.operator_service.list_search_attributes(
                ListSearchAttributesRequest(namespace=client.namespace)
            )
            await client.count_workflows()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False
        return True

    await eventually(is_known)


async def test_logs_are_json_and_never_hold_the_password(journeys: Journeys, environment: dict[str, str]) -> None:
    parts = urlsplit(journeys.addresses.supabase_db_url)
    role = f"rotated_{uuid4().hex}"
    await journeys.supabase.execute(f"create role {role} superuser login password 'hush-hush'")
    rotated = parts._replace(netloc=f"{role}:hush-hush@{parts.hostname}:{parts.port}").geturl()
    verbose = environment | {"SUPABASE_DB_URL": rotated, "JOURNEY_LOG_LEVEL": "DEBUG"}
    async with command_process(*WORKER, **verbose) as worker:
        polling = await read_line(worker.stderr, "polling")
        await journeys.supabase.execute(f"alter role {role} password 'another'")
        await journeys.supabase.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", role
        )
        request = journeys.request(context={"secret": "a user's own words"})
        waiting = asyncio.create_task(journeys.initialize(request))
        failed = await read_line(worker.stderr, "Completing activity as failed")
        worker.send_signal(signal.SIGTERM)
        status, said, complained = await wait_for_exit(worker)
    assert (status, said) == (0, "")
    assert (
        log_lines(polling)[0].items()
        >= {"event": "polling", "level": "info", "task_queue": journeys.task_queue}.items()
    )
    for record in log_lines(failed + complained):
        assert {"event", "level", "logger", "timestamp"} <= record.keys()
    logged = polling + failed + complained
    assert "DATABASE_UNAVAILABLE" in logged
    assert "hush-hush" not in logged
    assert "own words" not in logged

    async with command_process(*WORKER, **environment):  # with the right password
        assert (await waiting)["revision"] == 0


async def test_a_worker_serves_metrics_which_count_a_refused_signal(
    journeys: Journeys, environment: dict[str, str]
) -> None:
    (port,) = choose_own_ports(1)

    async def refused_signals() -> list[tuple[str, str]]:
        reader, writer = await asyncio.open_connection("localhost", port)
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        answer = (await reader.read()).decode()
        writer.close()
        assert answer.partition("\r\n")[0].endswith("200 OK")
        assert "temporal_" in answer  # the SDK's own
        return re.findall(r"^journey_refused_signals\{.*code=\"(\w+)\".*\} (\d+)$", answer, re.MULTILINE)

    async with command_process(*WORKER, **environment, JOURNEY_METRICS_ADDRESS=f"localhost:{port}") as worker:
        await read_line(worker.stderr, "polling")
        assert await refused_signals() == []
        session = await journeys.create_session()
        await journeys.signal(session, {"context": {"a": 1}})
        await journeys.signal(session, {"active_agent": "boss"})
        await journeys.handle(session).signal("update_chat_context", "x" * 200_000)
        counted = await eventually(refused_signals, lambda found: len(found) == 2)
        assert sorted(code for code, _ in counted) == ["CONTEXT_TOO_LARGE", "INVALID_PARAMETER"]
        # A workflow task that has timed out may have counted what the next one counts again.
        if not count(await journeys.events(session), EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT):
            assert {times for _, times in counted} == {"1"}
        worker.send_signal(signal.SIGTERM)
        assert (await wait_for_exit(worker))[0] == 0
