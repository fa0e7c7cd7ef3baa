"""The parts that the gateway's operations share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from temporalio.client import Client

from journeys.client.chat_sessions import ChatSessions
from starter.http.changes import Changes
from starter.http.dev_tokens import DevTokens
from starter.http.readiness import Readiness
from starter.http.settings import GatewaySettings
from starter.http.signing_keys import SigningKeys
from starter.http.stream.change_batches import ChangeReader
from starter.http.stream.partials import forget_partials, show_partials
from starter.http.stream.poller import READS_AT_ONCE, Poller
from starter.http.tokens import TokenVerifier
from stores.chat_pages_supabase import ChatPagesSupabase
from stores.chat_session_reads import ChatSessionReads
from stores.chat_session_views_supabase import ChatSessionViewsSupabase
from stores.chat_sessions_supabase import STORE
from stores.followed_sessions_supabase import FollowedSessionsSupabase
from stores.partials_supabase import PartialsSupabase
from stores.postgres import Pool, Rights, check_store, open_pool

_RIGHTS: Final[Rights] = {
    "public.chat_sessions": ("select",),
    "public.chat_context_updates": ("select",),
    "public.chat_messages": ("select",),
    "public.chat_partials": ("select", "insert", "update", "delete"),
}
# Followers have connections of their own, so that many who come back at once hold up no request. The polls for changes
# and for partials need one each, besides the reads.
_REQUEST_CONNECTIONS: Final = 16
_STREAM_CONNECTIONS: Final = READS_AT_ONCE + 2


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts that the operations share.

    Attributes:
        client: Temporal's client, in the journeys' namespace.
        sessions: The journeys' client.
        reads: The reading intents.
        views: Reads sessions as a tenant and user see them.
        changes: Sends changes.
        stream_views: Like `views`, on the followers' connections.
        poller: Keeps followers up to date.
        partials: The unfinished answers of agents.
        dev_tokens: Issues tokens; only in `journey dev`.
    """

    settings: GatewaySettings
    tokens: TokenVerifier
    client: Client
    sessions: ChatSessions
    reads: ChatSessionReads
    views: ChatSessionViewsSupabase
    changes: Changes
    stream_views: ChatSessionViewsSupabase
    poller: Poller
    partials: PartialsSupabase
    readiness: Readiness
    dev_tokens: DevTokens | None


@asynccontextmanager
async def open_gateway(client: Client, settings: GatewaySettings, *, issues_tokens: bool) -> AsyncIterator[Gateway]:
    """Connect to the store, and put a gateway together.

    Args:
        client: A client of the journeys' namespace.
        settings: The gateway's settings.
        issues_tokens: Whether it gives a token to everybody on this machine who asks, as `journey dev` does.

    Raises:
        InvalidParameter: The store refuses the gateway, or there is nothing to verify tokens with.
    """
    settings.require_keys()
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else None
    async with (
        _open_store(settings, _REQUEST_CONNECTIONS) as pool,
        _open_store(settings, _STREAM_CONNECTIONS) as streams,
    ):
        sessions, views = ChatSessions(client), ChatSessionViewsSupabase(pool)
        followed = FollowedSessionsSupabase(streams)
        poller = Poller(followed, ChangeReader(ChatPagesSupabase(streams), followed))
        partials = PartialsSupabase(streams)
        polling = [
            asyncio.create_task(each)
            for each in (poller.run(), show_partials(poller, partials), forget_partials(partials))
        ]
        try:
            yield Gateway(
                settings=settings,
                tokens=TokenVerifier(
                    secret=secret,
                    keys=SigningKeys(str(settings.jwks_url)) if settings.jwks_url else None,
                    audience=settings.jwt_audience,
                    issuer=settings.jwt_issuer,
                ),
                client=client,
                sessions=sessions,
                reads=ChatSessionReads(pool),
                views=views,
                changes=Changes(sessions, views, poller.announce),
                stream_views=ChatSessionViewsSupabase(streams),
                poller=poller,
                partials=PartialsSupabase(pool),
                readiness=Readiness(client, pool),
                dev_tokens=DevTokens(secret, settings.jwt_audience) if issues_tokens and secret else None,
            )
        finally:
            for task in polling:
                task.cancel()
            await asyncio.gather(*polling, return_exceptions=True)


@asynccontextmanager
async def _open_store(settings: GatewaySettings, connections: int) -> AsyncIterator[Pool]:
    url = settings.supabase_db_url.get_secret_value()
    pool = await open_pool(
        url,
        connections=connections,
        transaction_pooler=settings.transaction_pooler,
        store=STORE,
        rights=_RIGHTS,
    )
    try:
        await check_store(pool, url, store=STORE, setting="SUPABASE_DB_URL")
        yield pool
    finally:
        await pool.close()
