"""What the stores hold and what Temporal ran, read once everything is quiet."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
from pydantic_core import from_json
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHistory
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from embedded import StackAddresses
from journeys.chat_session.activities import Batch
from journeys.chat_session.names import ERASURE_WORKFLOW_ID_PREFIX, JOURNEY_ID, workflow_id
from journeys.chat_session.session import LedgerEntry
from journeys.state_surface import SurfaceArtifact
from tests.chaos.evidence import StoredSession, TranscriptRow
from tests.support.replaying import replayer

_QUIET_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 60.0
# Temporal takes up to a minute to delete a run, and the erasure ends once none is listed for ten seconds.
_ERASURE_SECONDS: Final = 120.0
_ORDERLY: Final = frozenset(
    {
        WorkflowExecutionStatus.RUNNING,
        WorkflowExecutionStatus.COMPLETED,
        WorkflowExecutionStatus.CONTINUED_AS_NEW,
    }
)
# The SDK's core logs to standard output, where the report goes.
_SILENT: Final = TelemetryConfig(logging=LoggingConfig(TelemetryFilter(core_level="ERROR", other_level="ERROR")))
_JSON_COLUMNS: Final = frozenset(
    {
        "body",
        "context",
        "change",
        "refusals",
        "produced_by",
        "semantic_descriptor",
        "semantic_payload",
        "parent_artifacts",
        "materializations",
    }
)


async def until_quiet(addresses: StackAddresses) -> None:
    """Wait up to `_PATIENCE_SECONDS` until both stores are at the same revisions and stay there."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    since = time.monotonic()
    before: tuple[object, object] | None = None
    while time.monotonic() < deadline:
        now = await _revisions(addresses)
        if now != before or now[0] != now[1]:
            before, since = now, time.monotonic()
        elif time.monotonic() - since > _QUIET_SECONDS:
            return
        await asyncio.sleep(0.1)


async def _revisions(addresses: StackAddresses) -> tuple[dict[UUID, int], dict[UUID, int]]:
    supabase = await _rows(addresses.supabase_db_url, "select chat_session_id, revision from public.chat_sessions")
    surface = await _rows(addresses.state_surface_url, "select artifact_id, revision from state_surface.artifacts")
    return dict(map(tuple, supabase)), dict(map(tuple, surface))


async def stored_sessions(addresses: StackAddresses) -> list[StoredSession]:
    """Every session in Supabase, with its ledger and its transcript."""
    ledgers: dict[UUID, list[LedgerEntry]] = {}
    for row in await _rows(
        addresses.supabase_db_url, "select * from public.chat_context_updates order by chat_session_id, revision"
    ):
        ledgers.setdefault(row["chat_session_id"], []).append(LedgerEntry.model_validate(_read(row)))
    transcripts: dict[UUID, list[TranscriptRow]] = {}
    for row in await _rows(
        addresses.supabase_db_url,
        "select * from public.chat_messages order by chat_session_id, first_revision, ordinal",
    ):
        transcripts.setdefault(row["chat_session_id"], []).append(TranscriptRow.model_validate(_read(row)))
    return [
        StoredSession.model_validate(
            _read(row)
            | _split(ledgers.get(row["chat_session_id"], []))
            | {"transcript": transcripts.get(row["chat_session_id"], [])}
        )
        for row in await _rows(addresses.supabase_db_url, "select * from public.chat_sessions order by created_at")
    ]


def _split(ledger: Sequence[LedgerEntry]) -> dict[str, object]:
    creation = next((entry for entry in ledger if entry.revision == 0), None)
    return {"creation": creation, "ledger": [entry for entry in ledger if entry is not creation]}


async def deleted_sessions(addresses: StackAddresses) -> frozenset[str]:
    """The IDs of the sessions that are deleted."""
    rows = await _rows(
        addresses.supabase_db_url,
        "select chat_session_id from public.chat_sessions where lifecycle_state = 'DELETED'",
    )
    return frozenset(str(row["chat_session_id"]) for row in rows)


async def registered_artifacts(addresses: StackAddresses) -> list[SurfaceArtifact]:
    """Every artifact of the State Surface."""
    rows = await _rows(addresses.state_surface_url, "select * from state_surface.artifacts")
    return [SurfaceArtifact.model_validate(_read(row)) for row in rows]


async def runs(client: Client) -> tuple[Counter[str], list[str]]:
    """How many runs each workflow ID has, and the runs that ended neither completed nor continued as new."""
    counted: Counter[str] = Counter()
    failed = []
    async for run in client.list_workflows(page_size=1000):
        counted[run.id] += 1
        if run.status not in _ORDERLY:
            failed.append(f"{run.id}: {run.status.name if run.status else '?'} ({run.run_id})")
    return counted, failed


async def histories_of_living(client: Client, deleted: Collection[str]) -> list[WorkflowHistory]:
    """The histories of all runs of sessions that are not deleted; other histories may vanish at any moment."""
    gone = {workflow_id(each) for each in deleted}
    return [
        await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        async for run in client.list_workflows(f"WorkflowType = '{JOURNEY_ID}'", page_size=1000)
        if run.id not in gone
    ]


async def find_unreplayable(histories: Sequence[WorkflowHistory], folder: Path) -> list[str]:
    """Runs that cannot be replayed from their history, so that no other worker could go on with them.

    Their histories are kept in the folder, because nobody can find the cause without them.
    """
    quiet = replayer(runtime=Runtime(telemetry=_SILENT))
    results = await quiet.replay_workflows(_one_by_one(histories), raise_on_replay_failure=False)
    for history in histories:
        if history.run_id in results.replay_failures:
            (folder / f"unreplayable-{history.run_id}.json").write_text(history.to_json(), "utf-8")
    return [f"{run_id}: {failure}" for run_id, failure in results.replay_failures.items()]


async def _one_by_one(histories: Sequence[WorkflowHistory]) -> AsyncIterator[WorkflowHistory]:
    for history in histories:
        yield history


def decided_at(histories: Sequence[WorkflowHistory]) -> dict[str, tuple[datetime, ...]]:
    """By workflow ID, the times at which completed workflow tasks decided batches.

    A workflow task decides its first batch at its start, and later ones in regular activities.
    """
    found: dict[str, list[datetime]] = defaultdict(list)
    for history in histories:
        started: dict[int, datetime] = {}
        for event in history.events:
            match event.event_type:
                case EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
                    started[event.event_id] = event.event_time.ToDatetime(UTC)
                case EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                    start = event.workflow_task_completed_event_attributes.started_event_id
                    found[history.workflow_id].append(started[start])
                case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                    batch, *_ = event.activity_task_scheduled_event_attributes.input.payloads
                    found[history.workflow_id].append(Batch.model_validate_json(batch.data).at)
    return {name: tuple(sorted(times)) for name, times in found.items()}


async def until_erased(client: Client, deleted: Collection[str]) -> dict[str, int]:
    """Wait up to `_ERASURE_SECONDS` until Temporal lists no run of the deleted sessions; return how many it lists."""
    deadline = time.monotonic() + _ERASURE_SECONDS
    while True:
        left = await _listed_runs(client, deleted)
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(0.5)


async def _listed_runs(client: Client, deleted: Collection[str]) -> dict[str, int]:
    names = {workflow_id(each) for each in deleted} | {ERASURE_WORKFLOW_ID_PREFIX + each for each in deleted}
    listed: Counter[str] = Counter()
    async for run in client.list_workflows(page_size=1000):
        is_open = run.status is WorkflowExecutionStatus.RUNNING
        if run.id in names and (is_open or not run.id.startswith(ERASURE_WORKFLOW_ID_PREFIX)):
            listed[run.id] += 1
    return dict(listed)


async def _rows(url: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


def _read(row: asyncpg.Record) -> dict[str, object]:
    return {
        name: from_json(value or "null") if name in _JSON_COLUMNS else str(value) if isinstance(value, UUID) else value
        for name, value in row.items()
    }
