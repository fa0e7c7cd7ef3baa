"""Read a store's URL: hosts, and the parameters that are meant for the client and not for the server.

asyncpg passes every parameter that it does not know on to the server. The parameters that Prisma and libpq keep to the
client are taken out here. An error quotes no part of the URL, because any part may be a piece of an unescaped password.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

# The port of Supabase's poolers in transaction mode.
_TRANSACTION_POOLER_PORT: Final = 6543

_FORM: Final = (
    "is not a URL of the form postgresql://user:password@host:port/database; "
    "in a password write # / ? @ % as %23 %2F %3F %40 %25"
)
_HOST: Final = re.compile(r"(?P<host>\[[^\[\]@]+\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_PARAMETER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_TARGETS: Final = ("any", "primary", "standby", "prefer-standby", "read-write", "read-only")

# The parameters that asyncpg itself takes from a URL.
_DRIVER_PARAMETERS: Final = frozenset(
    {
        *("host", "port", "dbname", "database", "user", "password", "passfile", "service"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslnegotiation", "sslcrl", "sslpassword"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs", "krbsrvname", "gsslib"),
    }
)

# The parameters that Prisma keeps to itself. `schema` has no use here: our statements name the schema of every table.
_CLIENT_PARAMETERS: Final = frozenset(
    {
        *("pgbouncer", "connection_limit", "pool_timeout", "connect_timeout", "socket_timeout", "statement_cache_size"),
        *("schema", "max_connection_lifetime", "max_idle_connection_lifetime"),
    }
)


class StoreUrlError(ValueError):
    """A URL that cannot be used; the message quotes no part of it."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host of a URL; `port` is None if the URL does not name one."""

    name: str
    port: int | None


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """The parts of a URL.

    Attributes:
        dsn: The URL as asyncpg takes it, without the parameters that stay with the client.
        hosts: The hosts, in the order in which they are tried; empty if only the environment names one.
        target_session_attrs: The kind of server to connect to, as in libpq.
        transaction_pooler: Whether the URL itself says that it leads to a pooler in transaction mode.
        connection_limit: The maximum number of connections, if the URL limits it.
        server_parameters: The names of the parameters that go to the server.
    """

    dsn: str = field(repr=False)
    hosts: tuple[Host, ...]
    target_session_attrs: str
    transaction_pooler: bool
    connection_limit: int | None
    server_parameters: tuple[str, ...]


def parse_store_url(url: str) -> StoreUrl:
    """Read a URL.

    Args:
        url: As libpq or Prisma take it: several hosts with `target_session_attrs`, `pgbouncer=true`,
            `connection_limit`.

    Raises:
        StoreUrlError: The URL cannot be used.
    """
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise StoreUrlError(_FORM) from None
    # A second @, or one behind the host, is the end of a password that has # / ? or @ in it.
    misplaced = "#" in url or "@" in parts.path or "@" in parts.query or parts.netloc.count("@") > 1
    if parts.scheme not in ("postgresql", "postgres") or misplaced or not all(map(_PARAMETER.fullmatch, query)):
        raise StoreUrlError(_FORM)
    hosts = _parse_hosts(parts.netloc.rpartition("@")[2], "")
    if not hosts and query.get("host"):
        hosts = _parse_hosts(query["host"], query.get("port", ""))
    target = query.get("target_session_attrs", "any")
    if target not in _TARGETS:
        raise StoreUrlError(f"has a target_session_attrs that is none of {', '.join(_TARGETS)}")
    limit = query.get("connection_limit")
    if limit is not None and not re.fullmatch("[1-9][0-9]{0,5}", limit):
        raise StoreUrlError("has a connection_limit that is no positive number")
    pooled = query.get("pgbouncer", "false")
    if pooled not in ("true", "false"):
        raise StoreUrlError("has a pgbouncer that is neither true nor false")
    passed_on = {name: value for name, value in query.items() if name not in _CLIENT_PARAMETERS}
    return StoreUrl(
        dsn=parts._replace(query=urlencode(passed_on)).geturl(),
        hosts=hosts,
        target_session_attrs=target,
        transaction_pooler=pooled == "true"
        or query.get("statement_cache_size") == "0"
        or any(host.port == _TRANSACTION_POOLER_PORT for host in hosts),
        connection_limit=None if limit is None else int(limit),
        server_parameters=tuple(name for name in passed_on if name not in _DRIVER_PARAMETERS),
    )


def _parse_hosts(hosts: str, ports: str) -> tuple[Host, ...]:
    """Read `host:port,host:port`, or a list of hosts and one of ports."""
    if not hosts:
        return ()
    found = []
    for text in hosts.split(","):
        # A directory of sockets has a slash, and perhaps a colon.
        name = unquote(text)
        match = None if name.startswith("/") else _HOST.fullmatch(text)
        if match is None and not name.startswith("/"):
            raise StoreUrlError(_FORM)
        port = match["port"] if match else None
        if port is not None and not 0 < int(port) < 65536:
            raise StoreUrlError(_FORM)
        found.append(Host(unquote(match["host"]).strip("[]") if match else name, int(port) if port else None))
    separate = [port for port in ports.split(",") if port]
    if separate:
        if len(separate) not in (1, len(found)) or not all(re.fullmatch("[0-9]{1,5}", port) for port in separate):
            raise StoreUrlError("has another number of ports than of hosts")
        every = separate * len(found) if len(separate) == 1 else separate
        found = [Host(host.name, host.port or int(port)) for host, port in zip(found, every, strict=True)]
    return tuple(found)
