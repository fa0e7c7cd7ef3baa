"""Payloads reach workflow code as they came, and leave as it wrote them.

The SDK (as of 1.35) walks through all payloads of an activation three times, and through those of its completion
three times more: for a codec, and for storage apart from Temporal. Without either it looks for payloads that claim to
be stored apart or to be Nexus envelopes, and fails the workflow task over them, again and again: one such message
would hang its session. Left alone they are refused like any other message that cannot be read, and the walks, a tenth
of a worker's CPU, are saved.
"""

from typing import Final

from temporalio.bridge import worker as bridge
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import DataConverter
from temporalio.converter._extstore import StorageOperationMetrics

_decode: Final = bridge.decode_activation
_encode: Final = bridge.encode_completion


def leave_payloads_alone() -> None:
    """Have the workers of this process walk through no payloads without a reason; safe to repeat."""
    bridge.decode_activation = _decode_with_reason
    bridge.encode_completion = _encode_with_reason


async def _decode_with_reason(
    activation: WorkflowActivation,
    data_converter: DataConverter,
    decode_headers: bool,
    storage_concurrency_limit: int,
) -> StorageOperationMetrics:
    if _has_reason(data_converter):
        return await _decode(activation, data_converter, decode_headers, storage_concurrency_limit)
    return StorageOperationMetrics()


async def _encode_with_reason(
    completion: WorkflowActivationCompletion,
    data_converter: DataConverter,
    encode_headers: bool,
    storage_concurrency_limit: int,
) -> StorageOperationMetrics:
    if _has_reason(data_converter):
        return await _encode(completion, data_converter, encode_headers, storage_concurrency_limit)
    return StorageOperationMetrics()


def _has_reason(data_converter: DataConverter) -> bool:
    return data_converter.payload_codec is not None or data_converter.external_storage is not None
