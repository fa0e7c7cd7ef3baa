"""Every operation does what the table says, for a user and for a service."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.http.conftest import Api
from tests.support.http_gateways import PATH
from tests.support.journeys import Journeys
from tests.support.polling import eventually


async def test_a_named_session_is_created_once_and_then_found(api: Api) -> None:
    created = await api.user.post(PATH, json={"title": "Invoices"}, headers={"idempotency-key": "invoices of May"})
    assert created.status_code == 201
    session = created.json()
    assert (session["created"], session["title"], session["user_id"]) == (True, "Invoices", api.user_id)
    assert created.headers["location"] == f"{PATH}/{session['chat_session_id']}"
    assert created.headers["etag"] == '"0"'
    await api.change(session["chat_session_id"], context={"topic": "invoices"})
    found = await api.user.post(PATH, json={"session_name": "invoices of May"}, headers={"idempotency-key": "other"})
    assert found.status_code == 200
    assert found.headers["etag"] == '"1"'
    assert found.json() | {"created": True} == (await read(api, session["chat_session_id"])) | {"created": True}


async def test_without_a_name_a_session_is_that_of_its_minute(api: Api) -> None:
    asked = {"requested_at": "2026-01-27T10:05:12Z"}
    first = await api.user.post(PATH, json=asked, headers={"idempotency-key": "is left aside"})
    again = await api.user.post(PATH, json={"requested_at": "2026-01-27T10:05:59Z"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["chat_session_id"] == first.json()["chat_session_id"]
    before = datetime.now(UTC)
    now = await api.user.post(PATH, json={})
    assert now.status_code == 201
    assert datetime.fromisoformat(now.json()["created_at"]) >= before


async def test_a_service_acts_for_the_tenant_and_for_a_user_that_it_names(api: Api) -> None:
    unnamed = await api.service.post(PATH, json={})
    assert (unnamed.status_code, unnamed.json()["field"]) == (400, "user_id")
    created = await api.service.post(PATH, json={}, headers=[(b"x-user-id", "Zoë".encode())])
    assert created.json()["user_id"] == "Zoë"
    session = created.json()["chat_session_id"]
    assert (await api.service.get(f"{PATH}/{session}")).status_code == 200
    assert (await api.service.get(f"{PATH}/{session}", headers={"x-user-id": "another"})).status_code == 404
    assert (await api.user.get(f"{PATH}/{session}")).status_code == 404


async def test_lists_are_a_users_own_or_all_of_the_tenants(api: Api) -> None:
    sessions = [await api.create() for _ in range(3)]
    await api.user.patch(f"{PATH}/{sessions[0]}", json={"lifecycle_state": "ARCHIVED"})
    first = (await api.user.get(PATH, params={"limit": 1})).json()
    rest = (await api.user.get(PATH, params={"after": first["next"]})).json()
    assert [each["chat_session_id"] for each in first["sessions"] + rest["sessions"]] == sessions[:0:-1]
    assert rest["next"] is None
    archived = (await api.user.get(PATH, params={"lifecycle_state": "ARCHIVED"})).json()
    assert [each["chat_session_id"] for each in archived["sessions"]] == sessions[:1]
    everybodys = (await api.service.get(PATH, params={"limit": 2})).json()
    assert [each["chat_session_id"] for each in everybodys["sessions"]] == sessions[:0:-1]


async def test_the_latest_session_is_the_users_last_active_one(api: Api) -> None:
    assert (await api.user.get(f"{PATH}/latest")).json()["code"] == "SESSION_NOT_FOUND"
    first, second = await api.create(), await api.create()
    await api.change(first, context={"a": 1})
    latest = await api.user.get(f"{PATH}/latest")
    assert latest.json() == await read(api, first)
    assert latest.headers["content-location"] == f"{PATH}/{first}"
    assert "etag" not in latest.headers
    await api.user.patch(f"{PATH}/{first}", json={"lifecycle_state": "ARCHIVED"})
    for_user = await api.service.get(f"{PATH}/latest", headers={"x-user-id": api.user_id})
    assert for_user.json()["chat_session_id"] == second


async def test_a_session_is_read_as_it_is_stored_and_only_if_it_is_new(api: Api, world: Journeys) -> None:
    session = await api.create(context={"a": 1})
    got = await api.user.get(f"{PATH}/{session}")
    row = await world.row(session)
    assert row is not None
    assert got.json()["context"] == row["context"] == {"a": 1}
    assert "refusals" not in got.json()
    tag = got.headers["etag"]
    for given in (tag, f"W/{tag}", f'"7", {tag}', "*"):
        unchanged = await api.user.get(f"{PATH}/{session}", headers={"if-none-match": given})
        assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
    await api.change(session, context={"a": 2})
    changed = await api.user.get(f"{PATH}/{session}", headers={"if-none-match": tag})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"1"')


async def test_an_earlier_revision_is_read_as_it_was(api: Api) -> None:
    session = await api.create(context={"a": 1})
    await api.change(session, context={"a": 2}, active_agent="liaison_finance")
    earlier = await api.user.get(f"{PATH}/{session}", params={"at_revision": 0})
    assert (earlier.json()["context"], earlier.json()["active_agent"]) == ({"a": 1}, "guide")
    assert "etag" not in earlier.headers
    for wrong in ("2", "-1", "x", ""):
        refused = await api.user.get(f"{PATH}/{session}", params={"at_revision": wrong})
        assert (refused.status_code, refused.json()["field"]) == (400, "at_revision")


async def test_title_state_and_owner_are_changed(api: Api) -> None:
    session = await api.create()
    titled = await api.user.patch(f"{PATH}/{session}", json={"title": "New"})
    assert titled.json()["title"] == "New"
    assert titled.headers["etag"] == '"1"'
    assert (titled.json()["applied_revision"], titled.json()["duplicate"], titled.json()["context"]) == (1, False, {})
    by_user = await api.user.patch(f"{PATH}/{session}", json={"new_user_id": "bob"})
    assert (by_user.status_code, by_user.json()["code"]) == (403, "FORBIDDEN")
    given = await api.service.patch(f"{PATH}/{session}", json={"new_user_id": "bob", "author": "desk"})
    assert given.json()["user_id"] == "bob"
    assert (await api.user.get(f"{PATH}/{session}")).status_code == 404


async def test_the_context_is_patched_as_a_merge_patch_or_with_the_fields_of_a_change(api: Api) -> None:
    session = await api.create(context={"a": 1, "b": {"c": 1}})
    address = f"{PATH}/{session}/context"
    merged = await api.user.patch(
        address, content='{"a": null, "b": {"d": 2}}', headers={"content-type": "application/merge-patch+json"}
    )
    assert merged.json()["context"] == {"b": {"c": 1, "d": 2}}
    handed = await api.service.patch(
        address, json={"append": {"notes": [1]}, "active_agent": "liaison_finance", "author": "liaison_finance"}
    )
    assert (handed.json()["context"]["notes"], handed.json()["active_agent"]) == ([1], "liaison_finance")
    history = (await api.user.get(f"{PATH}/{session}/history")).json()["entries"]
    assert [entry["author"] for entry in history] == [None, "user", "liaison_finance"]
    tagged = {"if-match": handed.headers["etag"]}
    replaced = await api.user.patch(address, json={"context": {"x": 1}, "merge_strategy": "replace"}, headers=tagged)
    assert replaced.json()["context"] == {"x": 1}


async def test_messages_are_added_paged_and_removed(api: Api, world: Journeys) -> None:
    session = await api.create()
    address = f"{PATH}/{session}/messages"
    odd = "a/b c%2F?#é"
    added = await api.user.post(address, json={"messages": [{"text": "one"}, {"id": odd, "text": "two"}]})
    assert added.status_code == 201
    assert added.json()["message_ids"][1] == odd
    await api.service.post(address, json={"messages": [{"role": "assistant", "text": "three"}], "author": "guide"})
    latest = (await api.user.get(address, params={"limit": 2})).json()
    assert [message["body"] for message in latest["messages"]] == [{"text": "two"}, {"text": "three"}]
    assert [message["author"] for message in latest["messages"]] == ["user", "guide"]
    assert latest["newer"] is None
    older = (await api.user.get(address, params={"before": latest["older"]})).json()
    assert [message["body"] for message in older["messages"]] == [{"text": "one"}]
    assert (await api.user.get(address, params={"after": older["newer"]})).json()["messages"] == latest["messages"]
    removed = await api.user.delete(f"{address}/a%2Fb%20c%252F%3F%23%C3%A9")
    assert (removed.status_code, removed.content) == (204, b"")
    left = (await api.user.get(address)).json()["messages"]
    assert [message["body"]["text"] for message in left] == ["one", "three"]
    assert (await api.user.delete(f"{address}/nobody-has-it")).status_code == 204


async def test_a_message_is_removed_by_the_whole_of_its_id(api: Api) -> None:
    names = ["a", "a\n", "b\r\nb/", "\n"]
    for name in names[1:]:
        session = await api.create()
        address = f"{PATH}/{session}/messages"
        await api.user.post(address, json={"messages": [{"id": each} for each in names]})
        assert (await api.user.delete(f"{address}/{quote(name, safe='')}")).status_code == 204
        left = (await api.user.get(address)).json()["messages"]
        assert [message["id"] for message in left] == [each for each in names if each != name]


async def test_a_removal_of_an_agents_message_by_a_user_is_refused(api: Api) -> None:
    session = await api.create()
    address = f"{PATH}/{session}/messages"
    await api.service.post(address, json={"messages": [{"id": "g", "role": "assistant"}], "author": "guide"})
    refused = await api.user.delete(f"{address}/g")
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_PARAMETER")
    assert (await api.service.delete(f"{address}/g")).status_code == 204


async def test_the_history_has_every_change_page_by_page(api: Api) -> None:
    session = await api.create()
    for number in range(3):
        await api.change(session, context={"n": number})
    address = f"{PATH}/{session}/history"
    first = (await api.user.get(address, params={"limit": 3})).json()
    assert [entry["revision"] for entry in first["entries"]] == [0, 1, 2]
    assert first["complete"] is False
    rest = (await api.user.get(address, params={"after_revision": 2})).json()
    assert [entry["change"]["context"] for entry in rest["entries"]] == [{"n": 2}]
    assert rest["complete"] is True
    assert (await api.service.get(address)).json()["entries"] == first["entries"] + rest["entries"]
    stranger = await api.service.get(address, headers={"x-user-id": "another"})
    assert stranger.status_code == 404


async def test_a_session_is_deleted_for_good(api: Api) -> None:
    session = await api.create()
    deleted = await api.user.delete(f"{PATH}/{session}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await api.user.get(f"{PATH}/{session}")).status_code == 404
    assert (await api.user.delete(f"{PATH}/{session}")).status_code == 404
    assert (await api.service.delete(f"{PATH}/{session}")).status_code == 204
    told = await api.service.patch(f"{PATH}/{session}/context", json={})
    assert (told.status_code, told.json()["code"]) == (409, "SESSION_NOT_ACTIVE")


async def test_a_turn_that_does_not_run_is_cancelled_all_the_same(api: Api) -> None:
    session = await api.create()
    assert (await api.user.delete(f"{PATH}/{session}/turn")).status_code == 204
    assert (await api.user.delete(f"{PATH}/{uuid4()}/turn")).status_code == 404


async def test_a_change_may_be_sent_without_waiting(api: Api) -> None:
    session = await api.create()
    prefer = {"prefer": "respond-async, wait=10"}
    sent = [
        await api.user.patch(f"{PATH}/{session}/context", json={"context": {"a": 1}}, headers=prefer),
        await api.user.post(f"{PATH}/{session}/messages", json={"messages": [{"id": "m"}]}, headers=prefer),
    ]
    assert [(each.status_code, each.content) for each in sent] == [(202, b"")] * 2
    assert {each.headers["preference-applied"] for each in sent} == {"respond-async"}
    assert "etag" not in sent[0].headers

    assert (await eventually(lambda: read(api, session), lambda found: found["revision"] == 2))["context"] == {"a": 1}
    edited = await api.user.patch(f"{PATH}/{session}", json={"title": "t"}, headers=prefer)
    assert (edited.status_code, edited.json()["title"]) == (200, "t"), "ignored: an edit is never a signal"


async def test_a_receipt_is_answered_if_it_is_preferred(api: Api) -> None:
    session = await api.create(context={"a": 1})
    prefer = {"prefer": 'return="minimal"'}
    for answer in (
        await api.user.patch(f"{PATH}/{session}/context", json={"context": {"b": 2}}, headers=prefer),
        await api.user.patch(f"{PATH}/{session}", json={"title": "t"}, headers=prefer),
        await api.user.post(f"{PATH}/{session}/messages", json={"messages": [{}]}, headers=prefer),
    ):
        assert "context" not in answer.json()
        assert answer.headers["etag"] == f'"{answer.json()["revision"]}"'
        assert answer.headers["preference-applied"] == "return=minimal"


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/page/main.js", "/page/config.json", "/docs", "/docs/swagger-ui.css", "/openapi.json"),
        *("/healthz", "/readyz"),
        *(f"{PATH}{rest}" for rest in ("", "/latest", "/{session}", "/{session}/messages", "/{session}/history")),
        *(f"{PATH}/unknown", f"{PATH}?limit=none"),
    ],
)
async def test_head_is_answered_as_get_is_without_the_body(api: Api, path: str) -> None:
    address = path.format(session=await api.create())
    got, head = await api.user.get(address), await api.user.head(address)
    assert (head.status_code, head.content) == (got.status_code, b"")
    got.headers.pop("date")
    head.headers.pop("date")
    assert head.headers == got.headers


async def test_a_stream_has_no_head(api: Api) -> None:
    head = await api.user.head(f"{PATH}/{await api.create()}/events")
    assert (head.status_code, head.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_and_readiness_need_no_token(api: Api, path: str) -> None:
    async with api.gateway.client(None) as anybody:
        assert (await anybody.get(path)).json() == {"status": "ok"}


async def read(api: Api, session: str) -> Any:
    answer = await api.user.get(f"{PATH}/{session}")
    assert answer.status_code == 200
    return answer.json()
