"""A process whose tasks send operations: `python -m tests.chaos.caller ORDER`.

It may be killed at any moment. When it is started again, each task goes on with the first step that it had not begun;
the outcome of a step that was under way is unknown.
"""

import asyncio
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError

from journeys import ChatSessions
from journeys.canonical_json import canonical_hash
from journeys.chat_session.answers import ChatSessionView, InitializedChatSession, UpdatedChatSession, UpdateReceipt
from journeys.chat_session.messages import SignalChatContext, UpdateChatSession
from journeys.chat_session.names import UPDATE
from journeys.chat_session.session import ChatSessionArtifact, ChatSessionReceipt
from journeys.errors import DatabaseUnavailable, EngineUnavailable, JourneyError
from journeys.messages import Record, parse
from tests.chaos.evidence import CHANGES, Answer, Call, Outcome, Shown
from tests.chaos.hostile_payloads import BULK, document, large, malformed
from tests.chaos.hostile_sender import HostileSender
from tests.chaos.journal import Journal
from tests.chaos.operations import Operation, initialization, operation, read, singly
from tests.chaos.owners import owners
from tests.chaos.plan import tasks_of
from tests.chaos.roster import SEATS, Seat

_THINKING_SECONDS: Final = 0.04
_READ_FIRST: Final = "replace"


class Order(Record):
    """The instructions of a caller.

    Attributes:
        folder: Holds the journals, and the file `stop` once the caller is to end.
        name: The caller's.
        everybody: The tasks of all callers.
    """

    folder: Path
    name: str
    seed: int
    tasks: int
    everybody: tuple[str, ...]


class Caller:
    """Sends operations through the client, and notes each call before and after."""

    def __init__(self, name: str, client: Client, journal: Journal, opened: Iterable[Seat] = ()) -> None:
        """Send under this name.

        Args:
            name: Who calls.
            client: Connected to Temporal.
            journal: Where the calls are noted.
            opened: The seats whose sessions are known to exist.
        """
        self._name = name
        self._client = client
        self._journal = journal
        self._newest: dict[str, int] = {}
        self._opened = set(opened)

    async def do(self, wanted: Operation) -> Call:
        """Send an operation; again while its outcome is unknown, if a repetition is harmless."""
        # Only an initialization with the seat's own context may create the session.
        opens = wanted.kind == "initialize" and wanted.change == {"context": wanted.seat.context}
        if not opens and wanted.seat not in self._opened:
            opening = await self.do(
                initialization(f"{self._name} opens {wanted.seat.user_id}", wanted.seat, again=False)
            )
            if opening.outcome == "unknown":
                return opening
        for one in singly(wanted):
            call = await self._do(one)
            if call.outcome == "unknown":  # the others would wait as long
                break
        if wanted.kind == "initialize" and call.outcome in ("done", "refused"):
            self._opened.add(wanted.seat)
        return call

    async def _do(self, wanted: Operation) -> Call:
        if wanted.change.get("merge_strategy") == _READ_FIRST:
            await self._send(read(f"{wanted.name} reads", wanted.seat), None)
        base = self._newest.get(wanted.seat.chat_session_id, 0) if wanted.base == "newest" else wanted.base
        for _ in range(wanted.tries):
            call = await self._send(wanted, base)
            harmless = wanted.key or base is not None or wanted.kind in ("initialize", "delete")
            if call.outcome != "unknown" or not harmless:
                break
        return call

    async def _send(self, wanted: Operation, base: int | None) -> Call:
        call = Call(
            call=uuid4().hex[:12],
            operation=wanted.name,
            caller=self._name,
            kind=wanted.kind,
            chat_session_id=wanted.seat.chat_session_id,
            tenant_id=wanted.tenant_id,
            user_id=None if wanted.kind == "history" else wanted.user_id,
            by_id=wanted.change.get("by_id") is not False,
            at_revision=max(0, (base or 0) - wanted.back) if wanted.kind == "earlier" else None,
            hostile=wanted.hostile,
            key=wanted.key,
            base_revision=base if wanted.kind in CHANGES else None,
            change=_change(wanted) if wanted.kind in CHANGES else None,
            must_refuse=wanted.must_refuse,
            invoked_at=time.monotonic(),
        )
        self._journal.write(call)
        answer: Answer | None = None
        outcome: Outcome = "done"
        code = None
        try:
            answer = await self._ask(wanted, base, call.at_revision)
        except (EngineUnavailable, DatabaseUnavailable) as error:
            outcome, code = "unknown", error.code
        except JourneyError as error:
            outcome, code = "refused", error.code
        except Exception as error:
            outcome, code = "broken", f"{type(error).__name__}: {error}"
        call = call.model_copy(
            update={"ended_at": time.monotonic(), "outcome": outcome, "code": code, "answer": answer}
        )
        self._journal.write(call)
        if answer and answer.revision is not None:
            known = self._newest.get(call.chat_session_id, 0)
            self._newest[call.chat_session_id] = max(known, answer.revision)
        return call

    async def _ask(self, wanted: Operation, base: int | None, at_revision: int | None) -> Answer | None:
        sessions = ChatSessions(self._client, deadline=timedelta(seconds=wanted.deadline))
        identity = wanted.seat.chat_session_id
        arguments: dict[str, Any] = {
            **wanted.change,
            "tenant_id": wanted.tenant_id,
            "user_id": wanted.user_id,
            "base_revision": base,
            "idempotency_key": wanted.key,
            "author": wanted.name,
        }
        if wanted.document:
            return await self._ask_hostilely(wanted, arguments)
        match wanted.kind:
            case "initialize":
                opening: dict[str, Any] = {**wanted.change, "requested_at": wanted.seat.requested_at}
                return _answer(
                    await sessions.initialize(tenant_id=wanted.tenant_id, user_id=wanted.seat.user_id, **opening)
                )
            case "update":
                return _answer(await sessions.update_context(identity, returning=wanted.returning, **arguments))
            case "signal":
                await sessions.signal_context(identity, **arguments)
                return None
            case "edit":
                return _answer(await sessions.update_session(identity, **arguments))
            case "delete":
                deleted = await sessions.delete(
                    identity, tenant_id=wanted.tenant_id, user_id=wanted.user_id, author=wanted.name
                )
                return Answer(chat_session_id=deleted.chat_session_id, deleted_at=deleted.deleted_at)
            case _:
                return await self._read(wanted, sessions, at_revision)

    async def _read(self, wanted: Operation, sessions: ChatSessions, at_revision: int | None) -> Answer:
        identity = wanted.seat.chat_session_id
        whose: dict[str, Any] = {"tenant_id": wanted.tenant_id, "user_id": wanted.user_id}
        if wanted.kind == "get":
            return _answer(await sessions.get(identity if wanted.change["by_id"] else None, **whose))
        if wanted.kind == "earlier":
            earlier = await sessions.get(identity, at_revision=at_revision, **whose)
            return _answer(earlier).model_copy(update={"updated_at": None, "shown": None})  # both are current
        after = max(0, self._newest.get(identity, 0) - 8)
        entries = await sessions.history(identity, tenant_id=wanted.tenant_id, after_revision=after)
        return Answer(
            revision=entries[-1].revision if entries else after,
            entries=tuple((entry.revision, entry.idempotency_key) for entry in entries),
        )

    async def _ask_hostilely(self, wanted: Operation, fields: Mapping[str, Any]) -> Answer | None:
        sender = HostileSender(self._client, timedelta(seconds=wanted.deadline))
        identity = wanted.seat.chat_session_id
        if wanted.kind == "signal":
            await sender.signal(identity, wanted.tenant_id, hostile_arguments(wanted, fields))
            return None
        arguments = hostile_arguments(wanted, {**fields, "returning": wanted.returning})
        told = await sender.update(identity, wanted.tenant_id, arguments, update_id=f"{UPDATE}/{uuid4()}")
        return _answer((UpdatedChatSession if "context" in told else UpdateReceipt).model_validate(told))


def _change(wanted: Operation) -> dict[str, object]:
    fields = {**wanted.change, "tenant_id": wanted.tenant_id}
    if wanted.kind == "edit":
        return dict(parse(UpdateChatSession, fields).change)
    if wanted.hostile == "large":
        context = wanted.change["context"]
        assert isinstance(context, dict)
        fields["context"] = {**context, BULK: document(wanted.document, wanted.size)}
    if wanted.change.get("merge_strategy") == "replace":
        fields["base_revision"] = 0
    return dict(parse(SignalChatContext, fields).change)


def hostile_arguments(wanted: Operation, fields: Mapping[str, Any]) -> Sequence[Any]:
    """The arguments of a hostile message: the fields of a legal one, and what makes it hostile."""
    fields = {name: value for name, value in fields.items() if value is not None}
    if wanted.hostile == "malformed":
        return malformed(fields, wanted.document)
    if isinstance(context := fields.get("context"), dict):
        fields["context"] = {name: value for name, value in context.items() if name != BULK}
    return large(fields, wanted.document, wanted.size)


def _answer(told: ChatSessionReceipt) -> Answer:
    context = told.context if isinstance(told, ChatSessionArtifact) else None
    return Answer(
        chat_session_id=told.chat_session_id,
        tenant_id=told.tenant_id,
        active_agent=told.active_agent,
        revision=told.revision,
        context_hash=told.context_hash,
        created_at=told.created_at,
        updated_at=told.updated_at,
        applied_revision=told.applied_revision if isinstance(told, UpdateReceipt) else None,
        duplicate=told.duplicate if isinstance(told, UpdateReceipt) else None,
        created=told.created if isinstance(told, InitializedChatSession) else None,
        content_hash=canonical_hash(context) if context is not None else None,
        owners=tuple(sorted(owners(context))) if context is not None else (),
        message_ids=told.message_ids if isinstance(told, UpdateReceipt) else None,
        shown=Shown(
            title=told.title,
            lifecycle_state=told.lifecycle_state,
            user_id=told.user_id,
            message_count=told.message_count,
        )
        if isinstance(told, ChatSessionView)
        else None,
    )


async def connect() -> Client:
    """Connect a plain client, once Temporal answers."""
    while True:
        try:
            return await Client.connect(**ClientConfig.load_client_connect_config())
        except (RuntimeError, RPCError):
            await asyncio.sleep(0.2)


async def _main(order: Order) -> None:
    with Journal(order.folder / f"{order.name}.{time.time_ns()}.jsonl") as journal:
        client = await connect()
        opener = Caller(order.name, client, journal)
        for seat in SEATS:
            while (await opener.do(initialization(f"{order.name} opens", seat, again=False))).outcome != "done":
                if _must_stop(order):
                    return
        (order.folder / f"{order.name}.ready").touch()
        async with asyncio.TaskGroup() as group:
            for task in tasks_of(order.name, order.tasks):
                group.create_task(_work(order, task, Caller(task, client, journal, SEATS)))


async def _work(order: Order, task: str, caller: Caller) -> None:
    # One byte for each step that has begun: a kill cannot leave half a byte.
    with (order.folder / f"{task}.steps").open("ab", buffering=0) as begun:
        step = begun.tell()
        while not _must_stop(order):
            begun.write(b".")
            await caller.do(operation(order.seed, task, step, order.everybody))
            step += 1
            await asyncio.sleep(_THINKING_SECONDS)


def _must_stop(order: Order) -> bool:
    return (order.folder / "stop").exists()


if __name__ == "__main__":
    asyncio.run(_main(Order.model_validate_json(sys.argv[1])))
