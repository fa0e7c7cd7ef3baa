"""Who asks: the tenant and user that a request acts for, from its token and, for services, from its headers."""

from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue, TypeAdapter, ValidationError
from starlette.requests import Request

from journeys.errors import InvalidParameter
from journeys.identifiers import Identifier
from journeys.messages import reason_of
from starter.http.problems import Problem
from starter.http.tokens import TokenVerifier, UserToken

TENANT_HEADER: Final = "X-Tenant-Id"
USER_HEADER: Final = "X-User-Id"
USER_AUTHOR: Final = "user"
"""The author of a user's own changes."""

_IDENTIFIER: Final[TypeAdapter[str]] = TypeAdapter(Identifier)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        user_id: The user; None if a service acts for the whole tenant.
        is_service: Whether the token is a service's, which may act for any user.
        expires_at: When the token stops being valid, in seconds since 1970.
    """

    tenant_id: str
    user_id: str | None
    is_service: bool
    expires_at: float

    @property
    def sender(self) -> dict[str, JsonValue]:
        """The fields of a request that say who sends it."""
        return {"tenant_id": self.tenant_id, "user_id": self.user_id}

    def require_service(self) -> None:
        """Check that a service asks.

        Raises:
            Problem: A user does.
        """
        if not self.is_service:
            raise Problem("FORBIDDEN", "only a service does this")

    def require_user(self) -> str:
        """The user.

        Raises:
            InvalidParameter: A service did not say for which user it asks.
        """
        if self.user_id is None:
            raise InvalidParameter(f"user_id: is needed; name the user in {USER_HEADER}", field="user_id")
        return self.user_id


async def identify(request: Request, tokens: TokenVerifier) -> Caller:
    """Find out who sends a request.

    Raises:
        Problem: There is no valid token, or it has no tenant.
        InvalidParameter: A service names no tenant.
    """
    token = await tokens.verify(_bearer(request))
    if isinstance(token, UserToken):
        return Caller(token.tenant_id, token.user_id, is_service=False, expires_at=token.expires_at)
    tenant_id = _read_identifier(request, TENANT_HEADER, "tenant_id")
    if tenant_id is None:
        raise InvalidParameter(f"tenant_id: is needed; name the tenant in {TENANT_HEADER}", field="tenant_id")
    user_id = _read_identifier(request, USER_HEADER, "user_id")
    return Caller(tenant_id, user_id, is_service=True, expires_at=token.expires_at)


def _bearer(request: Request) -> str:
    given = request.headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token.strip():
        raise Problem("UNAUTHENTICATED", "send one header Authorization: Bearer <token>")
    return token.strip()


def _read_identifier(request: Request, header: str, field: str) -> str | None:
    """An ID from a header, which may be UTF-8."""
    given = request.headers.getlist(header)
    if not given:
        return None
    try:
        if len(given) > 1:
            raise ValueError
        return _IDENTIFIER.validate_python(given[0].encode("latin-1").decode())
    except ValidationError as error:
        reason = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
        raise InvalidParameter(f"{field}: {reason_of(reason)}", field=field) from None
    except ValueError:
        raise InvalidParameter(f"{field}: {header} must be one text in UTF-8", field=field) from None
