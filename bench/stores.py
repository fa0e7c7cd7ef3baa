"""The pair of stores of each variant that writes, and their contents after a run."""

from dataclasses import dataclass
from typing import Final

import asyncpg

from journeys.messages import Record

STORING: Final = ("floor", "naive", "journey")


@dataclass(frozen=True, slots=True)
class StoreUrls:
    supabase: str
    state_surface: str


class StoreContents(Record):
    """The contents of a variant's stores.

    Attributes:
        sessions: Rows of `chat_sessions`.
        changes: Rows of its ledger.
        artifacts: Rows of the State Surface.
        supabase: A digest of IDs, revisions, agents and contexts.
        state_surface: The same of the artifacts; equal to `supabase` if the two stores agree.
    """

    sessions: int
    changes: int
    artifacts: int
    supabase: str
    state_surface: str


_DIGEST: Final = "encode(sha256(convert_to(coalesce(string_agg({row}, '|' order by {row}), ''), 'UTF8')), 'hex')"
_SESSIONS: Final = _DIGEST.format(row="concat_ws(' ', chat_session_id, revision, active_agent, context)")
_ARTIFACTS: Final = _DIGEST.format(
    row="concat_ws(' ', artifact_id, revision, semantic_payload ->> 'active_agent', semantic_payload -> 'context')"
)


async def read_contents(urls: StoreUrls) -> StoreContents:
    supabase = await asyncpg.connect(urls.supabase)
    try:
        sessions = await supabase.fetchrow(f"select count(*), {_SESSIONS} as digest from public.chat_sessions")  # noqa: S608
        changes = await supabase.fetchval("select count(*) from public.chat_context_updates")
    finally:
        await supabase.close()
    surface = await asyncpg.connect(urls.state_surface)
    try:
        artifacts = await surface.fetchrow(f"select count(*), {_ARTIFACTS} as digest from state_surface.artifacts")  # noqa: S608
    finally:
        await surface.close()
    assert sessions is not None
    assert artifacts is not None
    return StoreContents(
        sessions=sessions["count"],
        changes=changes,
        artifacts=artifacts["count"],
        supabase=sessions["digest"],
        state_surface=artifacts["digest"],
    )
