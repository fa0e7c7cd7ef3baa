"""Sessions and ledgers as tables for people. They cut nothing off, and fit into 80 columns."""

from collections.abc import Sequence

from pydantic import JsonValue
from rich.console import Group, RenderableType
from rich.json import JSON
from rich.table import Table
from rich.text import Text

from journeys.chat_session.answers import ChatMessage, ChatSessionView, ListedChatSession, UpdateReceipt
from journeys.chat_session.session import ChatSessionArtifact, ChatSessionReceipt, LedgerEntry
from journeys.identifiers import timestamp
from starter.cli.command import facts


def session_table(session: ChatSessionReceipt) -> Table:
    """A session, one field in each row."""
    rows: dict[str, RenderableType] = {
        "session": session.chat_session_id,
        "tenant": session.tenant_id,
        "user": session.user_id,
        **({"title": session.title} if session.title else {}),
        "agent": Text(session.active_agent, style="bold green"),
        "state": session.lifecycle_state,
        "revision": str(session.revision),
        "messages": str(session.message_count),
    }
    if isinstance(session, UpdateReceipt):
        rows["change"] = f"applied as revision {session.applied_revision}" + (
            ", when it was first sent" if session.duplicate else ""
        )
    rows |= {
        "created": timestamp(session.created_at),
        "updated": timestamp(session.updated_at),
        "hash": session.context_hash,
    }
    if isinstance(session, ChatSessionArtifact):
        rows["context"] = _json(session.context, indent=2)
    if isinstance(session, ChatSessionView) and session.refusals and session.refusals.count:
        rows["refused"] = Group(
            Text(f"{session.refusals.count} signals; the last:", style="red"),
            *(f"{timestamp(each.at)} {each.code} {each.field}" for each in session.refusals.last),
        )
    return facts(rows)


def sessions_table(sessions: Sequence[ListedChatSession]) -> Table:
    """Sessions, one in each row."""
    table = Table(box=None, header_style="cyan", padding=(0, 2, 0, 0))
    table.add_column("session", no_wrap=True)
    table.add_column("updated (UTC)", no_wrap=True)
    table.add_column("user and title", overflow="fold")
    for session in sessions:
        table.add_row(
            session.chat_session_id,
            session.updated_at.strftime("%Y-%m-%d %H:%M"),
            Text(session.user_id) + Text(f" {session.title}" if session.title else "", style="bold"),
        )
    return table


def transcript_table(messages: Sequence[ChatMessage]) -> Table:
    """Messages of a transcript, one in each row."""
    table = Table(box=None, header_style="cyan", padding=(0, 2, 0, 0))
    table.add_column("added (UTC)", no_wrap=True)
    table.add_column("role, author", overflow="fold", max_width=20)
    table.add_column("message", overflow="fold")
    for message in messages:
        said_by = ", ".join(each for each in (message.role, message.author) if each)
        table.add_row(
            message.created_at.strftime("%Y-%m-%d %H:%M"),
            Text(said_by),
            Group(_json(message.body), Text(message.id, style="dim")),
        )
    return table


def ledger_table(entries: Sequence[LedgerEntry]) -> Table:
    """A session's ledger, one change in each row."""
    table = Table(box=None, header_style="cyan", padding=(0, 2, 0, 0))
    table.add_column("rev", justify="right", no_wrap=True)
    table.add_column("applied (UTC)", no_wrap=True)
    table.add_column("author", overflow="fold", max_width=20)
    table.add_column("change", overflow="fold")
    agent = ""
    for entry in entries:
        change: list[RenderableType] = []
        if entry.active_agent != agent:
            agent = entry.active_agent
            change.append(Text(f"agent {agent}", style="bold green"))
        for name, value in entry.change.items():
            if value not in (None, "merge") and name != "active_agent":
                change.append(Group(Text(name, style="dim"), _json(value)))
        if entry.revision and not _is_derived(entry.idempotency_key):
            change.append(Text(f"key {entry.idempotency_key}", style="dim"))
        table.add_row(
            str(entry.revision),
            f"{entry.applied_at:%Y-%m-%d %H:%M:%S}",
            Text(entry.author or ""),
            Group(*change),
        )
    return table


def _is_derived(key: str) -> bool:
    """Whether the engine derived this key; such a key means nothing to people."""
    return len(key) == 64 and set(key) <= set("0123456789abcdef")


def _json(value: JsonValue, indent: int | None = None) -> Text:
    text = JSON.from_data(value, indent=indent).text
    text.no_wrap = False
    text.overflow = "fold"
    return text
