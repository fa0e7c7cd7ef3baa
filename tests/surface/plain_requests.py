"""Keys and hashes as any service derives them, without this project."""

import json
import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from temporalio.client import WorkflowExecutionDescription
from temporalio.common import SearchAttributeKey

from tests.support.journeys import Json

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def hashed(value: Any) -> str:
    """SHA-256 of canonical JSON, for the ASCII keys and integers of these tests."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


def key_of(request: Json) -> str:
    """The session key, derived as any other language would."""
    asked_at = datetime.fromisoformat(request["requested_at"]).astimezone(UTC)
    return hashed(
        {
            "intent": "initialize_chat_session",
            "tenant_id": request["tenant_id"],
            "timestamp_window": asked_at.strftime("%Y-%m-%dT%H:%M:00Z"),
            "user_id": request["user_id"],
        }
    )


def identity_of(request: Json) -> str:
    return str(uuid5(uuid5(NAMESPACE_URL, "journey_coexistence_chat_session"), key_of(request)))


def shown(description: WorkflowExecutionDescription) -> dict[str, str | None]:
    attributes = description.typed_search_attributes
    return {
        name: attributes.get(SearchAttributeKey.for_keyword(name)) for name in ("TenantId", "UserId", "ActiveAgent")
    }
