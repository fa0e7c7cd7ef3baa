"""Any revision can be read again, and a reader folds few changes for it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from journeys.canonical_json import canonical_hash
from journeys.chat_session import fold_length
from journeys.chat_session.errors import ContextTooLarge, SessionNotFound
from journeys.chat_session.fold_length import UNKNOWN_LENGTH, FoldLength
from journeys.chat_session.limits import MAX_FOLD_BYTES, MAX_FOLD_CHANGES
from journeys.errors import InvalidParameter
from stores.earlier_contexts_supabase import EarlierContext, EarlierContextsSupabase
from tests.support.journeys import Journeys, Json
from tests.support.watching import until_revision

FEW = 5


async def read_at(journeys: Journeys, session: str, revision: int) -> Json:
    view = await journeys.sessions.get(session, tenant_id=journeys.tenant_id, at_revision=revision)
    return view.model_dump(mode="json")


async def fold_lengths(journeys: Journeys, session: str) -> Sequence[int | None]:
    rows = await journeys.supabase.fetch(
        "select fold_changes, context is not null as is_full from public.chat_context_updates "
        "where chat_session_id = $1 and revision > 0 order by revision",
        UUID(session),
    )
    assert all(row["is_full"] == (row["fold_changes"] == 0) for row in rows)
    return [row["fold_changes"] for row in rows]


@pytest.fixture
def few_to_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_length, "MAX_FOLD_CHANGES", FEW)


@pytest.mark.usefixtures("few_to_fold")
async def test_every_revision_is_read_as_it_was(journeys: Journeys) -> None:
    changes: list[dict[str, Any]] = [
        {"context": {"a": {"b": 1}, "gone": True}, "active_agent": "liaison_content"},
        {"messages": [{"text": "said"}]},
        {"append": {"notes": [{"id": "x", "n": 1}]}},
        {"context": {"a": {"b": None, "c": [1, 2]}, "gone": None}},
        {"context": {"fresh": 1.5}, "merge_strategy": "replace", "base_revision": 4},
        {"active_agent": "guide"},
        *({"append": {"notes": [{"id": "x", "n": number}, number]}} for number in range(9)),
        {"remove_messages": ["none"]},
    ]
    async with journeys.worker():
        session = await journeys.create_session(context={"a": {"b": 0}, "début": "é"})
        then = [await journeys.get(session)]
        for change in changes:
            then.append(await journeys.update(session, change))  # noqa: PERF401 - one after the other
        for artifact in then:
            read = await read_at(journeys, session, artifact["revision"])
            for name in ("revision", "context", "context_hash", "active_agent"):
                assert read[name] == artifact[name]
            assert read["updated_at"] == then[-1]["updated_at"]
            assert read["message_count"] == then[-1]["message_count"]
    lengths = await fold_lengths(journeys, session)
    assert [length for length in lengths if length is None] == [None] * 3, "without a context, nothing to fold"
    assert {length for length in lengths if length is not None} == set(range(FEW))


async def test_a_revision_that_is_not_there_is_refused(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.update(session, {"context": {"a": 1}})
        for revision in (2, -1):
            with pytest.raises(InvalidParameter) as refused:
                await read_at(journeys, session, revision)
            assert refused.value.field == "at_revision"
        await journeys.supabase.execute(
            "update public.chat_context_updates set fold_changes = null where chat_session_id = $1 and revision = 0",
            UUID(session),
        )
        with pytest.raises(InvalidParameter, match="no context as early as revision 1"):
            await read_at(journeys, session, 1)


async def test_a_change_by_hand_is_read_as_it_was(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session(context={"a": 1})
        await journeys.update(session, {"context": {"b": 2}})
        await journeys.supabase.execute(
            """update public.chat_sessions set context = '{"by hand": true}' where chat_session_id = $1""",
            UUID(session),
        )
        await journeys.update(session, {"context": {"c": 3}})
        await until_revision(journeys, session, 3)
        contexts = [(await read_at(journeys, session, revision))["context"] for revision in range(4)]
    assert contexts == [{"a": 1}, {"a": 1, "b": 2}, {"by hand": True}, {"by hand": True, "c": 3}]


async def test_a_context_by_hand_that_no_journey_can_hold_is_told_as_what_it_was(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        for context in (f'{{"deep": {"[" * 300}{"]" * 300}}}', '{"mended": true}'):
            await journeys.supabase.execute(
                "update public.chat_sessions set context = $2 where chat_session_id = $1", UUID(session), context
            )
        with pytest.raises(ContextTooLarge, match="nested more deeply"):
            await read_at(journeys, session, 1)
        assert (await read_at(journeys, session, 2))["context"] == {"mended": True}


async def test_in_a_gap_the_last_revision_before_it_is_read(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session(context={"a": 1})
        await journeys.state_surface.execute(
            "update state_surface.artifacts set revision = 7 where artifact_id = $1", UUID(session)
        )
        await journeys.update(session, {"context": {"b": 2}})
        first, gap, last = [await read_at(journeys, session, revision) for revision in (0, 6, 8)]
    assert (first["revision"], first["context"]) == (0, {"a": 1})
    assert (gap["revision"], gap["context"]) == (1, {"a": 1, "b": 2})
    assert (last["revision"], last["context"]) == (8, {"a": 1, "b": 2})


async def test_a_ledger_that_was_edited_is_not_believed(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.update(session, {"context": {"a": 1}})
        await journeys.supabase.execute(
            """update public.chat_context_updates set change = jsonb_set(change, '{context,a}', '2')
               where chat_session_id = $1 and revision = 1""",
            UUID(session),
        )
        with pytest.raises(InvalidParameter, match="the ledger was edited"):
            await read_at(journeys, session, 1)


async def test_a_session_that_is_deleted_while_it_is_read_is_not_found(
    journeys: Journeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = EarlierContextsSupabase.at

    async def fold_after_deletion(
        self: EarlierContextsSupabase, chat_session_id: str, revision: int
    ) -> EarlierContext | None:
        await journeys.sessions.delete(chat_session_id, tenant_id=journeys.tenant_id)
        return await fold(self, chat_session_id, revision)

    monkeypatch.setattr(EarlierContextsSupabase, "at", fold_after_deletion)
    async with journeys.worker():
        session = await journeys.create_session()
        with pytest.raises(SessionNotFound):
            await read_at(journeys, session, 0)


async def test_a_long_history_is_folded_from_few_changes(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        for number in range(2 * MAX_FOLD_CHANGES + 50):
            await journeys.signal(session, {"context": {f"k{number % 7}": number}})
        row = await until_revision(journeys, session, 2 * MAX_FOLD_CHANGES + 50)
    lengths = await fold_lengths(journeys, session)
    assert [revision for revision, length in enumerate(lengths, 1) if length == 0] == [
        MAX_FOLD_CHANGES,
        2 * MAX_FOLD_CHANGES,
    ]
    found = await EarlierContextsSupabase(journeys.supabase).at(session, row["revision"])
    assert found is not None
    assert found.context_hash == row["context_hash"] == canonical_hash(row["context"])


def test_a_fold_reads_neither_too_many_changes_nor_too_many_bytes() -> None:
    length, folded = FoldLength(0, 0), 0
    for number in range(5 * MAX_FOLD_CHANGES):
        size = 100 if number < 2 * MAX_FOLD_CHANGES else 100_000
        length = length.after(size)
        folded = 0 if length.changes == 0 else folded + size
        assert length.changes < MAX_FOLD_CHANGES
        assert folded == length.size <= MAX_FOLD_BYTES
    assert UNKNOWN_LENGTH.after(1) == FoldLength(0, 0)
