"""Chat sessions as artifacts of the State Surface."""

from journeys.chat_session.deletion import Tombstone
from journeys.chat_session.names import ARTIFACT_TYPE, INITIALIZE
from journeys.chat_session.session import ChatSessionArtifact
from journeys.state_surface import ProducedBy, SurfaceArtifact


def as_deleted_artifact(tombstone: Tombstone, run_id: str) -> SurfaceArtifact:
    """A deleted session as the State Surface keeps it; the run counts only if the artifact is not registered yet."""
    return SurfaceArtifact.model_construct(
        artifact_id=tombstone.chat_session_id,
        tenant_id=tombstone.tenant_id,
        artifact_type=ARTIFACT_TYPE,
        lifecycle_state="DELETED",
        produced_by=ProducedBy(intent=INITIALIZE, execution_id=run_id),
        semantic_descriptor={"title": None, "content": "deleted"},
        semantic_payload={},
        materializations=(),
        revision=tombstone.revision,
        created_at=tombstone.created_at,
        updated_at=tombstone.deleted_at,
    )


def as_artifact(session: ChatSessionArtifact, run_id: str) -> SurfaceArtifact:
    """A session as a run registers it."""
    return SurfaceArtifact.model_construct(
        artifact_id=session.chat_session_id,
        tenant_id=session.tenant_id,
        artifact_type=ARTIFACT_TYPE,
        lifecycle_state=session.lifecycle_state,
        produced_by=ProducedBy(intent=INITIALIZE, execution_id=run_id),
        semantic_descriptor={
            "title": session.title,
            "content": "active agent, shared conversation context and transcript",
            "message_count": session.message_count,
        },
        semantic_payload={"active_agent": session.active_agent, "context": session.context},
        materializations=(
            {"store": "supabase", "table": "public.chat_sessions", "chat_session_id": session.chat_session_id},
            {"store": "supabase", "table": "public.chat_messages", "chat_session_id": session.chat_session_id},
        ),
        revision=session.revision,
        created_at=session.created_at,
        updated_at=session.updated_at,
    )
