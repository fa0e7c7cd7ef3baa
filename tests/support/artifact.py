"""The fields of a session's artifact, as the contract names them."""

ARTIFACT = {
    "artifact_type",
    "chat_session_id",
    "tenant_id",
    "user_id",
    "active_agent",
    "context",
    "lifecycle_state",
    "revision",
    "context_hash",
    "created_at",
    "updated_at",
}
