"""What `journey demo` promises: it shows the whole journey, proves it, and leaves nothing behind."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.support.commands import (
    JOURNEY,
    command_process,
    only_object,
    read_line,
    run_command,
    run_journey,
    wait_for_exit,
)
from tests.support.processes_of_a_directory import until_nothing_runs_in

# Settings that a machine may have for other purposes.
ELSEWHERE = {
    "TEMPORAL_ADDRESS": "127.0.0.1:1",
    "TEMPORAL_NAMESPACE": "elsewhere",
    "SUPABASE_DB_URL": "postgresql://127.0.0.1:1/elsewhere",
    "STATE_SURFACE_URL": "postgresql://127.0.0.1:1/elsewhere",
}

# The demo, on a State Surface that has lost the artifact.
BROKEN = """
import sys
import starter.demo
from starter.cli.app import main

async def lost(*_):
    return None

starter.demo._read_state_surface = lost
sys.argv[1:] = ["demo"]
main()
"""


def is_empty(directory: Path) -> bool:
    return not any(directory.iterdir())


async def until_nothing_is_left(temporary: Path) -> None:
    assert is_empty(temporary)
    await until_nothing_runs_in(temporary)


async def test_it_proves_the_journey_on_a_stack_of_its_own_and_leaves_nothing(tmp_path: Path) -> None:
    shown, told = await asyncio.gather(
        run_journey("demo", TMPDIR=str(tmp_path), COLUMNS="80", **ELSEWHERE),
        run_journey("demo", "--json", TMPDIR=str(tmp_path), **ELSEWHERE),
    )
    assert (shown.returncode, told.returncode) == (0, 0), shown.stderr + told.stderr
    report = only_object(told.stdout)
    assert isinstance(report["session"], dict)
    assert isinstance(report["ledger"], list)
    assert isinstance(report["checks"], list)
    assert isinstance(report["trace_url"], str)
    assert report["session"]["revision"] == report["state_surface_revision"] == len(report["ledger"]) - 1 == 6
    assert isinstance(report["messages"], list)
    assert len(report["messages"]) == 4
    assert "Shall we summarise them?" in shown.stdout
    assert report["session"]["active_agent"] == "liaison_finance"
    assert report["trace_url"].endswith(
        f"/namespaces/default/workflows/chat-session%2F{report['session']['chat_session_id']}"
    )

    assert [promise for promise in report["checks"] if f"✓ {promise}\n" not in shown.stdout] == []
    for words in ("revision  6", "Supabase       revision 6", "State Surface  revision 6"):
        assert words in shown.stdout
    assert shown.stdout.splitlines()[-2:] == [
        "To chat with the agents yourself, run `make dev` and open http://127.0.0.1:8000/",
        "To call the API yourself, its page is then http://127.0.0.1:8000/docs",
    ]
    assert "/workflows/" not in shown.stdout, "nobody answers there any more"
    assert "\x1b" not in shown.stdout
    await until_nothing_is_left(tmp_path)


async def test_a_broken_promise_is_named_with_exit_status_1(tmp_path: Path) -> None:
    done = await run_command(sys.executable, "-c", BROKEN, TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "PROMISE_BROKEN: the State Surface holds the same revision"
    assert "✓ the ledger has one row for each revision" in done.stdout
    await until_nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("number", "status", "moment"),
    [
        (signal.SIGINT, 130, "starting Temporal"),
        (signal.SIGTERM, 143, "✓ two initializations"),
        pytest.param(
            signal.SIGHUP,
            129,
            "✓ the conversation",
            marks=pytest.mark.skipif(
                signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="whoever runs the tests ignores SIGHUP"
            ),
        ),
    ],
)
async def test_it_leaves_nothing_when_it_is_stopped_midway(
    tmp_path: Path, number: signal.Signals, status: int, moment: str
) -> None:
    async with command_process(JOURNEY, "demo", "--json", TMPDIR=str(tmp_path)) as demo:
        await read_line(demo.stderr, moment)
        demo.send_signal(number)
        ended, said, complained = await wait_for_exit(demo)
    assert (ended, said) == (status, "")
    assert "Traceback" not in complained
    await until_nothing_is_left(tmp_path)
