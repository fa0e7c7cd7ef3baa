"""Keep of a run only what it needs between its workflow tasks.

Symptom: a session whose run is in memory keeps the messages of its latest workflow task, in both directions. It also
    keeps the state of a random number generator, which is 2.5 KiB.
Cause: the SDK keeps the last completion, and two references into the last activation, each of which keeps the whole
    activation. It makes the generator for every run, whether the run asks for random numbers or not.
Upstream: no public issue found.
Delete it when: `tests/promises/test_worker_memory.py` passes without it.
Test: `tests/promises/test_worker_memory.py`.
"""

from functools import cached_property
from random import Random

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstanceDetails
from temporalio.worker._workflow_instance import _WorkflowInstanceImpl


class SlimWorkflowInstance(_WorkflowInstanceImpl):
    """A run that keeps no message between its workflow tasks, and makes its generator when it is asked for one."""

    def __init__(self, det: WorkflowInstanceDetails) -> None:
        super().__init__(det)
        del self._random

    @cached_property
    def _random(self) -> Random:  # type: ignore[override]  # nothing sets it after `__init__`
        return Random(self._current_seed)  # noqa: S311 - the SDK does the same at once; only the seed decides

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """Take an activation, then forget it and its completion; every activation sets these attributes anew."""
        completion = super().activate(act)
        del self._current_completion, self._current_internal_flags, self._deployment_version_for_current_task
        return completion
