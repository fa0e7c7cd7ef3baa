"""The public keys of the project's tokens, fetched from its JWKS.

PyJWT's own client blocks the event loop, and fetches the keys anew for every made-up key ID.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Final
from urllib.request import Request, urlopen

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic_core import from_json

from starter.http.problems import Problem

_FETCH_SECONDS: Final = 3.0
_MAX_BYTES: Final = 256 * 1024
_MAX_KEYS: Final = 100
_MIN_RSA_BITS: Final = 2048

# At most one fetch in this time, whatever key IDs are asked for.
_PAUSE_SECONDS: Final = 60.0
# While no keys are known at all, nobody is served, so the next attempt comes sooner.
_FIRST_PAUSE_SECONDS: Final = 5.0
# A key that the project has withdrawn is refused after this time.
_LIFETIME_SECONDS: Final = 600.0


class SigningKeys:
    """The keys by their IDs."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at = -_LIFETIME_SECONDS
        self._tried_at = -_PAUSE_SECONDS
        self._has_failed = False
        self._fetching = asyncio.Lock()

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key with this ID; None if the project has none.

        Raises:
            Problem: The keys cannot be fetched, so it is not known whether there is such a key.
        """
        if key_id in self._keys and time.monotonic() < self._fetched_at + _LIFETIME_SECONDS:
            return self._keys[key_id]
        async with self._fetching:
            pause = _PAUSE_SECONDS if self._keys else _FIRST_PAUSE_SECONDS
            if time.monotonic() >= self._tried_at + pause:
                await self._fetch()
        key = self._keys.get(key_id)
        if key is None and self._has_failed:
            raise Problem("KEYS_UNAVAILABLE", "the keys that tokens are verified with cannot be fetched now")
        return key

    async def _fetch(self) -> None:
        self._tried_at = time.monotonic()
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                document = await asyncio.to_thread(_download, self._url)
            self._keys = _usable_keys(from_json(document))
        except (HTTPException, OSError, TimeoutError, ValueError) as error:
            logging.getLogger(__name__).warning("the JWKS cannot be fetched", extra={"reason": type(error).__name__})
            self._has_failed = True
        else:
            self._fetched_at = time.monotonic()
            self._has_failed = False


def _download(url: str) -> bytes:
    request = Request(url, headers={"accept": "application/json"})  # noqa: S310 - the setting takes http and https only
    with urlopen(request, timeout=_FETCH_SECONDS) as answer:  # noqa: S310
        found: bytes = answer.read(_MAX_BYTES + 1)
    if len(found) > _MAX_BYTES:
        raise ValueError("the JWKS is too large")
    return found


def _usable_keys(document: object) -> dict[str, jwt.PyJWK]:
    """The keys of a JWKS that may sign tokens. The key decides on the algorithm, never the token."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("no JWKS")
    keys: dict[str, jwt.PyJWK] = {}
    for entry in entries[:_MAX_KEYS]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or not isinstance(entry.get("kid"), str):
            continue
        algorithm = {"EC": "ES256", "RSA": "RS256"}.get(str(entry.get("kty")))
        if algorithm is None or entry.get("alg", algorithm) != algorithm:
            continue
        try:
            key = jwt.PyJWK(entry, algorithm=algorithm)
        except (jwt.PyJWTError, ValueError):
            continue
        if _is_strong(key.key):
            keys[entry["kid"]] = key
    return keys


def _is_strong(key: object) -> bool:
    if isinstance(key, EllipticCurvePublicKey):
        return key.curve.name == "secp256r1"
    return isinstance(key, RSAPublicKey) and key.key_size >= _MIN_RSA_BITS
