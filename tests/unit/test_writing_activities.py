"""An activity that writes could be pointed at any session, so it runs inside the session's own workflow only."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.agent_turns import AgentTurns
from activities.chat_session import ChatSessionActivities
from journeys.chat_session.activities import SessionSettings
from journeys.state_surface import StateSurface
from stores.chat_session_reads import ChatSessionReads
from stores.chat_sessions_supabase import ChatSessionsSupabase
from stores.deletions_supabase import DeletionsSupabase

SESSION = "31dca87f-efb8-5ac5-b6df-13a4bc321dfd"
BATCH = RawValue(
    Payload(
        metadata={"encoding": b"json/plain"},
        data=b'{"first_run_id":"run","at":"2026-01-27T10:05:12Z","revision":3,"context_hash":"' + b"a" * 64 + b'"}',
    )
)


class Touched(Exception):  # noqa: N818
    """A store was asked for something."""


class Untouchable:
    """Stands for a store."""

    def __getattr__(self, name: str) -> Any:
        raise Touched(name)


def activities() -> ChatSessionActivities:
    return ChatSessionActivities(
        cast("ChatSessionsSupabase", Untouchable()),
        cast("ChatSessionReads", Untouchable()),
        cast("DeletionsSupabase", Untouchable()),
        cast("StateSurface", Untouchable()),
        AgentTurns(agents=frozenset(), timeout=timedelta(seconds=1)),
        SessionSettings(idle_seconds=1, rollover_messages=1),
    )


def within(workflow_type: str | None, workflow_id: str | None) -> ActivityEnvironment:
    """An activity of this workflow."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_type=workflow_type, workflow_id=workflow_id)
    return environment


@pytest.mark.parametrize("name", ["initialize_chat_session", "load_chat_session", "update_chat_context"])
@pytest.mark.parametrize(
    ("workflow_type", "workflow_id"),
    [
        (None, None),
        (None, f"chat-session/{SESSION}"),
        ("another_workflow", f"chat-session/{SESSION}"),
        ("journey_coexistence_chat_session_erasure", f"chat-session-erasure/{SESSION}"),
        ("journey_coexistence_chat_session", SESSION),
        ("journey_coexistence_chat_session", f"chat-session/{SESSION.upper()}"),
        ("journey_coexistence_chat_session", f"chat-session/chat-session/{SESSION}"),
        ("journey_coexistence_chat_session", f"x/chat-session/{SESSION}"),
        ("journey_coexistence_chat_session", "chat-session/"),
        ("journey_coexistence_chat_session", f"chat-session/{SESSION}\n"),
    ],
)
async def test_it_refuses_to_run_anywhere_else(name: str, workflow_type: str | None, workflow_id: str | None) -> None:
    run = getattr(activities(), name)
    with pytest.raises(ApplicationError) as refused:
        await within(workflow_type, workflow_id).run(run, BATCH)
    assert refused.value.type == "INVALID_PARAMETER"
    assert refused.value.non_retryable


@pytest.mark.parametrize("name", ["initialize_chat_session", "load_chat_session", "update_chat_context"])
async def test_it_goes_to_the_stores_inside_its_sessions_workflow(name: str) -> None:
    with pytest.raises(Touched):
        await within("journey_coexistence_chat_session", f"chat-session/{SESSION}").run(
            getattr(activities(), name), BATCH
        )
