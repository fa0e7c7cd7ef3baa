"""After a deletion, no word that was said is found in any database, Temporal's included."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from embedded import embedded_stack
from journeys.chat_session.names import ERASURE_WORKFLOW_ID_PREFIX
from stores.migrate import migrate
from tests.support.journeys import Journeys
from worker.plugin import JourneyPlugin

WORDS = ("xyzzyctx", "xyzzymsg", "xyzzytitle", "xyzzyuser", "xyzzysignal")


async def words_in_postgres(url: str) -> set[str]:
    """Those of the words that any row of any table holds."""
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
    """Those of the words that Temporal's database holds, once it is vacuumed; the server must have ended."""
    (file,) = folder.rglob("temporal.db")
    with sqlite3.connect(file) as database:
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
            assert await words_in_postgres(addresses.supabase_db_url) == set(WORDS)
            await sessions.delete(session, **whose)
            # A late message starts another run, which is erased as well.
            late = world.start({"chat_session_id": session, **whose})
            with pytest.raises(WorkflowUpdateFailedError):
                await client.execute_update_with_start_workflow(
                    "update_chat_context", {**whose, "context": {"a": "xyzzyctx"}}, start_workflow_operation=late
                )
            await asyncio.wait_for(client.get_workflow_handle(ERASURE_WORKFLOW_ID_PREFIX + session).result(), 240)
            for url in (addresses.supabase_db_url, addresses.state_surface_url):
                assert await words_in_postgres(url) == set()
    assert words_in_temporal(folder) == set()
