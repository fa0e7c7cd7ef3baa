"""The journey Pillar Briefing, written the usual way: typed `run`, typed handlers."""

from datetime import datetime
from uuid import UUID

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from tests.support.pillar_briefing.contract import JOURNEY_ID, PREPARE, Briefing, Prepared
from workflows.idle_timer import IdleTimer
from workflows.run_activity import run_activity


@workflow.defn(name=JOURNEY_ID)
class PillarBriefingJourney:
    def __init__(self) -> None:
        self._reader: str | None = None
        self._reader_is_known = False
        self._postponed: tuple[UUID, datetime] | None = None

    @workflow.run
    async def run(self, briefing: Briefing) -> Prepared:
        idle_timer = IdleTimer()
        idle_timer.ensure_running(60)
        await workflow.wait_condition(lambda: self._reader_is_known or idle_timer.has_expired)
        due_at = self._postponed[1] if self._postponed else briefing.due_at
        wanted = briefing.model_copy(update={"reader": self._reader, "due_at": due_at})
        return (await run_activity(PREPARE, [wanted], Prepared, summary="prepare the briefing")).value

    @workflow.signal
    def name_reader(self, reader: str | None) -> None:
        self._reader, self._reader_is_known = reader, True

    @workflow.update
    async def postpone(self, request: UUID, due_at: datetime) -> datetime:
        assert isinstance(request, UUID)
        assert isinstance(due_at, datetime)
        self._postponed = request, due_at
        return due_at

    @workflow.query
    def due(self, request: UUID) -> datetime | None:
        assert isinstance(request, UUID)
        return self._postponed[1] if self._postponed else None
