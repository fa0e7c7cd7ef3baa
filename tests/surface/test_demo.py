"""What `journey demo` promises: it shows the whole journey, proves it, and leaves nothing behind."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.support.commands import JOURNEY, end_of, eventually, journey, line, processes_in, run, running, the_object

# What a machine may have set for other purposes.
ELSEWHERE = {
    "TEMPORAL_ADDRESS": "127.0.0.1:1",
    "TEMPORAL_NAMESPACE": "elsewhere",
    "SUPABASE_DB_URL": "postgresql://127.0.0.1:1/elsewhere",
    "STATE_SURFACE_URL": "postgresql://127.0.0.1:1/elsewhere",
}

# The demo, on a State Surface that has lost the artifact.
BROKEN = """
import sys
from journeys import cli, demo

async def lost(*_):
    return None

demo._registered = lost
sys.argv[1:] = ["demo"]
cli.main()
"""


def is_empty(directory: Path) -> bool:
    return not any(directory.iterdir())


async def nothing_is_left(temporary: Path) -> None:
    assert is_empty(temporary)
    await eventually(lambda: not processes_in(temporary), f"left running: {processes_in(temporary)}")


async def test_it_proves_the_journey_on_a_stack_of_its_own_and_leaves_nothing(tmp_path: Path) -> None:
    shown, told = await asyncio.gather(
        journey("demo", TMPDIR=str(tmp_path), COLUMNS="80", **ELSEWHERE),
        journey("demo", "--json", TMPDIR=str(tmp_path), **ELSEWHERE),
    )
    assert (shown.returncode, told.returncode) == (0, 0), shown.stderr + told.stderr
    report = the_object(told.stdout)
    assert isinstance(report["session"], dict)
    assert isinstance(report["ledger"], list)
    assert isinstance(report["checks"], list)
    assert isinstance(report["trace_url"], str)
    assert report["session"]["revision"] == report["state_surface_revision"] == len(report["ledger"]) == 5
    assert report["session"]["active_agent"] == "liaison_finance"
    assert report["trace_url"].endswith(
        f"/namespaces/default/workflows/chat-session%2F{report['session']['chat_session_id']}"
    )

    assert [promise for promise in report["checks"] if f"✓ {promise}\n" not in shown.stdout] == []
    for words in ("revision  5", "Supabase       revision 5", "State Surface  revision 5", "The trace was at http://"):
        assert words in shown.stdout
    assert "\x1b" not in shown.stdout
    await nothing_is_left(tmp_path)


async def test_a_broken_promise_is_named_with_exit_status_1(tmp_path: Path) -> None:
    done = await run(sys.executable, "-c", BROKEN, TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "PROMISE_BROKEN: the State Surface holds the same revision"
    assert "✓ the ledger has one row for each revision" in done.stdout
    await nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("number", "status", "moment"),
    [
        (signal.SIGINT, 130, "starting Temporal"),
        (signal.SIGTERM, 143, "✓ two initializations"),
        (signal.SIGHUP, 129, "✓ the conversation"),
    ],
)
async def test_it_leaves_nothing_when_it_is_stopped_midway(
    tmp_path: Path, number: signal.Signals, status: int, moment: str
) -> None:
    async with running(JOURNEY, "demo", "--json", TMPDIR=str(tmp_path)) as demo:
        await line(demo.stderr, moment)
        demo.send_signal(number)
        ended, said, complained = await end_of(demo)
    assert (ended, said) == (status, "")
    assert "Traceback" not in complained
    await nothing_is_left(tmp_path)
