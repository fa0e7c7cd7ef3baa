"""A test's view of the journeys: a plain Temporal client that sends dicts, the starter, and both stores."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic import SecretStr
from pydantic_core import from_json
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import (
    ActivityFailureError,
    Client,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from embedded import StackAddresses
from journeys import ChatSessions
from journeys.chat_session.keys import session_id, session_key
from journeys.chat_session.names import DELETE, EDIT, GET, INITIALIZE, JOURNEY_ID, UPDATE, workflow_id
from journeys.retry_policies import WORKFLOW_TASK_TIMEOUT
from tests.support.schemas import assert_exchange_fits
from worker.journey_worker import journey_worker
from worker.settings import WorkerSettings

Json = dict[str, Any]


@dataclass(frozen=True)
class Mode:
    """How a test's workers run workflow code.

    Attributes:
        sandbox: In the SDK's sandbox, which notices code that is not deterministic.
        max_cached_workflows: With 0, every workflow task replays its run from the first event.
    """

    name: str
    sandbox: bool
    max_cached_workflows: int

    def __str__(self) -> str:
        return self.name


PRODUCTION = Mode("production", sandbox=False, max_cached_workflows=1000)
REPLAYED = Mode("replayed", sandbox=True, max_cached_workflows=0)

also_replayed = pytest.mark.parametrize("mode", [PRODUCTION, REPLAYED], ids=str)
"""Runs a test twice: as in production, and in the sandbox with every workflow task replaying its run."""


@dataclass(frozen=True)
class Journeys:
    """All that a test of the journey uses. `client` and the calls built on it know nothing but names and JSON."""

    addresses: StackAddresses
    client: Client
    worker_client: Client
    task_queue: str
    tenant_id: str
    mode: Mode
    supabase: "asyncpg.Pool[asyncpg.Record]"
    state_surface: "asyncpg.Pool[asyncpg.Record]"

    @classmethod
    @asynccontextmanager
    async def on(
        cls,
        addresses: StackAddresses,
        client: Client,
        worker_client: Client,
        *,
        task_queue: str | None = None,
        tenant_id: str | None = None,
        mode: Mode = PRODUCTION,
    ) -> AsyncIterator[Self]:
        """Connect to a stack; task queue and tenant are the test's own unless named."""
        name = uuid4().hex[:12]
        task_queue, tenant_id = task_queue or f"journeys-{name}", tenant_id or f"tenant-{name}"
        async with (
            asyncpg.create_pool(addresses.supabase_db_url, min_size=0, max_size=4) as supabase,
            asyncpg.create_pool(addresses.state_surface_url, min_size=0, max_size=4) as state_surface,
        ):
            yield cls(addresses, client, worker_client, task_queue, tenant_id, mode, supabase, state_surface)

    # Workers.

    @asynccontextmanager
    async def worker(self, **settings: Any) -> AsyncIterator[Worker]:
        """A running worker with the test's stores; `settings` are those of `WorkerSettings`."""
        stores: dict[str, Any] = {
            "supabase_db_url": SecretStr(self.addresses.supabase_db_url),
            "state_surface_url": SecretStr(self.addresses.state_surface_url),
            "task_queue": self.task_queue,
        }
        chosen = WorkerSettings(**(stores | settings))
        async with (
            journey_worker(self.worker_client, chosen, max_cached_workflows=self.mode.max_cached_workflows) as worker,
            worker,
        ):
            yield worker

    # Ways in.

    @property
    def sessions(self) -> ChatSessions:
        """The starter on this task queue."""
        return ChatSessions(self.client, task_queue=self.task_queue)

    def sessions_within(self, deadline: timedelta, *, task_queue: str | None = None) -> ChatSessions:
        """The starter with another deadline than its default, on this task queue unless another one is named."""
        return ChatSessions(self.client, task_queue=task_queue or self.task_queue, deadline=deadline)

    def request(self, user_id: str | None = None, **more: Any) -> Json:
        """An initialize request, of a user of its own unless named."""
        now = datetime.now(UTC).isoformat()
        return {"tenant_id": self.tenant_id, "user_id": user_id or f"user-{uuid4().hex}", "requested_at": now} | more

    def identity(self, request: Json) -> str:
        """The session that an initialize request stands for."""
        asked_at = datetime.fromisoformat(request["requested_at"])
        return session_id(session_key(request["tenant_id"], request["user_id"], asked_at))

    def start(self, argument: Json, **options: Any) -> WithStartWorkflowOperation[Any, Any]:
        """The start that goes with an update, as any service sends it."""
        return WithStartWorkflowOperation(
            JOURNEY_ID,
            argument,
            id=options.pop("id", workflow_id(str(argument.get("chat_session_id")))),
            task_queue=self.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            **options,
        )

    def argument(self, request: Json) -> Json:
        """The argument of a run that carries out an initialize request."""
        return {
            "chat_session_id": self.identity(request),
            "tenant_id": request["tenant_id"],
            "user_id": request["user_id"],
            "initialize": {k: v for k, v in request.items() if k not in ("tenant_id", "user_id")},
        }

    async def initialize(self, request: Json | None = None, **options: Any) -> Json:
        """Update-with-start `initialize_chat_session`; returns the artifact."""
        request = request or self.request()
        answer: Json = await self.client.execute_update_with_start_workflow(
            INITIALIZE, request, start_workflow_operation=self.start(self.argument(request)), **options
        )
        assert_exchange_fits(INITIALIZE, request, answer)
        answer.pop("created")  # tests/surface/test_initialize.py looks at it
        return answer

    async def create_session(self, **more: Any) -> str:
        """Initialize a session of a user of its own; returns its ID."""
        session: str = (await self.initialize(self.request(**more)))["chat_session_id"]
        return session

    def handle(self, chat_session_id: str) -> WorkflowHandle[Any, Any]:
        """The session's journey, its newest run."""
        return self.client.get_workflow_handle(workflow_id(chat_session_id))

    async def update(self, chat_session_id: str, request: Json, **options: Any) -> Json:
        """The update `update_chat_context`, for the test's tenant; it resumes a session that sleeps."""
        sent = {"tenant_id": self.tenant_id} | request
        answer: Json = await self.client.execute_update_with_start_workflow(
            UPDATE,
            sent,
            start_workflow_operation=self.start({"chat_session_id": chat_session_id, "tenant_id": self.tenant_id}),
            **options,
        )
        assert_exchange_fits(UPDATE, sent, answer)
        return answer

    async def delete(self, chat_session_id: str, *, update_id: str | None = None, **request: Any) -> Json:
        """The update `delete_chat_session`, for the test's tenant; it resumes a session that sleeps."""
        sent = {"tenant_id": self.tenant_id} | request
        answer: Json = await self.client.execute_update_with_start_workflow(
            DELETE,
            sent,
            start_workflow_operation=self.start({"chat_session_id": chat_session_id, "tenant_id": self.tenant_id}),
            id=update_id,
        )
        assert_exchange_fits(DELETE, sent, answer)
        return answer

    async def edit(self, chat_session_id: str, request: Json, **options: Any) -> Json:
        """The update `update_chat_session`, for the test's tenant; it resumes a session that sleeps."""
        sent = {"tenant_id": self.tenant_id} | request
        answer: Json = await self.client.execute_update_with_start_workflow(
            EDIT,
            sent,
            start_workflow_operation=self.start({"chat_session_id": chat_session_id, "tenant_id": self.tenant_id}),
            **options,
        )
        assert_exchange_fits(EDIT, sent, answer)
        return answer

    async def signal(self, chat_session_id: str, request: Json) -> None:
        """The signal `update_chat_context`, for the test's tenant; it resumes a session that sleeps."""
        await self.client.start_workflow(
            JOURNEY_ID,
            {"chat_session_id": chat_session_id, "tenant_id": self.tenant_id},
            id=workflow_id(chat_session_id),
            task_queue=self.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=UPDATE,
            start_signal_args=[{"tenant_id": self.tenant_id} | request],
        )

    async def get(self, chat_session_id: str, **request: Any) -> Json:
        """The query `get_chat_session` of the live journey."""
        sent = {"tenant_id": self.tenant_id} | request
        answer: Json = await self.handle(chat_session_id).query(GET, sent)
        assert_exchange_fits(GET, sent, answer)
        return answer

    async def read(self, **request: Any) -> Json:
        """The activity `get_chat_session`, by itself."""
        return await self.run_activity(GET, {"tenant_id": self.tenant_id} | request)

    async def run_activity(self, name: str, request: Json) -> Json:
        """A reading activity, by itself."""
        answer: Json = await self.client.execute_activity(
            name,
            request,
            id=f"read/{uuid4()}",
            task_queue=self.task_queue,
            start_to_close_timeout=timedelta(seconds=5),
        )
        assert_exchange_fits(name, request, answer)
        return answer

    # What Temporal and the stores hold.

    async def events(self, chat_session_id: str) -> list[HistoryEvent]:
        """The history of the newest run."""
        return [event async for event in self.handle(chat_session_id).fetch_history_events()]

    async def row(self, chat_session_id: str) -> Json | None:
        """The row in Supabase."""
        row = await self.supabase.fetchrow(
            "select * from public.chat_sessions where chat_session_id = $1", UUID(chat_session_id)
        )
        return None if row is None else {**row, "context": from_json(row["context"])}

    async def ledger(self, chat_session_id: str) -> list[Json]:
        """The ledger in Supabase without the creation, oldest first."""
        rows = await self.supabase.fetch(
            "select * from public.chat_context_updates where chat_session_id = $1 and revision > 0 order by revision",
            UUID(chat_session_id),
        )
        # tests/promises/test_earlier_revisions.py looks at the full contexts.
        full_context = {"context", "fold_changes", "fold_bytes"}
        return [
            {name: value for name, value in row.items() if name not in full_context}
            | {"change": from_json(row["change"])}
            for row in rows
        ]

    async def artifact(self, chat_session_id: str) -> Json | None:
        """The artifact in the State Surface."""
        row = await self.state_surface.fetchrow(
            "select * from state_surface.artifacts where artifact_id = $1", UUID(chat_session_id)
        )
        if row is None:
            return None
        return {
            **row,
            "semantic_payload": from_json(row["semantic_payload"]),
            "produced_by": from_json(row["produced_by"]),
        }

    async def snapshot(self, chat_session_id: str) -> Json:
        """All that both stores hold of a session, row versions included: equal for as long as nothing is written."""
        identity = UUID(chat_session_id)
        row = "select xmin::text, s::text as all from public.chat_sessions as s where chat_session_id = $1"
        ledger = "select xmin::text, u::text as all from public.chat_context_updates as u where chat_session_id = $1"
        transcript = "select xmin::text, m::text as all from public.chat_messages as m where chat_session_id = $1"
        artifact = "select xmin::text, a::text as all from state_surface.artifacts as a where artifact_id = $1"
        return {
            "row": [dict(each) for each in await self.supabase.fetch(row, identity)],
            "ledger": [dict(each) for each in await self.supabase.fetch(f"{ledger} order by revision", identity)],
            "messages": [
                dict(each)
                for each in await self.supabase.fetch(f"{transcript} order by first_revision, ordinal", identity)
            ],
            "artifact": [dict(each) for each in await self.state_surface.fetch(artifact, identity)],
        }


def note(number: int, **more: Any) -> Json:
    """A change that adds a number to the context's notes."""
    return {"append": {"notes": [number]}} | more


def failed_tasks(events: Sequence[HistoryEvent]) -> list[HistoryEvent]:
    """Workflow tasks that failed, which no message may ever cause."""
    return [event for event in events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED]


Failure = WorkflowUpdateFailedError | WorkflowFailureError | ActivityFailureError


def code_of(error: Failure) -> str | None:
    """The contract's code that a failure carries."""
    cause = error.__cause__
    return cause.type if isinstance(cause, ApplicationError) else None


def code_and_field(error: Failure) -> tuple[str | None, str]:
    """The contract's code that a failure carries, and the field that it names; checks that it has a message."""
    cause = error.__cause__
    assert isinstance(cause, ApplicationError)
    assert cause.message
    (details,) = cause.details
    assert isinstance(details["field"], str)
    return cause.type, details["field"]
