"""The TypeScript client against real gateways; its own tests are in `clients/typescript/test`."""

from pathlib import Path

from tests.support.commands import JOURNEY, run_command
from tests.support.journeys import Journeys
from tests.support.typescript_client import CLIENT, TYPES, build, write_types


def test_the_types_are_those_of_the_openapi_document(tmp_path: Path) -> None:
    made = tmp_path / "schema.ts"
    write_types(made)
    assert made.read_text("utf-8") == TYPES.read_text("utf-8"), "make client-types"


async def test_the_client_calls_and_follows_sessions_at_gateways(journeys: Journeys) -> None:
    build()
    async with journeys.worker():
        done = await run_command(
            *("node", "--test", "--test-concurrency=3", "--test-timeout=50000", "--test-reporter=spec"),
            *map(str, CLIENT.glob("dist/test/*.test.js")),
            TEST_JOURNEY=JOURNEY,
            TEST_TENANT=journeys.tenant_id,
            TEMPORAL_ADDRESS=journeys.addresses.temporal_address,
            SUPABASE_DB_URL=journeys.addresses.supabase_db_url,
            SUPABASE_JWT_SECRET="a secret of thirty-two characters or more",
            JOURNEY_TASK_QUEUE=journeys.task_queue,
        )
    assert done.returncode == 0, done.stdout
