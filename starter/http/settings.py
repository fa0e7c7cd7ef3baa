"""The gateway's settings, from the environment."""

import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, AnyHttpUrl, Field, SecretStr
from pydantic_settings import NoDecode, SettingsConfigDict

from journeys.chat_session.limits import DEFAULT_LIMITS, ChangeBytes
from journeys.chat_session.session import Agent
from journeys.errors import InvalidParameter
from stores.settings import StoreSettings
from worker.settings import DEFAULT_TURN_SECONDS, SPLIT_AT_COMMAS, LogFormat, TurnSeconds

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]/]+):(?P<port>[0-9]{1,5})")
_ORIGIN: Final = re.compile(r"https?://[^/?#\s,]+")


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """Where the gateway listens; port 0 lets the system choose one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port`.

        Raises:
            ValueError: It has another form.
        """
        match = _ADDRESS.fullmatch(text)
        if not match or int(match["port"]) > 65535:
            raise ValueError("must be host:port")
        return cls(match["host"].strip("[]"), int(match["port"]))


def _check_address(text: str) -> str:
    HttpAddress.parse(text)
    return text


def _check_origin(origin: str) -> str:
    if not _ORIGIN.fullmatch(origin):
        raise ValueError("must be origins, for example https://app.example.com, with commas between them")
    return origin


Origins = Annotated[tuple[Annotated[str, AfterValidator(_check_origin)], ...], NoDecode, SPLIT_AT_COMMAS]


class GatewaySettings(StoreSettings):
    """The settings of a gateway.

    Attributes:
        http_address: Where it listens, as `host:port`.
        http_origins: The origins whose pages may call it from a browser; none by default.
        page_origins: The origins of the platform's pages that may show the chat page in a frame and hand it a token.
        supabase_url: The project's URL, at which people sign in on the chat page.
        supabase_anon_key: The project's public key, which goes with a sign-in.
        temporal_ui_url: Where Temporal's Web UI is, for the chat page's link to a session's trace.
        agents: The agents that take turns; the workers' setting of that name.
        turn_seconds: How long an agent's turn may take; the workers' setting of that name.
        jwt_secret: The secret of the project's HS256 tokens.
        jwks_url: The URL of the public keys of the project's ES256 and RS256 tokens.
        jwt_audience: The audience that a user's token must have.
        jwt_issuer: The issuer that a token must have; by default it is not checked.
        max_change_bytes: Size of one change as it is sent; the workers' setting of that name.
        transaction_pooler: Whether the store's URL leads to a pooler in transaction mode. Port 6543 implies it.
        log_format: `json` for programs, `console` for people.
        log_level: The lowest level that is logged.
    """

    model_config = SettingsConfigDict(env_prefix="JOURNEY_", populate_by_name=True, frozen=True)

    http_address: Annotated[str, AfterValidator(_check_address)] = "127.0.0.1:8000"
    http_origins: Origins = ()
    page_origins: Origins = ()
    jwt_secret: Annotated[SecretStr, Field(min_length=32)] | None = Field(
        default=None, validation_alias="SUPABASE_JWT_SECRET"
    )
    jwks_url: AnyHttpUrl | None = Field(default=None, validation_alias="SUPABASE_JWKS_URL")
    jwt_audience: str = Field(default="authenticated", min_length=1, validation_alias="SUPABASE_JWT_AUDIENCE")
    jwt_issuer: str | None = Field(default=None, validation_alias="SUPABASE_JWT_ISSUER")
    supabase_url: AnyHttpUrl | None = Field(default=None, validation_alias="SUPABASE_URL")
    supabase_anon_key: str | None = Field(default=None, min_length=1, validation_alias="SUPABASE_ANON_KEY")
    temporal_ui_url: AnyHttpUrl | None = None
    agents: Annotated[tuple[Agent, ...], NoDecode, SPLIT_AT_COMMAS] = ()
    turn_seconds: TurnSeconds = DEFAULT_TURN_SECONDS
    max_change_bytes: ChangeBytes = DEFAULT_LIMITS.change_bytes
    transaction_pooler: bool = False
    log_format: LogFormat = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def address(self) -> HttpAddress:
        """Where the gateway listens."""
        return HttpAddress.parse(self.http_address)

    def require_keys(self) -> None:
        """Check that tokens can be verified.

        Raises:
            InvalidParameter: There is neither a secret nor a URL of keys.
        """
        if self.jwt_secret is None and self.jwks_url is None:
            raise InvalidParameter(
                "SUPABASE_JWT_SECRET: is needed, or SUPABASE_JWKS_URL; without one no token is valid"
            )
