"""The timeouts and retry policies of workflow tasks, activities and reads."""

from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

WORKFLOW_TASK_TIMEOUT: Final = timedelta(seconds=1.5)
"""The time after which another worker takes over a dead worker's workflow task. Whoever starts a run sets it."""

STICKY_TIMEOUT: Final = timedelta(seconds=1)
"""The time after which a workflow task that waits in a dead worker's sticky queue goes to another worker."""

LOCAL_ATTEMPT: Final = timedelta(seconds=0.6)
LOCAL_TOTAL: Final = timedelta(seconds=0.9)
"""The time for all attempts of a local activity. The workflow task times out later, so it needs no heartbeat."""

LOCAL_ATTEMPTS: Final = 2
LOCAL_RETRIES: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=20),
    maximum_interval=timedelta(milliseconds=20),
    maximum_attempts=LOCAL_ATTEMPTS,
)

REGULAR_HEARTBEAT: Final = timedelta(seconds=4)
"""If a regular activity's worker dies, or waits for a store that is silent, the activity is retried after this time."""

REGULAR_ATTEMPT: Final = timedelta(minutes=5)
"""The longest attempt of a regular activity that heartbeats. A busy worker takes a while for a hostile batch, and a
store for the deletion of a long transcript."""

ERASURE_ATTEMPT: Final = timedelta(hours=1)
"""The longest attempt of an erasure. Temporal takes half a minute to delete a run; a session may have many runs, and
one that is still open."""

REGULAR_RETRIES: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), backoff_coefficient=2, maximum_interval=timedelta(seconds=5)
)
"""The number of attempts is unlimited: a write waits for the end of an outage."""

QUERY_HEAD_START: Final = timedelta(milliseconds=30)
"""How long a read waits for the journey's answer before it asks the store instead, unless other reads do so already.

A journey under constant change has no time for queries. The store holds every acknowledged change.
"""

QUERY_ATTEMPT: Final = timedelta(seconds=2)
"""The longest that a read waits for the journey's answer."""

READ_ATTEMPT: Final = timedelta(seconds=5)
READ_ATTEMPTS: Final = 3
"""A read does not wait for the end of an outage: it fails after this many attempts."""

READ_RETRIES: Final = RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_attempts=READ_ATTEMPTS)
