"""The OpenAPI document describes every operation, with examples that fit, and every answer matches it."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from starter.http.openapi.document import openapi_document
from starter.http.openapi.operations import OPERATIONS
from starter.http.problems import STATUS
from tests.http.conftest import Api
from tests.support.http_gateways import GatewayProcess, Json

DOCUMENT = openapi_document(version="1", has_dev_tokens=False)
WITH_TOKENS = openapi_document(version="1", has_dev_tokens=True)


def resolved(schema: Json) -> Json:
    """A schema that can be used by itself."""
    return schema | {"components": WITH_TOKENS["components"]}


def examples(node: Any, where: str = "") -> Iterator[tuple[str, Json, Any]]:
    """Each schema that has an example, and the example."""
    if isinstance(node, dict):
        if "schema" in node and "example" in node:
            yield where, node["schema"], node["example"]
        for name, example in node.get("examples", {}).items():
            yield f"{where}/{name}", node["schema"], example["value"]
        for name, child in node.items():
            yield from examples(child, f"{where}/{name}")
    elif isinstance(node, list):
        for child in node:
            yield from examples(child, where)


def test_every_example_fits_its_schema() -> None:
    found = list(examples(WITH_TOKENS["paths"]))
    assert len(found) > 200
    for where, schema, example in found:
        problems = [error.message for error in jsonschema_rs.iter_errors(resolved(schema), example)]
        assert not problems, (where, problems)


def test_every_operation_has_an_example_of_what_it_takes_and_answers() -> None:
    for path, operations in WITH_TOKENS["paths"].items():
        for method, operation in operations.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                assert "example" in content, (method, path)
            for status, answer in operation["responses"].items():
                for content in answer.get("content", {}).values():
                    assert content.keys() & {"example", "examples"}, (method, path, status)


def test_every_code_is_told_somewhere_but_those_of_no_operation() -> None:
    shown = [example for _, _, example in examples(DOCUMENT["paths"])]
    told = {example["code"] for example in shown if isinstance(example, dict) and "code" in example}
    assert told == set(STATUS) - {"NOT_FOUND", "METHOD_NOT_ALLOWED", "INTERNAL_ERROR"}


async def test_the_document_is_served_with_a_page_that_loads_nothing_from_elsewhere(gateway: GatewayProcess) -> None:
    async with gateway.client(None) as anybody:
        assert (await anybody.get("/openapi.json")).json() == DOCUMENT
        page = await anybody.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "http" not in page.text.replace("http-equiv", "")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
            assert f"docs/{asset}" in page.text
            assert (await anybody.get(f"/docs/{asset}")).status_code == 200


async def test_the_document_has_every_operation_of_the_gateway_and_no_other(api: Api) -> None:
    methods = {"get", "post", "put", "patch", "delete"}
    for path, operations in DOCUMENT["paths"].items():
        address = path.format(chat_session_id=uuid4(), message_id="m")
        allowed = (await api.user.request("TRACE", address)).headers["allow"].lower().split(", ")
        if path.endswith("/latest"):  # which looks like a session's ID to other methods
            continue
        assert set(allowed) - {"head"} == set(operations) <= methods, path
    assert (await api.user.post("/v1/dev/token", json={})).status_code == 404, "only `journey dev` has it"


# --- whatever is sent

CONFORMANCE = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# A stream does not end, so its answer cannot be checked.
ANSWERED = {each.name: each for each in OPERATIONS if not each.path.endswith("/events")}


@pytest.mark.parametrize("name", ANSWERED)
async def test_every_answer_is_one_that_the_document_tells_of(api: Api, name: str) -> None:
    operation = ANSWERED[name]
    session = await api.create()
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    found = schema[operation.path][operation.method]
    headers = {"authorization": api.service.headers["authorization"]}

    @settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=found.as_strategy())
    def send(case: Case[Any]) -> None:
        case.headers.update(headers | {"X-Tenant-Id": api.tenant_id, "X-User-Id": api.user_id})
        if "chat_session_id" in case.path_parameters:
            case.path_parameters["chat_session_id"] = session
        case.call_and_validate(base_url=api.gateway.url, checks=CONFORMANCE, timeout=30)

    await asyncio.to_thread(send)
