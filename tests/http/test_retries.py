"""Every operation may be sent again after a lost answer: under its key it is applied once."""

from collections.abc import Awaitable, Callable

import httpx2
import pytest

from tests.http.conftest import Api
from tests.support.http_gateways import PATH

Send = Callable[[Api, str], Awaitable[httpx2.Response]]

KEY = {"idempotency-key": "k"}
MERGE = {"content-type": "application/merge-patch+json"}

CHANGES: dict[str, Send] = {
    "session": lambda api, session: api.user.patch(f"{PATH}/{session}", json={"title": "t"}, headers=KEY),
    "context": lambda api, session: api.user.patch(
        f"{PATH}/{session}/context", json={"append": {"list": [1]}}, headers=KEY
    ),
    "merge patch": lambda api, session: api.user.patch(
        f"{PATH}/{session}/context", content=b'{"a": 1}', headers=KEY | MERGE
    ),
    "key in the body": lambda api, session: api.user.patch(
        f"{PATH}/{session}/context", json={"append": {"list": [1]}, "idempotency_key": "k"}
    ),
    "key in both": lambda api, session: api.user.patch(
        f"{PATH}/{session}/context", json={"append": {"list": [1]}, "idempotency_key": "k"}, headers=KEY
    ),
    "against a revision": lambda api, session: api.user.patch(
        f"{PATH}/{session}/context", json={"append": {"list": [1]}}, headers={"if-match": '"0"'}
    ),
    "messages": lambda api, session: api.user.post(
        f"{PATH}/{session}/messages", json={"messages": [{"text": "hello"}]}, headers=KEY
    ),
    "by a service": lambda api, session: api.service.patch(
        f"{PATH}/{session}/context", json={"append": {"list": [1]}, "author": "guide"}, headers=KEY
    ),
    "under an agent's key": lambda api, session: api.service.post(
        f"{PATH}/{session}/messages",
        json={"messages": [{"text": "answer"}], "author": "guide"},
        headers={"idempotency-key": f"agent-turn/{session}/1"},
    ),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_is_applied_once_however_often_it_is_sent(api: Api, name: str) -> None:
    session = await api.create()
    first = await CHANGES[name](api, session)
    await api.change(session, context={"later": 1})
    again = await CHANGES[name](api, session)
    assert first.status_code == (201 if "messages" in str(first.url) else 200)
    assert again.status_code == 200
    assert (first.json()["duplicate"], again.json()["duplicate"]) == (False, True)
    assert again.json()["applied_revision"] == first.json()["applied_revision"] == 1
    assert again.json().get("message_ids") == first.json().get("message_ids")
    assert again.json()["revision"] == 2
    assert again.headers["etag"] == '"2"'


async def test_a_removal_is_applied_once(api: Api) -> None:
    session = await api.create()
    await api.user.post(f"{PATH}/{session}/messages", json={"messages": [{"id": "m"}]})
    for _ in range(2):
        assert (await api.user.delete(f"{PATH}/{session}/messages/m", headers=KEY)).status_code == 204
    assert (await api.user.get(f"{PATH}/{session}")).json()["revision"] == 2


async def test_a_change_that_is_sent_without_waiting_is_applied_once(api: Api) -> None:
    session = await api.create()
    for _ in range(3):
        sent = await api.user.patch(
            f"{PATH}/{session}/context", json={"append": {"l": [1]}}, headers=KEY | {"prefer": "respond-async"}
        )
        assert sent.status_code == 202
    assert (await api.change(session, context={"last": 1}))["context"] == {"l": [1], "last": 1}


async def test_an_initialization_is_one_session_and_a_deletion_stays_one(api: Api) -> None:
    created = [await api.user.post(PATH, json={}, headers=KEY) for _ in range(2)]
    assert [each.status_code for each in created] == [201, 200]
    session = created[0].json()["chat_session_id"]
    assert created[1].json()["chat_session_id"] == session
    assert [(await api.service.delete(f"{PATH}/{session}")).status_code for _ in range(2)] == [204, 204]
    again = await api.user.post(PATH, json={}, headers=KEY)
    assert (again.status_code, again.json()["code"]) == (409, "SESSION_NOT_ACTIVE")


async def test_without_a_key_every_request_is_a_change_of_its_own(api: Api) -> None:
    session = await api.create()
    for revision in (1, 2):
        assert (await api.change(session, context={"a": 1}))["applied_revision"] == revision


async def test_a_deletion_against_a_revision_is_answered_again(api: Api) -> None:
    session = await api.create()
    for _ in range(2):
        deleted = await api.service.delete(f"{PATH}/{session}", headers={"if-match": '"0"'})
        assert deleted.status_code == 204
