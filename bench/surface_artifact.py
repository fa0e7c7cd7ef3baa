"""The artifact of a session, for the variants that write the State Surface themselves."""

from journeys.chat_session.names import ARTIFACT_TYPE, INITIALIZE
from journeys.chat_session.session import ChatSessionArtifact
from journeys.state_surface import ProducedBy, SurfaceArtifact


def surface_artifact(session: ChatSessionArtifact, run_id: str) -> SurfaceArtifact:
    """The artifact, with the same fields as the journey's."""
    return SurfaceArtifact(
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
