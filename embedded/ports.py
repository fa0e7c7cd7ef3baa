"""Which TCP ports of the loopback interface the servers get."""

import secrets
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from embedded.errors import EmbeddedStackError

LOOPBACK = "127.0.0.1"

# Below every common range of ephemeral ports: there, any outgoing connection of any program could take
# the port of a server that is down for a moment.
_UNASSUMING_PORTS = range(20_000, 32_000)
_TRIES = 100


@dataclass(frozen=True, slots=True)
class PortWish:
    """One port that a server needs.

    Attributes:
        purpose: what listens there, for error messages.
        named: the only port that will do, or None.
        preferred: the port to take when none is named and this one is free.
    """

    purpose: str
    named: int | None = None
    preferred: int | None = None


def choose_ports(wishes: Sequence[PortWish]) -> list[int]:
    """Choose a free loopback port for each wish, all of them different.

    Args:
        wishes: what is needed, in the order of the answer.

    Returns:
        One port number for each wish. Nothing keeps it free once this returns.

    Raises:
        EmbeddedStackError: a named port cannot be listened on.
    """
    with ExitStack() as held:  # each one stays bound until all are chosen, so that no two are the same
        return [_bind_one(wish, held) for wish in wishes]


def _bind_one(wish: PortWish, held: ExitStack) -> int:
    if wish.named is not None:
        try:
            return _bind(wish.named, held)
        except (OSError, OverflowError) as error:
            raise EmbeddedStackError(
                f"port {wish.named} on {LOOPBACK} cannot be used for {wish.purpose} ({error}): "
                "end what uses it, or name another port"
            ) from error
    preferred = [] if wish.preferred is None else [wish.preferred]
    for port in (*preferred, *(secrets.choice(_UNASSUMING_PORTS) for _ in range(_TRIES))):
        with suppress(OSError):
            return _bind(port, held)
    raise EmbeddedStackError(f"no free port on {LOOPBACK} was found for {wish.purpose}: name one")


def _bind(port: int, held: ExitStack) -> int:
    candidate = held.enter_context(socket.socket())
    # As the servers do: connections of a server just gone (TIME_WAIT) are no reason to refuse its port.
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    candidate.bind((LOOPBACK, port))
    candidate.listen(1)  # without it, Linux would let a second candidate bind the same port
    return int(candidate.getsockname()[1])  # 0 asks the system for any
