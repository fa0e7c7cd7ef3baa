"""The chat page."""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from starter.http.answers import READ, json_response
from starter.http.gateway import Gateway
from starter.http.page.config import page_config
from starter.http.page.files import PageFile, page_files
from starter.http.page.policy import content_security_policy

_INDEX: Final = "index.html"


def page_routes(gateway: Gateway) -> APIRouter:
    """The page, its files, and its configuration."""
    router = APIRouter()
    settings = gateway.settings
    config = page_config(settings, namespace=gateway.client.namespace, has_dev_tokens=gateway.dev_tokens is not None)
    policy = content_security_policy(
        supabase_url=settings.supabase_url if config.sign_in == "password" else None,
        platform_origins=settings.page_origins,
    )

    @router.api_route("/page/config.json", methods=READ)
    async def get_config(request: Request) -> Response:
        del request
        return json_response(config)

    for file in page_files():
        path = "/" if file.name == _INDEX else f"/page/{file.name}"
        router.add_api_route(path, _serve(file, policy), methods=READ)
    return router


def _serve(file: PageFile, policy: str) -> Callable[[Request], Awaitable[Response]]:
    headers = {
        "cache-control": "no-cache",
        "content-security-policy": policy,
        "etag": file.etag,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }

    async def get_file(request: Request) -> Response:
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=file.media_type, headers=headers)

    return get_file
