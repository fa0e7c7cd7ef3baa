"""The gateway as an ASGI application."""

import logging
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from journeys.errors import JourneyError
from starter.http.access_log import AccessLog
from starter.http.answers import READ
from starter.http.callers import TENANT_HEADER, USER_HEADER
from starter.http.gateway import Gateway
from starter.http.problems import Problem, as_problem, problem_details, problem_response
from starter.http.routes.context import context_routes
from starter.http.routes.docs import docs_routes
from starter.http.routes.events import event_routes
from starter.http.routes.messages import message_routes
from starter.http.routes.page import page_routes
from starter.http.routes.service import service_routes
from starter.http.routes.sessions import session_routes
from starter.http.routes.turns import turn_routes

_ROUTES: Final = (
    *(session_routes, context_routes, turn_routes, message_routes, event_routes),
    *(service_routes, page_routes),
)

_REQUEST_HEADERS: Final = (
    *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "Prefer"),
    *(TENANT_HEADER, USER_HEADER),
)
_RESPONSE_HEADERS: Final = (
    *("Content-Location", "ETag", "Location", "Preference-Applied", "Retry-After", "WWW-Authenticate"),
)
_PREFLIGHT_SECONDS: Final = 600


def create_app(gateway: Gateway) -> FastAPI:
    """Make the application."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    routers = [routes(gateway) for routes in _ROUTES]
    routers.append(docs_routes(has_dev_tokens=gateway.dev_tokens is not None))
    # One list of routes: `include_router` would make every request look through one router in another.
    app.router.routes += [route for router in routers for route in router.routes]
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(JourneyError, _answer_contract_error)
    app.add_exception_handler(HTTPException, _answer_no_route)
    app.add_exception_handler(Exception, _answer_defect)
    if gateway.settings.http_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=gateway.settings.http_origins,
            allow_methods=[*READ, "POST", "PATCH", "DELETE"],
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_RESPONSE_HEADERS,
            max_age=_PREFLIGHT_SECONDS,
        )
    app.add_middleware(AccessLog)
    return app


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    request.scope["problem"] = error.details.code
    return problem_response(error.details, error.headers)


async def _answer_contract_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, JourneyError)
    problem = as_problem(error)
    if problem.details.status >= 500:
        # The answer does not name the host or the cause.
        logging.getLogger(__name__).warning("unavailable", extra={"code": error.code, "reason": error.message})
    return await _answer_problem(request, problem)


async def _answer_no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return await _answer_problem(request, Problem("NOT_FOUND", "there is no such resource"))
    # Starlette names the methods of the first route of this path only.
    app: FastAPI = request.app
    methods = {
        method
        for route in app.routes
        if isinstance(route, APIRoute) and route.path_regex.match(request.scope["path"])
        for method in route.methods or ()
    }
    problem = Problem(
        "METHOD_NOT_ALLOWED", "the resource does not have this method", headers={"allow": ", ".join(sorted(methods))}
    )
    return await _answer_problem(request, problem)


async def _answer_defect(request: Request, error: Exception) -> Response:
    logging.getLogger(__name__).error("a request failed", exc_info=error)
    request.scope["problem"] = "INTERNAL_ERROR"
    return problem_response(problem_details("INTERNAL_ERROR", "the gateway has failed; this is logged"))
