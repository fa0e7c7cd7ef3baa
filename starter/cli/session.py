"""The commands `journey session ...`: a client of any deployment."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

import typer
from pydantic import JsonValue

from journeys.chat_session.session import ChatSessionReceipt, LedgerEntry, LifecycleState
from journeys.client.chat_sessions import ChatSessions
from journeys.client.context_change import ContextChange
from journeys.errors import InvalidParameter
from journeys.identifiers import timestamp
from journeys.messages import read
from starter.cli.command import WRONG_USAGE, Json, examples, out, print_json, run_command, show_error
from starter.cli.tables import ledger_table, session_table, sessions_table, transcript_table

app = typer.Typer(
    name="session",
    no_args_is_help=True,
    help="Create, read and change chat sessions.\n\n"
    "Temporal's own environment variables say where it is: TEMPORAL_ADDRESS (by default localhost:7233), "
    "TEMPORAL_NAMESPACE, TEMPORAL_PROFILE and so on. JOURNEY_TASK_QUEUE names the workers' task queue.",
)

JsonObject = dict[str, JsonValue]


def _json_object(text: str, example: str = '{"topic": "rent"}') -> JsonObject:
    try:
        value = read(text)
        text.encode()  # bytes that are not UTF-8 reach Python as surrogates
    except UnicodeEncodeError:
        raise typer.BadParameter("is not UTF-8") from None
    except InvalidParameter as error:
        raise typer.BadParameter(f"{error.message}. Quote it for the shell: '{example}'") from None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"is not a JSON object like {example}")
    return value


def _lists(text: str) -> dict[str, list[JsonValue]]:
    additions = _json_object(text, '{"messages": [{"id": "m1"}]}')
    lists = {key: items for key, items in additions.items() if isinstance(items, list)}
    if len(lists) < len(additions):
        raise typer.BadParameter('must hold a list for each key, for example {"messages": [{"id": "m1"}]}')
    return lists


_ID = "b99632c5-0f5c-5007-86a1-64f73f444388"

Id = Annotated[str, typer.Argument(metavar="ID", help="The chat_session_id, a UUID.")]
Tenant = Annotated[str, typer.Option(metavar="T", help="The session's tenant.")]
User = Annotated[str | None, typer.Option(metavar="U", help="The session's user; a service of the tenant may omit it.")]
Messages = Annotated[
    list[str] | None,
    typer.Option(
        "--message", metavar="JSON", help='A message for the transcript, like {"text": "Hello!"}; may be repeated.'
    ),
]
RemovedMessages = Annotated[
    list[str] | None,
    typer.Option("--remove-message", metavar="M", help="The ID of a message to remove; may be repeated."),
]
Limit = Annotated[int, typer.Option(metavar="N", help="How many to show.")]
Agent = Annotated[str | None, typer.Option(metavar="A", help="The agent that leads: guide or liaison_<pillar>.")]
Turn = Annotated[bool, typer.Option("--turn", help="Ask the agent that then leads to act.")]
Patch = Annotated[
    JsonObject | None,
    typer.Option(parser=_json_object, metavar="JSON", help="A JSON Merge Patch; null removes a key."),
]
Append = Annotated[
    dict[str, list[JsonValue]] | None,
    typer.Option(parser=_lists, metavar="JSON", help='Items to append, like {"messages": [{"id": "m1"}]}.'),
]
Strategy = Annotated[Literal["merge", "replace"], typer.Option(help="replace needs --context and --base-revision.")]
BaseRevision = Annotated[
    int | None, typer.Option(metavar="N", help="The revision that the change was written against.")
]
Key = Annotated[
    str | None, typer.Option(metavar="K", help="Identifies the change: it is applied once, however often it is sent.")
]
Author = Annotated[str | None, typer.Option(metavar="W", help="The author of the change, for the ledger.")]


@app.command(
    epilog=examples(
        "journey session initialize --tenant acme --user ada",
        """journey session initialize --tenant acme --user ada \\""",
        """    --context '{"topic": "rent"}'""",
        """journey session initialize --tenant acme --user ada --json \\""",
        """    | jq -r .chat_session_id""",
    )
)
def initialize(
    *,
    tenant: Tenant,
    user: Annotated[str, typer.Option(metavar="U", help="The user who opens the chat.")],
    agent: Agent = None,
    context: Annotated[
        JsonObject | None,
        typer.Option(parser=_json_object, metavar="JSON", help="The conversation context at first."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="N", help="Your own name of the session; the same name is the same session."),
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="What people call the session.")] = None,
    requested_at: Annotated[
        str | None,
        typer.Option(
            metavar="TS",
            help="When the user opened the chat, like 2026-01-27T10:05:12Z; now by default. Keep it over retries.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Create the session of a tenant, user and minute or name, or show it if it exists."""

    async def main(sessions: ChatSessions) -> None:
        created = await sessions.initialize(
            tenant_id=tenant,
            user_id=user,
            requested_at=requested_at,
            session_name=name,
            active_agent=agent,
            context=context,
            title=title,
        )
        _show(created, json=json)

    _run(main)


@app.command(
    epilog=examples(
        f"journey session get {_ID} --tenant acme",
        "journey session get --tenant acme --user ada",
    )
)
def get(
    chat_session_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The chat_session_id. Without it: --user's most recent session.")
    ] = None,
    *,
    tenant: Tenant,
    user: User = None,
    at_revision: Annotated[
        int | None, typer.Option(metavar="N", help="Show the context and the agent as they were after revision N.")
    ] = None,
    json: Json = False,
) -> None:
    """Show a session as it is now, or as it was."""
    if chat_session_id is None and user is None:
        raise typer.BadParameter("is needed without an ID", param_hint="'--user'")
    if chat_session_id is None and at_revision is not None:
        raise typer.BadParameter("needs an ID", param_hint="'--at-revision'")

    async def main(sessions: ChatSessions) -> None:
        view = await sessions.get(chat_session_id, tenant_id=tenant, user_id=user, at_revision=at_revision)
        _show(view, json=json)

    _run(main)


@app.command(
    epilog=examples(
        f"ID={_ID}",
        "journey session update $ID --tenant acme --user ada --agent liaison_insights",
        """journey session update $ID --tenant acme --context '{"topic": null}'""",
        """journey session update $ID --tenant acme --author guide \\""",
        """    --message '{"role": "assistant", "text": "Hello!"}'""",
    )
)
def update(
    chat_session_id: Id,
    *,
    tenant: Tenant,
    user: User = None,
    context: Patch = None,
    append: Append = None,
    message: Messages = None,
    remove_message: RemovedMessages = None,
    agent: Agent = None,
    turn: Turn = False,
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
    change = _change(
        tenant,
        user,
        context,
        append,
        message,
        remove_message,
        agent,
        turn,
        strategy,
        base_revision,
        idempotency_key,
        author,
    )

    async def main(sessions: ChatSessions) -> None:
        _show(await sessions.update_context(chat_session_id, returning=returning, **change), json=json)

    _run(main)


@app.command(
    epilog=examples(
        f"ID={_ID}",
        """journey session signal $ID --tenant acme --context '{"topic": "rent"}'""",
    )
)
def signal(
    chat_session_id: Id,
    *,
    tenant: Tenant,
    user: User = None,
    context: Patch = None,
    append: Append = None,
    message: Messages = None,
    remove_message: RemovedMessages = None,
    agent: Agent = None,
    turn: Turn = False,
    strategy: Strategy = "merge",
    base_revision: BaseRevision = None,
    idempotency_key: Key = None,
    author: Author = None,
    json: Json = False,
) -> None:
    """Change a session's context without waiting until the change is applied.

    If the journey refuses the change, `journey session get` shows that.
    """
    change = _change(
        tenant,
        user,
        context,
        append,
        message,
        remove_message,
        agent,
        turn,
        strategy,
        base_revision,
        idempotency_key,
        author,
    )

    async def main(sessions: ChatSessions) -> None:
        await sessions.signal_context(chat_session_id, **change)
        if json:
            print_json({"chat_session_id": chat_session_id, "accepted": True})
        else:
            out.print(f"accepted for {chat_session_id}", highlight=False)

    _run(main)


@app.command(
    epilog=examples(
        f"ID={_ID}",
        """journey session edit $ID --tenant acme --user ada --title 'Invoices of May'""",
        "journey session edit $ID --tenant acme --new-user ada",
    )
)
def edit(
    chat_session_id: Id,
    *,
    tenant: Tenant,
    user: User = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What people call the session; empty to remove the title.")
    ] = None,
    new_user: Annotated[
        str | None, typer.Option(metavar="U", help="Give the session to this user; without --user only.")
    ] = None,
    json: Json = False,
) -> None:
    """Change what a session is called, or whose it is."""
    if title is None and new_user is None:
        raise typer.BadParameter("nothing to change; give --title or --new-user")

    async def main(sessions: ChatSessions) -> None:
        edited = await sessions.update_session(
            chat_session_id, tenant_id=tenant, user_id=user, title=title, new_user_id=new_user
        )
        _show(edited, json=json)

    _run(main)


@app.command(epilog=examples(f"journey session archive {_ID} --tenant acme --user ada"))
def archive(chat_session_id: Id, *, tenant: Tenant, user: User = None, json: Json = False) -> None:
    """Put a session away: it can be read, and takes no changes until it is reopened."""
    _set_state(chat_session_id, tenant, user, "ARCHIVED", json=json)


@app.command(epilog=examples(f"journey session reopen {_ID} --tenant acme --user ada"))
def reopen(chat_session_id: Id, *, tenant: Tenant, user: User = None, json: Json = False) -> None:
    """Take an archived session out again."""
    _set_state(chat_session_id, tenant, user, "ACTIVE", json=json)


@app.command(epilog=examples(f"journey session delete {_ID} --tenant acme --user ada"))
def delete(
    chat_session_id: Id,
    *,
    tenant: Tenant,
    user: User = None,
    author: Author = None,
    json: Json = False,
) -> None:
    """Delete a session with everything that was said in it, for good: nothing brings it back."""

    async def main(sessions: ChatSessions) -> None:
        deleted = await sessions.delete(chat_session_id, tenant_id=tenant, user_id=user, author=author)
        if json:
            print_json(deleted)
        else:
            out.print(f"Deleted at {timestamp(deleted.deleted_at)}. Temporal's part follows within a minute or two.")

    _run(main)


@app.command(epilog=examples(f"journey session messages {_ID} --tenant acme --user ada"))
def messages(
    chat_session_id: Id,
    *,
    tenant: Tenant,
    user: User = None,
    limit: Limit = 50,
    before: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="The cursor `older` of a page: show the messages before it.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="The cursor `newer` of a page: show the messages after it.")
    ] = None,
    json: Json = False,
) -> None:
    """Show a page of a session's transcript, by default the latest messages."""

    async def main(sessions: ChatSessions) -> None:
        page = await sessions.messages(
            chat_session_id, tenant_id=tenant, user_id=user, limit=limit, before=before, after=after
        )
        if json:
            print_json(page)
            return
        if page.older:
            out.print(f"older: --before {page.older}", style="dim", highlight=False, soft_wrap=True)
        out.print(transcript_table(page.messages) if page.messages else "no messages")
        if page.newer:
            out.print(f"newer: --after {page.newer}", style="dim", highlight=False, soft_wrap=True)

    _run(main)


@app.command(
    name="list",
    epilog=examples("journey session list --tenant acme --user ada", "journey session list --tenant acme --limit 10"),
)
def list_sessions(
    *,
    tenant: Tenant,
    user: Annotated[str | None, typer.Option(metavar="U", help="Only this user's sessions.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Archived instead of active sessions.")] = False,
    limit: Limit = 50,
    after: Annotated[str | None, typer.Option(metavar="CURSOR", help="The cursor `next` of the page before.")] = None,
    json: Json = False,
) -> None:
    """List sessions, the one with the latest change first."""

    async def main(sessions: ChatSessions) -> None:
        page = await sessions.list(
            tenant_id=tenant,
            user_id=user,
            lifecycle_state="ARCHIVED" if archived else "ACTIVE",
            limit=limit,
            after=after,
        )
        if json:
            print_json(page)
            return
        out.print(sessions_table(page.sessions) if page.sessions else "no sessions")
        if page.next:
            out.print(f"next: --after {page.next}", style="dim", highlight=False, soft_wrap=True)

    _run(main)


@app.command(epilog=examples(f"journey session history {_ID} --tenant acme"))
def history(chat_session_id: Id, *, tenant: Tenant, user: User = None, json: Json = False) -> None:
    """Show every change that was applied to a session, oldest first."""

    async def main(sessions: ChatSessions) -> None:
        entries: list[LedgerEntry] = []
        while page := await sessions.history(
            chat_session_id,
            tenant_id=tenant,
            user_id=user,
            after_revision=entries[-1].revision if entries else None,
        ):
            entries += page
        if json:
            print_json(
                {
                    "chat_session_id": chat_session_id,
                    "entries": [entry.model_dump(mode="json") for entry in entries],
                }
            )
        else:
            out.print(ledger_table(entries))

    _run(main)


def _set_state(
    chat_session_id: str, tenant: str, user: str | None, lifecycle_state: LifecycleState, *, json: bool
) -> None:
    async def main(sessions: ChatSessions) -> None:
        edited = await sessions.update_session(
            chat_session_id, tenant_id=tenant, user_id=user, lifecycle_state=lifecycle_state
        )
        _show(edited, json=json)

    _run(main)


def _show(message: ChatSessionReceipt, *, json: bool) -> None:
    if json:
        print_json(message)
    else:
        out.print(session_table(message))


def _change(
    tenant: str,
    user: str | None,
    context: JsonObject | None,
    append: dict[str, list[JsonValue]] | None,
    messages: list[str] | None,
    remove_messages: list[str] | None,
    agent: str | None,
    turn: bool,
    strategy: Literal["merge", "replace"],
    base_revision: int | None,
    idempotency_key: str | None,
    author: str | None,
) -> ContextChange:
    if context is None and not (append or messages or remove_messages or agent or turn):
        raise typer.BadParameter(
            "nothing to change; give --context, --append, --message, --remove-message, --agent or --turn"
        )
    return ContextChange(
        tenant_id=tenant,
        user_id=user,
        context=context,
        append=append,
        messages=_parse_messages(messages),
        remove_messages=remove_messages or None,
        active_agent=agent,
        turn=turn,
        merge_strategy=strategy,
        base_revision=base_revision,
        idempotency_key=idempotency_key,
        author=author,
    )


def _parse_messages(texts: list[str] | None) -> list[JsonObject] | None:
    """Typer cannot parse a repeated option into objects."""
    try:
        return [_json_object(text, '{"text": "Hello!"}') for text in texts] if texts else None
    except typer.BadParameter as error:
        raise typer.BadParameter(error.message, param_hint="'--message'") from None


def _run(main: Callable[[ChatSessions], Awaitable[None]]) -> None:
    async def command() -> None:
        sessions = await ChatSessions.connect()
        try:
            await main(sessions)
        except InvalidParameter as error:
            show_error(str(error))
            raise typer.Exit(WRONG_USAGE) from None

    run_command(command)
