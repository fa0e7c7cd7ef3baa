"""Tokens for everybody who asks, for development on this machine. Only `journey dev` issues them.

A page of any origin can send requests to this machine. It cannot send JSON without a CORS preflight. If it uses a name
of its own that resolves to this machine (DNS rebinding), its requests have that name in `Host`.
"""

import ipaddress
import time
from typing import Final, Literal, Self
from urllib.parse import urlsplit

import jwt
from pydantic import model_validator
from starlette.requests import Request

from journeys.errors import InvalidParameter
from journeys.identifiers import Identifier
from journeys.messages import Record
from journeys.messages import Request as Message
from starter.http.problems import Problem

LIFETIME_SECONDS: Final = 12 * 3600
"""How long a user's token is valid."""

_SERVICE_SECONDS: Final = 365 * 24 * 3600


class DevTokenRequest(Message):
    """Whom a token is for.

    Attributes:
        role: `authenticated` for a user, `service_role` for a service.
        tenant_id: The user's tenant; a service's token names none.
        user_id: The user; a service's token names none.
    """

    role: Literal["authenticated", "service_role"] = "authenticated"
    tenant_id: Identifier | None = None
    user_id: Identifier | None = None

    @model_validator(mode="after")
    def _name_a_user_or_nobody(self) -> Self:
        for field in ("tenant_id", "user_id"):
            is_named = getattr(self, field) is not None
            if self.role == "service_role" and is_named:
                raise InvalidParameter(f"{field}: leave it out; a service's token names neither", field=field)
            if self.role == "authenticated" and not is_named:
                raise InvalidParameter(f"{field}: is needed for a user's token", field=field)
        return self


class DevToken(Record):
    """A token of a user or of a service.

    Attributes:
        note: Says that the token is for development.
    """

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - a type
    expires_in: int = LIFETIME_SECONDS
    note: str = "for development only: `journey dev` gives a token to everybody on this machine who asks"


class DevTokens:
    """Issues tokens as Supabase Auth does."""

    def __init__(self, secret: str, audience: str) -> None:
        self._secret = secret
        self._audience = audience

    def issue(self, wanted: DevTokenRequest) -> DevToken:
        """Issue a token."""
        now = int(time.time())
        claims: dict[str, object] = {"role": wanted.role, "iat": now, "exp": now + LIFETIME_SECONDS}
        if wanted.role == "authenticated":
            claims |= {
                "aud": self._audience,
                "sub": wanted.user_id,
                "app_metadata": {"tenant_id": wanted.tenant_id},
            }
        return DevToken(access_token=jwt.encode(claims, self._secret, algorithm="HS256"))


def issue_service_token(secret: str) -> str:
    """A token for a service of this machine, like Supabase's service key: it does not expire during development."""
    now = int(time.time())
    return jwt.encode({"role": "service_role", "iat": now, "exp": now + _SERVICE_SECONDS}, secret, algorithm="HS256")


def require_loopback(request: Request) -> None:
    """Check that the request addresses this machine as loopback.

    Raises:
        Problem: It was not.
    """
    given = request.headers.getlist("host")
    try:
        name = urlsplit(f"//{given[0]}").hostname if len(given) == 1 else None
        is_loopback = name == "localhost" or ipaddress.ip_address(name or "").is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise Problem("FORBIDDEN", "a token for development is issued under a loopback address only")
