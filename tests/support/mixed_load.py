"""Signals and several callers' updates at once to one session, each with a note of its own."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from tests.support.journeys import Journeys, Json
from tests.support.watching import assert_stored, until_revision

_UPDATES_OF_A_CALLER = 5


async def apply_mixed_load(journeys: Journeys, session: str, *, callers: int, signals: int) -> Json:
    """Send all of it and wait for the last note; check that each is stored once, in order, at its answer's revision.

    Returns:
        The session's row.
    """
    sessions = journeys.sessions_within(timedelta(seconds=60))

    async def send_signals() -> None:
        for number in range(signals):
            await sessions.signal_context(session, tenant_id=journeys.tenant_id, append={"notes": [f"signal {number}"]})

    async def send_updates(caller: int) -> list[int]:
        return [
            (
                await sessions.update_context(
                    session, tenant_id=journeys.tenant_id, append={"notes": [f"update {caller}/{number}"]}
                )
            ).applied_revision
            for number in range(_UPDATES_OF_A_CALLER)
        ]

    answered, _ = await asyncio.gather(
        asyncio.gather(*(send_updates(caller) for caller in range(callers))), send_signals()
    )
    total = signals + _UPDATES_OF_A_CALLER * callers
    await until_revision(journeys, session, total)
    row = await assert_stored(journeys, session, total)
    _assert_each_note_once(row["context"]["notes"], answered, signals)
    return row


def _assert_each_note_once(notes: Sequence[str], answered: Sequence[Sequence[int]], signals: int) -> None:
    assert not [note for note, times in Counter(notes).items() if times > 1]
    assert [note for note in notes if note.startswith("signal")] == [f"signal {number}" for number in range(signals)]
    for caller, revisions in enumerate(answered):
        sent = [f"update {caller}/{number}" for number in range(_UPDATES_OF_A_CALLER)]
        assert [notes[revision - 1] for revision in revisions] == sent
