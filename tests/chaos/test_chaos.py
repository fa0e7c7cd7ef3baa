"""The chaos run keeps every promise, and its checker finds every broken one."""

import json
import lzma
import signal
import sys
from asyncio.subprocess import Process
from collections import defaultdict
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import get_args

import pytest

from journeys.chat_session.limits import Limits
from tests.chaos.caller import hostile_arguments
from tests.chaos.checker import check
from tests.chaos.conversation_forgeries import CONVERSATION_FORGERIES
from tests.chaos.deletion_forgeries import DELETION_FORGERIES
from tests.chaos.evidence import Evidence, Hostile, Kind
from tests.chaos.forgeries import FORGERIES, Forgery
from tests.chaos.hostile_forgeries import HOSTILE_FORGERIES
from tests.chaos.operations import fresh, operation, singly
from tests.chaos.plan import make_plan
from tests.chaos.retried_batches import retried_batches
from tests.chaos.roster import SEATS, visitor
from tests.support.commands import command_process, read_line
from tests.support.paths import REPOSITORY
from tests.support.polling import eventually
from tests.support.processes_of_a_directory import needs_proc, processes_in

# Six sessions of `python -m tests.chaos --seed 1 --duration 45 --keep DIR`, two of them deleted, and one given away.
# `forgeries.only` has selected their evidence; default values are left out.
RECORDED = REPOSITORY / "tests" / "chaos" / "recorded_run.json.xz"
ALL_FORGERIES = FORGERIES | HOSTILE_FORGERIES | CONVERSATION_FORGERIES | DELETION_FORGERIES
CALLERS = ("caller0a", "caller0b", "caller1a", "caller1b")


@pytest.fixture(scope="module")
def good() -> Evidence:
    return Evidence.model_validate_json(lzma.decompress(RECORDED.read_bytes()))


def test_a_recorded_run_kept_every_promise(good: Evidence) -> None:
    assert check(good) == []


@pytest.mark.parametrize("forgery", ALL_FORGERIES, ids=lambda forgery: forgery.__name__)
def test_a_broken_promise_is_found(good: Evidence, forgery: Forgery) -> None:
    assert ALL_FORGERIES[forgery] in {finding.flaw for finding in check(forgery(good))}


def test_the_recorded_run_has_batches_that_were_stored_and_decided_again_beside_others(good: Evidence) -> None:
    retried = list(retried_batches(good))
    assert len(retried) > 1
    assert any(each.beside for each in retried)


def test_a_seed_stands_for_one_plan() -> None:
    assert make_plan(7, 60) == make_plan(7, 60)
    assert make_plan(7, 60) != make_plan(8, 60)


def test_every_harm_is_in_a_short_plan() -> None:
    targets = {strike.target.rstrip("0123456789") for strike in make_plan(1, 60).strikes}
    assert targets == {
        "worker",
        "caller",
        "PostgreSQL",
        "Temporal",
        "Supabase",
        "State Surface",
        "workers' link",
        "callers' link",
    }


def test_any_process_knows_what_another_one_sends() -> None:
    sent = [operation(7, caller, step, CALLERS) for caller in CALLERS for step in range(300)]
    again = {each.name: each for each in sent if each.repeatable}
    repeats = [each for each in sent if each.repeatable and again[each.name] == each]
    assert len(repeats) > len(again)
    assert sent == [operation(7, caller, step, CALLERS) for caller in CALLERS for step in range(300)]


def test_hostile_messages_are_on_their_side_of_the_limit() -> None:
    sizes: dict[Hostile, list[int]] = defaultdict(list)
    for caller in CALLERS:
        for step in range(200):
            for wanted in singly(fresh(7, caller, step)):
                if wanted.document and wanted.hostile and wanted.hostile != "malformed":
                    fields = {**wanted.change, "tenant_id": wanted.tenant_id, "idempotency_key": wanted.key}
                    (argument,) = hostile_arguments(wanted, {**fields, "author": wanted.name})
                    sizes[wanted.hostile].append(len(argument.payload.data))
    limit = Limits().change_bytes
    assert all(size <= limit for kind in ("large", "large, of a stranger") for size in sizes[kind])
    assert max(sizes["large"]) > limit - 1024
    assert all(limit < size < 600_000 for size in sizes["too large"])


def test_every_hostile_message_is_sent_soon() -> None:
    sent = [fresh(7, caller, step) for caller in CALLERS for step in range(100)]
    assert {each.hostile for each in sent if each.hostile} == set(get_args(Hostile))


def test_every_kind_of_call_is_made_soon() -> None:
    sent = [fresh(7, caller, step) for caller in CALLERS for step in range(100)]
    assert {each.kind for each in sent} == set(get_args(Kind))
    changed = {name for each in sent for name in each.change}
    assert {"messages", "remove_messages", "title", "lifecycle_state", "new_user_id"} <= changed


def test_whoever_archives_a_session_reopens_it_soon() -> None:
    sent = {(caller, step): fresh(7, caller, step) for caller in CALLERS for step in range(300)}
    archives = {place for place, each in sent.items() if each.change == {"lifecycle_state": "ARCHIVED"}}
    assert archives
    for caller, step in archives - {(caller, step) for caller in CALLERS for step in (298, 299)}:
        reopening = sent[caller, step + 2]
        assert reopening.change == {"lifecycle_state": "ACTIVE"}
        assert reopening.seat == sent[caller, step].seat


def test_few_sessions_are_deleted_and_only_those_of_visitors() -> None:
    deletions = [
        each
        for caller in CALLERS
        for each in (fresh(7, caller, step) for step in range(1200))
        if each.kind == "delete" and each.must_refuse is None
    ]
    deleted = {each.seat for each in deletions}
    assert not deleted & {*SEATS}
    assert deleted <= {visitor(number) for number in range(0, 120, 4)}


def chaos(*arguments: str) -> AbstractAsyncContextManager[Process]:
    return command_process(sys.executable, "-m", "tests.chaos", *arguments)


async def test_every_promise_is_kept_while_everything_dies() -> None:
    async with chaos("--seed", "5", "--duration", "10", "--workers", "2", "--callers", "2", "--json") as process:
        out, err = await process.communicate()
    assert process.returncode == 0, out.decode() + err.decode()
    report = json.loads(out)
    assert report["findings"] == []
    assert report["operations"]["update"]["done"] > 10
    assert report["operations"]["signal"]["done"] > 0
    assert report["runs"] > report["sessions"]
    assert sum(report["harm"].values()) == len(report["plan"])


@needs_proc
async def test_a_run_that_is_interrupted_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    async with chaos("--seed", "5", "--duration", "60", "--keep", str(folder)) as process:
        await read_line(process.stderr, "starting 3 workers")
        await eventually(lambda: any("-m worker" in command for command in processes_in(folder).values()))
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 130
    assert not processes_in(folder)
