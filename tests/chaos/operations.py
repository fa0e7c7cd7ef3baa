"""What callers send: decided by seed, caller and step alone, so that any process can send what another one does.

Every change has the name of its operation as its author. A change of the context usually also appends the name: as the
ID of an item, and as an item without an ID, which would be there twice if the change were applied twice. The body of
every message for the transcript holds the name, too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Final, Literal

from pydantic import JsonValue

from journeys.chat_session.errors import ContextTooLarge, SessionNotFound
from journeys.errors import InvalidParameter, RevisionConflict
from tests.chaos.evidence import CHANGES, Hostile, Kind
from tests.chaos.hostile_payloads import BULK, DOCUMENTS, EXCESSIVE_BYTES, LEGAL_BYTES, MALFORMED
from tests.chaos.owners import OWNER
from tests.chaos.roster import SEATS, Seat, fate, visitor

Base = int | Literal["newest"] | None

_AGENTS: Final = ("guide", "liaison_finance", "liaison_people", "liaison_law")
_FAR_AHEAD: Final = 1_000_000
_REPEATS: Final = 0.14
_NOBODY: Final = "a tenant that owns nothing"
_DEADLINES: Final = (0.5, 1.0, 2.0, 4.0)
_VISITS: Final = 0.25
_STEPS_OF_A_VISITOR: Final = 10
_LAST_STEPS: Final = 4
_ENDING_RATE: Final = 0.15
_STEPS_ARCHIVED: Final = 2
# A few messages that many operations change. Users may change only those of the first list, which are their own.
_NOTES_OF_USERS: Final = ("note 0", "note 1", "note 2", "note 3")
_NOTES: Final = (*_NOTES_OF_USERS, "note 4", "note 5")


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a caller wants.

    Attributes:
        name: Unique, but a repeated operation has the same name.
        tenant_id: The tenant that the caller claims to be of; nearly always the seat's.
        user_id: The user; None for a service.
        change: The other arguments for the client.
        key: The idempotency key.
        base: The base revision; `newest` is the newest that the caller has seen.
        back: How many revisions before the base an `earlier` read asks for.
        must_refuse: The code that it has to be refused with.
        deadline: Of each call, in seconds.
        tries: How often it is sent while its outcome is unknown.
        hostile: Its kind, if it is meant to stop the session.
        document: The shape that makes it large, or the name of its malformed message.
        size: Of the document, in bytes as sent.
        count: How many messages it consists of; each is an operation of its own.
    """

    name: str
    kind: Kind
    seat: Seat
    tenant_id: str
    user_id: str | None
    change: dict[str, JsonValue]
    key: str | None = None
    base: Base = None
    back: int = 0
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
        """Whether any caller may send it again as the same operation."""
        named = self.kind == "delete" or self.key is not None or isinstance(self.base, int)
        return self.kind in (*CHANGES, "delete") and named and self.must_refuse is None


def operation(seed: int, caller: str, step: int, callers: tuple[str, ...]) -> Operation:
    """A caller's operation at a step: a new one, or a repetition of some caller's at about the same step."""
    rng = _rng(seed, caller, step, "repeat")
    if rng.random() < _REPEATS:
        other = fresh(seed, rng.choice(callers), max(0, step + rng.randint(-12, 1)))
        if other.repeatable:
            return other
    return fresh(seed, caller, step)


def fresh(seed: int, caller: str, step: int) -> Operation:
    """A caller's new operation at a step. A caller that archives a session reopens it soon."""
    wanted = _wanted_operation(seed, caller, step)
    archived = _wanted_operation(seed, caller, step - _STEPS_ARCHIVED)
    return _reopening(wanted.name, archived.seat) if archived.change == _ARCHIVE else wanted


def _wanted_operation(seed: int, caller: str, step: int) -> Operation:
    rng = _rng(seed, caller, step, "fresh")
    number = max(0, step) // _STEPS_OF_A_VISITOR
    guest = visitor(number)
    seat = guest if rng.random() < _VISITS else rng.choice(SEATS)
    users = (seat.user_id, seat.user_id, None, None)
    if seat is guest and fate(number) == "given away":
        users = (seat.user_id, seat.heir, None, None)
    plain = Operation(
        name=f"{caller}/{step}",
        kind="update",
        seat=seat,
        tenant_id=seat.tenant_id,
        user_id=rng.choice(users),
        change={},
        returning=rng.choice(("artifact", "receipt", "receipt")),
        deadline=rng.choice(_DEADLINES),
        tries=rng.choice((1, 2, 3, 4)),
    )
    is_ending = step % _STEPS_OF_A_VISITOR >= _STEPS_OF_A_VISITOR - _LAST_STEPS and rng.random() < _ENDING_RATE
    if is_ending and fate(number) != "kept":
        end = _delete if fate(number) == "deleted" else _give_away
        return end(replace(plain, seat=guest, tenant_id=guest.tenant_id), rng)
    (make,) = rng.choices(list(_KINDS), weights=list(_KINDS.values()))
    return make(plain, rng)


def initialization(name: str, seat: Seat, *, again: bool) -> Operation:
    """Initialize a session; `again` sends values that are ignored because the session exists."""
    change: dict[str, JsonValue] = (
        {"context": {OWNER: seat.tenant_id, "late": name}, "active_agent": "liaison_late"}
        if again
        else {"context": seat.context}
    )
    return Operation(name, "initialize", seat, seat.tenant_id, seat.user_id, change, deadline=3.0, tries=4)


def read(name: str, seat: Seat) -> Operation:
    """Read a session."""
    return Operation(name, "get", seat, seat.tenant_id, None, {"by_id": True})


def read_earlier(name: str, seat: Seat, revision: int) -> Operation:
    """Read a session as it was after a revision."""
    return Operation(name, "earlier", seat, seat.tenant_id, None, {}, base=revision, deadline=10.0, tries=4)


def reopening(name: str, seat: Seat) -> Operation:
    """Reopen a session, if somebody has archived it."""
    return replace(_reopening(name, seat), deadline=10.0)


def marked(operation: Operation, seat: Seat, rng: Random) -> dict[str, JsonValue]:
    """A change that can be found: it appends two items, and sets values that other changes overwrite or remove."""
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
    if rng.random() < 0.2:
        change["messages"] = [_spoken(operation, 0, rng)]
    return change


def _spoken(operation: Operation, index: int, rng: Random) -> dict[str, JsonValue]:
    """A message for the transcript; its body names its operation and its index in that operation."""
    message: dict[str, JsonValue] = {OWNER: operation.tenant_id, "of": operation.name, "index": index}
    chance = rng.random()
    if chance < 0.3:
        message["id"] = f"{operation.name}#{index}"
    elif chance < 0.65:
        message["id"] = rng.choice(_NOTES_OF_USERS if operation.user_id or chance < 0.5 else _NOTES)
    if operation.user_id:
        role = rng.choice(("user", None))
    else:
        role = "user" if message.get("id") in _NOTES_OF_USERS else rng.choice(("assistant", "user", None))
    return message | ({"role": role} if role else {})


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


def _say(plain: Operation, rng: Random) -> Operation:
    key = _key(plain) if rng.random() < 0.7 else None
    kind: Kind = rng.choice(("update", "update", "signal"))
    messages = [_spoken(plain, index, rng) for index in range(rng.choice((1, 1, 2, 3)))]
    named = [message["id"] for message in messages if "id" in message]
    if len(set(map(str, named))) < len(named):
        messages = messages[:1]
    return replace(plain, kind=kind, change={"messages": list[JsonValue](messages)}, key=key)


def _unsay(plain: Operation, rng: Random) -> Operation:
    caller, _, step = plain.name.rpartition("/")
    notes = _NOTES_OF_USERS if plain.user_id or rng.random() < 0.5 else _NOTES
    names: list[JsonValue] = [*rng.sample(notes, 2), f"{caller}/{int(step) - rng.randint(1, 6)}#0"]
    change: dict[str, JsonValue] = {"remove_messages": names}
    if rng.random() < 0.3:
        change["messages"] = [_spoken(plain, 0, rng) | {"id": names[0]}]
    return replace(plain, kind=rng.choice(("update", "update", "signal")), change=change, key=_key(plain))


def _speak_as_an_agent(plain: Operation, rng: Random) -> Operation:
    message = _spoken(plain, 0, rng) | {"id": f"{plain.name}#0", "role": "assistant"}
    user = replace(plain, user_id=plain.seat.user_id, change={"messages": [message]}, key=_key(plain))
    return replace(user, kind=rng.choice(("update", "signal")), must_refuse=InvalidParameter.code)


def _retitle(plain: Operation, rng: Random) -> Operation:
    base: Base = rng.choice((None, None, "newest"))
    key = _key(plain) if rng.random() < 0.7 else None
    return replace(plain, kind="edit", change={"title": rng.choice((plain.name, plain.name, ""))}, base=base, key=key)


_ARCHIVE: Final[dict[str, JsonValue]] = {"lifecycle_state": "ARCHIVED"}


def _archive(plain: Operation, rng: Random) -> Operation:
    del rng
    return replace(plain, kind="edit", user_id=None, change=_ARCHIVE, key=_key(plain))


def _reopen(plain: Operation, rng: Random) -> Operation:
    del rng
    return _reopening(plain.name, plain.seat)


def _reopening(name: str, seat: Seat) -> Operation:
    change: dict[str, JsonValue] = {"lifecycle_state": "ACTIVE"}
    return Operation(name, "edit", seat, seat.tenant_id, None, change, key=f"key {name}", tries=4)


def _give_away(plain: Operation, rng: Random) -> Operation:
    user = plain.seat.user_id if rng.random() < 0.2 else plain.seat.heir
    return replace(plain, kind="edit", user_id=None, change={"new_user_id": user}, key=_key(plain))


def _delete(plain: Operation, rng: Random) -> Operation:
    user = plain.seat.user_id if rng.random() < 0.4 else None
    return replace(plain, kind="delete", user_id=user)


def _toggle(plain: Operation, rng: Random) -> Operation:
    change: dict[str, JsonValue] = {"active_agent": rng.choice(_AGENTS)}
    key = _key(plain) if rng.random() < 0.7 else None
    return replace(plain, change=change, key=key, kind=rng.choice(("update", "update", "signal")))


def _signal(plain: Operation, rng: Random) -> Operation:
    key = _key(plain) if rng.random() < 0.6 else None
    return replace(plain, kind="signal", change=marked(plain, plain.seat, rng), key=key)


def _get(plain: Operation, rng: Random) -> Operation:
    return replace(plain, kind="get", user_id=plain.seat.user_id, change={"by_id": rng.random() < 0.8})


def _earlier(plain: Operation, rng: Random) -> Operation:
    user = rng.choice((plain.seat.user_id, None))
    earlier = replace(plain, kind="earlier", user_id=user, base="newest", back=rng.choice((0, 1, 5, 40)))
    if rng.random() < 0.1:
        return replace(earlier, user_id=None, base=_FAR_AHEAD, back=0, must_refuse=InvalidParameter.code)
    return earlier


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
    kind: Kind = rng.choice(("update", "signal", "get", "get", "edit", "delete", "earlier"))
    if kind == "get":
        return replace(stranger, kind="get", change={"by_id": True})
    if kind == "edit":
        return replace(stranger, kind="edit", change={"title": plain.name, **_ARCHIVE}, key=_key(plain))
    if kind in ("delete", "earlier"):
        return replace(stranger, kind=kind, base=0 if kind == "earlier" else None)
    return replace(stranger, kind=kind, change=marked(stranger, plain.seat, rng), key=_key(plain))


def _by_another_user(plain: Operation, rng: Random) -> Operation:
    mallory = replace(plain, user_id="mallory", must_refuse=SessionNotFound.code)
    if rng.random() < 0.3:
        return replace(mallory, kind="delete")
    return replace(mallory, change=marked(plain, plain.seat, rng))


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
    """A change that would be found by a name that nothing else has."""
    return {"append": {"trail": [_hostile_key(operation)]}}


def singly(wanted: Operation) -> Iterator[Operation]:
    """The messages that an operation consists of, in order, each as an operation of its own."""
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
    _say: 18,
    _unsay: 5,
    _speak_as_an_agent: 1,
    _retitle: 3,
    _archive: 1.2,
    _reopen: 1,
    _toggle: 8,
    _signal: 16,
    _get: 11,
    _earlier: 4,
    _history: 2,
    _initialize_again: 3,
    _visit: 2,
    _by_a_stranger: 5,
    _by_another_user: 2,
    _ahead: 2,
    _to_what_is_no_array: 2,
    _under_a_key_of_another: 2,
    _burst: 1,
    _large: 3,
    _too_large: 2,
    _malformed: 3,
    _large_of_a_stranger: 1,
}
