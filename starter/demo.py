"""Run the whole journey once on a stack of its own, and check it against the stores."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import asyncpg
from pydantic_core import from_json
from temporalio.client import Client

from journeys.canonical_json import canonical_hash
from journeys.chat_session.answers import ChatMessage, ChatSessionView
from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.names import workflow_id
from journeys.chat_session.session import ChatSessionArtifact, LedgerEntry
from journeys.client.chat_sessions import ChatSessions
from journeys.client.context_change import ContextChange
from journeys.errors import JourneyError
from journeys.messages import Record
from starter.dev_engine import dev_engine


class PromiseBroken(JourneyError):  # noqa: N818
    """The journey broke a promise; the message names it."""

    code = "PROMISE_BROKEN"


class DemoReport(Record):
    """The results of the demonstration.

    Attributes:
        session: The session as it was read at the end.
        messages: The session's transcript.
        ledger: The session's changes, from Supabase.
        state_surface_revision: The revision of the registered artifact.
        trace_url: The page of the Web UI that shows the journey while the stack runs.
        checks: The promises that were checked, in words.
    """

    session: ChatSessionView
    messages: tuple[ChatMessage, ...]
    ledger: tuple[LedgerEntry, ...]
    state_surface_revision: int
    trace_url: str
    checks: tuple[str, ...]


async def run_demo(folder: Path, *, progress: Callable[[str], None], kept: Callable[[str], None]) -> DemoReport:
    """Run the journey: create a session, let three write to it at once, read and list it; archive and delete another.

    Args:
        folder: The folder in which the stack keeps its data.
        progress: Called with a line about each step.
        kept: Called with each promise that was checked and kept.

    Raises:
        PromiseBroken: A promise was not kept.
    """
    async with dev_engine(folder, progress=progress) as engine, engine.worker:
        addresses = engine.addresses
        client = await Client.connect(addresses.temporal_address, namespace=addresses.temporal_namespace)
        sessions = ChatSessions(client, task_queue=addresses.task_queue)
        checks: list[str] = []

        def check(promise: str, holds: bool) -> None:
            if not holds:
                raise PromiseBroken(promise)
            kept(promise)
            checks.append(promise)

        tenant, user, asked = "acme", "ada", datetime.now(UTC)
        first, second = await asyncio.gather(
            sessions.initialize(tenant_id=tenant, user_id=user, requested_at=asked, title="Quarterly figures"),
            sessions.initialize(tenant_id=tenant, user_id=user, requested_at=asked, title="Quarterly figures"),
        )
        check(
            "two initializations at once made one session",
            first.chat_session_id == second.chat_session_id and {first.created, second.created} == {True, False},
        )
        identity = first.chat_session_id
        check("the guide leads a new session", (await sessions.get(identity, tenant_id=tenant)).active_agent == "guide")

        await sessions.update_context(
            identity, tenant_id=tenant, user_id=user, messages=[{"id": "m1", "text": "How was the quarter?"}]
        )
        handed_over = await sessions.update_context(
            identity, tenant_id=tenant, user_id=user, active_agent="liaison_finance", author="user"
        )
        check("the conversation was handed to a liaison", handed_over.active_agent == "liaison_finance")

        await asyncio.gather(
            sessions.update_context(
                identity,
                tenant_id=tenant,
                messages=[{"id": "m2", "role": "assistant", "text": "Here are the figures."}],
                author="liaison_finance",
            ),
            sessions.update_context(
                identity,
                tenant_id=tenant,
                messages=[{"id": "m3", "role": "assistant", "text": "Shall we summarise them?"}],
                author="guide",
            ),
        )
        await sessions.signal_context(
            identity, tenant_id=tenant, context={"topic": "quarterly figures"}, author="guide"
        )
        answer = ContextChange(
            tenant_id=tenant,
            user_id=user,
            messages=[{"text": "Yes, please."}],
            idempotency_key="the user's answer",
            author="user",
        )
        answered = await sessions.update_context(identity, **answer)
        again = await sessions.update_context(identity, **answer)
        check("a message that was sent twice was added once", again.message_ids == answered.message_ids)

        seen = await sessions.get(identity, tenant_id=tenant, user_id=user)
        transcript = await sessions.messages(identity, tenant_id=tenant, user_id=user)
        check(
            "two agents and a user wrote at once and nothing was lost",
            [message.id for message in transcript.messages[::3]] == ["m1", *(answered.message_ids or ())]
            and {message.id for message in transcript.messages[1:3]} == {"m2", "m3"},
        )
        check("the signal was applied", seen.context.get("topic") == "quarterly figures")
        earlier = await sessions.get(identity, tenant_id=tenant, at_revision=0)
        check("the first revision can be read again", (earlier.context, earlier.active_agent) == ({}, "guide"))

        other = await sessions.initialize(tenant_id=tenant, user_id=user, session_name="scratch", title="Scratch")
        listed = await sessions.list(tenant_id=tenant, user_id=user)
        check(
            "both sessions are listed, the latest first",
            [session.title for session in listed.sessions] == ["Scratch", "Quarterly figures"],
        )
        await sessions.update_session(other.chat_session_id, tenant_id=tenant, user_id=user, lifecycle_state="ARCHIVED")
        listed = await sessions.list(tenant_id=tenant, user_id=user)
        check("an archived session is put away", [session.chat_session_id for session in listed.sessions] == [identity])
        await sessions.delete(other.chat_session_id, tenant_id=tenant, user_id=user)
        check("a deleted session is not found", not await _is_found(sessions, other.chat_session_id, tenant))

        row, revisions = await _read_supabase(addresses.supabase_db_url, seen)
        check("Supabase holds the session as it was read", row == (seen.revision, seen.context_hash))
        check("the ledger has one row for each revision", revisions == list(range(seen.revision + 1)))
        registered = await _read_state_surface(addresses.state_surface_url, seen)
        check("the State Surface holds the same revision", registered == (seen.revision, seen.context_hash))
        return DemoReport(
            session=seen,
            messages=transcript.messages,
            ledger=tuple(await sessions.history(identity, tenant_id=tenant)),
            state_surface_revision=seen.revision,
            trace_url=f"{addresses.temporal_ui_url}/namespaces/{addresses.temporal_namespace}/workflows/"
            f"{quote(workflow_id(identity), safe='')}",
            checks=tuple(checks),
        )


async def _is_found(sessions: ChatSessions, chat_session_id: str, tenant_id: str) -> bool:
    try:
        await sessions.get(chat_session_id, tenant_id=tenant_id)
    except SessionNotFound:
        return False
    return True


async def _read_supabase(url: str, session: ChatSessionArtifact) -> tuple[tuple[int, str] | None, list[int]]:
    connection = await asyncpg.connect(url)
    try:
        identity = UUID(session.chat_session_id)
        row = await connection.fetchrow(
            "select revision, context from public.chat_sessions where chat_session_id = $1", identity
        )
        ledger = await connection.fetch(
            "select revision from public.chat_context_updates where chat_session_id = $1 order by revision", identity
        )
    finally:
        await connection.close()
    stored = (row["revision"], canonical_hash(from_json(row["context"]))) if row else None
    return stored, [entry["revision"] for entry in ledger]


async def _read_state_surface(url: str, session: ChatSessionArtifact) -> tuple[int, str] | None:
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(
            "select revision, semantic_payload from state_surface.artifacts where artifact_id = $1",
            UUID(session.chat_session_id),
        )
    finally:
        await connection.close()
    return (row["revision"], canonical_hash(from_json(row["semantic_payload"])["context"])) if row else None
