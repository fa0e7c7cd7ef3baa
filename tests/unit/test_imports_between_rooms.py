"""Each program has its room, and imports between rooms point down only."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

# What a room may import, besides itself.
BELOW = {
    "journeys": set[str](),
    "stores": {"journeys"},
    "workflows": {"journeys"},
    "activities": {"journeys", "stores"},
    "worker": {"journeys", "stores", "workflows", "activities"},
    "embedded": {"journeys", "stores", "workflows", "activities", "worker"},
    "starter": {"journeys", "stores", "workflows", "activities", "worker", "embedded"},
    "examples": {"journeys"},
    "bench": {"journeys", "stores", "workflows", "activities", "worker", "embedded", "starter"},
}


def imported(file: Path) -> Iterator[str]:
    """The modules that a file imports, late imports included."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield str(node.module)


@pytest.mark.parametrize("room", BELOW)
def test_arrows_between_rooms_point_down_only(room: str) -> None:
    for file in (REPOSITORY / room).rglob("*.py"):
        rooms = {module.partition(".")[0] for module in imported(file)} & {*BELOW, "tests"}
        assert rooms <= BELOW[room] | {room}, file


def test_all_of_the_library_but_its_client_and_its_integrations_is_pure() -> None:
    library = REPOSITORY / "journeys"
    impure = {"asyncio", "socket", "temporalio.client", "temporalio.service", "temporalio.worker", "pydantic_settings"}
    for file in library.rglob("*.py"):
        if file.is_relative_to(library / "client") or file.is_relative_to(library / "integrations"):
            continue
        modules = set(imported(file))
        assert not modules & impure, file
        assert (
            not {module for module in modules if module.startswith("journeys.client")}
            or file == library / "__init__.py"
        )


def test_nothing_else_of_the_library_imports_its_integrations() -> None:
    library = REPOSITORY / "journeys"
    for file in library.rglob("*.py"):
        if not file.is_relative_to(library / "integrations"):
            assert not {each for each in imported(file) if each.startswith("journeys.integrations")}, file


def loaded_by(program: str) -> set[str]:
    """The modules that a program loads, as Python itself lists them."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_the_library_loads_no_client() -> None:
    assert "journeys.client" not in loaded_by("import journeys, journeys.chat_session.rules, workflows.inbox")
    assert "journeys.client" in loaded_by("from journeys import ChatSessions")


def test_a_worker_loads_neither_command_line_nor_benchmark_nor_embedded_servers() -> None:
    assert not rooms_loaded_by("import worker.run_worker") & {"starter", "bench", "embedded", "typer"}


def test_the_command_line_loads_servers_stores_and_engine_only_for_the_commands_that_need_them() -> None:
    others = {"bench", "embedded", "stores", "activities", "workflows", "asyncpg", "starlette"}
    assert not rooms_loaded_by("import starter.cli.app") & others


def rooms_loaded_by(program: str) -> set[str]:
    return {module.partition(".")[0] for module in loaded_by(program)}
