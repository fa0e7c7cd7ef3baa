"""Five thousand signals, one in twenty of them bad, to one session that continues as new again and again.

It takes at least half a minute, so it runs only on request: `python -m pytest tests/promises/five_thousand_signals.py`.
"""

import asyncio
from typing import Any

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause

from journeys.chat_session.names import UPDATE
from tests.support.journeys import Journeys
from tests.support.watching import (
    assert_stored,
    count,
    runs,
    unexpected_failed_tasks,
    until_refusals,
    until_revision,
)

SIGNALS = 5000
AT_ONCE = 500


async def test_five_thousand_signals_with_one_in_twenty_bad(journeys: Journeys) -> None:
    tenant_id = journeys.tenant_id
    bad: list[Any] = [
        {"tenant_id": tenant_id, "surprise": 1},
        "no object",
        {"tenant_id": "another", "context": {"stolen": True}},
        {"tenant_id": tenant_id, "context": {"n": 2**53}},
    ]
    async with journeys.worker(rollover_messages=100):
        session = await journeys.create_session()
        handle = journeys.handle(session)

        async def send(number: int) -> None:
            if number % 20 == 0:
                await handle.signal(UPDATE, bad[number // 20 % len(bad)])
            else:
                # Few places, so that the context stays small; the ledger's keys show each signal.
                place = {f"place {number % 50}": number}
                await handle.signal(UPDATE, {"tenant_id": tenant_id, "context": place, "idempotency_key": f"{number}"})

        sent = 0
        for start in range(0, SIGNALS, AT_ONCE):
            await asyncio.gather(*(send(number) for number in range(start, start + AT_ONCE)))
            sent += AT_ONCE
            await until_revision(journeys, session, sent - sent // 20)

        # A stranger's refused signals are not counted with the session's own.
        await until_refusals(journeys, session, SIGNALS // 20 * 3 // 4 + 1)
        row = await assert_stored(journeys, session, SIGNALS - SIGNALS // 20)
        assert set(row["context"]) == {f"place {place}" for place in range(50)}
        keys = [entry["idempotency_key"] for entry in await journeys.ledger(session)]
        assert sorted(map(int, keys)) == [number for number in range(SIGNALS) if number % 20]
        histories = await runs(journeys, session)
        # The server itself fails a workflow task during which a hundred signals come, and begins it anew.
        causes = {
            task.workflow_task_failed_event_attributes.cause
            for events in histories
            for task in unexpected_failed_tasks(events)
        }
        assert causes <= {WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND}
        per_run = [count(events, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) for events in histories]
        assert sum(per_run) <= SIGNALS
        assert max(per_run) <= 2 * AT_ONCE, per_run
        assert len(histories) >= SIGNALS // AT_ONCE, "it continues as new all the while"
