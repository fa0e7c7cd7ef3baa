"""Calls of the Python client, as the tests of its errors and retries make them."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
)

from journeys import (
    ChatSessions,
)
from tests.support.journeys import Journeys

Call = Callable[[ChatSessions, str, str], Coroutine[Any, Any, object]]

BY_ID: dict[str, Call] = {
    "get": lambda sessions, identity, tenant: sessions.get(identity, tenant_id=tenant),
    "update": lambda sessions, identity, tenant: sessions.update_context(identity, tenant_id=tenant, context={"a": 1}),
    "signal": lambda sessions, identity, tenant: sessions.signal_context(identity, tenant_id=tenant, context={"a": 1}),
    "history": lambda sessions, identity, tenant: sessions.history(identity, tenant_id=tenant),
}
CALLS = BY_ID | {
    "initialize": lambda sessions, _, tenant: sessions.initialize(tenant_id=tenant, user_id="ada"),
    "get latest": lambda sessions, _, tenant: sessions.get(tenant_id=tenant, user_id="ada"),
}


def starter(journeys: Journeys, *, seconds: float, client: Client | None = None) -> ChatSessions:
    return ChatSessions(client or journeys.client, task_queue=journeys.task_queue, deadline=timedelta(seconds=seconds))
