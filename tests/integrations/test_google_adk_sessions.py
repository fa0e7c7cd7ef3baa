"""What ADK expects of every session service: sessions, their state, and their events."""

import asyncio
import math
import time
from typing import Any

import pytest
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import Session
from google.adk.sessions.base_session_service import BaseSessionService, GetSessionConfig
from google.adk.tools.tool_confirmation import ToolConfirmation
from google.genai import types

from journeys import InvalidParameter
from journeys.integrations.google_adk import TranscriptSessionService
from tests.support.journeys import Journeys

APP, USER = "concierge", "ada"


@pytest.fixture
def service(served: Journeys) -> TranscriptSessionService:
    # As ADK's own services do it.
    return TranscriptSessionService(sessions=served.sessions, tenant_id=served.tenant_id, refuse_stale=True)


async def create(service: BaseSessionService, name: str | None = None, **more: Any) -> Session:
    return await service.create_session(**{"app_name": APP, "user_id": USER, "session_id": name} | more)


async def find(service: BaseSessionService, name: str, **more: Any) -> Session | None:
    return await service.get_session(**{"app_name": APP, "user_id": USER, "session_id": name} | more)


async def read(service: BaseSessionService, name: str, **more: Any) -> Session:
    found = await find(service, name, **more)
    assert found is not None
    return found


def changing(state: dict[str, Any], **more: Any) -> Event:
    return Event(**{"author": "guide", "actions": EventActions(state_delta=state)} | more)


# Sessions.


async def test_a_session_that_was_never_created_is_not_found(service: TranscriptSessionService) -> None:
    assert await find(service, "nowhere") is None
    await service.delete_session(app_name=APP, user_id=USER, session_id="nowhere")
    assert (await service.list_sessions(app_name=APP, user_id=USER)).sessions == []


async def test_a_session_is_read_as_it_was_created(service: TranscriptSessionService) -> None:
    created = await create(service, state={"topic": "rent"})
    assert created.id
    assert (created.app_name, created.user_id, created.state) == (APP, USER, {"topic": "rent"})
    assert created.last_update_time <= time.time()
    assert await read(service, created.id) == created


async def test_an_id_is_taken_once(service: TranscriptSessionService) -> None:
    await create(service, "one", state={"kept": True})
    with pytest.raises(AlreadyExistsError):
        await create(service, "one", state={"kept": False, "app:kept": False})
    assert (await read(service, "one")).state == {"kept": True}


async def test_one_of_many_creations_at_once_creates_the_session(service: TranscriptSessionService) -> None:
    created = await asyncio.gather(
        *(create(service, "one", state={"by": number}) for number in range(5)), return_exceptions=True
    )
    (winner,) = [each for each in created if isinstance(each, Session)]
    assert [type(each) for each in created].count(AlreadyExistsError) == 4
    assert (await read(service, "one")).state == winner.state


async def test_spaces_around_an_id_do_not_count(service: TranscriptSessionService) -> None:
    assert (await create(service, " one\n")).id == "one"
    assert (await create(service, "  ")).id.strip()
    assert (await read(service, "one\n")).id == "one"
    with pytest.raises(AlreadyExistsError):
        await create(service, "one ")
    await service.delete_session(app_name=APP, user_id=USER, session_id="\tone")
    assert await find(service, "one") is None


async def test_an_id_means_another_session_for_another_user_or_app(service: TranscriptSessionService) -> None:
    await service.append_event(await create(service, "one"), Event(author="user"))
    for other in ({"user_id": "eve"}, {"app_name": "butler"}):
        assert await find(service, "one", **other) is None
        assert (await create(service, "one", **other)).events == []
        await service.delete_session(**{"app_name": APP, "user_id": USER, "session_id": "one"} | other)
    assert len((await read(service, "one")).events) == 1


async def test_no_two_names_of_apps_and_sessions_are_one(service: TranscriptSessionService) -> None:
    for app, name in (("a", "b/c"), ("a/b", "c"), ("a%2Fb", "c"), ("żółw 🐢", "c")):
        await create(service, name, app_name=app, state={"app:is": app})
        assert (await read(service, name, app_name=app)).state == {"app:is": app}


async def test_a_deleted_session_can_be_created_again_and_has_nothing_of_the_old_one(
    service: TranscriptSessionService,
) -> None:
    old = await create(service, "one", state={"old": True})
    for _ in range(3):
        await service.append_event(old, Event(author="user"))
    await service.delete_session(app_name=APP, user_id=USER, session_id="one")
    assert await find(service, "one") is None
    with pytest.raises(SessionNotFoundError):
        await service.append_event(old, Event(author="user"))
    assert (await service.list_sessions(app_name=APP)).sessions == []
    await create(service, "one", state={"new": True})
    found = await read(service, "one")
    assert (found.state, found.events) == ({"new": True}, [])


@pytest.mark.parametrize("refuse_stale", [True, False])
async def test_events_of_a_deleted_session_are_stored_in_the_one_that_is_created_again_or_refused(
    served: Journeys, refuse_stale: bool
) -> None:
    service = TranscriptSessionService(sessions=served.sessions, tenant_id=served.tenant_id, refuse_stale=refuse_stale)
    old = await create(service, "one", state={"user:count": 0})
    event = changing({"count": 1, "user:count": 1, "app:count": 1})
    await service.append_event(old, event)
    await service.delete_session(app_name=APP, user_id=USER, session_id="one")
    with pytest.raises(SessionNotFoundError):
        await service.append_event(old, event)
    new = await create(service, "one", state={"user:count": 0, "app:count": 0})
    for other in (event, Event(author="user")):
        with pytest.raises(StaleSessionError):
            await service.append_event(old, other)
    await service.append_event(new, event)
    assert new.state == {"count": 1, "user:count": 1, "app:count": 1}
    assert await read(service, "one") == new
    assert [each.id for each in new.events] == [event.id]


async def test_a_session_that_is_created_again_was_changed_then(service: TranscriptSessionService) -> None:
    old = await create(service, "one")
    await service.append_event(old, Event(author="user"))
    await service.delete_session(app_name=APP, user_id=USER, session_id="one")
    begin = time.time()
    new = await create(service, "one")
    assert new.last_update_time >= begin
    assert (await read(service, "one")).last_update_time == new.last_update_time


async def test_a_name_that_is_too_long_is_refused_by_the_parameter_that_was_passed(
    service: TranscriptSessionService,
) -> None:
    longest = "x" * (128 - len(f"{APP}/"))
    assert (await create(service, longest)).id == longest
    for name in (f"{longest}x", "żółw"):
        for call in (create, find):
            with pytest.raises(InvalidParameter) as refused:
                await call(service, name)
            assert refused.value.field == "session_id"


@pytest.mark.parametrize("owner", ["google_adk", "google_adk/ada"])
async def test_nobody_has_the_id_of_an_owner_of_shared_state(service: TranscriptSessionService, owner: str) -> None:
    one: dict[str, Any] = {"app_name": APP, "user_id": owner, "session_id": "one"}
    for call in (
        service.create_session(**one),
        service.get_session(**one),
        service.delete_session(**one),
        service.list_sessions(app_name=APP, user_id=owner),
        service.get_user_state(app_name=APP, user_id=owner),
        service.append_event(Session(id="one", app_name=APP, user_id=owner), Event(author="user")),
    ):
        with pytest.raises(InvalidParameter) as refused:
            await call
        assert refused.value.field == "user_id"


async def test_sessions_are_listed_with_their_state_and_the_latest_change_last(
    service: TranscriptSessionService,
) -> None:
    for name in ("a", "b", "c"):
        await create(service, name, state={"is": name})
    await service.append_event(await read(service, "a"), changing({"app:of": "all", "user:of": "ada"}))
    await create(service, "d", user_id="eve")
    await create(service, "e", app_name="butler")
    mine = (await service.list_sessions(app_name=APP, user_id=USER)).sessions
    assert [(each.id, each.state["is"], each.events) for each in mine] == [
        ("b", "b", []),
        ("c", "c", []),
        ("a", "a", []),
    ]
    assert all(each.state["user:of"] == "ada" and each.state["app:of"] == "all" for each in mine)
    everybodys = (await service.list_sessions(app_name=APP)).sessions
    assert [(each.user_id, each.id) for each in everybodys] == [(USER, "b"), (USER, "c"), (USER, "a"), ("eve", "d")]
    assert everybodys[-1].state == {"app:of": "all"}
    assert (await service.list_sessions(app_name="nothing")).sessions == []
    assert (await service.list_sessions(app_name=APP, user_id="nobody")).sessions == []


# State.


async def test_state_of_an_app_is_all_users_and_state_of_a_user_all_their_sessions(
    service: TranscriptSessionService,
) -> None:
    first = await create(service, "one", state={"app:a": 1, "user:u": 1, "s": 1})
    assert first.state == {"app:a": 1, "user:u": 1, "s": 1}
    await service.append_event(first, changing({"app:b": 2, "user:v": 2, "t": 2}))
    assert (await read(service, "one")).state == first.state
    assert first.state == {"app:a": 1, "app:b": 2, "user:u": 1, "user:v": 2, "s": 1, "t": 2}
    assert (await create(service, "two")).state == {"app:a": 1, "app:b": 2, "user:u": 1, "user:v": 2}
    assert (await create(service, "one", user_id="eve")).state == {"app:a": 1, "app:b": 2}
    assert (await create(service, "one", app_name="butler")).state == {}


async def test_state_of_a_user_is_read_without_a_session(service: TranscriptSessionService) -> None:
    assert await service.get_user_state(app_name=APP, user_id=USER) == {}
    session = await create(service)
    for number in (1, 2):
        await service.append_event(session, changing({"user:count": number, "user:me": {"name": "Ada"}, "own": 1}))
    assert await service.get_user_state(app_name=APP, user_id=USER) == {"count": 2, "me": {"name": "Ada"}}
    assert await service.get_user_state(app_name=APP, user_id="eve") == {}
    assert await service.get_user_state(app_name="butler", user_id=USER) == {}


async def test_temporary_state_is_for_this_run_only(service: TranscriptSessionService) -> None:
    session = await create(service, "one", state={"temp:start": 1})
    event = changing({"temp:draft": "x", "kept": "y"})
    await service.append_event(session, event)
    assert session.state == {"temp:draft": "x", "kept": "y"}
    assert event.actions.state_delta == {"kept": "y"}
    found = await read(service, "one")
    assert found.state == {"kept": "y"}
    assert found.events[0].actions.state_delta == {"kept": "y"}


@pytest.mark.parametrize("prefix", ["", "user:", "app:"])
async def test_a_value_of_state_replaces_the_one_before_and_nothing_else(
    service: TranscriptSessionService, prefix: str
) -> None:
    key = f"{prefix}key"
    session = await create(service, "one", state={key: {"name": "Ada", "role": "admin"}, "off": False, "one": 1})
    values: list[Any] = [{"name": "Bob"}, {"in": {"none": None}}, None, [], [None], [[1], [2]], "[1]", "", True, 2.5]
    for value in values:
        await service.append_event(session, changing({key: value}))
        found = await read(service, "one")
        assert found.state == session.state
        assert found.state[key] == value
        assert type(found.state[key]) is type(value)
        assert found.events[-1].actions.state_delta == {key: value}
        assert found.state["off"] is False


@pytest.mark.parametrize("value", ["a\x00b", "\ud800", 2**60, 1e22, "'; drop table chat_messages; --"])
async def test_state_comes_back_as_it_was_stored(service: TranscriptSessionService, value: Any) -> None:
    deep = value
    for _ in range(40):
        deep = {"in": deep}
    session = await create(service, "one", state={"first": value})
    await service.append_event(session, changing({"plain": value, "deep": deep, "user:is": value}))
    assert (await read(service, "one")).state == {"first": value, "plain": value, "deep": deep, "user:is": value}


async def test_state_that_is_no_json_does_not_cost_the_event(service: TranscriptSessionService) -> None:
    session = await create(service, "one")
    await service.append_event(session, changing({"call": lambda: 1, "ok": 2, "score": math.nan}))
    found = await read(service, "one")
    assert (found.state["ok"], type(found.state["call"])) == (2, str)
    assert math.isnan(found.state["score"])
    assert len(found.events) == 1


# Events.


async def test_an_event_comes_back_with_all_that_it_has(service: TranscriptSessionService) -> None:
    session = await create(service, "one")
    event = Event(
        invocation_id="run",
        author="guide",
        content=types.Content(
            role="model",
            parts=[types.Part(text="Here"), types.Part.from_bytes(data=b"PK\x00\xff", mime_type="application/zip")],
        ),
        actions=EventActions(
            artifact_delta={"bill.pdf": 0},
            escalate=True,
            requested_tool_confirmations={"call": ToolConfirmation(hint="Sure?", payload={"sum": 5})},
            transfer_to_agent="liaison_finance",
        ),
        branch="guide.finance",
        citation_metadata=types.CitationMetadata(),
        custom_metadata={"note": None},
        error_code="E",
        error_message="broken",
        grounding_metadata=types.GroundingMetadata(search_entry_point=types.SearchEntryPoint(sdk_blob=b"\xfe")),
        input_transcription=types.Transcription(text="spoken", finished=True),
        interrupted=True,
        long_running_tool_ids={"a", "b"},
        partial=False,
        timestamp=1_700_000_000.123,
        turn_complete=True,
        usage_metadata=types.GenerateContentResponseUsageMetadata(total_token_count=2),
    )
    await service.append_event(session, event)
    assert session.events == [event]
    assert await read(service, "one") == session


async def test_partial_events_are_not_kept(service: TranscriptSessionService) -> None:
    session = await create(service, "one")
    event = changing({"temp:x": 1, "y": 1}, partial=True)
    assert await service.append_event(session, event) is event
    assert (session.events, session.state) == ([], {})
    assert await read(service, "one") == session


async def test_a_session_was_changed_when_its_latest_event_was_made(service: TranscriptSessionService) -> None:
    session = await create(service, "one")
    later = session.last_update_time + 10
    await service.append_event(session, Event(author="user", timestamp=later))
    assert session.last_update_time == later
    for config in (None, GetSessionConfig(num_recent_events=0), GetSessionConfig(after_timestamp=later + 1)):
        assert (await read(service, "one", config=config)).last_update_time == later


async def test_the_latest_events_are_read_in_their_order(service: TranscriptSessionService) -> None:
    session = await create(service, "one")
    for second in range(1, 6):
        await service.append_event(session, Event(author="user", timestamp=second))

    async def seconds(**config: Any) -> list[float]:
        found = await read(service, "one", config=GetSessionConfig(**config))
        return [event.timestamp for event in found.events]

    assert await seconds() == [1, 2, 3, 4, 5]
    assert await seconds(num_recent_events=0) == []
    assert await seconds(num_recent_events=3) == [3, 4, 5]
    assert await seconds(num_recent_events=9) == [1, 2, 3, 4, 5]
    assert await seconds(after_timestamp=4) == [4, 5]
    assert await seconds(after_timestamp=9) == []
    assert await seconds(after_timestamp=4, num_recent_events=3) == [4, 5]
    assert await seconds(after_timestamp=2, num_recent_events=3) == [3, 4, 5]


async def test_events_of_one_instant_stay_in_the_order_in_which_they_were_added(
    service: TranscriptSessionService,
) -> None:
    session = await create(service, "one")
    for name in ("z", "m", "a"):
        await service.append_event(session, Event(id=name, author="user", timestamp=100))
    assert [event.id for event in (await read(service, "one")).events] == ["z", "m", "a"]


async def test_an_event_is_added_once_however_often_it_is_appended(service: TranscriptSessionService) -> None:
    session = await create(service, "one")
    event = changing({"count": 1, "user:count": 1})
    for each in (event, event, event.model_copy(deep=True)):
        await service.append_event(session, each)
    await service.append_event(session, changing({"count": 2, "user:count": 2}))
    await service.append_event(session, event)
    assert session.state == {"count": 2, "user:count": 2}
    assert await read(service, "one") == session
    assert len(session.events) == 2


async def test_a_session_that_others_have_changed_takes_no_event(service: TranscriptSessionService) -> None:
    stale = await create(service, "one")
    await service.append_event(stale, changing({"first": 1}))
    await service.append_event(await read(service, "one"), changing({"second": 2, "app:second": 2}))
    with pytest.raises(StaleSessionError):
        await service.append_event(stale, changing({"third": 3, "app:third": 3}))
    assert len(stale.events) == 1
    found = await read(service, "one")
    assert found.state == {"first": 1, "second": 2, "app:second": 2}
    assert len(found.events) == 2


async def test_of_two_who_append_to_the_same_reading_one_is_refused(service: TranscriptSessionService) -> None:
    await create(service, "one")
    for turn in range(4):
        readings = [await read(service, "one") for _ in range(2)]
        done = await asyncio.gather(
            *(service.append_event(each, changing({f"{turn}": by})) for by, each in enumerate(readings)),
            return_exceptions=True,
        )
        assert {type(each) for each in done} == {Event, StaleSessionError}
    assert len((await read(service, "one")).events) == 4


async def test_branches_of_one_run_append_at_once(service: TranscriptSessionService) -> None:
    session = await create(service, "one")
    await asyncio.gather(*(service.append_event(session, changing({f"{number}": number})) for number in range(5)))
    found = await read(service, "one")
    assert found.state == session.state == {f"{number}": number for number in range(5)}
    assert {event.id for event in found.events} == {event.id for event in session.events}
    assert len(found.events) == 5


async def test_a_session_that_came_as_json_goes_on_if_it_is_the_latest(service: TranscriptSessionService) -> None:
    session = await create(service, "one")
    await service.append_event(session, Event(author="user"))
    copies = [Session.model_validate_json(session.model_dump_json()) for _ in range(2)]
    await service.append_event(copies[0], Event(author="guide"))
    with pytest.raises(StaleSessionError):
        await service.append_event(copies[1], Event(author="guide"))
    assert len((await read(service, "one")).events) == 2
    with pytest.raises(SessionNotFoundError):
        await service.append_event(Session(id="two", app_name=APP, user_id=USER), Event(author="user"))
