"""The messages that a journey has accepted and not answered yet, in the order in which they came."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from journeys.errors import DatabaseUnavailable


class Sized(Protocol):
    """A message that knows its size."""

    @property
    def size(self) -> int:
        """Encoded size in bytes."""


Message = TypeVar("Message", bound=Sized)


class Inbox(Generic[Message]):
    """A bounded queue whose messages are taken in batches.

    A message counts as waiting until it is settled, even while its batch is being stored.

    Attributes:
        waiting: The number of messages that are not settled.
        settled: The number of messages that are settled.
    """

    def __init__(self, *, max_messages: int, max_bytes: int, batch_messages: int, batch_bytes: int) -> None:
        """Make an empty inbox.

        Args:
            max_messages: How many messages may wait.
            max_bytes: The encoded size that all waiting messages may have.
            batch_messages: How many messages one batch may have.
            batch_bytes: The encoded size that one batch may have. A single message may be larger.
        """
        self._queue: deque[Message] = deque()
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._batch_messages = batch_messages
        self._batch_bytes = batch_bytes
        self._waiting_bytes = 0
        self._isolated = 0
        self.waiting = 0
        self.settled = 0

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._queue)

    def check_room(self, size: int) -> None:
        """Check that one more message may wait.

        Args:
            size: The message's encoded size in bytes.

        Raises:
            DatabaseUnavailable: Too many messages, or too large ones, wait already.
        """
        if self.waiting >= self._max_messages or self._waiting_bytes + size > self._max_bytes:
            raise DatabaseUnavailable("too many changes wait to be stored; send this one again later")

    def put(self, message: Message) -> None:
        """Add a message at the end."""
        self._queue.append(message)
        self.waiting += 1
        self._waiting_bytes += message.size

    def settle(self, message: Message) -> None:
        """Count a message, which was taken in a batch, as settled."""
        self.waiting -= 1
        self._waiting_bytes -= message.size
        self.settled += 1

    def settle_early(self, message: Message) -> None:
        """Take one message before its turn, and count it as settled."""
        self._queue.remove(message)
        self.settle(message)

    def take_batch(self) -> list[Message]:
        """Take the next messages, at least one. The caller settles them or puts them back."""
        batch = [self._queue.popleft()]
        if self._isolated:
            self._isolated -= 1
            return batch
        size = batch[0].size
        while self._queue and len(batch) < self._batch_messages and size + self._queue[0].size <= self._batch_bytes:
            batch.append(self._queue.popleft())
            size += batch[-1].size
        return batch

    def put_back(self, batch: Sequence[Message]) -> None:
        """Return a batch to the front of the queue."""
        self._queue.extendleft(reversed(batch))

    def isolate_next(self, count: int) -> None:
        """Make each of the next batches hold one message, to find the one that cannot be stored."""
        self._isolated = count

    def count_settled(self) -> None:
        """Count a message that never waited as settled."""
        self.settled += 1
