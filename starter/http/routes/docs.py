"""The OpenAPI document, and a page that shows it."""

import json
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from starter.http.answers import READ
from starter.http.bodies import JSON
from starter.http.openapi.document import openapi_document

PAGE: Final = "/docs"
"""The path of the page."""

# The version of the interface, as in its paths.
_VERSION: Final = "1"

_ASSETS: Final = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
# People put tokens into the page, so nothing else may run there, and it may call only this gateway.
_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs_routes(*, has_dev_tokens: bool) -> APIRouter:
    """The document and its page."""
    router = APIRouter()
    document = json.dumps(openapi_document(version=_VERSION, has_dev_tokens=has_dev_tokens)).encode()
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Coexistence Journeys",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="data:,",
    )
    page.headers["content-security-policy"] = _POLICY

    @router.api_route("/openapi.json", methods=READ)
    async def get_document(request: Request) -> Response:
        del request
        return Response(document, media_type=JSON)

    @router.api_route(PAGE, methods=READ)
    async def get_page(request: Request) -> Response:
        del request
        return page

    for name, media_type in _ASSETS.items():
        router.add_api_route(f"{PAGE}/{name}", _serve(_folder() / name, media_type), methods=READ)
    return router


def _folder() -> Path:
    """The files of Swagger UI. The package that brings them is not imported: it is a framework of its own."""
    package = find_spec("swagger_ui")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "static"


def _serve(file: Path, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def get_asset(request: Request) -> Response:
        del request
        return FileResponse(file, media_type=media_type, headers={"cache-control": "public, max-age=3600"})

    return get_asset
