"""Each work-around of the SDK says what it is for, and holds for the one release that it was checked with."""

import ast
import re
import tomllib
from pathlib import Path
from random import Random

import pytest
from temporalio.bridge.proto.workflow_activation import UpdateRandomSeed

from journeys.errors import EngineUnavailable
from tests.support.paths import REPOSITORY
from worker import sdk_patches
from worker.sdk_patches import SDK_VERSION, require_sdk_version
from worker.sdk_patches.slim_runs import SlimWorkflowInstance

PATCHES = sorted((REPOSITORY / "worker" / "sdk_patches").glob("[!_]*.py"))


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_work_around_says_why_it_is_there_and_when_it_can_go(patch: Path) -> None:
    said = ast.get_docstring(ast.parse(patch.read_text("utf-8"))) or ""
    for heading in ("Symptom: ", "Cause", "Upstream: ", "Delete it when: ", "Test: "):
        assert re.search(rf"^{heading}", said, re.MULTILINE), heading
    (test,) = re.findall(r"^Test: `(tests/\S+\.py)`", said, re.MULTILINE)
    assert (REPOSITORY / test).exists()


def test_a_worker_refuses_another_release_of_the_sdk_with_a_clear_message(monkeypatch: pytest.MonkeyPatch) -> None:
    require_sdk_version()
    monkeypatch.setattr(sdk_patches, "SDK_VERSION", "1.99.0")
    with pytest.raises(EngineUnavailable, match=r"temporalio 1\.\d+\.\d+ is installed"):
        require_sdk_version()


def test_what_is_installed_is_the_release_that_the_work_arounds_fit() -> None:
    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    assert f"temporalio=={SDK_VERSION}" in groups["worker"]
    assert f"temporalio=={SDK_VERSION}" in (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()


def test_a_run_has_the_random_numbers_of_its_seed() -> None:
    run = object.__new__(SlimWorkflowInstance)  # type: ignore[type-abstract]  # it is only part of an event loop
    run._current_seed, run._seed_callbacks = 7, []
    of_seven = Random(7)
    assert [run._random.random(), run._random.random()] == [of_seven.random(), of_seven.random()]
    run._apply_update_random_seed(UpdateRandomSeed(randomness_seed=8))
    assert run._random.random() == Random(8).random()
