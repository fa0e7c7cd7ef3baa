"""A Temporal client whose calls are tried once, so that `deadline` alone decides on retries.

The SDK's core retries a refused call by itself, for up to ten seconds. If ten updates of a session are under way, the
server refuses the next one at once. The core would then wait for seconds, although a read can answer the caller.
"""

from collections.abc import Mapping
from datetime import timedelta

import temporalio.service
from google.protobuf.message import Message
from temporalio.client import Client
from temporalio.service import ServiceClient, ServiceResponse


def with_single_attempts(client: Client) -> Client:
    """The same client, connection included, without the SDK's own retries."""
    config = client.config()
    config["service_client"] = _SingleAttempts(client.service_client)
    return Client(**config)


class _SingleAttempts(ServiceClient):
    """Hands each call on to another service client, to be tried once."""

    def __init__(self, service_client: ServiceClient) -> None:
        super().__init__(service_client.config)
        self._service_client = service_client

    @property
    def worker_service_client(self) -> temporalio.service._BridgeServiceClient:
        return self._service_client.worker_service_client

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        self._service_client.update_rpc_metadata(metadata)

    def update_api_key(self, api_key: str | None) -> None:
        self._service_client.update_api_key(api_key)

    async def _rpc_call(
        self,
        rpc: str,
        req: Message,
        resp_type: type[ServiceResponse],
        *,
        service: str,
        retry: bool,
        metadata: Mapping[str, str | bytes],
        timeout: timedelta | None,
    ) -> ServiceResponse:
        del retry
        return await self._service_client._rpc_call(
            rpc, req, resp_type, service=service, retry=False, metadata=metadata, timeout=timeout
        )
