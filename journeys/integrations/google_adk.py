"""A session service of Google ADK whose sessions are chat sessions: events in the transcript, state in the context.

from google.adk.runners import Runner
from journeys import ChatSessions
from journeys.integrations.google_adk import TranscriptSessionService

sessions = await ChatSessions.connect()
service = TranscriptSessionService(sessions=sessions, tenant_id="acme")
runner = Runner(app_name="concierge", agent=agent, session_service=service, auto_create_session=True)
async for event in runner.run_async(user_id="ada", session_id="thread-7", new_message=message):
    ...
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final, NamedTuple, Self
from urllib.parse import quote
from uuid import uuid4
from weakref import WeakValueDictionary

from pydantic import JsonValue

from journeys.chat_session import keys
from journeys.chat_session.answers import ChatSessionView, UpdateReceipt
from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.messages import ENGINE_AUTHORS
from journeys.chat_session.session import ChatSessionArtifact, Context
from journeys.client.chat_sessions import ChatSessions
from journeys.errors import InvalidParameter, RevisionConflict
from journeys.identifiers import MAX_AUTHOR_CHARACTERS, Timestamp
from journeys.integrations import missing_extra
from journeys.integrations.google_adk_state import (
    MEMBER,
    AdkSession,
    StateChange,
    encode,
    merge,
    patch,
    state_of,
)
from journeys.integrations.message_objects import Entry, MessageObjects, text_for_people
from journeys.integrations.transcripts import MAX_ATTEMPTS, check_session_name, pages_from_latest

try:
    from google.adk.errors import StaleSessionError
    from google.adk.errors.already_exists_error import AlreadyExistsError
    from google.adk.errors.session_not_found_error import SessionNotFoundError
    from google.adk.events.event import Event
    from google.adk.sessions import Session
    from google.adk.sessions.base_session_service import BaseSessionService, GetSessionConfig, ListSessionsResponse
except ImportError as error:
    raise missing_extra(__name__, "google-adk") from error

# The owner of the chat sessions of shared state. Nobody signs in under this ID, so they are in nobody's list.
_STATE_OWNER: Final = "google_adk"
_MODEL_ROLE: Final = "model"
_CONCURRENT_READS: Final = 10
_OBJECTS: Final = MessageObjects(MEMBER)


class _Reading(NamedTuple):
    """Identifies the session that ADK has read, among all that had its name one after the other, and its revision."""

    after_revision: int
    revision: int

    @classmethod
    def of(cls, chat_session: ChatSessionArtifact | ChatSessionView, stored: AdkSession) -> Self:
        return cls(stored.after_revision, chat_session.revision)

    @classmethod
    def in_session(cls, session: Session) -> Self | None:
        marker = session._storage_update_marker
        return None if marker is None else cls(*map(int, marker.split("/")))

    @property
    def marker(self) -> str:
        return f"{self.after_revision}/{self.revision}"


class TranscriptSessionService(BaseSessionService):
    """ADK's sessions on chat sessions.

    An event and its change of the session's state are one change of the chat session, applied once, however often the
    event is appended. Partial events and `temp:` state are not kept.

    Every call raises a `JourneyError` if it fails and none of ADK's own errors fits. An event that does not fit into
    one change is refused with `ContextTooLarge`, and so is state that does not fit into a context.
    """

    def __init__(self, *, sessions: ChatSessions, tenant_id: str, refuse_stale: bool = False) -> None:
        """Serve the sessions of a tenant.

        Args:
            sessions: The client; its deadline holds for each of its calls.
            tenant_id: The tenant that the sessions belong to.
            refuse_stale: Refuse an event with `StaleSessionError` if anyone has changed the chat session since ADK read
                it; this ends a run in its middle. Otherwise the event is added after the changes that ADK has not seen,
                and the later of two values of one key stays.
        """
        self._sessions = sessions
        self._tenant_id = tenant_id
        self._refuse_stale = refuse_stale
        self._locks = WeakValueDictionary[str, asyncio.Lock]()

    def chat_session_id(self, *, app_name: str, user_id: str, session_id: str) -> str:
        """The ID of the chat session, for `ChatSessions`. Its `session_name` is `<app_name>/<session_id>`.

        Raises:
            InvalidParameter: The name is too long, or the user's ID is reserved for shared state.
        """
        _check_user(user_id)
        name = _session_name(app_name, session_id)
        check_session_name(name, field="session_id")
        return self._id(user_id, name)

    async def create_session(
        self, *, app_name: str, user_id: str, state: dict[str, Any] | None = None, session_id: str | None = None
    ) -> Session:
        """Create a session, on a new chat session or on an existing one of this name.

        If this fails, the session may exist all the same, even without the state of the user and of the app.

        Args:
            app_name: The app.
            user_id: The user.
            state: The initial state: the session's and, with prefixes, the user's and the app's.
            session_id: Your ID of the session; by default a new one. Spaces at its ends are removed.

        Raises:
            AlreadyExistsError: ADK has this session.
        """
        session_id = (session_id or "").strip() or str(uuid4())
        change = StateChange.of(state or {})
        created, reading = await self._create(app_name, user_id, session_id, change.session)
        await self._change_shared(app_name, user_id, change, key=f"{MEMBER}/{uuid4()}")
        shared = await self._shared_state(app_name, user_id)
        return _session(
            app_name, user_id, session_id, reading, merge(change.session, *shared), _seconds(created.updated_at), []
        )

    async def get_session(
        self, *, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None = None
    ) -> Session | None:
        """Read a session as it is at one revision, with all its events or the latest ones.

        Args:
            app_name: The app.
            user_id: The user.
            session_id: The session's ID.
            config: How many of the latest events to read, and from which time on; earlier pages are then not read.
        """
        session_id = session_id.strip()
        view = await self._view(
            self.chat_session_id(app_name=app_name, user_id=user_id, session_id=session_id), user_id
        )
        stored = AdkSession.of(view.context) if view else None
        if view is None or stored is None:
            return None
        shared, (events, changed_at) = await asyncio.gather(
            self._shared_state(app_name, user_id), self._events(view, stored, config or GetSessionConfig())
        )
        state = merge(stored.own_state, *shared)
        return _session(app_name, user_id, session_id, _Reading.of(view, stored), state, changed_at, events)

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        """Read the sessions of an app without their events, the latest change last.

        This reads each active chat session of the user or of the tenant: only its context names the app.

        Args:
            app_name: The app.
            user_id: The user; by default all users.
        """
        if user_id is not None:
            _check_user(user_id)
        limit = asyncio.Semaphore(_CONCURRENT_READS)

        async def read(chat_session_id: str) -> ChatSessionView | None:
            async with limit:
                return await self._view(chat_session_id)

        async def read_user(user: str) -> dict[str, JsonValue]:
            async with limit:
                return await self._user_state(app_name, user)

        views = await asyncio.gather(*[read(each) async for each in self._list_ids(user_id)])
        found = [
            (view, stored)
            for view in views
            if view is not None and (stored := self._own(view)) is not None and stored.app_name == app_name
        ]
        users = sorted({view.user_id for view, _ in found})
        app, *states = await asyncio.gather(self._app_state(app_name), *(read_user(user) for user in users))
        user_states = dict(zip(users, states, strict=True))
        sessions = [
            _session(
                app_name,
                view.user_id,
                stored.session_id,
                _Reading.of(view, stored),
                merge(stored.own_state, user_states[view.user_id], app),
                _seconds(view.updated_at),
                [],
            )
            for view, stored in found
        ]
        sessions.sort(key=lambda session: (session.last_update_time, session.user_id, session.id))
        return ListSessionsResponse(sessions=sessions)

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Remove a session's state and events. The chat session stays, with everything that others keep in it.

        If this fails, call it again: the session may be gone while some of its events are still in the transcript.
        """
        chat_session_id = self.chat_session_id(app_name=app_name, user_id=user_id, session_id=session_id)
        view = await self._view(chat_session_id, user_id)
        if view is None:
            return
        revision = view.revision
        if MEMBER in view.context:
            # The session first: after that, no event is added that a later session of this name could take for its own.
            removed = await self._sessions.update_context(
                chat_session_id, tenant_id=self._tenant_id, context={MEMBER: None}, returning="receipt"
            )
            revision = removed.revision
        async with aclosing(pages_from_latest(self._sessions, chat_session_id, self._tenant_id)) as pages:
            async for page in pages:
                names = [
                    message.id
                    for message in page.messages
                    if message.revision <= revision and _OBJECTS.content(message) is not None
                ]
                if names:
                    await self._sessions.update_context(
                        chat_session_id, tenant_id=self._tenant_id, remove_messages=names, returning="receipt"
                    )

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """Read the state that all sessions of a user in an app share, by keys without prefix."""
        _check_user(user_id)
        return dict(await self._user_state(app_name, user_id))

    async def append_event(self, session: Session, event: Event) -> Event:
        """Add an event to a session, once, and apply its change of state.

        The state of the user and of the app is changed after the event is stored, each in a change of its own. If this
        fails, append the same event again: no step is done twice.

        Args:
            session: The session as ADK has read it; the event is added to it, too.
            event: The event. Nothing is stored if it is partial.

        Raises:
            StaleSessionError: ADK's session was deleted and created again since ADK read it, or others changed the
                chat session: with `refuse_stale` once, otherwise at each of many attempts. Read it again.
            SessionNotFoundError: There is no such session.
        """
        if event.partial:
            return event
        self._apply_temp_state(session, event)
        event = self._trim_temp_delta_state(event)
        change = StateChange.of(event.actions.state_delta)
        chat_session_id = self.chat_session_id(
            app_name=session.app_name, user_id=session.user_id, session_id=session.id
        )
        # Branches of one run share the session's object: each must go on from the revision of the branch before it.
        async with self._locks.setdefault(chat_session_id, asyncio.Lock()):
            reading = _Reading.in_session(session) or await self._reading_of_unmarked(session)
            receipt = await self._append(chat_session_id, reading, event, change.session)
            session._storage_update_marker = reading._replace(revision=max(receipt.revision, reading.revision)).marker
        await self._change_shared(
            session.app_name,
            session.user_id,
            change,
            key=f"{MEMBER}/{chat_session_id}/{reading.after_revision}/{event.id}",
        )
        if not (receipt.duplicate and any(known.id == event.id for known in session.events)):
            session.last_update_time = event.timestamp
            self._commit_event_to_session(session, event)
        return event

    async def _append(
        self, chat_session_id: str, reading: _Reading, event: Event, state: Mapping[str, JsonValue]
    ) -> UpdateReceipt:
        base = reading.revision
        message = _OBJECTS.message(_entry(event))
        attempts = 0
        while True:
            attempts += 1
            try:
                receipt = await self._sessions.update_context(
                    chat_session_id,
                    tenant_id=self._tenant_id,
                    messages=[message],
                    context=patch(state) if state else None,
                    base_revision=base,
                    # Of this session only: an event that was deleted with an earlier session of this name is new.
                    idempotency_key=f"{MEMBER}/{reading.after_revision}/{event.id}",
                    author=_author(event),
                    returning="receipt",
                )
            except RevisionConflict as conflict:
                base = await self._current_revision(chat_session_id, reading)
                if self._refuse_stale or attempts == MAX_ATTEMPTS:
                    raise _stale() from conflict
            else:
                if receipt.duplicate:  # the event may have been deleted since, with its session
                    await self._current_revision(chat_session_id, reading)
                return receipt

    async def _current_revision(self, chat_session_id: str, reading: _Reading) -> int:
        """The chat session's revision, if it still has the session that ADK has read."""
        view = await self._view(chat_session_id)
        stored = AdkSession.of(view.context) if view else None
        if view is None or stored is None:
            raise _not_found()
        if stored.after_revision != reading.after_revision:
            raise _stale()
        return view.revision

    async def _reading_of_unmarked(self, session: Session) -> _Reading:
        """The current reading of a session that this service has not read, such as one from JSON."""
        stored = await self.get_session(
            app_name=session.app_name,
            user_id=session.user_id,
            session_id=session.id,
            config=GetSessionConfig(num_recent_events=1),
        )
        reading = _Reading.in_session(stored) if stored else None
        if stored is None or reading is None:
            raise _not_found()
        if self._refuse_stale and [each.id for each in stored.events] != [each.id for each in session.events[-1:]]:
            raise _stale()
        return reading

    async def _create(
        self, app_name: str, user_id: str, session_id: str, state: Mapping[str, JsonValue]
    ) -> tuple[ChatSessionArtifact, _Reading]:
        self.chat_session_id(app_name=app_name, user_id=user_id, session_id=session_id)  # checks the names
        stored = AdkSession(app_name=app_name, session_id=session_id, after_revision=0, state=encode(state))
        initialized = await self._sessions.initialize(
            tenant_id=self._tenant_id,
            user_id=user_id,
            session_name=_session_name(app_name, session_id),
            context={MEMBER: stored.model_dump()},
        )
        if initialized.created:
            return initialized, _Reading.of(initialized, stored)
        # There is a chat session of this name: ADK's, somebody else's, or one from which ADK's session was deleted.
        current: ChatSessionArtifact = initialized
        attempts = 0
        while True:
            attempts += 1
            if AdkSession.of(current.context) is not None:
                raise AlreadyExistsError(f"the app {app_name} has a session {session_id} of this user")
            stored = stored.model_copy(update={"after_revision": current.revision + 1})
            try:
                created = await self._sessions.update_context(
                    current.chat_session_id,
                    tenant_id=self._tenant_id,
                    context={MEMBER: stored.model_dump()},
                    base_revision=current.revision,
                    # A key that is derived from the base would make two creations the same change.
                    idempotency_key=f"{MEMBER}/create/{uuid4()}",
                )
            except RevisionConflict:
                if attempts == MAX_ATTEMPTS:
                    raise
            else:
                return created, _Reading.of(created, stored)
            current = await self._sessions.get(current.chat_session_id, tenant_id=self._tenant_id)

    async def _events(
        self, view: ChatSessionView, stored: AdkSession, config: GetSessionConfig
    ) -> tuple[list[Event], float]:
        """The wanted events, and the time of the session's latest event, wanted or not.

        Without events, the time is that of the chat session: it may be much older than ADK's session.
        """
        wanted, after = config.num_recent_events, config.after_timestamp
        newest_first: list[Event] = []
        changed_at: float | None = None
        async with aclosing(self._events_from_latest(view, stored, wanted)) as events:
            async for event in events:
                if changed_at is None:
                    changed_at = event.timestamp
                if wanted == 0 or (after is not None and event.timestamp < after):
                    break
                newest_first.append(event)
                if len(newest_first) == wanted:
                    break
        return newest_first[::-1], _seconds(view.updated_at) if changed_at is None else changed_at

    async def _events_from_latest(
        self, view: ChatSessionView, stored: AdkSession, wanted: int | None
    ) -> AsyncGenerator[Event, None]:
        first = None if wanted is None else max(wanted, 1)
        async with aclosing(pages_from_latest(self._sessions, view.chat_session_id, self._tenant_id, first)) as pages:
            async for page in pages:
                for message in reversed(page.messages):
                    if message.revision <= stored.after_revision:
                        return
                    # Events that are newer than the context that was read would not fit it.
                    if message.revision <= view.revision and (content := _OBJECTS.content(message)) is not None:
                        # Not from the text of JSON, which pydantic refuses if it has lone surrogates.
                        yield Event.model_validate(content)

    async def _list_ids(self, user_id: str | None) -> AsyncGenerator[str, None]:
        after: str | None = None
        while True:
            page = await self._sessions.list(tenant_id=self._tenant_id, user_id=user_id, limit=100, after=after)
            for listed in page.sessions:
                yield listed.chat_session_id
            if page.next is None:
                return
            after = page.next

    def _own(self, view: ChatSessionView) -> AdkSession | None:
        """ADK's session of a chat session, if the names in it lead to this chat session."""
        stored = AdkSession.of(view.context)
        if stored is None:
            return None
        named = self._id(view.user_id, _session_name(stored.app_name, stored.session_id))
        return stored if named == view.chat_session_id else None

    async def _view(self, chat_session_id: str, user_id: str | None = None) -> ChatSessionView | None:
        try:
            return await self._sessions.get(chat_session_id, tenant_id=self._tenant_id, user_id=user_id)
        except SessionNotFound:
            return None

    async def _shared_state(self, app_name: str, user_id: str) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
        user, app = await asyncio.gather(self._user_state(app_name, user_id), self._app_state(app_name))
        return user, app

    async def _user_state(self, app_name: str, user_id: str) -> dict[str, JsonValue]:
        return await self._state(_user_owner(user_id), app_name)

    async def _app_state(self, app_name: str) -> dict[str, JsonValue]:
        return await self._state(_STATE_OWNER, app_name)

    async def _state(self, owner: str, app_name: str) -> dict[str, JsonValue]:
        view = await self._view(self._id(owner, _quoted(app_name)))
        return state_of(view.context) if view else {}

    async def _change_shared(self, app_name: str, user_id: str, change: StateChange, *, key: str) -> None:
        await asyncio.gather(
            self._change_state(_STATE_OWNER, app_name, change.app, key=key),
            self._change_state(_user_owner(user_id), app_name, change.user, key=key),
        )

    async def _change_state(self, owner: str, app_name: str, values: Mapping[str, JsonValue], *, key: str) -> None:
        if not values:
            return
        name = _quoted(app_name)
        chat_session_id = self._id(owner, name)

        async def change() -> None:
            await self._sessions.update_context(
                chat_session_id,
                tenant_id=self._tenant_id,
                context=patch(values),
                idempotency_key=key,
                returning="receipt",
            )

        try:
            await change()
        except SessionNotFound:
            await self._sessions.initialize(tenant_id=self._tenant_id, user_id=owner, session_name=name)
            await change()

    def _id(self, user_id: str, session_name: str) -> str:
        return keys.session_id(keys.named_session_key(self._tenant_id, user_id, session_name))


def _session(
    app_name: str,
    user_id: str,
    session_id: str,
    reading: _Reading,
    state: dict[str, Any],
    changed_at: float,
    events: list[Event],
) -> Session:
    session = Session(
        app_name=app_name, user_id=user_id, id=session_id, state=state, events=events, last_update_time=changed_at
    )
    session._storage_update_marker = reading.marker
    return session


def _not_found() -> SessionNotFoundError:
    return SessionNotFoundError("this app and user have no such session")


def _stale() -> StaleSessionError:
    return StaleSessionError(
        "the chat session was modified in storage since ADK read it; read the session again before you append to it"
    )


def _entry(event: Event) -> Entry:
    content: Context = event.model_dump(mode="json", exclude_none=True)
    by_model = event.content is not None and event.content.role == _MODEL_ROLE
    return Entry(role="assistant" if by_model else None, content=content, text=_text(event))


def _text(event: Event) -> str | None:
    parts = event.content.parts or () if event.content else ()
    return text_for_people(
        [part.text for part in parts if part.text and not part.thought],
        [f"function_call {call.name}" for call in event.get_function_calls()]
        + [f"function_response {response.name}" for response in event.get_function_responses()],
    )


def _author(event: Event) -> str | None:
    return None if event.author in ("", *ENGINE_AUTHORS) else event.author[:MAX_AUTHOR_CHARACTERS]


def _session_name(app_name: str, session_id: str) -> str:
    return f"{_quoted(app_name)}/{session_id.strip()}"


def _quoted(app_name: str) -> str:
    """An app's name without a slash, so that no two pairs of app and session have one name."""
    return quote(app_name, safe="")


def _check_user(user_id: str) -> None:
    if user_id == _STATE_OWNER or user_id.startswith(_user_owner("")):
        raise InvalidParameter(f"user_id: {_STATE_OWNER} and {_user_owner('...')} have shared state", field="user_id")


def _user_owner(user_id: str) -> str:
    return f"{_STATE_OWNER}/{user_id}"


def _seconds(at: Timestamp) -> float:
    return at.timestamp()
