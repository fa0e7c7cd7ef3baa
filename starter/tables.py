"""Sessions and ledgers as tables, for people."""

from collections.abc import Sequence

from rich.json import JSON
from rich.table import Table

from contract.chat_session import ChatSessionReceipt, LedgerEntry


def session_table(artifact: ChatSessionReceipt) -> Table:
    """A session for people, one field a row."""
    table = Table("field", "value", show_header=False)
    for name, value in artifact.model_dump(mode="json", exclude_none=True).items():
        if name == "active_agent":
            table.add_row(name, str(value), style="bold")
        else:
            table.add_row(name, JSON.from_data(value) if isinstance(value, dict | list) else str(value))
    return table


def ledger_table(entries: Sequence[LedgerEntry]) -> Table:
    """A session's ledger for people, one change a row."""
    table = Table("revision", "applied at", "author", "agent after it", "change", "idempotency key")
    for entry in entries:
        change = {name: value for name, value in entry.change.items() if value not in (None, "merge")}
        table.add_row(
            str(entry.revision),
            entry.applied_at.isoformat(timespec="milliseconds"),
            entry.author or "",
            entry.active_agent,
            JSON.from_data(change, indent=None),
            entry.idempotency_key[:40],
        )
    return table
