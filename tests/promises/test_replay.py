"""Journeys that already run go on under this release: their recorded histories replay without a difference."""

import base64
import getpass
import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

import workflows.chat_session
from journeys.chat_session.names import ERASURE_WORKFLOW_ID_PREFIX
from tests.support.journeys import Journeys
from tests.support.paths import HISTORIES, REPOSITORY
from tests.support.polling import eventually
from tests.support.record_histories import IDENTITY, KINDS
from tests.support.reordered_journey import ReorderedJourney
from tests.support.replaying import replayer
from tests.support.watching import count, until_revision

RECORDED = sorted(HISTORIES.glob("*.json"))
recorded = pytest.mark.parametrize("file", RECORDED, ids=[file.stem for file in RECORDED])


def histories(file: Path) -> list[WorkflowHistory]:
    """The runs of a file, oldest first."""
    runs = json.loads(file.read_text("utf-8"))["runs"]
    return [WorkflowHistory.from_json(run["workflow_id"], run["history"]) for run in runs]


def test_every_kind_of_run_is_recorded() -> None:
    assert [file.stem for file in RECORDED] == sorted(KINDS)


@recorded
@pytest.mark.parametrize("sandbox", [True, False], ids=["sandbox", "no sandbox"])
async def test_a_recorded_journey_replays(file: Path, sandbox: bool) -> None:
    runs = histories(file)
    assert runs
    for history in runs:
        await replayer(sandbox=sandbox).replay_workflow(history)


_SCHEDULED, _COMPLETED, _TIMED_OUT = (
    f"EVENT_TYPE_WORKFLOW_TASK_{name}" for name in ("SCHEDULED", "COMPLETED", "TIMED_OUT")
)
_NOT_OF_A_TASK = (
    "_SIGNALED",
    "_FIRED",
    "_CANCEL_REQUESTED",
    "ACTIVITY_TASK_STARTED",
    "ACTIVITY_TASK_COMPLETED",
    _SCHEDULED,
)


def joined(history: Any) -> tuple[Any, int]:
    """Let workflow tasks that led to nothing time out, so that the next does their work; returns their number too."""
    events = history["events"]
    for event, after in pairwise(events):
        if event["eventType"] == _COMPLETED and after["eventType"].endswith(_NOT_OF_A_TASK):
            task = event.pop("workflowTaskCompletedEventAttributes")
            named = {name: task[name] for name in ("scheduledEventId", "startedEventId")}
            event["eventType"] = _TIMED_OUT
            event["workflowTaskTimedOutEventAttributes"] = named | {"timeoutType": "TIMEOUT_TYPE_START_TO_CLOSE"}
    return history, sum(event["eventType"] == _TIMED_OUT for event in events)


async def test_a_worker_that_joins_workflow_tasks_which_led_to_nothing_goes_on_alike() -> None:
    """When it replays, the SDK joins these tasks in some histories and not in others."""
    tasks = 0
    for file in RECORDED:
        for run in json.loads(file.read_text("utf-8"))["runs"]:
            history, found = joined(run["history"])
            tasks += found
            await replayer().replay_workflow(WorkflowHistory.from_json(run["workflow_id"], history))
    assert tasks


@recorded
async def test_another_order_of_commands_does_not_go_unnoticed(file: Path) -> None:
    for history in histories(file):
        if history.workflow_id.startswith(ERASURE_WORKFLOW_ID_PREFIX):
            continue
        result = await replayer(ReorderedJourney).replay_workflow(history, raise_on_replay_failure=False)
        assert "Nondeterminism" in str(result.replay_failure)


def event_types(file: Path) -> set[str]:
    runs = json.loads(file.read_text("utf-8"))["runs"]
    return {event["eventType"].removeprefix("EVENT_TYPE_") for run in runs for event in run["history"]["events"]}


@pytest.mark.parametrize(
    ("kind", "events"),
    {
        "create_update_signal": {"WORKFLOW_EXECUTION_UPDATE_COMPLETED", "WORKFLOW_EXECUTION_SIGNALED"},
        "hand_over": {"UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"},
        "deletion": {"START_CHILD_WORKFLOW_EXECUTION_INITIATED", "ACTIVITY_TASK_SCHEDULED"},
        "outage": {"ACTIVITY_TASK_COMPLETED"},
        "idle_in_an_outage": {"TIMER_FIRED", "ACTIVITY_TASK_COMPLETED"},
        "continue_as_new": {"WORKFLOW_EXECUTION_CONTINUED_AS_NEW"},
        "refused_signals": {"WORKFLOW_EXECUTION_SIGNALED"},
        "burst": {"WORKFLOW_EXECUTION_SIGNALED", "MARKER_RECORDED", "ACTIVITY_TASK_COMPLETED"},
        "resume": {"WORKFLOW_EXECUTION_COMPLETED"},
        "wake": {"WORKFLOW_EXECUTION_SIGNALED", "WORKFLOW_EXECUTION_COMPLETED"},
        "cancel": {"WORKFLOW_EXECUTION_CANCEL_REQUESTED", "WORKFLOW_EXECUTION_COMPLETED"},
        "session_not_found": {"WORKFLOW_EXECUTION_FAILED"},
    }.items(),
)
def test_a_history_is_of_its_kind(kind: str, events: set[str]) -> None:
    assert events <= event_types(HISTORIES / f"{kind}.json")


def texts(value: Any) -> Iterator[str]:
    """Every text in a recorded history, payloads decoded."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value
        if re.fullmatch(r"[A-Za-z0-9+/]{8,}={0,2}", value) and len(value) % 4 == 0:
            yield base64.b64decode(value).decode(errors="replace")


def private_names() -> Iterator[str]:
    yield str(REPOSITORY)
    yield f"@{socket.gethostname()}"  # as in a worker's identity: a host may have the name of anything
    with suppress(RuntimeError):  # the system may know the user by a number only
        yield str(Path.home())
    with suppress(KeyError, OSError):
        yield f"{getpass.getuser()}@"


@recorded
def test_a_history_says_nothing_about_the_machine_that_recorded_it(file: Path) -> None:
    found = set(texts(json.loads(file.read_text("utf-8"))))
    assert IDENTITY in found
    private = [name for name in private_names() if len(name) > 3]
    path = re.compile(r"(?:^|[\s\"'])/(?:home|root|tmp|usr|work|Users|private|opt|var)\b|\.py\b|site-packages")
    assert not [text for text in found if path.search(text) or any(name in text for name in private)]
    identities = set(re.findall(r'"identity": "([^"]*)"', file.read_text("utf-8")))
    assert identities <= {IDENTITY}


async def test_a_run_whose_batches_were_smaller_replays(journeys: Journeys, monkeypatch: pytest.MonkeyPatch) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
    for number in range(9):
        await journeys.signal(session, {"append": {"notes": [number]}})

    async def number_of_batches() -> int:
        batches = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, EventType.EVENT_TYPE_MARKER_RECORDED
        return count(await journeys.events(session), *batches)

    with monkeypatch.context() as smaller:
        smaller.setattr(workflows.chat_session, "MAX_BATCH_MESSAGES", 2)
        async with journeys.worker():
            row = await until_revision(journeys, session, 9)
            # The history has the last batch a moment after the stores.
            await eventually(number_of_batches, lambda found: found >= 1 + 5)
    assert row["context"]["notes"] == list(range(9))
    history = await journeys.handle(session).fetch_history()
    await replayer().replay_workflow(history)
