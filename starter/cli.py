"""The `journey` command line."""

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import JsonValue
from pydantic_core import from_json
from rich.console import Console

from contract.chat_session import ChatSessionReceipt
from contract.errors import InvalidParameter
from contract.messages import Record
from starter.chat_sessions import ChatSessions, ContextChange
from starter.demo import run_demo
from starter.tables import ledger_table, session_table
from worker.cli import Json, tell
from worker.cli import app as worker_app
from worker.command import run_command

app = typer.Typer(
    name="journey",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Chat sessions of the Coexistence Solution as durable journeys. Begin with `journey demo`.",
)
session = typer.Typer(no_args_is_help=True, help="Create, read and change chat sessions.")
app.add_typer(worker_app)
app.add_typer(session, name="session")

_out = Console()


def _parse_json(text: str) -> JsonValue:
    try:
        value: JsonValue = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise typer.BadParameter(f"is not JSON: {error}") from None
    return value


Id = Annotated[str, typer.Argument(metavar="ID", help="The chat_session_id, a UUID.")]
Tenant = Annotated[str, typer.Option(help="Whose platform.")]
User = Annotated[str | None, typer.Option(help="Which user's; left out by a service that acts for the tenant.")]
Agent = Annotated[str | None, typer.Option(help="Who leads: guide or liaison_<pillar>.")]
Patch = Annotated[
    object, typer.Option(parser=_parse_json, metavar="JSON", help="A JSON Merge Patch: null removes a key.")
]
Append = Annotated[
    object,
    typer.Option(parser=_parse_json, metavar="JSON", help='Items to add to arrays, as {"messages": [{"id": "m1"}]}.'),
]
Strategy = Annotated[Literal["merge", "replace"], typer.Option(help="replace needs --context and --base-revision.")]
BaseRevision = Annotated[int | None, typer.Option(help="The revision that the change was written against.")]
Key = Annotated[str | None, typer.Option(help="Names the change: sent again with it, it stands once.")]
Author = Annotated[str | None, typer.Option(help="Who makes the change; kept in the ledger.")]


@session.command()
def initialize(
    *,
    tenant: Tenant,
    user: Annotated[str, typer.Option(help="Who opens the chat.")],
    agent: Agent = None,
    context: Annotated[
        object, typer.Option(parser=_parse_json, metavar="JSON", help="What the agents know at first.")
    ] = None,
    requested_at: Annotated[
        str | None,
        typer.Option(metavar="TS", help="When, as 2026-01-27T10:05:12Z; now by default. Keep it over retries."),
    ] = None,
    json: Json = False,
) -> None:
    """Create a session, or show it where it exists: one per tenant, user and minute."""

    async def main(sessions: ChatSessions) -> None:
        created = await sessions.initialize(
            tenant_id=tenant,
            user_id=user,
            requested_at=requested_at,
            active_agent=agent,
            context=_object(context, "context"),
        )
        _show(created, json=json)

    _run(main)


@session.command()
def get(
    chat_session_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Without it: the user's most recent session.")
    ] = None,
    *,
    tenant: Tenant,
    user: User = None,
    json: Json = False,
) -> None:
    """Show a session as it is now."""

    async def main(sessions: ChatSessions) -> None:
        _show(await sessions.get(chat_session_id, tenant_id=tenant, user_id=user), json=json)

    _run(main)


@session.command()
def update(
    chat_session_id: Id,
    *,
    tenant: Tenant,
    user: User = None,
    context: Patch = None,
    append: Append = None,
    agent: Agent = None,
    strategy: Strategy = "merge",
    base_revision: BaseRevision = None,
    idempotency_key: Key = None,
    author: Author = None,
    returning: Annotated[
        Literal["artifact", "receipt"], typer.Option(help="receipt leaves the context out of the answer.")
    ] = "artifact",
    json: Json = False,
) -> None:
    """Change a session's context and wait until both stores hold the change."""

    async def main(sessions: ChatSessions) -> None:
        change = _change(tenant, user, context, append, agent, strategy, base_revision, idempotency_key, author)
        _show(await sessions.update_context(chat_session_id, returning=returning, **change), json=json)

    _run(main)


@session.command()
def signal(
    chat_session_id: Id,
    *,
    tenant: Tenant,
    user: User = None,
    context: Patch = None,
    append: Append = None,
    agent: Agent = None,
    strategy: Strategy = "merge",
    base_revision: BaseRevision = None,
    idempotency_key: Key = None,
    author: Author = None,
    json: Json = False,
) -> None:
    """Change a session's context without waiting: the engine holds the change until it is applied."""

    async def main(sessions: ChatSessions) -> None:
        change = _change(tenant, user, context, append, agent, strategy, base_revision, idempotency_key, author)
        await sessions.signal_context(chat_session_id, **change)
        if json:
            _out.print_json(data={"chat_session_id": chat_session_id, "accepted": True})
        else:
            _out.print(f"accepted for {chat_session_id}", highlight=False)

    _run(main)


@session.command()
def history(chat_session_id: Id, *, tenant: Tenant, json: Json = False) -> None:
    """Show every change that was applied to a session, oldest first."""

    async def main(sessions: ChatSessions) -> None:
        entries = await sessions.history(chat_session_id, tenant_id=tenant)
        if json:
            _out.print_json(
                data={
                    "chat_session_id": chat_session_id,
                    "entries": [entry.model_dump(mode="json") for entry in entries],
                }
            )
        else:
            _out.print(ledger_table(entries))

    _run(main)


@app.command()
def demo(*, json: Json = False) -> None:
    """Run the whole journey on a stack of its own in a temporary directory, and check it against the stores."""

    async def main() -> None:
        with tempfile.TemporaryDirectory(prefix="journey-demo-") as folder:
            report = await run_demo(Path(folder), progress=tell)
        if json:
            print(report.model_dump_json())
            return
        _out.print(session_table(report.session))
        _out.print(ledger_table(report.ledger))
        _out.print(f"Supabase: revision {report.session.revision}, {len(report.ledger)} ledger rows")
        _out.print(f"State Surface: revision {report.state_surface_revision}")
        _out.print(f"The trace was at {report.trace_url}", soft_wrap=True)
        _out.print("`journey dev` keeps such a stack running, so that you can look.", markup=False)

    run_command(main)


def _show(message: Record, *, json: bool) -> None:
    if json:
        print(message.model_dump_json())
    elif isinstance(message, ChatSessionReceipt):
        _out.print(session_table(message))


def _change(
    tenant: str,
    user: str | None,
    context: object,
    append: object,
    agent: str | None,
    strategy: Literal["merge", "replace"],
    base_revision: int | None,
    idempotency_key: str | None,
    author: str | None,
) -> ContextChange:
    return ContextChange(
        tenant_id=tenant,
        user_id=user,
        context=_object(context, "context"),
        append=_lists(append),
        active_agent=agent,
        merge_strategy=strategy,
        base_revision=base_revision,
        idempotency_key=idempotency_key,
        author=author,
    )


def _object(value: object, field: str) -> dict[str, JsonValue] | None:
    if value is None or isinstance(value, dict):
        return value
    raise InvalidParameter(f"{field}: is a JSON object", field=field)


def _lists(value: object) -> dict[str, list[JsonValue]] | None:
    additions = _object(value, "append")
    if additions is None:
        return None
    lists = {key: items for key, items in additions.items() if isinstance(items, list)}
    if len(lists) < len(additions):
        raise InvalidParameter("append: holds a list of items for each key", field="append")
    return lists


def _run(main: Callable[[ChatSessions], Awaitable[None]]) -> None:
    async def connected() -> None:
        await main(await ChatSessions.connect())

    run_command(connected)


def main() -> None:
    """The `journey` command."""
    app()
