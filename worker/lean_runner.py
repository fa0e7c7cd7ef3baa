"""Runs of workflow code that let go of the message which started them.

A run's input keeps the arguments, and refers to its headers and to the last run's result where they stand in the
activation that brought them (as of SDK 1.35). One such reference keeps the whole activation for as long as the run is
in memory: eight times the session's first context.
"""

from dataclasses import replace

from temporalio.api.common.v1 import Payloads
from temporalio.worker import (
    ExecuteWorkflowInput,
    UnsandboxedWorkflowRunner,
    WorkflowInboundInterceptor,
    WorkflowInstance,
    WorkflowInstanceDetails,
)


class LeanWorkflowRunner(UnsandboxedWorkflowRunner):
    """No sandbox, for workflows that take from their arguments in `@workflow.init` what they need."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Make an instance whose references to its start are copies, or go once it is made."""
        result = Payloads()
        result.CopyFrom(det.last_completion_result)
        # The last interceptor is the innermost one: the others have seen the input by then.
        interceptors = [*det.interceptor_classes, _LettingGo]
        return super().create_instance(replace(det, last_completion_result=result, interceptor_classes=interceptors))


class _LettingGo(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> object:  # noqa: A002 - the SDK calls it so
        input.args, input.headers = (), {}
        return await super().execute_workflow(input)
