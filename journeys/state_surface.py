"""The State Surface: the platform's artifact registry, as a port that journeys register their artifacts through."""

from typing import Protocol

from pydantic import JsonValue

from journeys.identifiers import Timestamp
from journeys.messages import Record


class ProducedBy(Record):
    """Which intent made an artifact, in which workflow run. It stays as long as the artifact does."""

    intent: str
    execution_id: str


class SurfaceArtifact(Record):
    """An artifact as the State Surface keeps it.

    Attributes:
        artifact_id: A UUID; for a chat session its `chat_session_id`.
        semantic_descriptor: What kind of thing it is, for those who read the registry.
        semantic_payload: The thing itself.
        parent_artifacts: IDs of the artifacts it was made from.
        materializations: Where it is stored besides.
        revision: Never goes backwards.
    """

    artifact_id: str
    tenant_id: str
    artifact_type: str
    lifecycle_state: str
    produced_by: ProducedBy
    semantic_descriptor: dict[str, JsonValue]
    semantic_payload: dict[str, JsonValue]
    parent_artifacts: tuple[str, ...] = ()
    materializations: tuple[dict[str, JsonValue], ...] = ()
    revision: int
    created_at: Timestamp
    updated_at: Timestamp


class StateSurface(Protocol):
    """What a journey needs of the registry. Every call is idempotent and never lowers a revision."""

    async def register(self, artifact: SurfaceArtifact) -> int:
        """Register an artifact, or bring a registered one up to this revision; answers the revision it has then."""

    async def update(self, artifact: SurfaceArtifact) -> int | None:
        """Bring an artifact up to this revision; answers the revision it has then, None if it is not registered."""

    async def get(self, artifact_id: str, tenant_id: str) -> SurfaceArtifact | None:
        """Read a tenant's artifact."""
