"""How a worker reads payloads: as the type that a parameter declares, or not at all if it declares none.

A payload that does not fit a declared type fails the workflow task before a handler sees it, at every attempt, and to
parse a large one takes long. A handler of untrusted messages therefore declares no type (`*arguments: object`), and
gets each argument as a `RawValue`, which `journeys.messages` reads.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import ClassVar

from pydantic import BaseModel
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter, PayloadConverter

from journeys.messages import JSON_ENCODING


class JourneyPayloadConverter(PayloadConverter):
    """Reads typed parameters as pydantic does, and hands untyped parameters on as `RawValue`."""

    # The SDK creates a converter for every activation, so all converters share this part.
    _pydantic: ClassVar[PayloadConverter] = PydanticPayloadConverter()

    def to_payloads(self, values: Sequence[object]) -> list[Payload]:
        """Write values as JSON, as pydantic does; see the base class."""
        return self._pydantic.to_payloads(values)

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[object]:
        """Read payloads.

        Raises:
            Exception: A payload does not fit the type that its parameter declares. The exception depends on this type.
        """
        return [self._read(payload, hint) for payload, hint in zip_longest(payloads, type_hints or [])]

    def _read(self, payload: Payload, hint: type | None) -> object:
        if hint is None or hint is object:
            return RawValue(payload)
        # The model reads the JSON itself: pydantic's converter would create a type adapter for every message.
        if isinstance(hint, type) and issubclass(hint, BaseModel) and payload.metadata.get("encoding") == JSON_ENCODING:
            return hint.model_validate_json(payload.data)
        (value,) = self._pydantic.from_payloads([payload], [hint])
        return value


class JourneyDataConverter(DataConverter):
    """Hands payloads to activities as they came, unless a codec or external storage is configured.

    `worker.sdk_patches.skip_payload_visitors` does the same for workflows.
    """

    async def decode(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[object]:
        """Read payloads; see `JourneyPayloadConverter.from_payloads`."""
        if transforms_payloads(self):
            return await super().decode(payloads, type_hints)
        return self.payload_converter.from_payloads(payloads, type_hints)


def transforms_payloads(data_converter: DataConverter) -> bool:
    """Whether a data converter has a codec or external storage."""
    return data_converter.payload_codec is not None or data_converter.external_storage is not None


def journey_data_converter(existing: DataConverter | None = None) -> DataConverter:
    """The data converter of a worker's client.

    Args:
        existing: A data converter whose codec, external storage and failure converter are kept.
    """
    converter = JourneyDataConverter(payload_converter_class=JourneyPayloadConverter)
    if existing is None:
        return converter
    return replace(
        converter,
        payload_codec=existing.payload_codec,
        external_storage=existing.external_storage,
        failure_converter_class=existing.failure_converter_class,
    )
