"""The benchmark runs, measures correctly, and compares variants that do the same work."""

import json
import sys
from asyncio import create_subprocess_exec
from pathlib import Path
from subprocess import PIPE
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.comparison import ITS_P50, STEP_AND_STORES
from bench.report import write_report
from bench.results import Results
from embedded import EmbeddedStack
from tests.support.commands import environment_with
from tests.support.paths import REPOSITORY

_OPERATIONS = {"initialize", "update", "signal", "get", "hibernated_get", "resume", "mixed"}
_VARIANTS = {"floor", "bare", "step", "naive", "journey"}


@pytest.fixture(scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    docs = tmp_path_factory.mktemp("docs")
    process = await create_subprocess_exec(
        sys.executable, "-m", "bench", "--rounds", "1", "--quick", "--json", "--docs", str(docs),
        stdout=PIPE, stderr=PIPE, env=environment_with({}),
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out), docs


async def test_every_variant_is_measured_at_every_operation_by_one_and_by_many(run: tuple[Any, Path]) -> None:
    results = Results.model_validate(run[0])
    assert results.quick
    for callers in (1, 4):
        seen = {(each.operation, each.variant) for each in results.figures if each.callers == callers}
        assert seen == {(operation, variant) for operation in _OPERATIONS for variant in _VARIANTS}
    in_memory = {(each.operation, each.variant, each.callers) for each in results.in_memory}
    assert in_memory == {
        (operation, variant, callers)
        for operation in ("initialize", "update", "get")
        for variant in _VARIANTS
        for callers in (1, 4)
    }
    for figure in (*results.figures, *results.in_memory):
        assert 0 < figure.p50_ms <= figure.p95_ms <= figure.p99_ms
        assert figure.per_second > 0
        assert (figure.cpu_ms.worker is None) == (figure.variant == "floor")


async def test_the_variants_do_the_same_work(run: tuple[Any, Path]) -> None:
    results = Results.model_validate(run[0])
    assert results.stores["floor"] == results.stores["naive"] == results.stores["journey"]
    assert results.stores["journey"].sessions == results.stores["journey"].artifacts > 0
    assert results.same_work


async def test_history_is_counted_as_temporal_writes_it(run: tuple[Any, Path]) -> None:
    results = Results.model_validate(run[0])
    special = results.specials

    def counted(operation: str, variant: str) -> list[float]:
        figures = [each for each in results.figures if (each.operation, each.variant) == (operation, variant)]
        return [each.history_events for each in figures if each.history_events is not None]

    updates = {variant: [events, *counted("update", variant)] for variant, events in special.events_per_update.items()}
    # A busy machine's timeouts add events, each to one measurement of one variant.
    assert sum(len(set(each)) == 1 for each in updates.values()) >= len(updates) / 2
    # An update has at least these: workflow task scheduled, started, completed; update accepted, completed.
    assert min(updates["bare"]) == 5
    assert min(updates["bare"]) < min(updates["journey"]) < min(updates["naive"])
    assert {min(counted("get", variant)) for variant in updates} == {0}
    assert 0 < special.burst_writes <= special.burst_writes_signals


async def test_ratios_have_their_spread_and_goals_the_reached_figure(run: tuple[Any, Path]) -> None:
    results = Results.model_validate(run[0])
    for ratio in results.ratios:
        assert ratio.min <= ratio.median <= ratio.max
        assert len(ratio.rounds) == results.rounds
    assert {ratio.against for ratio in results.ratios} == {
        "bare",
        "step",
        "naive",
        "bare initialize",
        STEP_AND_STORES,
        ITS_P50,
    }
    assert results.goals
    assert all(goal.met is None or goal.reached is not None for goal in results.goals)


async def test_the_conversation_is_measured_with_its_spread_and_goals(run: tuple[Any, Path]) -> None:
    found, docs = run
    results = Results.model_validate(found)
    assert len([each for each in results.conversation if each.goal]) == 9
    for each in results.conversation:
        assert 0 < each.min <= each.median <= each.max
        assert len(each.rounds) == results.rounds
        assert (each.met is None) == (not each.goal)
    section = (docs / "performance.md").read_text().partition("## The conversation")[2].partition("\n## ")[0]
    for each in results.conversation:
        assert f"\n| {each.figure} | " in section
    assert "2,000" in section, "the page names the smaller transcript of a quick run"


async def test_the_gateway_is_measured_with_its_spread_and_goals(run: tuple[Any, Path]) -> None:
    found, docs = run
    results = Results.model_validate(found)
    assert len(results.gateway) == 6
    section = (docs / "performance.md").read_text().partition("## The gateway")[2].partition("\n## ")[0]
    for each in results.gateway:
        assert each.goal
        assert each.min <= each.median <= each.max
        assert f"\n| {each.figure} | " in section


async def test_the_page_and_its_plots_are_made_from_the_results(run: tuple[Any, Path]) -> None:
    found, docs = run
    assert json.loads((docs / "performance.json").read_text()) == found
    page = (docs / "performance.md").read_text()
    plots = list(docs.glob("*.svg"))
    assert len(plots) == 4
    for plot in plots:
        assert f"({plot.name})" in page
        assert ElementTree.fromstring(plot.read_text()).tag.endswith("svg")


async def test_the_page_begins_with_a_short_table_of_all_goals_and_the_plots(run: tuple[Any, Path]) -> None:
    found, docs = run
    first_screen, _, rest = (docs / "performance.md").read_text().partition("\n## ")
    assert first_screen.count(".svg)") == 4
    assert ".svg)" not in rest
    table = [line.strip("| ").split(" | ") for line in first_screen.splitlines() if line.startswith("| ")]
    assert len(table[1:]) <= 20
    assert sum(len(goal.split(" / ")) for _, goal, *_ in table[1:]) == len(found["goals"])


def test_the_published_page_is_made_from_the_published_results(tmp_path: Path) -> None:
    published = REPOSITORY / "docs"
    write_report(Results.model_validate_json((published / "performance.json").read_text("utf-8")), tmp_path)
    for made in tmp_path.iterdir():
        assert (published / made.name).read_bytes() == made.read_bytes(), "see `python -m bench --help`: --results"


async def test_journey_bench_measures_a_deployment(
    stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    addresses = stack.addresses
    environment = environment_with(
        {
            "TEMPORAL_ADDRESS": addresses.temporal_address,
            "TEMPORAL_NAMESPACE": addresses.temporal_namespace,
            "SUPABASE_DB_URL": addresses.supabase_db_url,
            "STATE_SURFACE_URL": addresses.state_surface_url,
            "JOURNEY_TASK_QUEUE": "benchmarked-deployment",
        }
    )
    worker = await create_subprocess_exec(
        sys.executable, "-m", "worker", env=environment, cwd=tmp_path_factory.mktemp("worker")
    )
    try:
        process = await create_subprocess_exec(
            sys.executable, "-m", "starter", "bench", "--callers", "4", "--calls", "2", "--json",
            stdout=PIPE, stderr=PIPE, env=environment,
        )  # fmt: skip
        out, err = await process.communicate()
    finally:
        worker.terminate()
        await worker.wait()
    assert process.returncode == 0, err.decode()
    measured = json.loads(out)["measured"]
    assert [(each["operation"], each["callers"], each["calls"]) for each in measured] == [
        (operation, callers, 2 * callers) for callers in (1, 4) for operation in ("initialize", "update", "get")
    ]
    for each in measured:
        assert 0 < each["p50_ms"] <= each["p95_ms"] <= each["p99_ms"]
        assert each["per_second"] > 0
