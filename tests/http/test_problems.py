"""Every error: its status, its code, the field that it names, and nothing of what is behind the gateway."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import httpx2
import pytest

from tests.http.conftest import Api
from tests.support.http_gateways import (
    PATH,
    GatewayProcess,
    Json,
    gateway_process,
    service_claims,
    sign,
    user_claims,
)
from tests.support.journeys import Journeys
from tests.support.polling import eventually
from tests.support.tcp_proxy import TcpProxy

JSON = {"content-type": "application/json"}


def problem(answer: httpx2.Response, status: int, code: str, field: str = "") -> Json:
    """Check that an answer is this problem, and return its body."""
    told: Json = answer.json()
    assert (answer.status_code, told["code"], told["field"]) == (status, code, field)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (told["status"], told["type"].rpartition(":")[2]) == (status, code)
    assert told["title"]
    assert told["detail"]
    return told


@dataclass(frozen=True)
class Refused:
    """A change of the context that is refused whatever the session holds."""

    body: bytes
    field: str = ""
    headers: dict[str, str] | None = None


BODIES: dict[str, Refused] = {
    "no JSON": Refused(b"{"),
    "empty": Refused(b""),
    "no object": Refused(b"[]"),
    "text": Refused(b'"x"'),
    "null": Refused(b"null"),
    "unknown field": Refused(b'{"contxt": {}}'),
    "the tenant": Refused(b'{"tenant_id": "t"}'),
    "the user": Refused(b'{"user_id": "u"}'),
    "what the answer is to be": Refused(b'{"returning": "receipt"}'),
    "a name twice": Refused(b'{"context": {"a": 1, "a": 2}}'),
    "a number that is none": Refused(b'{"context": {"a": NaN}}'),
    "a number that is too large": Refused(b'{"context": {"a": 9007199254740992}}', "context"),
    "no text": Refused(b'{"context": {"a": "\xff"}}'),
    "a NUL": Refused(b'{"context": {"a": "\\u0000"}}', "context"),
    "a lone surrogate": Refused(b'{"context": {"a": "\\ud800"}}', "context"),
    "nested too deeply": Refused(b'{"context": {"a": ' + b"[" * 40 + b"]" * 40 + b"}}", "context"),
    "nested beyond parsing": Refused(b'{"context": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001),
    "an agent that is none": Refused(b'{"active_agent": "liaison"}', "active_agent"),
    "replacing without a base": Refused(b'{"merge_strategy": "replace", "context": {}}', "base_revision"),
    "an author": Refused(b'{"author": "guide"}', "author"),
    "the engine's key": Refused(b'{"idempotency_key": "journey/x"}', "idempotency_key"),
    "the engine's key as a header": Refused(b"{}", "idempotency_key", {"idempotency-key": "agent-turn/x"}),
    "a key that is too long": Refused(b"{}", "idempotency_key", {"idempotency-key": "k" * 129}),
    "two keys": Refused(b'{"idempotency_key": "a"}', "idempotency_key", {"idempotency-key": "b"}),
    "two bases": Refused(b'{"base_revision": 1}', "base_revision", {"if-match": '"0"'}),
    "a tag without its quotes": Refused(b"{}", "base_revision", {"if-match": "0"}),
    "several tags": Refused(b"{}", "base_revision", {"if-match": '"0", "1"'}),
}


@pytest.mark.parametrize("name", BODIES)
async def test_what_does_not_fit_is_refused_whether_or_not_there_is_a_session(api: Api, name: str) -> None:
    refused = BODIES[name]
    session = await api.create()
    told = []
    for each in (session, str(uuid4())):
        answer = await api.user.patch(
            f"{PATH}/{each}/context", content=refused.body, headers=JSON | (refused.headers or {})
        )
        # Only the engine notices this, after it has looked for the session.
        if name == "nested too deeply" and each != session:
            assert answer.status_code == 404
            continue
        told.append(problem(answer, 400, "INVALID_PARAMETER", refused.field))
    assert all(each == told[0] for each in told)
    assert (await api.user.get(f"{PATH}/{session}")).json()["revision"] == 0


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("?limit=0", "limit"),
        ("?limit=x", "limit"),
        ("?limit=101", "limit"),
        ("?limit=1&limit=2", "limit"),
        ("?lifecycle_state=DELETED", "lifecycle_state"),
        ("?after=x", "after"),
        ("?unknown=1", ""),
        ("/{session}?at_revision=99999999999999999999", "at_revision"),
        ("/{session}/messages?limit=201", "limit"),
        ("/{session}/messages?before=x", "before"),
        ("/{session}/messages?before=x&after=y", "after"),
        ("/{session}/history?after_revision=-1", "after_revision"),
        ("/{session}/history?limit=1001", "limit"),
        ("/{session}/events?limit=1", ""),
        ("/latest?limit=1", ""),
    ],
)
async def test_parameters_that_do_not_fit_are_refused(api: Api, path: str, field: str) -> None:
    session = await api.create()
    accept = {"accept": "text/event-stream" if "events" in path else "application/json"}
    problem(await api.user.get(PATH + path.format(session=session), headers=accept), 400, "INVALID_PARAMETER", field)


@pytest.mark.parametrize("session", ["x", "00000000-0000-0000-0000-000000000000", "{0}", "%00", "A" * 36])
async def test_an_id_that_no_session_has_is_not_found(api: Api, session: str) -> None:
    for answer in (
        await api.user.get(f"{PATH}/{session}"),
        await api.user.get(f"{PATH}/{session}/messages"),
        await api.user.get(f"{PATH}/{session}/events"),
        await api.user.patch(f"{PATH}/{session}/context", json={}),
        await api.user.delete(f"{PATH}/{session}"),
    ):
        problem(answer, 404, "SESSION_NOT_FOUND")


async def test_an_archived_session_takes_no_changes(api: Api) -> None:
    session = await api.create()
    await api.user.patch(f"{PATH}/{session}", json={"lifecycle_state": "ARCHIVED"})
    refused = await api.user.post(f"{PATH}/{session}/messages", json={"messages": [{}]})
    problem(refused, 409, "SESSION_NOT_ACTIVE")


async def test_a_revision_that_is_not_current_is_a_conflict_or_a_failed_precondition(api: Api) -> None:
    session = await api.create()
    await api.change(session, context={"a": 1})
    address = f"{PATH}/{session}"
    in_body = await api.user.patch(f"{address}/context", json={"context": {}, "base_revision": 0})
    problem(in_body, 409, "REVISION_CONFLICT", "base_revision")
    stale = {"if-match": '"0"'}
    for answer in (
        await api.user.patch(f"{address}/context", json={"context": {}}, headers=stale),
        await api.user.patch(f"{address}/context", json={"context": {}, "base_revision": 0}, headers=stale),
        await api.user.patch(address, json={"title": "t"}, headers=stale),
        await api.user.post(f"{address}/messages", json={"messages": [{}]}, headers=stale),
        await api.user.delete(f"{address}/messages/m", headers=stale),
        await api.user.delete(address, headers=stale),
        await api.user.patch(address, json={"title": "t"}, headers={"if-match": '"x"'}),
        await api.user.patch(address, json={"title": "t"}, headers={"if-match": 'W/"1"'}),
        await api.user.patch(address, json={"title": "t"}, headers={"if-match": '"9999999999999999"'}),
    ):
        problem(answer, 412, "REVISION_CONFLICT", "base_revision")
    assert (await api.user.patch(address, json={"title": "t"}, headers={"if-match": "*"})).status_code == 200
    assert (await api.user.delete(address, headers={"if-match": '"2"'})).status_code == 204


async def test_a_key_or_a_revision_that_comes_twice_is_refused(api: Api) -> None:
    session = await api.create()
    for header, values, field in (
        ("idempotency-key", ("a", "b"), "idempotency_key"),
        ("if-match", ('"0"', '"1"'), "base_revision"),
    ):
        twice = [(header, value) for value in values]
        refused = await api.user.patch(f"{PATH}/{session}/context", json={}, headers=twice)
        problem(refused, 400, "INVALID_PARAMETER", field)
    refused = await api.user.post(PATH, json={}, headers=[("idempotency-key", "a"), ("idempotency-key", "b")])
    problem(refused, 400, "INVALID_PARAMETER", "session_name")
    assert (await api.user.get(f"{PATH}/{session}")).json()["revision"] == 0


async def test_a_key_of_another_change_is_refused(api: Api) -> None:
    session = await api.create()
    key = {"idempotency-key": "k"}
    await api.user.patch(f"{PATH}/{session}/context", json={"context": {"a": 1}}, headers=key)
    refused = await api.user.patch(f"{PATH}/{session}/context", json={"context": {"a": 2}}, headers=key)
    problem(refused, 422, "IDEMPOTENCY_CONFLICT", "idempotency_key")


async def test_a_change_that_is_too_large_is_refused_as_it_comes_in(api: Api) -> None:
    session = await api.create()
    for size, code in ((140_000, "CONTEXT_TOO_LARGE"), (600_000, "TOO_LARGE")):
        body = json.dumps({"context": {"a": "x" * size}}).encode()
        refused = await api.user.patch(f"{PATH}/{session}/context", content=body, headers=JSON)
        problem(refused, 413, code, "context" if code == "CONTEXT_TOO_LARGE" else "")


async def test_a_context_that_would_be_too_large_is_refused(api: Api) -> None:
    session = await api.create(context={"a": "x" * 120_000})
    await api.change(session, context={"b": "x" * 120_000})
    refused = await api.user.patch(f"{PATH}/{session}/context", json={"context": {"c": "x" * 50_000}})
    problem(refused, 413, "CONTEXT_TOO_LARGE", "context")


async def test_what_never_reaches_an_operation_is_a_problem_as_well(api: Api) -> None:
    session = await api.create()
    problem(await api.user.get("/v2"), 404, "NOT_FOUND")
    problem(await api.user.get(f"{PATH}/{session}/nothing"), 404, "NOT_FOUND")
    wrong_method = await api.user.put(f"{PATH}/{session}")
    problem(wrong_method, 405, "METHOD_NOT_ALLOWED")
    assert wrong_method.headers["allow"] == "DELETE, GET, HEAD, PATCH"
    for accept in ("text/html", "application/json;q=0", "text/event-stream", "application/*;q=0, */*"):
        problem(await api.user.get(PATH, headers={"accept": accept}), 406, "NOT_ACCEPTABLE")
    for accept in ("application/*", "text/html, */*;q=0.1", "*/*;q=0, application/json"):
        assert (await api.user.get(PATH, headers={"accept": accept})).status_code == 200
    problem(
        await api.user.get(f"{PATH}/{session}/events", headers={"accept": "application/json"}), 406, "NOT_ACCEPTABLE"
    )
    for media_type in ("text/plain", "application/xml", ""):
        refused = await api.user.patch(f"{PATH}/{session}/context", content=b"{}", headers={"content-type": media_type})
        problem(refused, 415, "UNSUPPORTED_MEDIA_TYPE")
    encoded = await api.user.post(PATH, content=b"{}", headers=JSON | {"content-encoding": "gzip"})
    problem(encoded, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_patch_that_is_no_object_is_refused(api: Api) -> None:
    session = await api.create()
    patch = {"content-type": "application/merge-patch+json"}
    for body in (b"[]", b"null", b"1", b'"x"'):
        refused = await api.user.patch(f"{PATH}/{session}/context", content=body, headers=patch)
        problem(refused, 400, "INVALID_PARAMETER", "context")


@asynccontextmanager
async def where_nobody_works(world: Journeys, **settings: str) -> AsyncIterator[GatewayProcess]:
    """A gateway to a task queue that nobody polls."""
    async with gateway_process(world, {"JOURNEY_TASK_QUEUE": "nobody polls this"} | settings) as gateway:
        yield gateway


async def test_an_engine_that_does_not_answer_is_told_and_nothing_of_where_it_is(api: Api, world: Journeys) -> None:
    async with (
        where_nobody_works(world, JOURNEY_DEADLINE_SECONDS="1") as gateway,
        gateway.client(sign(user_claims(world.tenant_id, api.user_id))) as user,
    ):

        def reasons() -> list[str]:
            return [each["reason"] for each in gateway.logged if "reason" in each]

        async def ask() -> str:
            """Ask in vain; returns the reason in the log, which the gateway looks for no longer than a second."""
            known = len(reasons())
            late = await user.post(PATH, json={"session_name": "late"})
            told = problem(late, 503, "ENGINE_UNAVAILABLE")
            assert told["outcome"] in ("accepted", "not accepted", "unknown")
            assert int(late.headers["retry-after"]) > 0
            assert "nobody" not in late.text
            return (await eventually(reasons, lambda found: len(found) > known))[-1]

        await eventually(ask, lambda reason: "nobody polls" in reason)


async def test_the_eleventh_change_at_once_is_turned_away(api: Api, world: Journeys) -> None:
    queue = f"later-{uuid4().hex}"
    async with (
        where_nobody_works(world, JOURNEY_TASK_QUEUE=queue, JOURNEY_DEADLINE_SECONDS="60") as gateway,
        gateway.client(sign(user_claims(world.tenant_id, api.user_id))) as user,
        gateway.client(sign(service_claims()), **{"x-tenant-id": world.tenant_id}) as service,
    ):
        session, other = await api.create(), await api.create()
        await world.handle(session).terminate()  # so that the changes wait for a worker on this queue

        async def change(client: httpx2.AsyncClient, each: str) -> httpx2.Response:
            return await client.patch(f"{PATH}/{each}/context", json={"context": {}})

        answers = [asyncio.create_task(change(user, session)) for _ in range(11)]
        done, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        (turned_away,) = done
        told = problem(turned_away.result(), 429, "TOO_MANY_REQUESTS")
        assert told["outcome"] == "not accepted"
        assert int(turned_away.result().headers["retry-after"]) > 0
        assert (await change(service, session)).status_code == 429, "the limit is of each session, not of each caller"
        assert (await api.user.patch(f"{PATH}/{other}", json={"title": "t"})).status_code == 200
        async with world.worker(task_queue=queue):
            assert {(await each).status_code for each in answers if each not in done} == {200}


async def test_a_store_that_does_not_answer_is_told_and_nothing_of_where_it_is(api: Api, world: Journeys) -> None:
    async with (
        TcpProxy.before(world.addresses.supabase_db_url) as store,
        gateway_process(world, {"SUPABASE_DB_URL": store.url}) as gateway,
        gateway.client(sign(user_claims(world.tenant_id, api.user_id))) as user,
    ):
        session = await api.create()
        assert (await user.get(f"{PATH}/{session}")).status_code == 200
        assert (await user.get("/readyz")).status_code == 200
        await store.refuse()
        for answer in (
            await user.get(f"{PATH}/{session}"),
            await user.get(f"{PATH}/{session}/events"),
            await user.patch(f"{PATH}/{session}", json={"title": "t"}),
        ):
            told = problem(answer, 503, "DATABASE_UNAVAILABLE")
            assert told["outcome"] == "not accepted"
            assert "Error" not in answer.text
        not_ready = await eventually(lambda: user.get("/readyz"), lambda answer: answer.status_code != 200)
        problem(not_ready, 503, "DATABASE_UNAVAILABLE")
        assert (await user.get("/healthz")).status_code == 200
        await store.mend()
        assert (await user.patch(f"{PATH}/{session}", json={"title": "t"})).status_code == 200
