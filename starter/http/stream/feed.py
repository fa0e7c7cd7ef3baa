"""A session that somebody follows: how far it was read, and its last changes."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starter.http.stream.change_batches import ChangeBatch, WrittenChange
from starter.http.stream.events import EndReason
from stores.followed_sessions_supabase import FollowedState
from stores.partials_supabase import MAX_AGE_SECONDS

Wake = Callable[[], None]

MAX_PARTIALS: Final = 4
"""How many messages of one session are shown while they are written."""

_REMEMBERED_ANSWERS: Final = 100


@dataclass(frozen=True, slots=True)
class ShownPartial:
    """A `partial` event as it is sent.

    Attributes:
        number: A later one has a higher number.
        written_at: By the database's clock.
        at: When it was shown, by the monotonic clock.
    """

    number: int
    data: bytes
    written_at: datetime
    at: float


class Feed:
    """One session for all its followers at this gateway.

    A follower asks for the changes after its own place. If the feed no longer holds them, the follower reads the store
    itself, so a slow one needs no queue and holds nobody up.
    """

    def __init__(self, chat_session_id: str, tenant_id: str, owner: str | None, revision: int) -> None:
        self.chat_session_id = chat_session_id
        self.tenant_id = tenant_id
        self.revision = revision
        """The revision up to which the session was read."""
        self.target = revision
        """The latest known revision."""
        self.ended: EndReason | None = None
        """Why nobody can follow the session any more."""
        self.is_being_read = False
        self.read_again_at = 0.0
        """The session is not read before this time, because a read has failed."""
        self.followers: set[Wake] = set()
        self._owner = owner
        self._owner_at = revision
        self._since = revision
        self._changes: deque[WrittenChange] = deque()
        self._partials: dict[str, ShownPartial] = {}
        self._shown = 0
        self._answered: deque[str] = deque(maxlen=_REMEMBERED_ANSWERS)

    def is_visible_to(self, user_id: str | None) -> bool:
        """Whether a user may follow the session; without a user, whether a service may."""
        return user_id in (None, self._owner)

    def changes_after(self, revision: int) -> Sequence[WrittenChange] | None:
        """The changes after a revision; None if the feed does not hold all of them."""
        if revision < self._since:
            return None
        return [change for change in self._changes if change.revision > revision]

    def see(self, state: FollowedState) -> None:
        """Note the session's revision and its owner, or its end."""
        if state.lifecycle_state is None or state.revision is None:
            self.ended = "not_found"
        elif state.lifecycle_state == "DELETED":
            self.ended = "deleted"
        else:
            self.see_owner(state.user_id, state.revision)
        if self.ended:
            self.wake_followers()

    def see_owner(self, user_id: str | None, revision: int) -> None:
        """Note the session's owner at a revision."""
        self.target = max(self.target, revision)
        if revision < self._owner_at or (user_id, revision) == (self._owner, self._owner_at):
            return
        has_changed = user_id != self._owner
        self._owner, self._owner_at = user_id, revision
        if has_changed:
            self.wake_followers()

    def take(self, batch: ChangeBatch) -> Sequence[WrittenChange]:
        """Add the next changes; returns those that are new."""
        self.see(batch.state)
        new = [change for change in batch.changes if change.revision > self.revision]
        if new:
            self._changes += new
            self.revision = new[-1].revision
            for change in new:
                self._answered += change.message_ids
                for message_id in change.message_ids:
                    self._partials.pop(message_id, None)
            self.wake_followers()
        return new

    def show_partial(self, message_id: str, data: bytes, written_at: datetime) -> None:
        """Show an unfinished answer, unless the answer is stored or the same writing is shown already."""
        shown = self._partials.get(message_id)
        if message_id in self._answered or (shown and shown.written_at >= written_at):
            return
        self._shown += 1
        self._partials.pop(message_id, None)
        self._partials[message_id] = ShownPartial(self._shown, data, written_at, time.monotonic())
        while len(self._partials) > MAX_PARTIALS:
            del self._partials[next(iter(self._partials))]
        self.wake_followers()

    def partials_after(self, number: int) -> Sequence[ShownPartial]:
        """The unfinished answers that were shown after a number, in order."""
        oldest = time.monotonic() - MAX_AGE_SECONDS
        return [each for each in self._partials.values() if each.number > number and each.at > oldest]

    def pass_gap(self, revision: int) -> None:
        """Go on to a revision that the ledger does not have."""
        self.revision = max(self.revision, revision)

    def forget_oldest(self) -> None:
        """Drop the oldest change."""
        if self._changes:
            self._since = self._changes.popleft().revision

    def wake_followers(self) -> None:
        """Let every follower look again."""
        for wake in self.followers:
            wake()


class RecentChanges:
    """Limits the changes that all feeds hold together: the oldest go first."""

    _MAX_BYTES: Final = 32 * 1024 * 1024

    def __init__(self) -> None:
        self._held: deque[tuple[Feed, int]] = deque()
        self._bytes = 0

    def add(self, feed: Feed, changes: Sequence[WrittenChange]) -> None:
        """Count changes that a feed has taken."""
        for change in changes:
            self._held.append((feed, len(change.data)))
            self._bytes += len(change.data)
        while self._bytes > self._MAX_BYTES:
            oldest, size = self._held.popleft()
            oldest.forget_oldest()
            self._bytes -= size
