"""Release the message that started a run once the run has read it.

Symptom: a session whose run is in memory keeps eight times the memory of its first context.
Cause: the SDK keeps a run's `ExecuteWorkflowInput` as long as the run is in memory. Its headers and the last run's
    result are references into the activation that brought them, and one such reference keeps the whole activation. The
    frame of the innermost interceptor also keeps the arguments.
Upstream: no public issue found.
Delete it when: `tests/promises/test_worker_memory.py` passes without it.
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

from worker.sdk_patches.slim_runs import SlimWorkflowInstance


class ReleasingWorkflowRunner(UnsandboxedWorkflowRunner):
    """Runs workflow code without a sandbox, and keeps no reference to the input of a run.

    Only the workflow's `run` then refers to the arguments. If `@workflow.init` has read them, `run` may `del` them.
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Make an instance that has a copy of the last result, and an interceptor that releases the input."""
        result = Payloads()
        result.CopyFrom(det.last_completion_result)
        # The last interceptor is the innermost one, so it runs after the others have seen the input.
        interceptors = [*det.interceptor_classes, _ReleaseStartInput]
        det = replace(det, last_completion_result=result, interceptor_classes=interceptors)
        return SlimWorkflowInstance(det)  # type: ignore[abstract]  # as the SDK does: a partial event loop


class _ReleaseStartInput(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> object:  # noqa: A002 - the SDK calls it so
        running = input.run_fn(workflow.instance(), *input.args)
        input.args, input.headers = (), {}
        return await running
