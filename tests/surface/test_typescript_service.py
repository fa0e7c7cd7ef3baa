"""A service needs only Temporal's TypeScript client to use a session: `examples/typescript-temporal`."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from tests.support.commands import run_command
from tests.support.journeys import Journeys, Json
from tests.support.paths import REPOSITORY

EXAMPLE = REPOSITORY / "examples" / "typescript-temporal"
VECTORS = REPOSITORY / "journeys" / "chat_session" / "idempotency_keys.json"
UPDATE = "WorkflowUpdateFailedError > ApplicationFailure.type"
QUERY = "QueryNotRegisteredError.message"
READ = "ActivityExecutionFailedError > ApplicationFailure.type"


@pytest.fixture(scope="module")
async def program() -> Path:
    """The example, compiled in strict mode."""
    compiler = EXAMPLE / "node_modules" / ".bin" / "tsc"
    if not compiler.exists():
        pytest.fail(f"{compiler} is missing: `make test` installs it, or `npm install --prefix {EXAMPLE}`")
    compiled = await run_command(str(compiler), "--project", str(EXAMPLE))
    assert compiled.returncode == 0, compiled.stdout
    return EXAMPLE / "dist" / "main.js"


async def run(program: Path, journeys: Journeys, *arguments: str) -> list[Json]:
    """Run the service; returns the lines that it prints."""
    done = await run_command(
        "node",
        str(program),
        *arguments,
        TEMPORAL_ADDRESS=journeys.addresses.temporal_address,
        JOURNEY_TASK_QUEUE=journeys.task_queue,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_a_typescript_service_creates_changes_reads_and_resumes_a_session(
    program: Path, journeys: Journeys
) -> None:
    async with journeys.worker():
        printed = await run(program, journeys, "tour", journeys.tenant_id, str(VECTORS))
        (initialized,) = [line for line in printed if line["step"] == "initialized"]
        stored = await journeys.read(chat_session_id=initialized["id"])
    assert {line["step"]: line for line in printed if line["step"] != "refused"} == {
        "derived": {"step": "derived", "cases": number_of_vectors()},
        "initialized": initialized,
        "updated": {"step": "updated", "revision": 2, "repeated": 2},
        "read live": {"step": "read live", "context": {"topic": "invoices"}, "messages": 1},
        "read asleep": {
            "step": "read asleep",
            "query": "QueryRejectedError",
            "context": {"topic": "invoices"},
            "messages": 1,
        },
        "resumed": {"step": "resumed", "revision": 4, "known": 2, "duplicate": True},
    }
    assert (initialized["created"], initialized["again"], initialized["derived"]) == (True, False, True)
    found = {
        (line["what"], line["code"], line["field"], line["where"]) for line in printed if line["step"] == "refused"
    }
    assert found == {
        ("a wrong type", "INVALID_PARAMETER", "active_agent", UPDATE),
        ("another user", "SESSION_NOT_FOUND", "", UPDATE),
        ("a query of another tenant", "SESSION_NOT_FOUND", "", QUERY),
        ("a read of another tenant", "SESSION_NOT_FOUND", "", READ),
        ("a made-up ID", "SESSION_NOT_FOUND", "", READ),
        ("too much", "CONTEXT_TOO_LARGE", "context", UPDATE),
        ("an older base", "REVISION_CONFLICT", "base_revision", UPDATE),
        ("another change under a key", "IDEMPOTENCY_CONFLICT", "idempotency_key", UPDATE),
        ("an archived session", "SESSION_NOT_ACTIVE", "", UPDATE),
        ("a signal", "SESSION_NOT_ACTIVE", "", "refusals of get_chat_session"),
    }
    assert stored["context"] == {"topic": "invoices", "paid": True}
    assert (stored["revision"], stored["lifecycle_state"], stored["message_count"]) == (5, "ARCHIVED", 1)


async def test_a_typescript_service_is_told_that_a_store_is_away(
    program: Path, journeys: Journeys, unserved_store: SecretStr
) -> None:
    async with journeys.worker(supabase_db_url=unserved_store):
        (refused,) = await run(program, journeys, "read", journeys.tenant_id, str(uuid4()))
    assert refused == {"step": "refused", "code": "DATABASE_UNAVAILABLE", "field": "", "where": READ}


async def test_a_typescript_service_sees_no_code_but_a_timeout_if_nobody_polls(
    program: Path, journeys: Journeys
) -> None:
    (refused,) = await run(program, journeys, "read", journeys.tenant_id, str(uuid4()))
    assert refused == {"step": "refused", "code": None, "where": "ActivityExecutionFailedError > TimeoutFailure"}


def number_of_vectors() -> int:
    vectors = json.loads(VECTORS.read_text("utf-8"))
    return len(vectors["session_keys"]["cases"]) + len(vectors["named_session_keys"]["cases"])
