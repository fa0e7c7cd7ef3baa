"""After a deletion, no word that was said is found in any database, Temporal's included."""

import asyncio
import sqlite3
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError

from embedded import embedded_stack
from journeys.chat_session.names import ERASURE_WORKFLOW_ID_PREFIX, GET
from stores.migrate import migrate
from tests.support.journeys import Journeys, Json
from tests.support.polling import eventually
from worker.plugin import JourneyPlugin

WORDS = ("xyzzyctx", "xyzzymsg", "xyzzytitle", "xyzzyuser", "xyzzysignal")


# Temporal takes up to a minute to delete a run.
PATIENCE_SECONDS = 240


async def result_of_erasure(client: Client, session: str) -> Json:
    """What the erasure has removed. It starts only after the deletion is answered."""
    handle = client.get_workflow_handle(ERASURE_WORKFLOW_ID_PREFIX + session)

    async def has_started() -> bool:
        with suppress(RPCError):
            await handle.describe()
            return True
        return False

    await eventually(has_started)
    erased: Json = await asyncio.wait_for(handle.result(), PATIENCE_SECONDS)
    return erased


async def words_in_postgres(url: str) -> set[str]:
    """The words of `WORDS` that are in any row of any table."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema')"
        )
        text = ""
        for table in tables:
            rows = await connection.fetch(f"select t::text as row from {table['name']} as t")
            text += " ".join(row["row"] or "" for row in rows)
    finally:
        await connection.close()
    return {word for word in WORDS if word in text}


def words_in_temporal(folder: Path) -> set[str]:
    """The words of `WORDS` that are in Temporal's database after a vacuum; the server must have ended."""
    (file,) = folder.rglob("temporal.db")
    with closing(sqlite3.connect(file)) as database:
        database.execute("vacuum")
    content = file.read_bytes()
    return {word for word in WORDS if word.encode() in content}


async def test_no_word_of_a_deleted_session_is_found_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    async with embedded_stack(folder) as stack:
        addresses = stack.addresses
        await migrate(addresses.supabase_db_url, addresses.state_surface_url, progress=lambda _: None)
        client = await Client.connect(addresses.temporal_address)
        worker_client = await Client.connect(addresses.temporal_address, plugins=[JourneyPlugin()])
        async with Journeys.on(addresses, client, worker_client) as world, world.worker():
            sessions = world.sessions
            whose: dict[str, Any] = {"tenant_id": world.tenant_id, "user_id": "xyzzyuser"}
            session = (await sessions.initialize(**whose, title="xyzzytitle")).chat_session_id
            await sessions.update_context(session, **whose, context={"a": "xyzzyctx"})
            await sessions.update_context(session, **whose, messages=[{"text": "xyzzymsg"}])
            await sessions.signal_context(session, **whose, append={"notes": ["xyzzysignal"]})
            await sessions.get(**whose)
            await sessions.messages(session, **whose)
            await sessions.history(session, tenant_id=world.tenant_id)
            await eventually(  # nobody has waited for the signal
                lambda: words_in_postgres(addresses.supabase_db_url), lambda found: found == set(WORDS)
            )
            turn = f"agent-turn/{session}/1"
            await client.start_workflow("agent_turn", "xyzzymsg", id=turn, task_queue=f"nobody-{uuid4()}")
            read = await client.start_activity(
                GET,
                {**whose, "chat_session_id": session},
                id=f"{GET}/{session}/{uuid4()}",
                task_queue=world.task_queue,
                schedule_to_close_timeout=timedelta(seconds=20),
            )
            await read.result()
            await sessions.delete(session, **whose)
            # A late message starts another run, which is erased as well.
            late = world.start({"chat_session_id": session, **whose})
            with pytest.raises(WorkflowUpdateFailedError):
                await client.execute_update_with_start_workflow(
                    "update_chat_context", {**whose, "context": {"a": "xyzzyctx"}}, start_workflow_operation=late
                )
            erased = await result_of_erasure(client, session)
            assert erased["runs"] >= 1  # the late message may have met the run that was about to end
            assert (erased["turns"], erased["reads"]) == (1, 1)
            for url in (addresses.supabase_db_url, addresses.state_surface_url):
                assert await words_in_postgres(url) == set()
    assert words_in_temporal(folder) == set()
