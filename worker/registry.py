"""The journeys that a worker runs. A new journey is one more line in `JOURNEYS`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from temporalio.client import Client

from activities.chat_session import ChatSessionActivities
from activities.chat_session_erasure import ChatSessionErasureActivities
from stores.chat_session_reads import ChatSessionReads
from stores.chat_sessions_supabase import ChatSessionsSupabase
from stores.deletions_supabase import DeletionsSupabase
from stores.postgres import Pool
from stores.state_surface_postgres import StateSurfacePostgres
from worker.chat_session_nexus import ChatSessionNexusService
from worker.settings import WorkerSettings
from workflows.chat_session import ChatSessionJourney
from workflows.chat_session_erasure import ChatSessionErasure


@dataclass(frozen=True, slots=True)
class Stores:
    """Connections to the stores."""

    supabase: Pool
    state_surface: Pool


Activities = Sequence[Callable[..., object]]


@dataclass(frozen=True, slots=True)
class Journey:
    """A journey as a worker runs it.

    Attributes:
        workflow: The workflow's class.
        activities: Makes the journey's activities from a worker's stores and settings.
        nexus_service: Makes the handler of the journey's Nexus service, if it has one.
    """

    workflow: type
    activities: Callable[[Stores, WorkerSettings], Activities]
    nexus_service: Callable[[Client, WorkerSettings], object] | None = None


def _chat_session_activities(stores: Stores, settings: WorkerSettings) -> Activities:
    return ChatSessionActivities(
        ChatSessionsSupabase(stores.supabase),
        ChatSessionReads(stores.supabase),
        DeletionsSupabase(stores.supabase),
        StateSurfacePostgres(stores.state_surface),
        settings.agent_turns,
        settings.session_settings,
    ).all


def _chat_session_erasure_activities(stores: Stores, settings: WorkerSettings) -> Activities:
    del settings
    return ChatSessionErasureActivities(DeletionsSupabase(stores.supabase)).all


def _chat_session_nexus_service(client: Client, settings: WorkerSettings) -> object:
    return ChatSessionNexusService(client, task_queue=settings.task_queue, limits=settings.session_settings.limits)


JOURNEYS: Final = (
    Journey(ChatSessionJourney, _chat_session_activities, _chat_session_nexus_service),
    Journey(ChatSessionErasure, _chat_session_erasure_activities),
)
