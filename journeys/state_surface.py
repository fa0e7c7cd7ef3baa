"""The State Surface, the platform's artifact registry: the port through which journeys register their artifacts."""

from typing import Protocol

from pydantic import JsonValue

from journeys.identifiers import Timestamp
from journeys.messages import Record


class ProducedBy(Record):
    """The intent and the workflow run that made an artifact. Later revisions of the artifact keep it."""

    intent: str
    execution_id: str


class SurfaceArtifact(Record):
    """An artifact as the State Surface keeps it.

    Attributes:
        artifact_id: A UUID; for a chat session its `chat_session_id`.
        semantic_descriptor: The kind of artifact, for readers of the registry.
        semantic_payload: The artifact's content.
        parent_artifacts: The IDs of the artifacts that it was made from.
        materializations: The other places that store it.
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
    """The operations of the registry that journeys need. Each is idempotent and never lowers a revision."""

    async def register(self, artifact: SurfaceArtifact) -> int:
        """Register an artifact, or bring a registered one up to this revision; returns its revision afterwards."""

    async def update(self, artifact: SurfaceArtifact, *, payload_since: int | None = None) -> int | None:
        """Bring an artifact up to this revision; returns its revision afterwards, None if it is not registered.

        If the payload has been the same since the revision `payload_since`, and the registry holds exactly that
        revision, the payload is neither sent nor written.
        """

    async def get(self, artifact_id: str, tenant_id: str) -> SurfaceArtifact | None:
        """Read an artifact; None if the tenant has no such artifact."""
