"""The messages that a journey has taken in and not decided yet, in the order in which they came."""

from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """A message that knows its size."""

    @property
    def size(self) -> int:
        """Size in bytes, as it was sent."""


Message = TypeVar("Message", bound=Sized)


class Inbox(Generic[Message]):
    """A queue whose messages are taken in batches. The server's own limits bound it.

    Attributes:
        size: Size of the messages in bytes.
    """

    def __init__(self) -> None:
        """Create an empty inbox."""
        self._queue: list[Message] = []  # a deque would take 0.7 KiB of each live session, also while it is empty
        self.size = 0

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._queue)

    def put(self, message: Message) -> None:
        """Add a message at the end."""
        self._queue.append(message)
        self.size += message.size

    def put_back(self, messages: Sequence[Message]) -> None:
        """Put messages back at the beginning, in their order."""
        self._queue[:0] = messages
        self.size += sum(message.size for message in messages)

    def take_batch(self, max_messages: int, max_bytes: int) -> list[Message]:
        """Take the next messages; none if there are none.

        Args:
            max_messages: The maximum number of messages.
            max_bytes: Their maximum size together; one message alone may be larger.
        """
        count = size = 0
        for message in self._queue[:max_messages]:
            if count and size + message.size > max_bytes:
                break
            count += 1
            size += message.size
        batch = self._queue[:count]
        del self._queue[:count]
        self.size -= size
        return batch
