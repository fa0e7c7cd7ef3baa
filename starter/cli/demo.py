"""The command `journey demo`."""

import tempfile
from pathlib import Path

from starter.cli.command import Json, embedded_servers_needed, facts, out, print_json, run_command, tell
from starter.cli.tables import ledger_table, session_table, transcript_table


def demo(*, json: Json = False) -> None:
    """Run the whole journey on a temporary stack, and check it against the stores.

    If a promise is broken, the command names it and exits with status 1.
    It leaves nothing behind.
    """

    def kept(promise: str) -> None:
        if json:
            tell(f"✓ {promise}")
        else:
            out.print(f"[green]✓[/] {promise}", highlight=False)

    async def main() -> None:
        with embedded_servers_needed():
            from embedded.ports import LOOPBACK  # noqa: PLC0415
            from starter.demo import run_demo  # noqa: PLC0415
            from starter.dev_gateway import PREFERRED_PORT  # noqa: PLC0415
            from starter.http.routes.docs import PAGE  # noqa: PLC0415

        with tempfile.TemporaryDirectory(prefix="journey-demo-") as folder:
            report = await run_demo(Path(folder), progress=tell, kept=kept)
        if json:
            print_json(report)
            return
        out.print()
        out.print(session_table(report.session))
        out.print()
        out.print(transcript_table(report.messages))
        out.print()
        out.print(ledger_table(report.ledger))
        out.print()
        out.print(
            facts(
                {
                    "Supabase": f"revision {report.session.revision}, {len(report.ledger)} rows in the ledger, "
                    f"{len(report.messages)} messages",
                    "State Surface": f"revision {report.state_surface_revision}",
                }
            )
        )
        address = f"http://{LOOPBACK}:{PREFERRED_PORT}"
        out.print(
            f"To chat with the agents yourself, run `make dev` and open {address}/", highlight=False, soft_wrap=True
        )
        out.print(f"To call the API yourself, its page is then {address}{PAGE}", highlight=False, soft_wrap=True)

    run_command(main)
