"""The stores' addresses, from environment variables."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _check_postgres_url(url: SecretStr) -> SecretStr:
    """Refuse a malformed database URL. The message quotes no part of the URL, which may be part of the password."""
    try:
        parts = urlsplit(url.get_secret_value())
        valid = parts.scheme in ("postgresql", "postgres") and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(
            "is not a URL of the form postgresql://user:password@host:port/database; "
            "in a password write # / ? @ as %23 %2F %3F %40"
        )
    return url


PostgresUrl = Annotated[SecretStr, AfterValidator(_check_postgres_url)]


class StoreSettings(BaseSettings):
    """The stores' addresses.

    Attributes:
        supabase_db_url: Supabase's Postgres, direct or through a pooler, as `postgresql://...`.
        state_surface_url: The State Surface's Postgres; by default the same as Supabase's.
    """

    model_config = SettingsConfigDict(populate_by_name=True, frozen=True)

    supabase_db_url: PostgresUrl = Field(
        default=SecretStr("postgresql://postgres:postgres@127.0.0.1:54322/postgres"), validation_alias="SUPABASE_DB_URL"
    )
    state_surface_url: PostgresUrl = Field(
        default_factory=lambda settings: settings["supabase_db_url"], validation_alias="STATE_SURFACE_URL"
    )
