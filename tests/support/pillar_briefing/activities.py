"""The intent of the journey Pillar Briefing."""

from datetime import datetime
from uuid import UUID

from temporalio import activity

from journeys.failures import as_failure
from tests.support.pillar_briefing.contract import PREPARE, Briefing, BriefingWithdrawn, Prepared


@activity.defn(name=PREPARE)
async def prepare_briefing(briefing: Briefing) -> Prepared:
    if briefing.topic == "withdrawn":
        raise as_failure(BriefingWithdrawn("this topic is closed", field="topic"))
    assert isinstance(briefing.briefing_id, UUID)
    assert isinstance(briefing.due_at, datetime)
    return Prepared(
        briefing_id=briefing.briefing_id, text=f"{briefing.topic} for {briefing.reader} by {briefing.due_at:%Y-%m-%d}"
    )
