"""How a worker reads payloads: JSON of the contract's types, and never an exception for what is not.

A payload that cannot be read would fail the workflow task before any handler sees it, again and again. Here it
becomes `Unreadable`, which the handlers refuse like any other message that does not fit.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import ClassVar

from pydantic import BaseModel
from pydantic_core import from_json
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter, PayloadConverter

from contract.json_fidelity import Unreadable

_JSON = b"json/plain"
_NULL = b"binary/null"


class JourneyPayloadConverter(PayloadConverter):
    """Reads what others sent as plain JSON values, and the engine's own messages as their types."""

    # The SDK makes a converter anew for every activation: what it is made of is shared.
    _pydantic: ClassVar[PayloadConverter] = PydanticPayloadConverter()

    def to_payloads(self, values: Sequence[object]) -> list[Payload]:
        """Write values as JSON, as `pydantic` does; see the base class."""
        return self._pydantic.to_payloads(values)

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[object]:
        """Read payloads: where there is a type hint, as that type, else as plain JSON or `Unreadable`."""
        return [_read(payload, hint) for payload, hint in zip_longest(payloads, type_hints or [])]


def _read(payload: Payload, hint: type | None) -> object:
    encoding = payload.metadata.get("encoding", b"")
    if hint is not None and issubclass(hint, BaseModel) and encoding == _JSON:
        return hint.model_validate_json(payload.data)
    if encoding == _NULL:
        return None
    if encoding != _JSON:
        named = ascii(encoding.decode(errors="replace"))[:60]
        return Unreadable(f"its encoding is {named}; send json/plain")
    try:
        return from_json(payload.data, allow_inf_nan=False)
    except ValueError as error:
        return Unreadable(f"it is not JSON that can be kept: {error}")


class _JourneyDataConverter(DataConverter):
    """Reads what activities are sent as it came; see `worker.untouched_payloads` for workflows."""

    async def decode(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[object]:
        return self.payload_converter.from_payloads(payloads, type_hints)


journey_data_converter = _JourneyDataConverter(payload_converter_class=JourneyPayloadConverter)
"""The data converter of a worker's client."""
