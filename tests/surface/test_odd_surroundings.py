"""Odd input, terminals and settings end in one line that says what to do, never in a traceback."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import JOURNEY, environment_with, run_journey

SESSION = "b99632c5-0f5c-5007-86a1-64f73f444388"


def run(
    *arguments: str | bytes, stdout: int = subprocess.PIPE, **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [JOURNEY, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment_with(environment),
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a":"\xff"}', b"is not UTF-8"),
        (b'{"a":1,"a":2}', b"twice"),
        (b'{"a":NaN}', b"NaN"),
        (b"[1]", b"JSON object"),
    ],
)
def test_a_context_that_cannot_be_sent_is_wrong_usage(text: bytes, said: bytes) -> None:
    done = run("session", "update", SESSION, "--tenant", "acme", "--context", text)
    assert done.returncode == 2
    assert said in b" ".join(done.stderr.replace("│".encode(), b"").split())
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_to_a_full_disk_fails_in_one_line() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        done = run("--help", stdout=full)
    finally:
        os.close(full)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == ["the output cannot be written: No space left on device"]


async def test_a_terminal_that_knows_only_ascii_is_enough() -> None:
    done = await run_journey(
        "session", "get", "--tenant", "ä", "--user", "\n", PYTHONIOENCODING="ascii", TEMPORAL_ADDRESS="127.0.0.1:1"
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(("INVALID_PARAMETER", "ENGINE_UNAVAILABLE"))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("JOURNEY_IDLE_SECONDS", "inf"),
        ("JOURNEY_IDLE_SECONDS", "nan"),
        ("JOURNEY_TASK_QUEUE", ""),
        ("JOURNEY_GRACEFUL_SHUTDOWN_SECONDS", "inf"),
        ("JOURNEY_METRICS_ADDRESS", "nowhere"),
    ],
)
async def test_a_worker_refuses_a_setting_that_makes_no_sense_and_names_it(setting: str, value: str) -> None:
    done = await run_journey("worker", **{setting: value})
    assert done.returncode == 1
    assert done.stderr.startswith(f"INVALID_PARAMETER: {setting}: ")
