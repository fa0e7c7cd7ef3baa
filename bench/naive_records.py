"""What the workflow of the variant `naive` sends its activities: whole sessions."""

from journeys.chat_session.session import ChatSessionArtifact, WrittenEntry
from journeys.messages import Record


class CreateSession(Record):
    session: ChatSessionArtifact
    idempotency_key: str


class WriteChange(Record):
    before: ChatSessionArtifact
    entry: WrittenEntry
    after: ChatSessionArtifact
