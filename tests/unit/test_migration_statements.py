"""A migration is recorded statement by statement, as the Supabase CLI records it."""

import pytest

from stores.migrate import split_statements


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("select 1; select 2", ["select 1", "select 2"]),
        ("select 1;;\n;", ["select 1"]),
        ("-- one; still one\nselect 1;", ["-- one; still one\nselect 1"]),
        ("/* one; */ select 1;", ["/* one; */ select 1"]),
        ("select 'a;''b;';", ["select 'a;''b;'"]),
        ('select 1 as "a;""b";', ['select 1 as "a;""b"']),
        ("do $$ begin; end $$; select 1;", ["do $$ begin; end $$", "select 1"]),
        ("do $a$ $$; $b$; $a$; select 1;", ["do $a$ $$; $b$; $a$", "select 1"]),
    ],
)
def test_a_statement_is_recorded_whole(sql: str, statements: list[str]) -> None:
    assert split_statements(sql) == statements
