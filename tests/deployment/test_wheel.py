"""What other services install: one small wheel with one import name."""

import asyncio
import re
import signal
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from pathlib import Path
from textwrap import indent

import pytest

from tests.support.commands import environment_with
from tests.support.journeys import Journeys
from tests.support.paths import REPOSITORY

# Their project has packages with the same names as the programs of this checkout.
THEIR_PACKAGES = ("worker", "workflows", "activities", "starter", "stores", "embedded", "bench", "tests")
INTEGRATIONS = sorted(
    file.stem.replace("_", "-")
    for file in (REPOSITORY / "journeys" / "integrations").glob("*.py")
    if "missing_extra(" in file.read_text("utf-8") and file.stem != "__init__"
)
# A defect of Temporal's SDK: after the program has ended, its threads sometimes abort Python as it shuts down.
SDK_ABORTS_AT_EXIT = "PyGILState_Release"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={name: value for name, value in environment_with(environment).items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    aborted_at_exit = done.returncode == -signal.SIGABRT and SDK_ABORTS_AT_EXIT in done.stderr
    assert done.returncode == 0 or aborted_at_exit, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dist = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", dist, REPOSITORY, cwd=dist)
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def their_project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of another team, in an environment of its own that has the wheel."""
    folder = tmp_path_factory.mktemp("their-project")
    venv.create(folder / ".venv", with_pip=True)
    pinned = ("--constraint", REPOSITORY / "constraints.txt")
    pip = (folder / ".venv" / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, *pinned, wheel, cwd=folder)
    for package in THEIR_PACKAGES:
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text(f"OWNER = 'theirs, {package}'\n")
    return folder


def readme_example() -> str:
    """The README's Python example for a service, as a program."""
    (code,) = re.findall(
        r"```python\n(from journeys import .*?)```", (REPOSITORY / "README.md").read_text("utf-8"), re.S
    )
    body = indent(f"{code}\nprint(seen.model_dump_json())\n", "    ")
    return f"import asyncio\n\nasync def main():\n{body}\nasyncio.run(main())\n"


def test_the_wheel_brings_one_import_name_and_no_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = Parser().parsestr(archive.read(next(each for each in names if each.endswith("METADATA"))).decode())
    packages = {name.partition("/")[0] for name in names}
    assert packages == {"journeys", next(each for each in packages if each.endswith(".dist-info"))}
    assert "journeys/py.typed" in names
    assert "journeys/chat_session/idempotency_keys.json" in names
    assert not [name for name in names if name.endswith("entry_points.txt")]
    requirements = metadata.get_all("Requires-Dist", [])
    required = {re.split(r"[<>=;\s]", each)[0] for each in requirements if "extra ==" not in each}
    assert required == {"temporalio", "pydantic", "pydantic-settings", "jiter"}


@pytest.mark.parametrize("extra", INTEGRATIONS)
def test_an_integration_says_which_extra_is_missing(their_project: Path, wheel: Path, extra: str) -> None:
    module = f"journeys.integrations.{extra.replace('-', '_')}"
    program = f"""
try:
    import {module}
except ImportError as error:
    print(error)
"""
    told = run(their_project / ".venv" / "bin" / "python", "-c", program, cwd=their_project)
    assert told == f"{module} needs the extra {extra}: pip install 'coexistence-journeys[{extra}]'\n"
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(next(each for each in archive.namelist() if each.endswith("METADATA"))).decode()
    assert f"Provides-Extra: {extra}\n" in metadata


def test_the_wheel_leaves_another_projects_packages_alone(their_project: Path) -> None:
    program = f"import journeys, {', '.join(THEIR_PACKAGES)}; print(journeys.__file__, worker.OWNER, workflows.OWNER)"
    told = run(their_project / ".venv" / "bin" / "python", "-c", program, cwd=their_project)
    where, _, rest = told.strip().partition(" ")
    assert Path(where).is_relative_to(their_project / ".venv")
    assert rest == "theirs, worker theirs, workflows"


async def test_the_readmes_python_runs_on_the_wheel_alone(their_project: Path, journeys: Journeys) -> None:
    (their_project / "service.py").write_text(readme_example())
    async with journeys.worker():
        told = await asyncio.to_thread(
            run,
            their_project / ".venv" / "bin" / "python",
            "service.py",
            cwd=their_project,
            TEMPORAL_ADDRESS=journeys.addresses.temporal_address,
            JOURNEY_TASK_QUEUE=journeys.task_queue,
        )
    assert '"user_id":"ada"' in told
    assert '"message_count":1' in told
