"""Release what a run needs only while one of its workflow tasks is at work.

Symptom: a session whose run is in memory keeps the messages of its latest workflow task, in both directions.
Cause: the SDK keeps the last completion, and two references into the last activation, of which each keeps it whole.
Upstream: no public issue found.
Delete it when: `tests/promises/test_worker_memory.py` passes without it.
Test: `tests/promises/test_worker_memory.py`.
"""

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker._workflow_instance import _WorkflowInstanceImpl


class SlimWorkflowInstance(_WorkflowInstanceImpl):
    """A run that keeps no message between its workflow tasks."""

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """Take an activation, then forget it and its completion; every activation sets these attributes anew."""
        completion = super().activate(act)
        del self._current_completion, self._current_internal_flags, self._deployment_version_for_current_task
        return completion
