"""The answers to an update and to an initialization."""

from datetime import UTC, datetime
from typing import Any

import pytest

from journeys.chat_session.activities import KnownChange, Outcome
from journeys.chat_session.answers import (
    UpdatedChatSession,
    UpdateReceipt,
    answer_initialize,
    answer_update,
)
from journeys.chat_session.session import ChatSessionReceipt
from tests.unit.contract_requests import (
    SESSION,
)

# The answer to an update.


_NOW = ChatSessionReceipt(
    chat_session_id=SESSION,
    tenant_id="acme",
    user_id="ada",
    active_agent="guide",
    revision=9,
    context_hash="9" * 64,
    created_at=datetime(2026, 1, 27, 8, tzinfo=UTC),
    updated_at=datetime(2026, 1, 27, 10, tzinfo=UTC),
)
_CONTEXT: dict[str, Any] = {"a": [1]}


def test_a_change_that_was_just_made_is_answered_with_the_session_as_it_is_now() -> None:
    """Other changes of its batch are in both stores by then."""
    receipt = answer_update(Outcome(revision=7), _NOW, None)
    assert type(receipt) is UpdateReceipt
    more = {"applied_revision": 7, "duplicate": False, "message_ids": None}
    assert dict(receipt) == {**_NOW.model_dump(), **more}
    artifact = answer_update(Outcome(revision=7), _NOW, _CONTEXT)
    assert type(artifact) is UpdatedChatSession
    assert dict(artifact) == {**_NOW.model_dump(), "context": _CONTEXT, **more}


@pytest.mark.parametrize("duplicate", [False, True])
def test_a_change_that_was_there_before_has_a_receipt_of_then_and_an_artifact_of_now(*, duplicate: bool) -> None:
    then = KnownChange(
        revision=7,
        idempotency_key="k",
        change_hash="c" * 64,
        active_agent="liaison_health",
        context_hash="a" * 64,
        applied_at=datetime(2026, 1, 27, 9, tzinfo=UTC),
        message="run/update",
    )
    outcome = Outcome(revision=7, known=then, duplicate=duplicate)
    told = {"applied_revision": 7, "duplicate": duplicate, "message_ids": None}
    assert dict(answer_update(outcome, _NOW, None)) == {
        **_NOW.model_dump(),
        **told,
        "revision": 7,
        "active_agent": "liaison_health",
        "context_hash": "a" * 64,
        "updated_at": then.applied_at,
    }
    assert dict(answer_update(outcome, _NOW, _CONTEXT)) == {**_NOW.model_dump(), "context": _CONTEXT, **told}


@pytest.mark.parametrize("created", [False, True])
def test_an_initialization_is_answered_with_the_session_and_whether_it_created_it(*, created: bool) -> None:
    answer = answer_initialize(_NOW, _CONTEXT, created=created)
    assert answer.model_dump() == {**_NOW.model_dump(), "context": _CONTEXT, "created": created}
