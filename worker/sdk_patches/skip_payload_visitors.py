"""Hand payloads to workflow code as they came, and send them as workflow code wrote them.

Symptom: if a message's payload claims to be in external storage, or to be a Nexus envelope, its workflow task fails at
    every attempt, so its session is stuck. Also, a tenth of a worker's CPU goes into payload visitors that do nothing.
Cause: the SDK visits all payloads of an activation three times, and all payloads of its completion three times, for a
    codec and for external storage. Without both of them, it still looks for payloads with these claims, and raises.
Upstream: intended. sdk-python pull request 1341 added it, and sdk-typescript pull request 2241 argues for failing.
Delete it when: a release hands such a payload to the workflow, and visits nothing without a codec or external storage.
Test: `tests/promises/test_hostile_messages.py`.

The SDK calls these functions as attributes of a module, where no wrapper that a worker owns can change them. So they
are replaced for the whole process. They do what the SDK's functions do, unless the worker has our converter and neither
a codec nor external storage.
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
    """Make all workers of this process that use our converter skip the payload visitors; safe to repeat."""
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
