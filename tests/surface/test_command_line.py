"""What the command line promises: to people, to programs that read its JSON, and when something is wrong."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
import typer
from typer.testing import CliRunner

from starter.cli.app import app
from tests.support.commands import (
    JOURNEY,
    command_process,
    only_object,
    read_line,
    run_command,
    run_journey,
    wait_for_exit,
)
from tests.support.journeys import Journeys
from tests.support.schemas import schema_files

Command: TypeAlias = "Callable[..., Awaitable[subprocess.CompletedProcess[str]]]"

NOWHERE = "127.0.0.1:1"
UNKNOWN = str(uuid4())


@pytest.fixture
def environment(journeys: Journeys) -> dict[str, str]:
    return {
        "TEMPORAL_ADDRESS": journeys.addresses.temporal_address,
        "JOURNEY_TASK_QUEUE": journeys.task_queue,
        "JOURNEY_DEADLINE_SECONDS": "60",  # the machine may be busy
    }


@pytest.fixture
async def session(journeys: Journeys, environment: dict[str, str]) -> AsyncIterator[Command]:
    """`journey session`, with a worker."""
    async with journeys.worker():
        yield partial(run_journey, "session", **environment)


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def address(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


def answer(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert (done.returncode, done.stderr) == (0, "")
    return only_object(done.stdout)


# ------------------------------------------------------------------------------------------------ what programs read


async def test_every_session_command_prints_one_json_object_of_what_is_stored(
    journeys: Journeys, session: Command
) -> None:
    tenant = ("--tenant", journeys.tenant_id, "--json")
    user = ("--user", "ada")
    created = answer(await session("initialize", *tenant, *user, "--context", '{"topic": "Miete: 賃料"}'))
    identity = created["chat_session_id"]
    assert (created["revision"], created["active_agent"], created["created"]) == (0, "guide", True)

    changed = answer(
        await session("update", identity, *tenant, *user, "--agent", "liaison_finance", "--author", "user")
    )
    assert (changed["applied_revision"], changed["context"]) == (1, {"topic": "Miete: 賃料"})
    receipt = answer(
        await session(
            *("update", identity, *tenant, "--append", '{"messages": [{"id": "m1"}]}'),
            *("--idempotency-key", "first message", "--returning", "receipt"),
        )
    )
    assert receipt["applied_revision"] == 2
    assert "context" not in receipt
    replaced = answer(
        await session(
            "update", identity, *tenant, "--strategy", "replace", "--base-revision", "2", "--context", '{"new": true}'
        )
    )
    assert replaced["context"] == {"new": True}
    sent = answer(await session("signal", identity, *tenant, "--context", '{"signalled": 1}', "--author", "guide"))
    assert sent == {"chat_session_id": identity, "accepted": True}
    # An update after the signal is applied after it.
    last = answer(await session("update", identity, *tenant, "--context", '{"last": 1}'))
    assert last["applied_revision"] == 5

    by_id, latest, told = await asyncio.gather(
        session("get", identity, *tenant), session("get", *tenant, *user), session("history", identity, *tenant)
    )
    row = await journeys.row(identity)
    assert row is not None
    assert answer(by_id) == answer(latest)
    assert answer(by_id)["refusals"] == {"count": 0, "last": []}
    assert answer(by_id)["context"] == row["context"] == {"new": True, "signalled": 1, "last": 1}
    history = answer(told)
    assert history["chat_session_id"] == identity
    assert [entry["revision"] for entry in history["entries"]] == [0, 1, 2, 3, 4, 5]
    assert [entry["author"] for entry in history["entries"]] == [None, "user", None, None, "guide", None]
    assert history["entries"][2]["idempotency_key"] == "first message"


async def test_a_retry_with_the_same_requested_at_finds_its_session(journeys: Journeys, session: Command) -> None:
    asked = ("initialize", "--tenant", journeys.tenant_id, "--user", "ada", "--json", "--requested-at")
    first, second, other = await asyncio.gather(
        session(*asked, "2026-01-27T10:05:12Z"),
        session(*asked, "2026-01-27T11:05:12+01:00"),
        session(*asked, "2026-01-27T10:06:12Z"),
    )
    assert answer(first) | {"created": None} == answer(second) | {"created": None}
    assert sorted(answer(each)["created"] for each in (first, second)) == [False, True]
    assert answer(other)["chat_session_id"] != answer(first)["chat_session_id"]


async def test_a_conversation_is_held_read_and_found_again(journeys: Journeys, session: Command) -> None:
    tenant = ("--tenant", journeys.tenant_id, "--json")
    named = ("initialize", *tenant, "--user", "ada", "--name", "taxes", "--title", "Taxes: Grüße")
    created = answer(await session(*named))
    identity = created["chat_session_id"]
    assert (created["title"], created["created"]) == ("Taxes: Grüße", True)
    assert answer(await session(*named))["created"] is False

    messages = ("--message", '{"id": "m1", "text": "Hello"}', "--message", '{"id": "m2", "role": "tool"}')
    said = answer(await session("update", identity, *tenant, *messages, "--author", "guide"))
    assert (said["message_ids"], said["message_count"]) == (["m1", "m2"], 2)
    removed = ("--remove-message", "m1", "--remove-message", "nothing", "--message", '{"id": "m3"}')
    answer(await session("update", identity, *tenant, *removed))

    page = answer(await session("messages", identity, *tenant, "--limit", "1"))
    assert ([message["id"] for message in page["messages"]], page["newer"]) == (["m3"], None)
    page = answer(await session("messages", identity, *tenant, "--before", page["older"]))
    assert ([message["id"] for message in page["messages"]], page["older"]) == (["m2"], None)
    page = answer(await session("messages", identity, *tenant, "--after", page["newer"]))
    assert [message["id"] for message in page["messages"]] == ["m3"]

    answer(await session("initialize", *tenant, "--user", "bob", "--name", "taxes"))
    listed = answer(await session("list", *tenant, "--limit", "1"))
    assert listed["sessions"][0]["user_id"] == "bob"
    listed = answer(await session("list", *tenant, "--limit", "1", "--after", listed["next"]))
    assert ([each["chat_session_id"] for each in listed["sessions"]], listed["next"]) == ([identity], None)
    assert answer(await session("list", *tenant, "--user", "eve", "--archived"))["sessions"] == []

    edited = answer(await session("edit", identity, *tenant, "--title", "Taxes of 2026", "--new-user", "eve"))
    assert (edited["title"], edited["user_id"]) == ("Taxes of 2026", "eve")
    assert answer(await session("archive", identity, *tenant, "--user", "eve"))["lifecycle_state"] == "ARCHIVED"
    refused = await session("update", identity, *tenant, "--message", "{}")
    assert (refused.returncode, refused.stderr.split(":")[0]) == (1, "SESSION_NOT_ACTIVE")
    assert len(answer(await session("list", *tenant, "--user", "eve", "--archived"))["sessions"]) == 1
    assert answer(await session("reopen", identity, *tenant))["lifecycle_state"] == "ACTIVE"

    shown = (await session("messages", identity, "--tenant", journeys.tenant_id)).stdout
    assert "m2" in shown
    assert "guide" in shown
    shown = (await session("list", "--tenant", journeys.tenant_id)).stdout
    assert identity in shown
    assert "Taxes of 2026" in shown


async def test_a_history_is_shown_to_its_end_however_long(journeys: Journeys, session: Command) -> None:
    created = await journeys.initialize()
    identity = created["chat_session_id"]
    await journeys.supabase.execute(
        """
        insert into public.chat_context_updates
          (chat_session_id, revision, idempotency_key, change, change_hash, author, active_agent, applied_at)
        select $1, n, 'key ' || n, '{}', repeat('0', 64), 'journey', 'guide', now() from generate_series(1, 1001) n
        """,
        identity,
    )
    told = answer(await session("history", identity, "--tenant", journeys.tenant_id, "--json"))
    assert [entry["revision"] for entry in told["entries"]] == list(range(1002))


async def test_a_history_is_shown_to_its_user_and_to_no_other(journeys: Journeys, session: Command) -> None:
    created = await journeys.initialize(journeys.request("ada"))
    history = ("history", created["chat_session_id"], "--tenant", journeys.tenant_id, "--json")
    own, other = await asyncio.gather(session(*history, "--user", "ada"), session(*history, "--user", "bob"))
    assert [entry["revision"] for entry in answer(own)["entries"]] == [0]
    assert (other.returncode, other.stdout) == (1, "")
    assert other.stderr.startswith("SESSION_NOT_FOUND: ")


# --------------------------------------------------------------------------------------------------- what people see


@pytest.mark.parametrize("columns", [80, 120])
async def test_nothing_is_cut_off_and_nothing_is_coloured_where_no_terminal_is(
    journeys: Journeys, session: Command, columns: int
) -> None:
    odd = "[/b] [red]user"  # not to be taken for markup
    created = await journeys.initialize(journeys.request(odd, context={"words": "word " * 40}))
    identity = created["chat_session_id"]
    await journeys.update(identity, {"active_agent": "liaison_" + "x" * 60, "author": "[/author]" * 7})
    await journeys.update(identity, {"append": {"m": ["long " * 40]}, "idempotency_key": "[key] " + "k" * 100})
    await journeys.signal(identity, {"unknown": "field"})
    tenant = ("--tenant", journeys.tenant_id)
    shown = [
        await session("update", identity, *tenant, "--context", '{"a": 1}', COLUMNS=str(columns)),
        await session("get", identity, *tenant, COLUMNS=str(columns)),
        await session("history", identity, *tenant, COLUMNS=str(columns)),
    ]
    for each in shown:
        assert (each.returncode, each.stderr) == (0, "")
        assert "\x1b" not in each.stdout
        assert "…" not in each.stdout
        assert max(map(len, each.stdout.splitlines())) <= columns
    row = await journeys.row(identity)
    assert row is not None
    for words in (identity, odd, row["context_hash"], "INVALID_PARAMETER"):
        assert words in shown[1].stdout
    squeezed = re.sub(r"\s", "", shown[2].stdout)
    assert "k" * 100 in squeezed
    assert "longlong" in squeezed


async def test_a_reader_that_goes_away_is_no_news(journeys: Journeys, environment: dict[str, str]) -> None:
    async with journeys.worker():
        identity = await journeys.create_session()
        for more in (["--json"], []):
            async with command_process(
                JOURNEY, "session", "get", identity, "--tenant", journeys.tenant_id, *more, **environment
            ) as process:
                assert process.stdout is not None
                process.stdout._transport.close()  # type: ignore[attr-defined]
                assert process.stderr is not None
                assert (await process.stderr.read()).decode() == ""
                await process.wait()


def test_every_command_teaches_with_examples() -> None:
    root = typer.main.get_group(app)
    groups = {"": root, "session": root.commands["session"]}
    for group, commands in groups.items():
        for name in getattr(commands, "commands", {}):
            told = CliRunner().invoke(app, [*group.split(), name, "--help"]).output
            assert name in groups or "Examples:" in told


async def test_a_shell_completes_commands_and_options(environment: dict[str, str]) -> None:
    asked = {"_JOURNEY_COMPLETE": "complete_bash"}
    commands, options, schemas, script = await asyncio.gather(
        run_command(JOURNEY, **asked, COMP_WORDS="journey session i", COMP_CWORD="2"),
        run_command(JOURNEY, **asked, COMP_WORDS="journey session update --id", COMP_CWORD="3"),
        run_command(JOURNEY, **asked, COMP_WORDS="journey schema update_chat_s", COMP_CWORD="2"),
        # The command looks which shell has started it. For a command that is not the last one, bash stays there.
        run_command("bash", "-c", f"{JOURNEY} --show-completion; exit $?"),
    )
    assert commands.stdout.split() == ["initialize"]
    assert options.stdout.split() == ["--idempotency-key"]
    assert schemas.stdout.split() == ["update_chat_session.answer", "update_chat_session.request"]
    assert "complete -o default -F _journey_completion journey" in script.stdout


async def test_every_schema_is_listed_and_printed_as_it_is_published() -> None:
    listed = await run_journey("schema")
    assert {line.split()[0] for line in listed.stdout.splitlines() if line[0] != " "} == {
        name.removesuffix(".json") for name in schema_files()
    }
    printed = await run_journey("schema", "update_chat_context.request")
    assert printed.stdout == schema_files()["update_chat_context.request.json"]
    as_json = answer(await run_journey("schema", "update_chat_context.request", "--json"))
    assert as_json == json.loads(printed.stdout)
    assert answer(await run_journey("schema", "--json"))["update_chat_context.request"] == as_json
    unknown = await run_journey("schema", "update_chat_context")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "update_chat_context.request" in unknown.stderr


async def test_both_packages_run_as_modules() -> None:
    starter, worker, wrong = await asyncio.gather(
        run_command(sys.executable, "-m", "starter", "--help"),
        run_command(sys.executable, "-m", "worker", "--help"),
        run_command(sys.executable, "-m", "worker", "nonsense"),
    )
    assert "journey demo" in starter.stdout
    assert "SIGTERM" in worker.stdout
    assert (starter.returncode, worker.returncode, wrong.returncode) == (0, 0, 2)


# ------------------------------------------------------------------------------------------------- what can go wrong


async def test_wrong_usage_says_what_to_do_with_exit_status_2() -> None:
    hints = {
        "nonsense": "No such command",
        "session initialize --tenant t": "Missing option '--user'",
        "session get --tenant t": "--user",
        "session initialize --tenant t --user u --context {topic:1}": "is not JSON",
        "session initialize --tenant t --user u --context [1]": "is not a JSON object",
        "session initialize --tenant t --user u --context NaN": "is not JSON",
        f'session update {UNKNOWN} --tenant t --append {{"m":1}}': "must hold a list for each key",
        f"session update {UNKNOWN} --tenant t --base-revision x": "--base-revision",
        f"session update {UNKNOWN} --tenant t --strategy x": "'--strategy': 'x' is not one of 'merge', 'replace'",
        f"session update {UNKNOWN} --tenant t --message {{a": """'{"text": "Hello!"}'""",
        f"session update {UNKNOWN} --tenant t": "nothing to change; give --context, --append, --message",
        f"session signal {UNKNOWN} --tenant t --base-revision 1": "nothing to change",
        f"session edit {UNKNOWN} --tenant t": "nothing to change; give --title or --new-user",
        "dev --temporal-port 0": "'--temporal-port': should be greater",
    }
    told = await asyncio.gather(*(run_journey(*arguments.split(), TEMPORAL_ADDRESS=NOWHERE) for arguments in hints))
    for hint, done in zip(hints.values(), told, strict=True):
        assert (done.returncode, done.stdout) == (2, "")
        assert hint in " ".join(done.stderr.replace("│", "").split())
        assert "--help" in done.stderr


async def test_a_refusal_is_one_line_with_its_code_on_standard_error(journeys: Journeys, session: Command) -> None:
    tenant = ("--tenant", journeys.tenant_id)
    mine = await journeys.create_session()
    context = ("--context", "{}")
    wrong: dict[tuple[str, ...], str] = {
        ("get", UNKNOWN, *tenant): "SESSION_NOT_FOUND",
        ("get", mine, "--tenant", "another"): "SESSION_NOT_FOUND",
        ("update", UNKNOWN, *tenant, *context): "SESSION_NOT_FOUND",
        ("signal", UNKNOWN, *tenant, *context, "--json"): "SESSION_NOT_FOUND",
        ("history", UNKNOWN, *tenant, "--json"): "SESSION_NOT_FOUND",
        ("get", "no-uuid", *tenant, "--json"): "INVALID_PARAMETER: chat_session_id",
        ("list", *tenant, "--limit", "0"): "INVALID_PARAMETER: limit: should be",
        ("list", "--tenant", ""): "INVALID_PARAMETER: tenant_id: should have at least 1 character",
        ("update", mine, *tenant, "--agent", "boss"): "INVALID_PARAMETER: active_agent",
        ("update", mine, *tenant, *context, "--strategy", "replace"): "INVALID_PARAMETER: base_revision",
        ("update", mine, *tenant, *context, "--base-revision", "9"): "REVISION_CONFLICT",
        (
            *("update", mine, *tenant, "--context", json.dumps({"a": "x" * 70_000})),
            *("--append", json.dumps({"b": ["x" * 70_000]})),
        ): "CONTEXT_TOO_LARGE",
        ("update", mine, *tenant, *context, "--author", "journey"): "INVALID_PARAMETER: author",
        ("update", mine, *tenant, "--context", '{"a": 1e22}'): "INVALID_PARAMETER: context",
        **{
            (
                "initialize",
                *tenant,
                "--user",
                "u",
                "--json",
                "--requested-at",
                moment,
            ): "INVALID_PARAMETER: requested_at"
            for moment in ("yesterday", "2026-01-27T10:05:12", "2999-01-27T10:05:12Z")
        },
    }
    for arguments, done in zip(wrong, await asyncio.gather(*(session(*each) for each in wrong)), strict=True):
        status = 2 if wrong[arguments].startswith("INVALID_PARAMETER") else 1
        assert (done.returncode, done.stdout) == (status, ""), arguments
        assert done.stderr.startswith(wrong[arguments]), arguments
        assert done.stderr.count("\n") == 1, done.stderr


async def test_an_engine_or_a_store_that_is_not_there_is_said_soon(
    journeys: Journeys, environment: dict[str, str], silent_server: socket.socket
) -> None:
    get = ("session", "get", "--tenant", "t", "--user", "u")
    stores = {
        "SUPABASE_DB_URL": f"postgresql://postgres:not-to-be-shown@{NOWHERE}/postgres",
        "STATE_SURFACE_URL": journeys.addresses.state_surface_url,
    }
    nobody, silence, no_worker, no_namespace, worker, store = await asyncio.gather(
        run_journey(*get, TEMPORAL_ADDRESS=NOWHERE),
        run_journey(*get, TEMPORAL_ADDRESS=address(silent_server)),
        run_journey(*get, **environment | {"JOURNEY_DEADLINE_SECONDS": "1"}),
        run_journey("session", "initialize", "--tenant", "t", "--user", "u", **environment, TEMPORAL_NAMESPACE="none"),
        run_journey("worker", **stores, TEMPORAL_ADDRESS=NOWHERE),
        run_journey("migrate", "--json", **stores, TEMPORAL_ADDRESS=NOWHERE),
    )
    for done in (nobody, silence, no_worker, no_namespace, worker, store):
        assert (done.returncode, done.stdout) == (1, "")
        assert re.match(r"[A-Z]+_UNAVAILABLE: .*\n\Z", done.stderr), done.stderr
        assert "not-to-be-shown" not in done.stderr
    assert NOWHERE in nobody.stderr
    assert "DATABASE_UNAVAILABLE: supabase" in store.stderr


async def test_a_setting_that_makes_no_sense_is_named(environment: dict[str, str]) -> None:
    get = "session get --tenant t --user u"
    wrong = {
        ("JOURNEY_DEADLINE_SECONDS", "soon"): (get, "JOURNEY_DEADLINE_SECONDS"),
        ("TEMPORAL_PROFILE", "unknown"): (get, "TEMPORAL_*"),
        ("TEMPORAL_TLS_CLIENT_CERT_PATH", "/nowhere"): (get, "TEMPORAL_*"),
        ("TEMPORAL_ADDRESS", "http://[not-a-host"): (get, "TEMPORAL_*"),
        ("JOURNEY_ACTIVITY_SLOTS", "0"): ("worker", "JOURNEY_ACTIVITY_SLOTS"),
        ("JOURNEY_METRICS_ADDRESS", "nowhere"): ("worker", "JOURNEY_METRICS_ADDRESS"),
    }
    told = await asyncio.gather(
        *(
            run_journey(*command.split(), **environment | {variable: value})
            for (variable, value), (command, _) in wrong.items()
        )
    )
    for (_, named), done in zip(wrong.values(), told, strict=True):
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"INVALID_PARAMETER: .*\n", done.stderr), done.stderr
        assert named in done.stderr


async def test_a_command_that_is_interrupted_as_it_loads_ends_in_silence(tmp_path: Path) -> None:
    # A library that never ends loading, in place of the real one.
    (tmp_path / "pydantic_core.py").write_text("import signal\n\nprint('loading', flush=True)\nsignal.pause()\n")
    command = (JOURNEY, "session", "list", "--tenant", "t")
    async with command_process(*command, PYTHONPATH=str(tmp_path)) as process:
        await read_line(process.stdout, "loading")
        process.send_signal(signal.SIGINT)
        assert await wait_for_exit(process) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_command_that_is_stopped_ends_quietly(
    silent_server: socket.socket, number: signal.Signals, status: int
) -> None:
    get = ("session", "get", "--tenant", "t", "--user", "u")
    async with command_process(JOURNEY, *get, TEMPORAL_ADDRESS=address(silent_server)) as process:
        connection, _ = await asyncio.get_running_loop().sock_accept(silent_server)
        with connection:
            process.send_signal(number)
            assert await wait_for_exit(process) == (status, "", "")
