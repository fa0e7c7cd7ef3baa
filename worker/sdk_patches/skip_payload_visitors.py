"""Payloads reach workflow code as they came, and leave as it wrote them.

Symptom: one message whose payload claims to be stored outside of Temporal, or to be a Nexus envelope, fails its
    workflow task at every attempt, so its session hangs. And a tenth of a worker's CPU goes into walks that do nothing.
Cause: the SDK walks through all payloads of an activation three times, and through those of its completion three times
    more, for a codec and for storage outside of Temporal. Without either it still looks for such claims, and raises.
Upstream: intended; sdk-python pull request 1341 brought it, and sdk-typescript pull request 2241 argues for failing.
Delete it when: an activation with such a payload reaches the workflow, in a release that does not walk for nothing.
Test: `tests/promises/test_hostile_messages.py`.

The functions are called as attributes of a module, which no wrapper of a worker can change. So they are replaced for
the process, and do what the SDK's do unless the worker has our converter and neither codec nor storage.
"""

from typing import Final

from temporalio.bridge import worker as bridge
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import DataConverter
from temporalio.converter._extstore import StorageOperationMetrics

from worker.payloads import JourneyPayloadConverter, transforms_payloads

_decode: Final = bridge.decode_activation
_encode: Final = bridge.encode_completion


def skip_payload_visitors() -> None:
    """Have this process's workers that use our converter skip walks through payloads; safe to repeat."""
    bridge.decode_activation = _decode_if_needed
    bridge.encode_completion = _encode_if_needed


async def _decode_if_needed(
    activation: WorkflowActivation,
    data_converter: DataConverter,
    decode_headers: bool,
    storage_concurrency_limit: int,
) -> StorageOperationMetrics:
    if _can_skip(data_converter):
        return StorageOperationMetrics()
    return await _decode(activation, data_converter, decode_headers, storage_concurrency_limit)


async def _encode_if_needed(
    completion: WorkflowActivationCompletion,
    data_converter: DataConverter,
    encode_headers: bool,
    storage_concurrency_limit: int,
) -> StorageOperationMetrics:
    if _can_skip(data_converter):
        return StorageOperationMetrics()
    return await _encode(completion, data_converter, encode_headers, storage_concurrency_limit)


def _can_skip(data_converter: DataConverter) -> bool:
    return data_converter.payload_converter_class is JourneyPayloadConverter and not transforms_payloads(data_converter)
