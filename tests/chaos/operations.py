"""What callers send: decided by seed, caller and step alone, so that any process can send what another one does.

Every change names its operation: as its author, as the ID of a message that it appends, and as an item without an
ID, of which a second one would show.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Final, Literal

from pydantic import JsonValue

from journeys.chat_session.errors import ContextTooLarge, SessionNotFound
from journeys.errors import InvalidParameter, RevisionConflict
from tests.chaos.evidence import Hostile, Kind
from tests.chaos.hostile_payloads import BULK, DOCUMENTS, EXCESSIVE_BYTES, LEGAL_BYTES, MALFORMED
from tests.chaos.owners import OWNER
from tests.chaos.roster import SEATS, Seat, visitor

Base = int | Literal["newest"] | None

_AGENTS: Final = ("guide", "liaison_finance", "liaison_people", "liaison_law")
_FAR_AHEAD: Final = 1_000_000
_REPEATS: Final = 0.14
_NOBODY: Final = "a tenant that owns nothing"
_DEADLINES: Final = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a caller wants.

    Attributes:
        name: Its own; a call that repeats an operation has the same.
        tenant_id: Whom the caller pretends to be of; nearly always the seat's.
        user_id: Which user, None for a service.
        change: What is sent besides, as arguments of the starter.
        key: The idempotency key.
        base: The base revision; `newest` is the newest that the caller has seen.
        must_refuse: The code it has to be refused with.
        deadline: Of each call, in seconds.
        tries: How often it is sent while its outcome is unknown.
        hostile: Of which kind it is, if it is meant to stop the session.
        document: What makes it hostile: a shape, or the name of a message that no contract has.
        size: Of the document, in bytes as it is sent.
        count: How many messages it stands for, each of which is an operation of its own.
    """

    name: str
    kind: Kind
    seat: Seat
    tenant_id: str
    user_id: str | None
    change: dict[str, JsonValue]
    key: str | None = None
    base: Base = None
    must_refuse: str | None = None
    returning: Literal["artifact", "receipt"] = "receipt"
    deadline: float = 2.0
    tries: int = 1
    hostile: Hostile | None = None
    document: str = ""
    size: int = 0
    count: int = 1

    @property
    def repeatable(self) -> bool:
        """Whether sent again, by whomever, it is the same operation."""
        named = self.key is not None or isinstance(self.base, int)
        return self.kind in ("update", "signal") and named and self.must_refuse is None


def operation(seed: int, caller: str, step: int, callers: tuple[str, ...]) -> Operation:
    """What a caller does at a step: something new, or what some caller does about then, once more."""
    rng = _rng(seed, caller, step, "repeat")
    if rng.random() < _REPEATS:
        other = fresh(seed, rng.choice(callers), max(0, step + rng.randint(-12, 1)))
        if other.repeatable:
            return other
    return fresh(seed, caller, step)


def fresh(seed: int, caller: str, step: int) -> Operation:
    """What a caller does at a step that repeats nothing."""
    rng = _rng(seed, caller, step, "fresh")
    seat = rng.choice(SEATS)
    plain = Operation(
        name=f"{caller}/{step}",
        kind="update",
        seat=seat,
        tenant_id=seat.tenant_id,
        user_id=rng.choice((seat.user_id, None)),
        change={},
        returning=rng.choice(("artifact", "receipt", "receipt")),
        deadline=rng.choice(_DEADLINES),
        tries=rng.choice((1, 2, 3, 4)),
    )
    (make,) = rng.choices(list(_KINDS), weights=list(_KINDS.values()))
    return make(plain, rng)


def initialization(name: str, seat: Seat, *, again: bool) -> Operation:
    """Open a session; again, with what is ignored where the session exists."""
    change: dict[str, JsonValue] = (
        {"context": {OWNER: seat.tenant_id, "late": name}, "active_agent": "liaison_late"}
        if again
        else {"context": seat.context}
    )
    return Operation(name, "initialize", seat, seat.tenant_id, seat.user_id, change, deadline=3.0, tries=4)


def read(name: str, seat: Seat) -> Operation:
    """Read a session."""
    return Operation(name, "get", seat, seat.tenant_id, None, {"by_id": True})


def marked(operation: Operation, seat: Seat, rng: Random) -> dict[str, JsonValue]:
    """A change that shows: an appended message and mark, values that others overwrite, one that comes and goes."""
    name = operation.name
    caller, _, step = name.rpartition("/")
    context: dict[str, JsonValue] = {"topic": name, "last": {caller: step}}
    if rng.random() < 0.3:
        draft: dict[str, JsonValue] = {OWNER: operation.tenant_id, "of": name, "weight": rng.random()}
        context["draft"] = draft if rng.random() < 0.5 else None
    message: dict[str, JsonValue] = {"id": name, OWNER: operation.tenant_id, "text": f"to {seat.user_id}"}
    change: dict[str, JsonValue] = {"context": context, "append": {"messages": [message], "trail": [name]}}
    if rng.random() < 0.1:
        change["active_agent"] = rng.choice(_AGENTS)
    if rng.random() < 0.5:
        context[BULK] = None
    return change


def _rng(seed: int, caller: str, step: int, purpose: str) -> Random:
    return Random(f"{seed} {caller} {step} {purpose}")


def _key(operation: Operation) -> str:
    return f"key {operation.name}"


def _keyed(plain: Operation, rng: Random) -> Operation:
    return replace(plain, change=marked(plain, plain.seat, rng), key=_key(plain))


def _keyless(plain: Operation, rng: Random) -> Operation:
    return replace(plain, change=marked(plain, plain.seat, rng))


def _on_the_first_revision(plain: Operation, rng: Random) -> Operation:
    return replace(plain, change=marked(plain, plain.seat, rng), base=0)


def _on_the_newest_revision(plain: Operation, rng: Random) -> Operation:
    key = rng.choice((None, _key(plain)))
    return replace(plain, change=marked(plain, plain.seat, rng), base="newest", key=key)


def _replace(plain: Operation, rng: Random) -> Operation:
    del rng
    context: dict[str, JsonValue] = {**plain.seat.context, "trail": [plain.name], "topic": plain.name}
    change: dict[str, JsonValue] = {"context": context, "merge_strategy": "replace"}
    return replace(plain, change=change, base="newest", key=_key(plain))


def _trim(plain: Operation, rng: Random) -> Operation:
    change = marked(plain, plain.seat, rng)
    cleared: dict[str, JsonValue] = {"messages": [], "trail": [], "last": None, "topic": plain.name}
    return replace(plain, change=change | {"context": cleared}, key=_key(plain))


def _toggle(plain: Operation, rng: Random) -> Operation:
    change: dict[str, JsonValue] = {"active_agent": rng.choice(_AGENTS)}
    key = _key(plain) if rng.random() < 0.7 else None
    return replace(plain, change=change, key=key, kind=rng.choice(("update", "update", "signal")))


def _signal(plain: Operation, rng: Random) -> Operation:
    key = _key(plain) if rng.random() < 0.6 else None
    return replace(plain, kind="signal", change=marked(plain, plain.seat, rng), key=key)


def _get(plain: Operation, rng: Random) -> Operation:
    return replace(plain, kind="get", user_id=plain.seat.user_id, change={"by_id": rng.random() < 0.8})


def _history(plain: Operation, rng: Random) -> Operation:
    del rng
    return replace(plain, kind="history")


def _initialize_again(plain: Operation, rng: Random) -> Operation:
    del rng
    return initialization(plain.name, plain.seat, again=True)


def _visit(plain: Operation, rng: Random) -> Operation:
    del rng
    # Callers at the same step meet the same visitor.
    step = int(plain.name.rpartition("/")[2])
    return initialization(plain.name, visitor(step // 10), again=False)


def _by_a_stranger(plain: Operation, rng: Random) -> Operation:
    tenants = sorted({seat.tenant_id for seat in SEATS} - {plain.tenant_id})
    stranger = replace(plain, tenant_id=rng.choice(tenants), must_refuse=SessionNotFound.code)
    kind: Kind = rng.choice(("update", "signal", "get", "get"))
    if kind == "get":
        return replace(stranger, kind="get", change={"by_id": True})
    return replace(stranger, kind=kind, change=marked(stranger, plain.seat, rng), key=_key(plain))


def _by_another_user(plain: Operation, rng: Random) -> Operation:
    return replace(plain, user_id="mallory", change=marked(plain, plain.seat, rng), must_refuse=SessionNotFound.code)


def _ahead(plain: Operation, rng: Random) -> Operation:
    kind: Kind = rng.choice(("update", "signal"))
    change = marked(plain, plain.seat, rng)
    return replace(plain, kind=kind, change=change, base=_FAR_AHEAD, must_refuse=RevisionConflict.code)


def _to_what_is_no_array(plain: Operation, rng: Random) -> Operation:
    kind: Kind = rng.choice(("update", "signal"))
    change: dict[str, JsonValue] = {"append": {"title": [plain.name]}}
    return replace(plain, kind=kind, change=change, key=_key(plain), must_refuse=InvalidParameter.code)


def _under_a_key_of_another(plain: Operation, rng: Random) -> Operation:
    """Whichever of the two comes first has the key."""
    caller, _, step = plain.name.rpartition("/")
    earlier = f"{caller}/{max(0, int(step) - rng.randint(1, 6))}"
    return replace(plain, change=marked(plain, plain.seat, rng), key=f"key {earlier}")


def _burst(plain: Operation, rng: Random) -> Operation:
    return replace(plain, kind="signal", hostile="burst", count=rng.choice((10, 25, 60)), deadline=2.0, tries=1)


def _large(plain: Operation, rng: Random) -> Operation:
    kind: Kind = rng.choice(("update", "signal"))
    change = marked(plain, plain.seat, rng)
    large = replace(plain, kind=kind, change=change, key=_hostile_key(plain), hostile="large")
    return replace(large, document=rng.choice(DOCUMENTS), size=rng.choice(LEGAL_BYTES))


def _too_large(plain: Operation, rng: Random) -> Operation:
    kind: Kind = rng.choice(("update", "signal"))
    tenant_id = rng.choice((plain.tenant_id, plain.tenant_id, _NOBODY))
    too_large = replace(plain, kind=kind, tenant_id=tenant_id, change=_trace(plain), key=_hostile_key(plain))
    too_large = replace(too_large, hostile="too large", must_refuse=ContextTooLarge.code)
    return replace(too_large, document=rng.choice(DOCUMENTS), size=rng.choice(EXCESSIVE_BYTES))


def _malformed(plain: Operation, rng: Random) -> Operation:
    kind: Kind = rng.choice(("update", "signal"))
    document = rng.choice(list(MALFORMED))
    malformed = replace(plain, kind=kind, change=_trace(plain), key=_hostile_key(plain), hostile="malformed")
    return replace(malformed, document=document, must_refuse=MALFORMED[document])


def _large_of_a_stranger(plain: Operation, rng: Random) -> Operation:
    tenants = sorted({seat.tenant_id for seat in SEATS} - {plain.tenant_id})
    stranger = replace(plain, tenant_id=rng.choice((*tenants, _NOBODY)), must_refuse=SessionNotFound.code)
    kind: Kind = rng.choice(("update", "signal", "signal"))
    large = replace(stranger, kind=kind, change=_trace(plain), hostile="large, of a stranger", count=rng.randint(1, 6))
    return replace(large, document=rng.choice(DOCUMENTS), size=rng.choice(LEGAL_BYTES), key=_hostile_key(plain))


def _hostile_key(operation: Operation) -> str:
    return f"hostile {operation.name}"


def _trace(operation: Operation) -> dict[str, JsonValue]:
    """A change that would show, under a name that nothing else has."""
    return {"append": {"trail": [_hostile_key(operation)]}}


def singly(wanted: Operation) -> Iterator[Operation]:
    """The operations that one stands for, in order."""
    if wanted.count == 1:
        yield wanted
        return
    for number in range(wanted.count):
        one = replace(wanted, name=f"{wanted.name}.{number}", count=1)
        if wanted.hostile == "burst":
            yield replace(one, change={"append": {"trail": [one.name]}}, key=_key(one) if number % 2 else None)
        else:
            yield replace(one, change=_trace(one), key=_hostile_key(one))


_KINDS: Final[dict[Callable[[Operation, Random], Operation], float]] = {
    _keyed: 30,
    _keyless: 8,
    _on_the_first_revision: 2,
    _on_the_newest_revision: 8,
    _replace: 3,
    _trim: 3,
    _toggle: 8,
    _signal: 16,
    _get: 11,
    _history: 2,
    _initialize_again: 3,
    _visit: 2,
    _by_a_stranger: 4,
    _by_another_user: 1,
    _ahead: 2,
    _to_what_is_no_array: 2,
    _under_a_key_of_another: 2,
    _burst: 1,
    _large: 3,
    _too_large: 2,
    _malformed: 3,
    _large_of_a_stranger: 1,
}
