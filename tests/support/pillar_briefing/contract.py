"""The messages to the journey Pillar Briefing, and those between its workflow and its activities."""

from datetime import datetime
from typing import Final
from uuid import UUID

from journeys.errors import JourneyError
from journeys.messages import Record

JOURNEY_ID: Final = "journey_pillar_briefing"
PREPARE: Final = "prepare_briefing"


class BriefingWithdrawn(JourneyError):  # noqa: N818
    """The pillar gives no briefing on this topic."""

    code = "BRIEFING_WITHDRAWN"


class Briefing(Record):
    """What a briefing is about."""

    briefing_id: UUID
    topic: str
    due_at: datetime
    reader: str | None = None


class Prepared(Record):
    """What a briefing says."""

    briefing_id: UUID
    text: str
