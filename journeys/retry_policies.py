"""How long each thing may take and how often it is tried again; every such number stands here and nowhere else."""

from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

WORKFLOW_TASK_TIMEOUT: Final = timedelta(seconds=1.5)
"""How soon another worker takes over a workflow task whose worker has died. Whoever starts a journey sets it."""

LOCAL_ATTEMPT: Final = timedelta(seconds=0.7)
LOCAL_TOTAL: Final = timedelta(seconds=1.1)
"""All local attempts together. They end before the workflow task does, so that it needs no heartbeats."""

LOCAL_RETRIES: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=20), maximum_interval=timedelta(milliseconds=20), maximum_attempts=2
)

REGULAR_ATTEMPT: Final = timedelta(seconds=4)
"""Also how long it takes to notice that the worker which ran an attempt is dead."""

REGULAR_RETRIES: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), backoff_coefficient=2, maximum_interval=timedelta(seconds=5)
)
"""Without end: an outage waits, it does not fail."""

QUERY_ATTEMPT: Final = timedelta(seconds=2)
"""How long a caller waits for a live journey before it reads the store.

A journey that changes without a pause has no time for queries. The store holds all that is acknowledged, and a local
attempt ends sooner than this, so that a read does not overtake a write.
"""

READ_ATTEMPT: Final = timedelta(seconds=5)
READ_ATTEMPTS: Final = 3
"""A reader waits for no outage: after so many attempts it is told."""

READ_RETRIES: Final = RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_attempts=READ_ATTEMPTS)
