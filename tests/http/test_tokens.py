"""Who is let in: every wrong kind of token is refused, and none of the right kinds."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.http.conftest import Api
from tests.support.http_gateways import (
    PATH,
    SECRET,
    GatewayProcess,
    Json,
    SigningKeySet,
    gateway_process,
    service_claims,
    sign,
    user_claims,
)
from tests.support.journeys import Journeys

Token = Callable[[SigningKeySet, Json], str]


def signed_with_hs256(header: Json, claims: Json, key: bytes) -> str:
    """PyJWT refuses to sign with a public key."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.new(key, b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def public(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def but(claims: Json, *names: str, **more: Any) -> Json:
    return {name: value for name, value in (claims | more).items() if name not in names}


NOW = int(time.time())

WRONG: dict[str, Token] = {
    "expired": lambda _, claims: sign(claims | {"exp": NOW - 40}),
    "without expiry": lambda _, claims: sign(but(claims, "exp")),
    "expiry no number": lambda _, claims: sign(claims | {"exp": "soon"}),
    "expiry out of range": lambda _, claims: sign(claims | {"exp": float("inf")}),
    "not yet valid": lambda _, claims: sign(claims | {"nbf": NOW + 600}),
    "another secret": lambda _, claims: sign(claims, "another secret of thirty-two characters"),
    "no algorithm": lambda _, claims: jwt.encode(claims, "", algorithm="none"),
    "another algorithm of the secret": lambda _, claims: sign(claims, SECRET * 2, "HS512"),
    "an RSA public key as secret": lambda keys, claims: signed_with_hs256(
        {"alg": "HS256", "kid": "rsa"}, claims, public(keys.rsa)
    ),
    "an EC public key as secret": lambda keys, claims: signed_with_hs256(
        {"alg": "HS256", "kid": "ec"}, claims, public(keys.ec)
    ),
    "a shared key of the JWKS": lambda _, claims: sign(claims, "x" * 40, kid="shared"),
    "unknown key": lambda _, claims: sign(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", kid="unknown"),
    "no key ID": lambda keys, claims: sign(claims, keys.ec, "ES256"),
    "another EC key": lambda _, claims: sign(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", kid="ec"),
    "another RSA key": lambda _, claims: sign(claims, rsa.generate_private_key(65537, 2048), "RS256", kid="rsa"),
    "RSA with an EC key's ID": lambda keys, claims: sign(claims, keys.rsa, "RS256", kid="ec"),
    "another algorithm of the key": lambda keys, claims: sign(claims, keys.rsa, "RS512", kid="rsa"),
    "critical header": lambda _, claims: sign(claims, crit=["exp"]),
    "wrong audience": lambda _, claims: sign(claims | {"aud": "another"}),
    "no audience": lambda _, claims: sign(but(claims, "aud")),
    "no subject": lambda _, claims: sign(but(claims, "sub")),
    "subject no text": lambda _, claims: sign(claims | {"sub": 7}),
    "subject with control characters": lambda _, claims: sign(claims | {"sub": "a\nb"}),
    "anonymous key": lambda *_: sign(service_claims(role="anon")),
    "no role": lambda _, claims: sign(but(claims, "role")),
    "role no text": lambda _, claims: sign(claims | {"role": ["service_role"]}),
    "no token": lambda *_: "",
    "no JWT": lambda *_: "abc",
    "deep header": lambda *_: base64.urlsafe_b64encode(b'{"alg":' + b"[" * 20000).decode() + ".e30.x",
    "cut off": lambda _, claims: sign(claims)[:-3],
    "changed": lambda _, claims: ".".join(
        [sign(claims).split(".")[0], sign(service_claims()).split(".")[1], sign(claims).split(".")[2]]
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_token_is_refused(api: Api, keys: SigningKeySet, name: str) -> None:
    token = WRONG[name](keys, user_claims(api.tenant_id, api.user_id))
    async with api.gateway.client(None, **{"x-tenant-id": api.tenant_id}) as anybody:
        refused = await anybody.get(PATH, headers={"authorization": f"Bearer {token}"} if token else {})
    assert (refused.status_code, refused.json()["code"]) == (401, "UNAUTHENTICATED")
    assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "claims",
    [
        {"app_metadata": {}},
        {"app_metadata": None},
        {"app_metadata": {"tenant_id": ""}},
        {"app_metadata": {"tenant_id": 7}},
        {"app_metadata": {}, "user_metadata": {"tenant_id": "acme"}},
    ],
    ids=str,
)
async def test_a_user_without_a_tenant_is_refused(api: Api, claims: Json) -> None:
    async with api.gateway.client(api.user_token(**claims)) as user:
        refused = await user.get(PATH)
    assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")


RIGHT: dict[str, Token] = {
    "HS256": lambda _, claims: sign(claims),
    "ES256": lambda keys, claims: sign(claims, keys.ec, "ES256", kid="ec"),
    "RS256": lambda keys, claims: sign(claims, keys.rsa, "RS256", kid="rsa"),
    "within the leeway": lambda _, claims: sign(claims | {"exp": int(time.time()) - 20, "nbf": int(time.time()) + 20}),
    "several audiences": lambda _, claims: sign(claims | {"aud": ["other", "authenticated"]}),
    "issued by a clock that is ahead": lambda _, claims: sign(claims | {"iat": int(time.time()) + 600}),
}


@pytest.mark.parametrize("name", RIGHT)
async def test_a_right_token_is_let_in(api: Api, keys: SigningKeySet, name: str) -> None:
    session = await api.create()
    async with api.gateway.client(RIGHT[name](keys, user_claims(api.tenant_id, api.user_id))) as user:
        assert (await user.get(f"{PATH}/{session}")).status_code == 200


async def test_a_services_key_needs_a_tenant(api: Api) -> None:
    session = await api.create()
    async with api.gateway.client(sign(service_claims())) as service:
        refused = await service.get(f"{PATH}/{session}")
        assert (refused.status_code, refused.json()["field"]) == (400, "tenant_id")
        for odd in (b"", b"\xff", b"t" * 256):
            refused = await service.get(f"{PATH}/{session}", headers=[(b"x-tenant-id", odd)])
            assert (refused.status_code, refused.json()["field"]) == (400, "tenant_id")
        found = await service.get(f"{PATH}/{session}", headers={"x-tenant-id": api.tenant_id})
        assert found.status_code == 200
        assert (await service.get(f"{PATH}/{session}", headers={"x-tenant-id": "other"})).status_code == 404


async def test_a_users_headers_make_nobody_else_of_them(api: Api) -> None:
    session = await api.create()
    async with api.gateway.client(sign(user_claims(api.tenant_id, "eve")), **{"x-user-id": api.user_id}) as eve:
        for answer in (
            await eve.get(f"{PATH}/{session}"),
            await eve.get(f"{PATH}/{session}/messages"),
            await eve.get(f"{PATH}/{session}/history"),
            await eve.get(f"{PATH}/{session}/events"),
            await eve.patch(f"{PATH}/{session}", json={"title": "mine"}),
            await eve.patch(f"{PATH}/{session}/context", json={"context": {}}),
            await eve.post(f"{PATH}/{session}/messages", json={"messages": [{}]}),
            await eve.delete(f"{PATH}/{session}/messages/m"),
            await eve.delete(f"{PATH}/{session}/turn"),
            await eve.delete(f"{PATH}/{session}"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "SESSION_NOT_FOUND")
    assert (await api.user.get(f"{PATH}/{session}")).json()["revision"] == 0


async def test_a_stranger_starts_nothing_in_the_engine(api: Api, world: Journeys) -> None:
    session = await api.create()
    before = [event.event_id for event in await world.events(session)]
    async with api.gateway.client(sign(user_claims(api.tenant_id, "eve"))) as eve:
        await asyncio.gather(*(eve.patch(f"{PATH}/{session}/context", json={"context": {}}) for _ in range(20)))
    assert [event.event_id for event in await world.events(session)] == before


async def test_made_up_key_ids_fetch_the_keys_no_more_than_once_a_minute(
    api: Api, gateway: GatewayProcess, keys: SigningKeySet
) -> None:
    claims = user_claims(api.tenant_id, api.user_id)
    stranger = ec.generate_private_key(ec.SECP256R1())
    before = keys.fetches
    async with gateway.client(None) as anybody:
        answers = await asyncio.gather(
            *(
                anybody.get(PATH, headers={"authorization": f"Bearer {sign(claims, stranger, 'ES256', kid=str(each))}"})
                for each in range(30)
            )
        )
    assert {answer.status_code for answer in answers} == {401}
    assert keys.fetches - before <= 1


async def test_keys_that_cannot_be_fetched_are_told_as_such(world: Journeys, keys: SigningKeySet) -> None:
    nowhere = {"SUPABASE_JWKS_URL": "http://127.0.0.1:9/jwks.json", "SUPABASE_JWT_ISSUER": "https://other.example"}
    claims = user_claims(world.tenant_id, "ada")
    async with gateway_process(world, nowhere) as gateway, gateway.client(None) as anybody:

        async def get(token: str, **headers: str) -> Any:
            return await anybody.get(PATH, headers={"authorization": f"Bearer {token}", **headers})

        unknown = await get(sign(claims, keys.ec, "ES256", kid="ec"))
        assert (unknown.status_code, unknown.json()["code"]) == (503, "KEYS_UNAVAILABLE")
        assert int(unknown.headers["retry-after"]) > 0
        # A user's issuer has to be the one that is set, and the issuer of a service's key has to be Supabase's.
        assert (await get(sign(claims))).status_code == 401
        assert (await get(sign(claims | {"iss": "https://other.example"}))).status_code == 200
        assert (await get(sign(service_claims()), **{"x-tenant-id": world.tenant_id})).status_code == 200
        assert (await get(sign(service_claims(iss="https://evil.example")))).status_code == 401
