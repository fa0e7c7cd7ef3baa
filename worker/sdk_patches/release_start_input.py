"""A run lets go of the message that started it.

Symptom: a live session keeps eight times the memory of its first context.
Cause: the SDK keeps a run's `ExecuteWorkflowInput` for as long as the run is in memory. Its headers, and the last run's
    result, are references into the activation that brought them, and one such reference keeps the whole activation. Its
    arguments are also kept by the frame of the innermost interceptor.
Upstream: no public issue found.
Delete it when: a run of `tests/promises/test_worker_memory.py` stays within its bound without it.
Test: `tests/promises/test_worker_memory.py`.
"""

from dataclasses import replace

from temporalio import workflow
from temporalio.api.common.v1 import Payloads
from temporalio.worker import (
    ExecuteWorkflowInput,
    UnsandboxedWorkflowRunner,
    WorkflowInboundInterceptor,
    WorkflowInstance,
    WorkflowInstanceDetails,
)


class ReleasingWorkflowRunner(UnsandboxedWorkflowRunner):
    """Runs workflow code without a sandbox, and keeps no reference to what started it.

    The arguments themselves belong to the workflow's `run` then: it may `del` what `@workflow.init` has read already.
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Make an instance that holds a copy of the last result, and passes its input on instead of keeping it."""
        result = Payloads()
        result.CopyFrom(det.last_completion_result)
        # The last interceptor is the innermost one: the others have seen the input by then.
        interceptors = [*det.interceptor_classes, _ReleaseStartInput]
        return super().create_instance(replace(det, last_completion_result=result, interceptor_classes=interceptors))


class _ReleaseStartInput(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> object:  # noqa: A002 - the SDK calls it so
        running = input.run_fn(workflow.instance(), *input.args)
        input.args, input.headers = (), {}
        return await running
