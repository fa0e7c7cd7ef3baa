"""A worker's activities on the real stores, as the journey of one session runs them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any

from pydantic_core import to_json
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.testing import ActivityEnvironment

from activities.agent_turns import AgentTurns
from activities.chat_session import ChatSessionActivities
from journeys.chat_session.activities import Batch, DecidedBatch, MessageKind, ReceivedMessage, SessionSettings
from journeys.chat_session.names import JOURNEY_ID, workflow_id
from journeys.chat_session.session import ChatSessionArtifact
from stores.chat_session_reads import ChatSessionReads
from stores.chat_sessions_supabase import ChatSessionsSupabase
from stores.deletions_supabase import DeletionsSupabase
from stores.state_surface_postgres import StateSurfacePostgres
from tests.support.journeys import Journeys, Json

Message = tuple[str, Json]
"""A message's identity, and its request."""


class Writer:
    """A worker's activities, as the journey of one session runs them; `heartbeats` counts their heartbeats."""

    def __init__(self, journeys: Journeys, surface: StateSurfacePostgres | None = None) -> None:
        self._tenant_id = journeys.tenant_id
        self.heartbeats = 0
        self._activities = ChatSessionActivities(
            ChatSessionsSupabase(journeys.supabase),
            ChatSessionReads(journeys.supabase),
            DeletionsSupabase(journeys.supabase),
            surface or StateSurfacePostgres(journeys.state_surface),
            AgentTurns(agents=frozenset({"guide"}), timeout=timedelta(seconds=60)),
            SessionSettings(idle_seconds=60, rollover_messages=500),
        )

    @property
    def writing(self) -> Sequence[Callable[..., Any]]:
        """The activities that write."""
        own = self._activities
        return own.initialize_chat_session, own.load_chat_session, own.update_chat_context

    async def decide(
        self,
        session: ChatSessionArtifact,
        *messages: Message,
        kind: MessageKind | Sequence[MessageKind] = "update",
        at: datetime | None = None,
        attempt: int = 1,
    ) -> DecidedBatch:
        """Decide a batch as the journey of a session hands it over.

        Args:
            session: The session as its journey knows it.
            *messages: The batch.
            kind: The kind of all messages, or a kind for each.
            at: When the batch was begun.
            attempt: The number of the activity's attempt.
        """
        kinds = repeat(kind) if isinstance(kind, str) else kind
        batch = Batch(
            first_run_id="first",
            at=at or datetime.now(UTC),
            messages=tuple(
                ReceivedMessage(identity=identity, kind=each)
                for (identity, _), each in zip(messages, kinds, strict=False)
            ),
            revision=session.revision,
            context_hash=session.context_hash,
        )
        requests = [{"tenant_id": self._tenant_id} | request for _, request in messages]
        environment = ActivityEnvironment()
        environment.info = replace(
            environment.info,
            workflow_id=workflow_id(session.chat_session_id),
            workflow_type=JOURNEY_ID,
            attempt=attempt,
            current_attempt_scheduled_time=datetime.now(UTC) + timedelta(minutes=1),  # after every time in these tests
        )
        environment.on_heartbeat = self._count_heartbeat
        decided: DecidedBatch = await environment.run(
            self._activities.update_chat_context, *(raw(each) for each in (batch, *requests))
        )
        return decided

    def _count_heartbeat(self) -> None:
        self.heartbeats += 1


def raw(value: object) -> RawValue:
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=to_json(value)))


def applied(decided: DecidedBatch) -> list[tuple[int | None, bool]]:
    """Each message's revision, and whether it is a duplicate; checks that none was refused."""
    assert not [outcome.refused for outcome in decided.outcomes if outcome.refused]
    return [(outcome.revision, outcome.duplicate) for outcome in decided.outcomes]


def codes(decided: DecidedBatch) -> list[str | None]:
    return [outcome.refused.code if outcome.refused else None for outcome in decided.outcomes]


async def create_sleeping_session(journeys: Journeys) -> ChatSessionArtifact:
    """Store a session in both stores; its journey sleeps, so that nobody else writes."""
    async with journeys.worker(idle_seconds=0):
        return ChatSessionArtifact.model_validate(await journeys.initialize())


async def read_session(journeys: Journeys, session: ChatSessionArtifact) -> ChatSessionArtifact:
    """The session as Supabase holds it now."""
    row = await journeys.row(session.chat_session_id)
    assert row is not None
    names = ("active_agent", "context", "context_hash", "lifecycle_state", "message_count", "revision", "updated_at")
    return session.model_copy(update={name: row[name] for name in names})


def keyed(*keys: str) -> list[Message]:
    """Messages with keys of their own, that add a note each."""
    return [(f"run/{key}", {"append": {"notes": [key]}, "idempotency_key": key}) for key in keys]


def keyless(*names: str) -> list[Message]:
    """Messages that differ in their identity alone."""
    return [(f"run/{name}", {"append": {"notes": [0]}}) for name in names]


def on_a_base(*_: str) -> list[Message]:
    """Messages that each name as their base the revision that the message before them makes."""
    return [(f"run/{base}", {"append": {"notes": [0]}, "base_revision": base}) for base in range(3)]


def said(*names: str) -> list[Message]:
    """Messages for the transcript: each adds one, and the first is replaced by the later ones."""
    return [(f"run/{name}", {"messages": [{"text": name}, {"id": "the first", "by": name}]}) for name in names]
