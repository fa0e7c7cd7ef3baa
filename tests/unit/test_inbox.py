"""How much a journey takes from its inbox at once, and in which order."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.documents import thoroughly
from workflows.inbox import Inbox


@dataclass(frozen=True, eq=False)
class Sent:
    """A message of a size."""

    size: int


def inbox_of(*sizes: int) -> Inbox[Sent]:
    inbox: Inbox[Sent] = Inbox()
    for size in sizes:
        inbox.put(Sent(size))
    return inbox


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ([], []),
        ([0], [0]),
        ([1, 1, 1, 1], [1, 1, 1]),
        ([10], [10]),
        ([6, 4], [6, 4]),
        ([6, 5], [6]),
        ([6, 5, 1], [6]),
        ([11], [11]),
        ([11, 0], [11]),
        ([0, 11], [0]),
        ([9999, 9999], [9999]),
    ],
)
def test_a_batch_is_what_fits_by_number_and_bytes_or_one_message_alone(sizes: list[int], taken: list[int]) -> None:
    inbox = inbox_of(*sizes)
    waiting = list(inbox)
    batch = inbox.take_batch(3, 10)
    assert [each.size for each in batch] == taken
    assert [*batch, *inbox] == waiting
    assert (len(inbox), inbox.size) == (len(sizes) - len(taken), sum(sizes) - sum(taken))


@thoroughly(100)
@given(st.lists(st.integers(0, 30)), st.integers(1, 5), st.integers(1, 40), st.data())
def test_every_message_is_taken_once_and_in_order(
    sizes: list[int], max_messages: int, max_bytes: int, data: st.DataObject
) -> None:
    inbox = inbox_of(*sizes)
    waiting, taken = list(inbox), []
    while inbox:
        batch = inbox.take_batch(max_messages, max_bytes)
        assert 0 < len(batch) <= max_messages
        assert len(batch) == 1 or sum(each.size for each in batch) <= max_bytes
        kept = data.draw(st.integers(1, len(batch)))  # a decision may cover only the first messages
        inbox.put_back(batch[kept:])
        taken += batch[:kept]
        assert [*taken, *inbox] == waiting
        assert inbox.size == sum(each.size for each in inbox)
    assert inbox.take_batch(max_messages, max_bytes) == []
    assert inbox.size == 0
