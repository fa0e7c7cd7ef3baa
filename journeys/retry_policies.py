"""All timeouts and retry policies. Their numbers are defined here and nowhere else."""

from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

WORKFLOW_TASK_TIMEOUT: Final = timedelta(seconds=1.5)
"""The time after which another worker takes over a dead worker's workflow task. Whoever starts a run sets it."""

LOCAL_ATTEMPT: Final = timedelta(seconds=0.6)
LOCAL_TOTAL: Final = timedelta(seconds=0.9)
"""All attempts of a local activity. They end before the workflow task times out, so that it needs no heartbeat."""

LOCAL_ATTEMPTS: Final = 2
LOCAL_RETRIES: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=20),
    maximum_interval=timedelta(milliseconds=20),
    maximum_attempts=LOCAL_ATTEMPTS,
)

REGULAR_HEARTBEAT: Final = timedelta(seconds=4)
"""If a regular activity's worker dies, or waits for a store that is silent, the activity is retried after this time."""

REGULAR_ATTEMPT: Final = timedelta(minutes=5)
"""One attempt of a regular activity, as long as it heartbeats: a busy worker takes a while for a hostile batch, and a
store for the deletion of a long transcript."""

REGULAR_RETRIES: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), backoff_coefficient=2, maximum_interval=timedelta(seconds=5)
)
"""There is no maximum of attempts: a write waits for the end of an outage."""

QUERY_HEAD_START: Final = timedelta(milliseconds=30)
"""How long a caller waits for a journey's answer before it reads the store, unless other reads of its do so already.

A journey that is changed without a pause has no time for queries. The store holds every acknowledged change.
"""

QUERY_ATTEMPT: Final = timedelta(seconds=2)
"""How long a caller waits for a journey's answer in any case."""

READ_ATTEMPT: Final = timedelta(seconds=5)
READ_ATTEMPTS: Final = 3
"""A read does not wait for the end of an outage: it fails after this many attempts."""

READ_RETRIES: Final = RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_attempts=READ_ATTEMPTS)
