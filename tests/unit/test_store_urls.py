"""A store's URL means what libpq and Prisma take it to mean, and an error never shows a piece of a password."""

import traceback

import pytest

from journeys.client.settings import read_settings
from journeys.errors import InvalidParameter
from stores.settings import StoreSettings
from stores.urls import Host, StoreUrlError, parse_store_url


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u:p@db.example/app", [Host("db.example", None)]),
        ("postgres://u:p@db.example:6000/app", [Host("db.example", 6000)]),
        ("postgresql://u:p@one:5432,two:5433/app", [Host("one", 5432), Host("two", 5433)]),
        ("postgresql://u:p@one,two:5433/app", [Host("one", None), Host("two", 5433)]),
        ("postgresql://u:p@[::1]:5432,[fe80::2]/app", [Host("::1", 5432), Host("fe80::2", None)]),
        ("postgresql:///app?host=one,two&port=5432,5433", [Host("one", 5432), Host("two", 5433)]),
        ("postgresql:///app?host=one,two&port=6000", [Host("one", 6000), Host("two", 6000)]),
        ("postgresql:///app?host=/var/run/postgresql", [Host("/var/run/postgresql", None)]),
        ("postgresql:///app", []),
        ("postgresql://u:a%23b%2Fc%3Fd%40e@one/app", [Host("one", None)]),
    ],
)
def test_hosts_are_read_as_libpq_reads_them(url: str, hosts: list[Host]) -> None:
    assert list(parse_store_url(url).hosts) == hosts


@pytest.mark.parametrize(
    ("query", "pooler", "limit", "dsn_query"),
    [
        ("", False, None, ""),
        ("?pgbouncer=true", True, None, ""),
        ("?pgbouncer=false", False, None, ""),
        ("?pgbouncer=true&connection_limit=1&pool_timeout=20", True, 1, ""),
        ("?connection_limit=7&schema=public&connect_timeout=30", False, 7, ""),
        ("?sslmode=require&pgbouncer=true", True, None, "?sslmode=require"),
        ("?statement_cache_size=0", True, None, ""),
    ],
)
def test_what_is_prismas_does_not_reach_the_server(query: str, pooler: bool, limit: int | None, dsn_query: str) -> None:
    read = parse_store_url(f"postgresql://u:p@one:5432/app{query}")
    assert (read.transaction_pooler, read.connection_limit) == (pooler, limit)
    assert read.dsn == f"postgresql://u:p@one:5432/app{dsn_query}"
    assert read.server_parameters == ()


def test_the_port_of_supabases_pooler_means_transaction_mode() -> None:
    assert parse_store_url("postgresql://u:p@aws-0.pooler.supabase.com:6543/postgres").transaction_pooler


def test_other_parameters_go_to_the_server() -> None:
    read = parse_store_url("postgresql://u:p@one/app?application_name=me&search_path=a%2Cb&sslmode=require")
    assert read.server_parameters == ("application_name", "search_path")


@pytest.mark.parametrize(
    "password",
    [
        "2024?x",
        "2024?x=1&hush",
        "2024/x",
        "2024#x",
        "hush@x",
        "hu[sh",
        "hush?x=/",
        "5432/hush?sslmode=x",
        "hush:99999?",
    ],
)
def test_an_unescaped_password_is_refused_and_no_piece_of_it_shown(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("SUPABASE_DB_URL", f"postgresql://worker:{password}@db.example:5432/app")
    with pytest.raises(InvalidParameter, match="%3F") as refusal:
        read_settings(StoreSettings)
    shown = "".join(traceback.format_exception(refusal.value)).replace("%23 %2F %3F %40 %25", "")
    for piece in (password, "2024", "hush", "worker:", "db.example"):
        assert piece not in shown


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u:p@one/app", "form"),
        ("postgresql://u:p@one:0/app", "form"),
        ("postgresql://u:p@one:65536/app", "form"),
        ("postgresql://u:p@one:x/app", "form"),
        ("postgresql://u:p@one/app?pgbouncer", "form"),
        ("postgresql://u:p@one/app?a b=1", "form"),
        ("postgresql://u:p@one/app?pgbouncer=maybe", "pgbouncer"),
        ("postgresql://u:p@one/app?connection_limit=0", "connection_limit"),
        ("postgresql://u:p@one/app?connection_limit=many", "connection_limit"),
        ("postgresql://u:p@one,two/app?target_session_attrs=master", "target_session_attrs"),
        ("postgresql:///app?host=one,two&port=1,2,3", "ports"),
    ],
)
def test_what_makes_no_sense_is_refused(url: str, reason: str) -> None:
    with pytest.raises(StoreUrlError, match=reason):
        parse_store_url(url)
