"""The stream sends every revision once and in order, whoever made it and wherever it is read, until it has to end."""

import asyncio
import json
import signal
import socket
import time
from typing import Any
from uuid import UUID, uuid4

from tests.http.conftest import Api
from tests.support.http_gateways import (
    PATH,
    PATIENCE,
    GatewayProcess,
    Stream,
    followed,
    gateway_process,
    sign,
    user_claims,
)
from tests.support.journeys import Journeys
from tests.support.polling import eventually
from tests.support.tcp_proxy import TcpProxy


async def test_it_begins_with_the_session_and_its_latest_messages(api: Api) -> None:
    session = await api.create(context={"a": 1})
    many = [{"id": str(number)} for number in range(60)]
    await api.user.post(f"{PATH}/{session}/messages", json={"messages": many})
    async with followed(api.user, session) as stream:
        assert stream.response.headers["content-type"] == "text/event-stream"
        assert stream.response.headers["cache-control"] == "no-store"
        first = await stream.take("session")
    assert first.id == 1
    assert first.data["session"] == (await api.user.get(f"{PATH}/{session}")).json()
    page = (await api.user.get(f"{PATH}/{session}/messages")).json()
    assert (first.data["messages"], first.data["older"]) == (page["messages"], page["older"])


async def test_every_change_comes_in_order_whoever_makes_it(api: Api, world: Journeys) -> None:
    session = await api.create()
    async with followed(api.user, session) as stream:
        await stream.take("session")
        await api.change(session, context={"a": 1})
        await world.update(session, {"context": {"a": 2}, "author": "guide"})
        await world.supabase.execute(
            "update public.chat_sessions set title = 'by hand' where chat_session_id = $1", UUID(session)
        )
        await api.user.patch(f"{PATH}/{session}", json={"lifecycle_state": "ARCHIVED"})
        events = [await stream.take("change") for _ in range(4)]
    assert [event.id for event in events] == [1, 2, 3, 4]
    assert [event.data["author"] for event in events] == ["user", "guide", "manual", "user"]
    history = (await api.user.get(f"{PATH}/{session}/history")).json()["entries"]
    assert [event.data for event in events] == [entry | {"messages": []} for entry in history[1:]]


async def test_messages_come_with_their_bodies_as_they_are_now(api: Api) -> None:
    session = await api.create()
    address = f"{PATH}/{session}/messages"
    await api.user.post(address, json={"messages": [{"id": "kept", "n": 1}, {"id": "gone", "n": 2}]})
    await api.user.post(address, json={"messages": [{"id": "kept", "n": 3}]})
    await api.user.delete(f"{address}/gone")
    (kept,) = (await api.user.get(address)).json()["messages"]
    async with followed(api.user, session, last=0) as stream:
        told = [(await stream.take("change")).data["messages"] for _ in range(3)]
    assert told == [[kept, {"id": "gone", "body": None}], [kept], []]
    assert kept["body"] == {"n": 3}


async def test_bodies_that_would_make_an_event_too_large_are_left_out(api: Api) -> None:
    session = await api.create()
    address = f"{PATH}/{session}/messages"
    names = [f"m{number}" for number in range(10)]
    await api.user.post(address, json={"messages": [{"id": name} for name in names]})
    for name in names:
        await api.user.post(address, json={"messages": [{"id": name, "text": "x" * 100_000}]})
    async with followed(api.user, session, last=0) as stream:
        first = await stream.take("change")
        rest = [await stream.take("change") for _ in names]
    told = first.data["messages"]
    assert [message["id"] for message in told] == names
    assert [message.get("truncated", False) for message in told] == [False] * 7 + [True] * 3
    assert all("body" not in message for message in told[7:])
    assert len(json.dumps(first.data)) < 800 * 1024
    assert [event.id for event in rest] == list(range(2, 12))
    assert all(event.data["messages"][0]["body"] == {"text": "x" * 100_000} for event in rest)


async def test_it_goes_on_after_the_revision_that_was_seen_last(api: Api) -> None:
    session = await api.create()
    for number in range(4):
        await api.change(session, context={"n": number})
    async with followed(api.user, session, last=2) as stream:
        assert await stream.changes_up_to(4) == [3, 4]
        await api.change(session, context={"n": 5})
        assert await stream.changes_up_to(5) == [5]
    async with followed(api.user, session, last=5) as stream:
        await api.change(session, context={"n": 6})
        assert await stream.changes_up_to(6) == [6]
    for unknown in ("7", "x", "-1", "99999999999999999999"):
        async with api.user.stream("GET", f"{PATH}/{session}/events", headers={"last-event-id": unknown}) as response:
            assert (await Stream(response).take("session")).id == 6


async def test_who_has_missed_more_than_a_thousand_revisions_begins_anew(api: Api, world: Journeys) -> None:
    session = await api.create()
    await make_revisions(world, session, 1001)
    async with followed(api.user, session, last=0) as stream:
        assert (await stream.take("session")).id == 1001
    async with followed(api.user, session, last=1) as stream:
        assert await stream.changes_up_to(1001) == list(range(2, 1002))


async def test_a_missing_revision_is_not_waited_for(api: Api, world: Journeys) -> None:
    session = await api.create()
    async with followed(api.user, session) as stream:
        await stream.take("session")
        await world.supabase.execute(
            "update public.chat_sessions set revision = 5 where chat_session_id = $1", UUID(session)
        )
        await make_revisions(world, session, 1)
        assert (await stream.take("change")).id == 6
    async with followed(api.user, session, last=0) as stream:
        assert (await stream.take("change")).id == 6


async def test_it_ends_if_the_session_is_deleted(api: Api) -> None:
    session = await api.create()
    async with followed(api.user, session) as user, followed(api.service, session) as service:
        for stream in (user, service):
            await stream.take("session")
        await api.user.delete(f"{PATH}/{session}")
        for stream in (user, service):
            assert (await stream.take("end")).data == {"reason": "deleted"}
            assert await stream.next() is None
    assert (await api.user.get(f"{PATH}/{session}/events")).status_code == 404


async def test_it_ends_if_the_session_is_given_away_and_goes_on_for_those_who_still_may(api: Api) -> None:
    session = await api.create()
    new = f"user-{uuid4().hex}"
    async with followed(api.user, session) as old_owner, followed(api.service, session) as service:
        for stream in (old_owner, service):
            await stream.take("session")
        await api.service.patch(f"{PATH}/{session}", json={"new_user_id": new})
        secret = {"messages": [{"text": "the new owner's own"}]}
        await api.service.post(f"{PATH}/{session}/messages", json=secret, headers={"x-user-id": new})
        assert (await old_owner.take("end")).data == {"reason": "not_found"}
        assert await old_owner.next() is None
        assert await service.changes_up_to(2) == [1, 2]
    new_owner = sign(user_claims(api.tenant_id, new))
    async with api.gateway.client(new_owner) as owner, followed(owner, session, last=0) as stream:
        assert await stream.changes_up_to(2) == [1, 2]
    assert (await api.user.get(f"{PATH}/{session}/events", headers={"last-event-id": "0"})).status_code == 404


async def test_it_ends_if_the_row_is_gone(api: Api, world: Journeys) -> None:
    session = await api.create()
    async with followed(api.user, session) as stream:
        await stream.take("session")
        await world.supabase.execute("delete from public.chat_sessions where chat_session_id = $1", UUID(session))
        assert (await stream.take("end")).data == {"reason": "not_found"}


async def test_it_ends_if_the_token_expires(api: Api) -> None:
    session = await api.create()
    nearly_expired = api.user_token(exp=int(time.time()) - 26)  # within the leeway of 30 seconds
    async with api.gateway.client(nearly_expired) as user, followed(user, session) as stream:
        await stream.take("session")
        assert (await stream.take("end")).data == {"reason": "token_expired"}
        assert await stream.next() is None


async def test_a_gateway_that_is_killed_costs_its_followers_no_revision(api: Api, world: Journeys) -> None:
    sessions = [await api.create() for _ in range(3)]
    last = 30
    half = asyncio.Event()

    async def change(session: str) -> None:
        for number in range(last):
            await world.update(session, {"context": {"n": number}})
            if number == last // 2:
                half.set()

    async def follow(session: str, follows: asyncio.Event) -> list[int]:
        seen: list[int] = []
        async with doomed.client(api.user_token()) as user:
            try:
                async with followed(user, session) as stream:
                    first = await stream.take("session")
                    assert first.id is not None
                    seen.append(first.id)
                    follows.set()
                    while event := await stream.next():
                        if event.id is not None:
                            seen.append(event.id)
            except Exception:
                pass
        async with followed(api.user, session, last=seen[-1]) as stream:
            if seen[-1] < last:
                seen += await stream.changes_up_to(last)
        return seen

    async with gateway_process(world) as doomed:
        all_follow = [asyncio.Event() for _ in sessions * 3]
        followers = [
            asyncio.create_task(follow(session, follows))
            for session, follows in zip(sessions * 3, all_follow, strict=True)
        ]
        for follows in all_follow:
            await follows.wait()
        changing = [asyncio.create_task(change(session)) for session in sessions]
        await half.wait()
        doomed.process.kill()
        await asyncio.gather(*changing)
        for follower in followers:
            seen = await follower
            assert seen == list(range(seen[0], last + 1))


async def test_a_gateway_that_is_asked_to_stop_ends_its_streams_with_a_comment(api: Api, world: Journeys) -> None:
    session = await api.create()
    async with gateway_process(world) as stopping, stopping.client(api.user_token()) as user:
        async with followed(user, session) as stream:
            await stream.take("session")
            stopping.process.send_signal(signal.SIGTERM)
            assert "Last-Event-ID" in (await stream.take("comment")).data
            assert await stream.next() is None
        async with asyncio.timeout(PATIENCE):
            assert await stopping.process.wait() == 0


async def test_an_outage_of_the_store_delays_changes_and_loses_none(api: Api, world: Journeys) -> None:
    session = await api.create()
    async with (
        TcpProxy.before(world.addresses.supabase_db_url) as store,
        gateway_process(world, {"SUPABASE_DB_URL": store.url}) as gateway,
        gateway.client(api.user_token()) as user,
        followed(user, session) as stream,
    ):
        await stream.take("session")
        await store.refuse()
        for number in range(5):
            await api.change(session, context={"n": number})
        await eventually(lambda: [each for each in gateway.logged if "cannot be read" in each["event"]])
        await store.mend()
        assert await stream.changes_up_to(5) == [1, 2, 3, 4, 5]


async def test_a_reader_that_reads_nothing_holds_nobody_up_and_misses_nothing(api: Api) -> None:
    session = await api.create()
    reader, writer = await open_slowly(api.gateway, session, api.user_token())
    async with followed(api.user, session) as stream:
        await stream.take("session")
        for number in range(60):
            await api.user.post(
                f"{PATH}/{session}/messages",
                json={"messages": [{"text": "x" * 120_000}]},
                headers={"prefer": "return=minimal"},
            )
            assert (await stream.take("change")).id == number + 1
    seen: list[int] = []
    async with asyncio.timeout(PATIENCE):
        while not seen or seen[-1] < 60:
            line = await reader.readline()
            assert line, "dropped"
            if line.startswith(b"id: "):
                seen.append(int(line[4:]))
    writer.close()
    assert seen == list(range(61))


async def open_slowly(gateway: GatewayProcess, session: str, token: str) -> tuple[asyncio.StreamReader, Any]:
    """A stream over a connection whose receive buffer is small."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", gateway.port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=2**20)
    writer.write(f"GET {PATH}/{session}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


async def make_revisions(world: Journeys, session: str, number: int) -> None:
    """Insert changes as if the engine had made them; it would take too long."""
    await world.supabase.execute(
        """
        with changed as (
          update public.chat_sessions set revision = revision + $2 where chat_session_id = $1
          returning chat_session_id, revision - $2 as before, context_hash
        )
        insert into public.chat_context_updates (
          chat_session_id, revision, idempotency_key, change, change_hash, active_agent, context_hash, applied_at
        )
        select chat_session_id, before + n, 'test/' || before + n, '{}', '', 'guide', context_hash, now()
        from changed, generate_series(1, $2) as n
        """,
        UUID(session),
        number,
    )
