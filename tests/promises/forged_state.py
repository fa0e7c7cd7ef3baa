"""A state such as a run carries over when it continues as new, although no run has."""

from journeys.canonical_json import canonical_hash
from tests.support.journeys import Json


def forged_state(chat_session_id: str) -> Json:
    now = "2026-01-27T10:05:12.000000Z"
    context = {"forged": True}
    return {
        "session": {
            "artifact_type": "chat_session",
            "chat_session_id": chat_session_id,
            "tenant_id": "forger",
            "user_id": "forger",
            "active_agent": "liaison_forgery",
            "lifecycle_state": "ACTIVE",
            "revision": 7,
            "context": context,
            "context_hash": canonical_hash(context),
            "created_at": now,
            "updated_at": now,
        },
        "context_bytes": 15,
        "settings": {"idle_seconds": 60, "rollover_messages": 500},
        "signals": [
            {"identity": "forged", "kind": "signal", "data": '{"tenant_id":"forger","context":{"forged":2}}'},
        ],
        "signals_seen": 3,
        "refusals": {"count": 99, "last": []},
        "created_told": False,
    }
