"""Where the stores are, from the environment."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _postgres_url(url: SecretStr) -> SecretStr:
    """Refuse what is no database URL, without a word of it: it may be a piece of the password."""
    try:
        parts = urlsplit(url.get_secret_value())
        fits = parts.scheme in ("postgresql", "postgres") and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            "is no URL as postgresql://user:password@host:port/database; in a password write # / ? @ as %23 %2F %3F %40"
        )
    return url


PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]


class StoreSettings(BaseSettings):
    """Where the stores are.

    Attributes:
        supabase_db_url: Supabase's Postgres, direct or through a pooler, as `postgresql://...`.
        state_surface_url: The State Surface's Postgres; Supabase's by default.
    """

    model_config = SettingsConfigDict(populate_by_name=True, frozen=True)

    supabase_db_url: PostgresUrl = Field(
        default=SecretStr("postgresql://postgres:postgres@127.0.0.1:54322/postgres"), validation_alias="SUPABASE_DB_URL"
    )
    state_surface_url: PostgresUrl = Field(
        default_factory=lambda settings: settings["supabase_db_url"], validation_alias="STATE_SURFACE_URL"
    )
