"""Sessions as this worker last stored them, so that a batch need not read what it changes."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Self

from journeys.chat_session.fold_length import FoldLength
from journeys.chat_session.limits import MIB
from journeys.chat_session.rules import Draft
from journeys.chat_session.session import ChatSessionArtifact

_MAX_SESSIONS: Final = 1000
# Of canonical JSON. As Python objects the contexts take several times as much.
_MAX_BYTES: Final = 2 * MIB
# So many sessions, the most recently used ones, stay Python objects. Packing a small session takes 10 µs, and unpacking
# it 30 µs.
_MAX_UNPACKED: Final = 64


@dataclass(frozen=True, slots=True)
class _Packed:
    """A draft as JSON, which takes a quarter of the memory."""

    session: bytes
    fold_length: FoldLength
    size: int

    @classmethod
    def of(cls, draft: Draft) -> Self:
        return cls(draft.session.model_dump_json().encode(), draft.fold_length, draft.canonical.size)

    def unpack(self) -> Draft:
        return Draft.of(ChatSessionArtifact.model_validate_json(self.session), self.fold_length)


class SessionCache:
    """A bounded cache. It answers only for the revision and the context hash that are asked for."""

    def __init__(self) -> None:
        # Both begin with the least recently used session. Every packed session was used before every unpacked one.
        self._packed: OrderedDict[str, _Packed] = OrderedDict()
        self._drafts: OrderedDict[str, Draft] = OrderedDict()
        self._bytes = 0

    def get(self, chat_session_id: str, revision: int | None, context_hash: str | None) -> Draft | None:
        """The session at this revision; None if it is not here."""
        packed = self._packed.get(chat_session_id)
        draft = packed.unpack() if packed else self._drafts.get(chat_session_id)
        if draft is None or (draft.session.revision, draft.session.context_hash) != (revision, context_hash):
            return None
        self.put(draft)
        return draft

    def put(self, draft: Draft) -> None:
        """Keep a session as both stores hold it. If the cache is full, drop the least recently used sessions."""
        self.forget(draft.session.chat_session_id)
        self._drafts[draft.session.chat_session_id] = draft
        self._bytes += draft.canonical.size
        if len(self._drafts) > _MAX_UNPACKED:
            chat_session_id, unused = self._drafts.popitem(last=False)
            self._packed[chat_session_id] = _Packed.of(unused)
        while len(self._packed) + len(self._drafts) > _MAX_SESSIONS or self._bytes > _MAX_BYTES:
            self.forget(next(iter(self._packed or self._drafts)))

    def forget(self, chat_session_id: str) -> None:
        """Drop a session."""
        if packed := self._packed.pop(chat_session_id, None):
            self._bytes -= packed.size
        elif draft := self._drafts.pop(chat_session_id, None):
            self._bytes -= draft.canonical.size
