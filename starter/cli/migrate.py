"""The command `journey migrate`."""

from starter.cli.command import Json, facts, out, print_json, run_command, tell


def migrate(*, json: Json = False) -> None:
    """Bring both stores' schemas and Temporal's search attributes up to date.

    Applies missing migrations to SUPABASE_DB_URL and STATE_SURFACE_URL, and
    registers missing search attributes in TEMPORAL_NAMESPACE.

    It is safe to run again, and can take turns with `supabase db push`.
    """
    run_command(lambda: _migrate(json=json))


async def _migrate(*, json: bool) -> None:
    # The other commands do without these, and start sooner.
    from journeys.client.settings import read_settings  # noqa: PLC0415
    from stores.migrate import migrate as migrate_stores  # noqa: PLC0415
    from stores.settings import StoreSettings  # noqa: PLC0415
    from worker.connection import connect  # noqa: PLC0415
    from worker.search_attributes import register_search_attributes  # noqa: PLC0415

    stores = read_settings(StoreSettings)
    report = await migrate_stores(
        stores.supabase_db_url.get_secret_value(), stores.state_surface_url.get_secret_value(), progress=tell
    )
    registered = await register_search_attributes(await connect())
    applied = {
        "supabase": report.supabase,
        "state_surface": report.state_surface,
        "search_attributes": registered,
    }
    if json:
        print_json({what: list(names) for what, names in applied.items()})
    else:
        out.print(facts({what: "\n".join(names) or "up to date" for what, names in applied.items()}))
