"""The conversation: messages to long transcripts and beside large contexts, and pages of transcripts and lists.

It has a pair of stores and a worker of its own, so that nobody else writes to the database while its write-ahead log is
measured.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

import asyncpg
from temporalio.client import Client

from bench.bench_stack import Servers, create_stores, run_journey
from bench.copied_rows import fill_list, fill_transcript
from bench.journey import hibernate
from bench.plan import Plan
from bench.results import SpreadFigure
from bench.rounds import Call, time_calls
from bench.sessions import MESSAGE_BYTES, SMALL_CONTEXT_BYTES, TENANT, dense_text, new_message
from bench.traces import measure_growth, read_extents
from journeys.chat_session.limits import KIB
from journeys.chat_session.messages import GetChatMessages, ListChatSessions
from journeys.chat_session.names import workflow_id
from journeys.client.chat_sessions import ChatSessions
from stores.chat_pages_supabase import ChatPagesSupabase
from stores.postgres import Connection, open_pool

_NAME: Final = "conversation"
_USER: Final = "ada"
_CONTEXT_PART_BYTES: Final = 100 * KIB  # one change may not hold all of a large context
_WARM_UP_CALLS: Final = 20

_POSITION: Final = "select pg_current_wal_flush_lsn()::text"
_WAL_BYTES: Final = """
select sum(record_size)::bigint from pg_get_wal_stats($1::text::pg_lsn, pg_current_wal_flush_lsn())
"""


@dataclass(slots=True)
class _Chat:
    """A session that messages are sent to.

    Attributes:
        sent: Messages so far.
    """

    sessions: ChatSessions
    chat_session_id: str
    sent: int = 0

    @classmethod
    async def start(cls, sessions: ChatSessions, name: str, context_bytes: int) -> "_Chat":
        """Create a session with a context of this size and one message."""
        started = await sessions.initialize(tenant_id=TENANT, user_id=_USER, session_name=name)
        for place in range(0, context_bytes, _CONTEXT_PART_BYTES):
            part = dense_text(min(_CONTEXT_PART_BYTES, context_bytes - place))
            await sessions.update_context(
                started.chat_session_id, tenant_id=TENANT, context={f"part {place}": part}, returning="receipt"
            )
        chat = cls(sessions, started.chat_session_id)
        await chat.send()
        return chat

    async def send(self) -> None:
        """Send a message and wait until both stores hold it."""
        self.sent += 1
        await self.sessions.update_context(
            self.chat_session_id,
            tenant_id=TENANT,
            user_id=_USER,
            messages=[new_message(self.sent)],
            returning="receipt",
        )


@dataclass(frozen=True, slots=True)
class _Chats:
    """The sessions to compare.

    Attributes:
        short: With few messages and a small context.
        long: With many messages.
        large: With a large context.
    """

    short: _Chat
    long: _Chat
    large: _Chat

    @property
    def all(self) -> Sequence[_Chat]:
        return (self.short, self.long, self.large)


async def measure_conversation(
    servers: Servers, plan: Plan, *, progress: Callable[[str], None]
) -> tuple[SpreadFigure, ...]:
    """Measure messages and pages against their goals.

    Args:
        servers: With no worker at work.
        plan: The number of rounds and calls, and how much is stored.
        progress: Gets a line about each step.
    """
    urls = await create_stores(servers.postgres, _NAME)
    async with (
        _connection(urls.supabase) as connection,
        run_journey(servers, urls, _NAME) as sessions,
        await open_pool(urls.supabase, connections=1) as pool,
    ):
        await connection.execute("create extension pg_walinspect")
        progress(f"a transcript of {plan.transcript_messages} messages")
        chats = await _prepare_chats(sessions, servers.client, connection, plan)
        messages = await _measure_messages(chats, plan)
        messages += await _measure_what_is_written(chats, servers.client, connection, plan)
        await _check_transcripts(chats, plan)
        progress(f"a list of {plan.listed_sessions} sessions")
        listed = await sessions.initialize(tenant_id=TENANT, user_id=_USER, session_name="listed")
        await fill_list(connection, listed.chat_session_id, plan.listed_sessions)
        return (*messages, *await _measure_pages(ChatPagesSupabase(pool), chats.long, plan))


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _prepare_chats(sessions: ChatSessions, client: Client, connection: Connection, plan: Plan) -> _Chats:
    small, large = SMALL_CONTEXT_BYTES, plan.untouched_context_bytes
    chats = _Chats(
        short=await _Chat.start(sessions, "short", small),
        long=await _Chat.start(sessions, "long", small),
        large=await _Chat.start(sessions, "large", large),
    )
    for chat in chats.all:
        await hibernate(client, chat.chat_session_id)
    await fill_transcript(connection, chats.long.chat_session_id, plan.transcript_messages)
    await take_turns([chat.send for chat in chats.all], _WARM_UP_CALLS)
    return chats


async def _check_transcripts(chats: _Chats, plan: Plan) -> None:
    for chat in chats.all:
        copies = plan.transcript_messages - 1 if chat is chats.long else 0
        view = await chat.sessions.get(chat.chat_session_id, tenant_id=TENANT)
        assert view.message_count == chat.sent + copies


async def _measure_messages(chats: _Chats, plan: Plan) -> list[SpreadFigure]:
    """Compare messages to the long transcript, and beside the large context, with those of the short session."""
    long_ratios, large_ratios = [], []
    for _ in range(plan.rounds):
        short, long, large = await take_turns([chat.send for chat in chats.all], plan.message_calls)
        long_ratios.append(long / short)
        large_ratios.append(large / short)
    small, large_size = _kib(SMALL_CONTEXT_BYTES), _kib(plan.untouched_context_bytes)
    message = f"a message of {MESSAGE_BYTES} bytes, acknowledged by a receipt"
    return [
        SpreadFigure.of(
            f"{message}: p50 with {plan.transcript_messages:,} messages in the transcript against the first ones",
            long_ratios,
            at_most=1.1,
        ),
        SpreadFigure.of(
            f"{message}: p50 with a context of {large_size} that it does not touch against {small}",
            large_ratios,
            at_most=1.3,
        ),
    ]


async def _measure_what_is_written(
    chats: _Chats, client: Client, connection: Connection, plan: Plan
) -> list[SpreadFigure]:
    """Measure the write-ahead log and the history of messages, for one session after the other."""
    wal: list[SpreadFigure] = []
    history: list[SpreadFigure] = []
    for context_bytes, chat in ((SMALL_CONTEXT_BYTES, chats.short), (plan.untouched_context_bytes, chats.large)):
        written, in_run, with_new_runs = [], [], []
        for _ in range(plan.rounds):
            await hibernate(client, chat.chat_session_id)
            await chat.send()
            in_run.append(await _measure_history(client, chat, plan.run_messages))
            position = await connection.fetchval(_POSITION)
            with_new_runs.append(await _measure_history(client, chat, plan.written_messages))
            written.append(await connection.fetchval(_WAL_BYTES, position) / plan.written_messages / KIB)
        message = f"such a message with a context of {_kib(context_bytes)}"
        wal.append(SpreadFigure.of(f"{message}: write-ahead log of both stores, KiB", written, at_most=4))
        history += [
            SpreadFigure.of(f"{message}: history within a run, KiB", in_run, at_most=2),
            SpreadFigure.of(f"{message}: history with continue-as-new, KiB", with_new_runs),
        ]
    return [*wal, *history]


async def _measure_history(client: Client, chat: _Chat, messages: int) -> float:
    """The KiB that each of some messages adds to the session's history."""
    workflow = workflow_id(chat.chat_session_id)
    before = await read_extents(client, [workflow])
    for _ in range(messages):
        await chat.send()
    await chat.sessions.get(chat.chat_session_id, tenant_id=TENANT)  # answered only after the last workflow task
    return (await measure_growth(client, [workflow], before)).size / messages / KIB


async def _measure_pages(pages: ChatPagesSupabase, chat: _Chat, plan: Plan) -> list[SpreadFigure]:
    """Measure pages as the reading activities read them, by the store's own methods and on one connection."""
    latest = GetChatMessages(tenant_id=TENANT, chat_session_id=chat.chat_session_id)
    first = ListChatSessions(tenant_id=TENANT)
    late = await _turn_pages(pages, first, plan.list_page)

    async def read_messages() -> None:
        page = await pages.messages(latest)
        assert page is not None
        assert len(page.messages) == latest.limit

    async def read_sessions(wanted: ListChatSessions) -> None:
        page = await pages.sessions(wanted)
        assert len(page.sessions) == wanted.limit

    reads: Sequence[Call] = [read_messages, partial(read_sessions, first), partial(read_sessions, late)]
    await take_turns(reads, _WARM_UP_CALLS)
    rounds = [await take_turns(reads, plan.page_reads) for _ in range(plan.rounds)]
    messages, first_page, late_page = zip(*rounds, strict=True)
    sessions = f"{first.limit} sessions of a tenant of {plan.listed_sessions:,}"
    return [
        SpreadFigure.of(
            f"the latest {latest.limit} messages of {plan.transcript_messages:,}: p50, ms", messages, at_most=2
        ),
        SpreadFigure.of(f"{sessions}, first page: p50, ms", first_page, at_most=5),
        SpreadFigure.of(f"{sessions}, page {plan.list_page:,}: p50, ms", late_page, at_most=5),
    ]


async def _turn_pages(pages: ChatPagesSupabase, first: ListChatSessions, number: int) -> ListChatSessions:
    """Read a list up to a page, as a caller would; returns the request of that page."""
    wanted = first
    for _ in range(number - 1):
        page = await pages.sessions(wanted)
        assert page.next is not None
        wanted = first.model_copy(update={"after": page.next})
    return wanted


async def take_turns(calls: Sequence[Call], times: int) -> list[float]:
    """Make the calls in turns, each turn beginning with another call; returns the p50 of each in milliseconds."""
    latencies: list[list[float]] = [[] for _ in calls]
    for turn in range(times):
        for place in range(len(calls)):
            chosen = (turn + place) % len(calls)
            latencies[chosen] += (await time_calls([[calls[chosen]]]))[0]
    return [median(each) for each in latencies]


def _kib(size: int) -> str:
    return f"{size // KIB} KiB"
