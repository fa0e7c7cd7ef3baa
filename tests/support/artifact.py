"""The fields of a session's artifact, as the contract names them."""

ARTIFACT = {
    "artifact_type",
    "chat_session_id",
    "tenant_id",
    "user_id",
    "title",
    "active_agent",
    "context",
    "lifecycle_state",
    "revision",
    "context_hash",
    "message_count",
    "turn_revision",
    "created_at",
    "updated_at",
}
