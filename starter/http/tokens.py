"""Verify the tokens of Supabase Auth. Nothing in a token is believed before its signature is checked."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import jwt
from jwt.types import Options
from pydantic import TypeAdapter, ValidationError

from journeys.identifiers import Identifier
from starter.http.problems import Problem
from starter.http.signing_keys import SigningKeys

LEEWAY_SECONDS: Final = 30
"""How far the clocks of the issuer and of the gateway may differ."""

# Verifying a token takes as long as all the rest of a read does.
_MEMORY_SECONDS: Final = 60.0
_MAX_REMEMBERED: Final = 2000

_USER_ROLE: Final = "authenticated"
_SERVICE_ROLE: Final = "service_role"
# A project's service keys name these, whatever issuer the tokens of its users have.
_ISSUERS_OF_SERVICE_KEYS: Final = ("supabase", "supabase-demo")

_OPTIONS: Final[Options] = {
    "require": ["exp"],
    "verify_aud": False,  # by role, below
    "verify_iat": False,
    "verify_sub": False,
    "verify_jti": False,
}
# The second is for numbers that are out of range; the third for a header that is nested too deeply.
_INVALID: Final = (jwt.PyJWTError, OverflowError, RecursionError, ValueError)

_IDENTIFIER: Final[TypeAdapter[str]] = TypeAdapter(Identifier)


@dataclass(frozen=True, slots=True)
class UserToken:
    """A valid token of a signed-in user."""

    tenant_id: str
    user_id: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class ServiceToken:
    """A valid token of a service, which may act for every tenant."""

    expires_at: float


class TokenVerifier:
    """Verifies tokens with a project's secret, its public keys, or both."""

    def __init__(self, *, secret: str | None, keys: SigningKeys | None, audience: str, issuer: str | None) -> None:
        """Make a verifier.

        Args:
            secret: The secret of HS256 tokens; None if there are none.
            keys: The keys of ES256 and RS256 tokens; None if there are none.
            audience: The audience that a user's token must have.
            issuer: The issuer that a token must have; None if any will do.
        """
        self._secret = secret
        self._keys = keys
        self._audience = audience
        self._issuer = issuer

        self._verified: OrderedDict[str, tuple[UserToken | ServiceToken, float]] = OrderedDict()

    async def verify(self, token: str) -> UserToken | ServiceToken:
        """Verify a token. The result is kept for a minute, or until the token expires.

        Raises:
            Problem: The token is not valid, names no tenant, or the keys cannot be fetched.
        """
        now = time.time()
        known, until = self._verified.get(token, (None, 0.0))
        if known is not None and now < until:
            return known
        found = await self._verify(token)
        self._verified[token] = (found, min(now + _MEMORY_SECONDS, found.expires_at))
        self._verified.move_to_end(token)
        if len(self._verified) > _MAX_REMEMBERED:
            self._verified.popitem(last=False)
        return found

    async def _verify(self, token: str) -> UserToken | ServiceToken:
        try:
            header = jwt.get_unverified_header(token)
        except _INVALID:
            raise _unauthenticated("the token is no JWT") from None
        try:
            claims = await self._read_claims(token, header)
            expires_at = float(str(claims["exp"])) + LEEWAY_SECONDS
        except _INVALID:
            raise _unauthenticated("the token is not valid, or no longer") from None
        role, issuer = claims.get("role"), claims.get("iss")
        if role == _SERVICE_ROLE:
            if self._issuer is not None and issuer not in (self._issuer, *_ISSUERS_OF_SERVICE_KEYS):
                raise _unauthenticated("the token is another issuer's")
            return ServiceToken(expires_at)
        if role != _USER_ROLE:
            raise _unauthenticated("the token is neither a signed-in user's nor a service's")
        if self._issuer is not None and issuer != self._issuer:
            raise _unauthenticated("the token is another issuer's")
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise _unauthenticated("the token is for another audience")
        user_id = _as_identifier(claims.get("sub"))
        if user_id is None:
            raise _unauthenticated("the token names no user that a session can have")
        # Users can write `user_metadata` themselves.
        app_metadata = claims.get("app_metadata")
        tenant_id = _as_identifier(app_metadata.get("tenant_id") if isinstance(app_metadata, dict) else None)
        if tenant_id is None:
            raise Problem("FORBIDDEN", "the token names no tenant: app_metadata.tenant_id is missing")
        return UserToken(tenant_id, user_id, expires_at)

    async def _read_claims(self, token: str, header: dict[str, object]) -> dict[str, object]:
        """The claims of a token whose signature and times are valid.

        A kind of key allows one algorithm. If the token could choose, it could have a public key taken for a secret.
        """
        if "crit" in header:
            raise jwt.InvalidTokenError
        if header.get("alg") == "HS256" and self._secret is not None:
            return jwt.decode(token, self._secret, algorithms=["HS256"], leeway=LEEWAY_SECONDS, options=_OPTIONS)
        key_id = header.get("kid")
        if header.get("alg") in ("ES256", "RS256") and self._keys is not None and isinstance(key_id, str):
            key = await self._keys.find(key_id)
            if key is not None:
                algorithms = [key.algorithm_name]
                return jwt.decode(token, key.key, algorithms=algorithms, leeway=LEEWAY_SECONDS, options=_OPTIONS)
        raise jwt.InvalidTokenError


def _as_identifier(claim: object) -> str | None:
    try:
        return _IDENTIFIER.validate_python(claim, strict=True)
    except ValidationError:
        return None


def _unauthenticated(detail: str) -> Problem:
    return Problem("UNAUTHENTICATED", detail)
