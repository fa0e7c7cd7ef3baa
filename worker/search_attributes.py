"""Register and check the search attributes that journeys set, which must exist before the first journey starts."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeVar

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from journeys.client.deadline import Deadline, DeadlinePassed
from journeys.errors import EngineUnavailable
from journeys.search_attributes import SEARCH_ATTRIBUTES

Answer = TypeVar("Answer")

_DEADLINE: Final = timedelta(seconds=10)


class SearchAttributesMissing(EngineUnavailable):
    """The namespace lacks search attributes. A journey that sets one of them would be stuck."""


async def missing_search_attributes(client: Client) -> tuple[str, ...]:
    """The names of the search attributes that the client's namespace lacks."""
    request = ListSearchAttributesRequest(namespace=client.namespace)
    answer = await _call(lambda: client.operator_service.list_search_attributes(request))
    return tuple(
        name
        for name in SEARCH_ATTRIBUTES
        if answer.custom_attributes.get(name) != IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    )


async def register_search_attributes(client: Client) -> tuple[str, ...]:
    """Register the missing search attributes, as Keyword; returns their names."""
    missing = await missing_search_attributes(client)
    request = AddSearchAttributesRequest(
        namespace=client.namespace,
        search_attributes=dict.fromkeys(missing, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    )

    async def register() -> None:
        try:
            await client.operator_service.add_search_attributes(request)
        except RPCError as error:
            if error.status is not RPCStatusCode.ALREADY_EXISTS:
                raise

    if missing:
        await _call(register)
    return missing


async def require_search_attributes(client: Client) -> None:
    """Check that the client's namespace has all search attributes.

    Raises:
        SearchAttributesMissing: It lacks some. The message names them and says what to do.
    """
    missing = await missing_search_attributes(client)
    if missing:
        raise SearchAttributesMissing(
            f"namespace {client.namespace!r} lacks the Keyword search attributes {', '.join(missing)}; "
            "register them with `journey migrate`"
        )


async def _call(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Call Temporal, and again after a transient error, also if Temporal has closed the connection under the call."""
    try:
        return await Deadline(_DEADLINE).keep_trying(lambda _: call())
    except DeadlinePassed:
        raise EngineUnavailable("Temporal has not answered in time") from None
