"""Connections by the thousand that send nothing."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.support.http_gateways import GatewayProcess

# Reset at the end: thousands of closed connections would otherwise keep their ports for a minute.
_RESET_WHEN_CLOSED: Final = struct.pack("ii", 1, 0)


class IdleConnections:
    """Connections that are open or wait to be accepted."""

    def __init__(self, port: int, number: int) -> None:
        self._sockets: list[socket.socket] = []
        for _ in range(number):
            connection = socket.socket()
            self._sockets.append(connection)
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_WHEN_CLOSED)
            connection.connect_ex(("127.0.0.1", port))

    @property
    def open(self) -> int:
        """How many the gateway has left open."""
        return sum(_is_open(connection) for connection in self._sockets)

    def close(self) -> None:
        """Close all of them."""
        for connection in self._sockets:
            connection.close()


@contextmanager
def idle_connections(gateway: GatewayProcess, number: int) -> Iterator[IdleConnections]:
    """Connections to a gateway that are open or wait to be accepted."""
    idle = IdleConnections(gateway.port, number)
    try:
        yield idle
    finally:
        idle.close()


def _is_open(connection: socket.socket) -> bool:
    try:
        connection.getpeername()
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False
