"""The stores' addresses, from environment variables."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from stores.urls import parse_store_url


def _check_postgres_url(url: SecretStr) -> SecretStr:
    """Refuse a malformed database URL. The message quotes no part of the URL, which may be part of the password."""
    parse_store_url(url.get_secret_value())
    return url


PostgresUrl = Annotated[SecretStr, AfterValidator(_check_postgres_url)]


class StoreSettings(BaseSettings):
    """The stores' addresses.

    Attributes:
        supabase_db_url: Supabase's Postgres, direct or through a pooler, as `postgresql://...`; see `stores.urls`.
        state_surface_url: The State Surface's Postgres; by default the same as Supabase's.
    """

    model_config = SettingsConfigDict(populate_by_name=True, frozen=True)

    supabase_db_url: PostgresUrl = Field(
        default=SecretStr("postgresql://postgres:postgres@127.0.0.1:54322/postgres"), validation_alias="SUPABASE_DB_URL"
    )
    state_surface_url: PostgresUrl = Field(
        default_factory=lambda settings: settings["supabase_db_url"], validation_alias="STATE_SURFACE_URL"
    )
