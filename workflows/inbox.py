"""The messages that a journey has accepted and not answered yet, in the order in which they came."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from journeys.errors import DatabaseUnavailable


class Sized(Protocol):
    """A message that knows its size."""

    @property
    def size(self) -> int:
        """Encoded, in bytes."""


Message = TypeVar("Message", bound=Sized)


class Inbox(Generic[Message]):
    """A bounded queue whose messages are taken in batches.

    A message counts as waiting until `settle` is called for it, also while its batch is being stored.

    Attributes:
        waiting: How many messages are not settled.
        settled: How many are.
    """

    def __init__(self, *, max_messages: int, max_bytes: int, batch_messages: int, batch_bytes: int) -> None:
        """Make an empty inbox.

        Args:
            max_messages: How many may wait.
            max_bytes: Their encoded size together.
            batch_messages: How many one batch may have.
            batch_bytes: Their encoded size together; one message alone may be larger.
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
            size: Its encoded size in bytes.

        Raises:
            DatabaseUnavailable: Too many wait already.
        """
        if self.waiting >= self._max_messages or self._waiting_bytes + size > self._max_bytes:
            raise DatabaseUnavailable("too many changes wait to be stored; send it again later")

    def put(self, message: Message) -> None:
        """Add a message at the end."""
        self._queue.append(message)
        self.waiting += 1
        self._waiting_bytes += message.size

    def settle(self, message: Message) -> None:
        """Count a message that was taken as done."""
        self.waiting -= 1
        self._waiting_bytes -= message.size
        self.settled += 1

    def settle_early(self, message: Message) -> None:
        """Take one message out of its turn, and count it as done."""
        self._queue.remove(message)
        self.settle(message)

    def take_batch(self) -> list[Message]:
        """Take the next messages, at least one; settle them, or put them back."""
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
        """Return a batch to the front."""
        self._queue.extendleft(reversed(batch))

    def isolate_next(self, count: int) -> None:
        """Make the next batches hold one message each: one of them has to be found out."""
        self._isolated = count

    def count_settled(self) -> None:
        """Count a message that never had to wait."""
        self.settled += 1
