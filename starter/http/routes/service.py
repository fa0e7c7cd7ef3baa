"""The operations on the gateway itself: health, readiness, and tokens for development."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from journeys.messages import Record, parse
from starter.http.answers import READ, json_response, require_acceptable
from starter.http.bodies import read_fields
from starter.http.dev_tokens import DevTokenRequest, DevTokens, require_loopback
from starter.http.gateway import Gateway


class Health(Record):
    """How the gateway is."""

    status: str = "ok"


def service_routes(gateway: Gateway) -> APIRouter:
    """The operations on the gateway itself."""
    router = APIRouter()

    @router.api_route("/healthz", methods=READ)
    async def healthz(request: Request) -> Response:
        del request
        return json_response(Health())

    @router.api_route("/readyz", methods=READ)
    async def readyz(request: Request) -> Response:
        del request
        await gateway.readiness.check()
        return json_response(Health())

    if gateway.dev_tokens:
        _add_dev_routes(router, gateway.dev_tokens, gateway.settings.max_change_bytes)
    return router


def _add_dev_routes(router: APIRouter, tokens: DevTokens, limit: int) -> None:
    @router.post("/v1/dev/token")
    async def issue_token(request: Request) -> Response:
        require_loopback(request)
        require_acceptable(request)
        fields = await read_fields(request, tuple(DevTokenRequest.model_fields), limit=limit)
        return json_response(tokens.issue(parse(DevTokenRequest, fields)))
