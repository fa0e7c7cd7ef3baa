"""Limits of connections: the size of their heads, their waiting times, and their number.

uvicorn on its own reads heads of any size, waits for ever for a first request, and goes on reading a body that nobody
wants any more.
"""

import asyncio
from asyncio import TimerHandle, Transport
from collections import OrderedDict
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from starter.http.problems import MEDIA_TYPE, ProblemDetails, encode_problem, problem_details

MAX_HEAD_BYTES: Final = 64 * 1024

STALLED_SECONDS: Final = 20.0
"""A reader that takes nothing of its answer for this long is dropped."""

_HEAD_SECONDS: Final = 15.0
# How long the rest of a request is read, and thrown away, after its answer: a connection that is closed with unread
# bytes is reset, and the sender may then not see the answer.
_LINGER_SECONDS: Final = 2.0
# How many connections without a place may wait until their senders have read the reason.
_MAX_TURNED_AWAY: Final = 16

_HEAD_TOO_LARGE: Final = problem_details(
    "TOO_LARGE", f"the request's line and headers have more than {MAX_HEAD_BYTES} bytes", status=431
)
_NOT_HTTP: Final = problem_details("INVALID_PARAMETER", "the request is not valid HTTP/1.1")
_NO_PLACE: Final = problem_details("TOO_MANY_REQUESTS", "all connections are in use")


class Places:
    """How many connections a process may have. An idle one makes room for a new one, the longest idle first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._all: set[GuardedProtocol] = set()
        self._idle: OrderedDict[GuardedProtocol, None] = OrderedDict()
        self._turned_away: OrderedDict[GuardedProtocol, None] = OrderedDict()

    def take(self, connection: "GuardedProtocol") -> bool:
        """Give a new connection a place; False if every connection is busy."""
        if len(self._all) >= self._limit:
            if not self._idle:
                self._turn_away(connection)
                return False
            longest_idle, _ = self._idle.popitem(last=False)
            self._all.discard(longest_idle)
            longest_idle.transport.abort()
        self._all.add(connection)
        self._idle[connection] = None
        return True

    def busy(self, connection: "GuardedProtocol") -> None:
        """The connection has a request."""
        self._idle.pop(connection, None)

    def idle(self, connection: "GuardedProtocol") -> None:
        """The connection waits for a request."""
        if connection in self._all:
            self._idle[connection] = None

    def leave(self, connection: "GuardedProtocol") -> None:
        """The connection is gone."""
        self._all.discard(connection)
        self._idle.pop(connection, None)
        self._turned_away.pop(connection, None)

    def _turn_away(self, connection: "GuardedProtocol") -> None:
        if len(self._turned_away) >= _MAX_TURNED_AWAY:
            longest_waiting, _ = self._turned_away.popitem(last=False)
            longest_waiting.transport.abort()
        self._turned_away[connection] = None


class GuardedProtocol(HttpToolsProtocol):
    """A connection of uvicorn's, with limits."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        places: Places,
    ) -> None:
        """Make a connection with uvicorn's arguments and a place among `places`."""
        super().__init__(config, server_state, app_state, _loop)
        self._places = places
        self._head_bytes = 0
        self._reads_head = True
        self._is_refused = False
        self._deadline: TimerHandle | None = None
        self._unread_bytes = 0
        self._unread_deadline: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, and wait for a first request."""
        super().connection_made(transport)
        if self._places.take(self):
            self._set_deadline(_HEAD_SECONDS)
        else:
            self._refuse(_NO_PLACE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._places.leave(self)
        self._clear_deadline()
        self._stop_watching_reader()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, as long as the head is not too large."""
        if self._is_refused:
            return
        if self._reads_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._reads_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_HEAD_TOO_LARGE)
        elif self._deadline is None and self._is_idle:
            # These bytes, such as empty lines, begin no request, but have stopped uvicorn's own timer.
            self._set_deadline(_HEAD_SECONDS)

    def eof_received(self) -> None:
        """The sender has no more requests. The loop closes the connection once the rest of the answer is sent."""
        super().eof_received()
        self._watch_reader()

    def pause_writing(self) -> None:
        """The reader takes its answer slowly, or not at all."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """The reader has taken most of its answer."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_watching_reader()

    def on_message_begin(self) -> None:
        """A request begins. Its handler may end the connection at once, if its reader has stalled."""
        super().on_message_begin()
        cast("dict[str, object]", self.scope["state"])["abort"] = self.transport.abort
        self._set_deadline(_HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        """The head is complete: hand the request on, unless its head is too large."""
        self._reads_head = False
        head = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if head > MAX_HEAD_BYTES:
            self._refuse(_HEAD_TOO_LARGE)
        if self._is_refused:
            return
        self._clear_deadline()
        self._places.busy(self)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is complete."""
        if self._is_refused:
            return
        super().on_message_complete()
        self._reads_head, self._head_bytes = True, 0
        if self.cycle.response_complete:  # uvicorn stopped its own timer when the rest of the body came
            self._set_deadline(self.timeout_keep_alive)

    def on_response_complete(self) -> None:
        """The answer is complete. Do not read the rest of its request for ever."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_reader()
            return
        if self.cycle.response_complete:
            self._places.idle(self)
        if self.cycle.more_body:
            self._set_deadline(_LINGER_SECONDS)

    def timeout_keep_alive_handler(self) -> None:
        """No further request has come."""
        self._close()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is no HTTP."""
        del msg
        if not self._is_refused:
            self._refuse(_NOT_HTTP)

    def _refuse(self, details: ProblemDetails) -> None:
        """Answer in place of the application, then close."""
        self._is_refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # in the midst of another request's answer
            return
        body = encode_problem(details)
        head = (
            f"HTTP/1.1 {details.status} {details.title}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self._set_deadline(_LINGER_SECONDS)

    def _set_deadline(self, seconds: float) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(seconds, self._close)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        transport: Transport = self.transport
        if not transport.is_closing():
            transport.close()
            self._watch_reader()

    @property
    def _is_idle(self) -> bool:
        return self._reads_head and (self.cycle is None or self.cycle.response_complete)

    def _watch_reader(self) -> None:
        """Give the reader time to take a part of its answer. uvicorn and its loop would wait for ever."""
        self._stop_watching_reader()
        self._unread_bytes = self.transport.get_write_buffer_size()
        if self._unread_bytes:
            self._unread_deadline = self.loop.call_later(STALLED_SECONDS, self._drop_stalled_reader)

    def _drop_stalled_reader(self) -> None:
        if self.transport.get_write_buffer_size() < self._unread_bytes:
            self._watch_reader()
        else:
            self.transport.abort()

    def _stop_watching_reader(self) -> None:
        if self._unread_deadline is not None:
            self._unread_deadline.cancel()
            self._unread_deadline = None
