"""Choose free TCP ports of the loopback interface for the servers."""

import secrets
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from embedded.errors import EmbeddedStackError

LOOPBACK = "127.0.0.1"

# Below the usual ranges of ephemeral ports: an outgoing connection of any program may get an ephemeral port,
# and so take the port of a server that is down for a moment.
_RANDOM_PORTS = range(20_000, 32_000)
_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class PortRequest:
    """A request for one port.

    Attributes:
        purpose: The server that listens on it, for error messages.
        required: The only acceptable port, or None if any port will do.
        preferred: The port to take if none is required and this one is free.
    """

    purpose: str
    required: int | None = None
    preferred: int | None = None


def choose_ports(requests: Sequence[PortRequest]) -> list[int]:
    """Choose a free loopback port for each request, all of them different.

    Args:
        requests: One for each port.

    Returns:
        The port numbers, in the order of the requests. Another program may take one as soon as this returns.

    Raises:
        EmbeddedStackError: A required port cannot be used, or no free port was found.
    """
    with ExitStack() as sockets:  # keeps each port bound until all are chosen, so that no two are the same
        return [_choose_port(request, sockets) for request in requests]


def _choose_port(request: PortRequest, sockets: ExitStack) -> int:
    if request.required is not None:
        try:
            return _bind(request.required, sockets)
        except (OSError, OverflowError) as error:
            raise EmbeddedStackError(
                f"port {request.required} on {LOOPBACK} cannot be used for {request.purpose} ({error}): "
                "stop the program that uses it, or name another port"
            ) from error
    preferred = [] if request.preferred is None else [request.preferred]
    for port in (*preferred, *(secrets.choice(_RANDOM_PORTS) for _ in range(_ATTEMPTS))):
        with suppress(OSError):
            return _bind(port, sockets)
    raise EmbeddedStackError(f"no free port on {LOOPBACK} was found for {request.purpose}: name one")


def _bind(port: int, sockets: ExitStack) -> int:
    candidate = sockets.enter_context(socket.socket())
    # As the servers do: a port can be used again although old connections to it are still in TIME_WAIT.
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    candidate.bind((LOOPBACK, port))
    candidate.listen(1)  # without it, Linux lets a second socket bind the same port
    return int(candidate.getsockname()[1])  # port 0 means that the system chooses
