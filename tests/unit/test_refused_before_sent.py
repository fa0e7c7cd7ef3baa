"""The client refuses by itself what the engine would refuse for its size, and says when nothing was sent."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode, ServiceClient, ServiceResponse

from journeys import ChatSessions, ContextTooLarge, EngineUnavailable, InvalidParameter
from journeys.chat_session.limits import KIB, MIB, Limits
from journeys.chat_session.rules import check_payload_size
from journeys.client.connection import connect
from workflows.chat_session import ChatSessionJourney

IDENTITY = str(uuid4())
NOWHERE = "127.0.0.1:1"


class Loaded:
    """A journey that has loaded its limits."""

    _limits = Limits()


class Unanswering(ServiceClient):
    """A server that answers nothing; `sent` names the calls that have reached it."""

    def __init__(self, service_client: ServiceClient) -> None:
        super().__init__(service_client.config)
        self.sent: list[str] = []

    @property
    def worker_service_client(self) -> Any:
        raise NotImplementedError

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        raise NotImplementedError

    def update_api_key(self, api_key: str | None) -> None:
        raise NotImplementedError

    async def _rpc_call(
        self, rpc: str, req: Message, resp_type: type[ServiceResponse], **options: Any
    ) -> ServiceResponse:
        del req, resp_type, options
        self.sent.append(rpc)
        raise RPCError("no", RPCStatusCode.PERMISSION_DENIED, b"")


async def connect_to_nobody(converter: DataConverter = DataConverter.default) -> tuple[Client, Unanswering]:
    config = (await Client.connect(NOWHERE, lazy=True, data_converter=converter)).config()
    server = config["service_client"] = Unanswering(config["service_client"])
    return Client(**config), server


Call = Callable[[ChatSessions, str], Coroutine[Any, Any, object]]

CALLS: dict[str, Call] = {
    "initialize": lambda sessions, text: sessions.initialize(tenant_id="t", user_id="u", context={"a": text}),
    "update": lambda sessions, text: sessions.update_context(IDENTITY, tenant_id="t", context={"a": text}),
    "message": lambda sessions, text: sessions.update_context(IDENTITY, tenant_id="t", messages=[{"text": text}]),
    "signal": lambda sessions, text: sessions.signal_context(IDENTITY, tenant_id="t", append={"a": [text]}),
    "messages": lambda sessions, text: sessions.messages(IDENTITY, tenant_id="t", after=text),
    "list": lambda sessions, text: sessions.list(tenant_id="t", after=text),
}


@pytest.mark.parametrize("size", [129 * KIB, 2 * MIB])
@pytest.mark.parametrize("call", CALLS)
async def test_a_request_over_its_limit_is_refused_at_once_and_not_sent(call: str, size: int) -> None:
    client, server = await connect_to_nobody()
    with pytest.raises(ContextTooLarge) as refused:
        await CALLS[call](ChatSessions(client, deadline=timedelta(seconds=30)), "x" * size)
    assert server.sent == []
    assert refused.value.field == "context"
    assert str(128 * KIB) in refused.value.message
    with pytest.raises(EngineUnavailable):  # the same call with less in it
        await CALLS[call](ChatSessions(client), "x")
    assert server.sent


@pytest.mark.parametrize("converter", [DataConverter.default, pydantic_data_converter], ids=["default", "pydantic"])
async def test_the_client_refuses_exactly_what_the_engine_would(converter: DataConverter) -> None:
    """Escapes count as they are sent, which depends on the converter."""
    client, server = await connect_to_nobody(converter)
    sessions = ChatSessions(client)
    for fill in ("x", "\u00e9", '"'):
        escaped = len(converter.payload_converter.to_payload(fill).data) - 2
        frame = len(converter.payload_converter.to_payload({"tenant_id": "t", "context": {"a": ""}}).data)
        fitting, rest = divmod(128 * KIB - frame, escaped)
        text = fill * fitting + "x" * rest
        with pytest.raises(EngineUnavailable):
            await CALLS["update"](sessions, text)
        assert server.sent
        server.sent.clear()
        with pytest.raises(ContextTooLarge) as refused:
            await CALLS["update"](sessions, text + "x")
        assert server.sent == []
        payload = converter.payload_converter.to_payload({"tenant_id": "t", "context": {"a": text + "x"}})
        with pytest.raises(ContextTooLarge) as engine:
            ChatSessionJourney._check(cast("ChatSessionJourney", Loaded()), [RawValue(payload)])
        assert (refused.value.message, refused.value.field) == (engine.value.message, engine.value.field)


def test_what_travels_beside_the_data_counts_as_well() -> None:
    check_payload_size(Payload(data=b"{}"), Limits(change_bytes=100))
    with pytest.raises(ContextTooLarge):
        check_payload_size(Payload(metadata={"m": b"x" * 2 * KIB}, data=b"{}"), Limits(change_bytes=100))


async def test_the_clients_limit_is_the_deployments_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    client, server = await connect_to_nobody()
    monkeypatch.setenv("JOURNEY_MAX_CHANGE_BYTES", "1000")
    with pytest.raises(ContextTooLarge, match="1000 are allowed"):
        await CALLS["update"](ChatSessions(client), "x" * 1000)
    assert server.sent == []
    monkeypatch.setenv("JOURNEY_MAX_CHANGE_BYTES", str(256 * KIB + 1))
    with pytest.raises(InvalidParameter, match="JOURNEY_MAX_CHANGE_BYTES"):
        ChatSessions(client)


async def test_who_cannot_connect_has_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", NOWHERE)
    with pytest.raises(EngineUnavailable) as refused:
        await connect()
    assert refused.value.outcome == "not accepted"
    # Long enough to be refused on a busy machine too: a call that its own deadline cuts off cannot know.
    sessions = ChatSessions(await Client.connect(NOWHERE, lazy=True), deadline=timedelta(seconds=1))

    async def outcome(call: Call) -> str:
        with pytest.raises(EngineUnavailable, match="nothing was accepted") as refused:
            await call(sessions, "x")
        return refused.value.outcome

    assert set(await asyncio.gather(*map(outcome, CALLS.values()))) == {"not accepted"}
