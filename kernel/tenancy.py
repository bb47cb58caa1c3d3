"""Who calls: the tenant, the client and the actor come from the verified credential and from nowhere else."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

SECRET_BYTES_MIN: Final = 32
TOKEN_BYTES_MAX: Final = 4096
LIFETIME_SECONDS_MAX: Final = 24 * 3600
CACHED_TOKENS_MAX: Final = 4096
NO_TENANT: Final = UUID(int=0)
"""The tenant of a service's own token: no row belongs to it, so row-level security shows such a token nothing."""

_ALGORITHM: Final = "HS256"


class Unauthenticated(Exception):  # noqa: N818 - named for what is wrong, as refusals are.
    """The credential is absent, expired or not ours; the text says which, and never repeats the credential."""


class Forbidden(Exception):  # noqa: N818 - named for what is wrong, as refusals are.
    """The credential is good and does not carry the scope that this call needs."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a verified credential speaks for. `client` is None for the agency's own people and services."""

    tenant: UUID
    client: str | None
    actor: str
    credential: str
    scopes: frozenset[str]

    def require(self, scope: str) -> None:
        """Raise Forbidden unless this caller holds `scope`."""
        if scope not in self.scopes:
            message = f"this call needs the scope {scope!r}, which the credential does not carry"
            raise Forbidden(message)


def service_caller(service: str, *scopes: str) -> Caller:
    """The caller that a service is when it asks another for what belongs to no single tenant, such as the log."""
    return Caller(NO_TENANT, None, f"service:{service}", f"service:{service}", frozenset(scopes))


def sign(caller: Caller, secret: bytes, lifetime_seconds: int) -> str:
    """A JWT (HS256) that says who the caller is, for at most `LIFETIME_SECONDS_MAX`."""
    if not 0 < lifetime_seconds <= LIFETIME_SECONDS_MAX:
        message = f"a token lives between 1 and {LIFETIME_SECONDS_MAX} seconds, not {lifetime_seconds}"
        raise ValueError(message)
    claims: dict[str, object] = {
        "tenant": str(caller.tenant),
        "sub": caller.actor,
        "cid": caller.credential,
        "scope": " ".join(sorted(caller.scopes)),
        "exp": int(time.time()) + lifetime_seconds,
    }
    if caller.client is not None:
        claims["client"] = caller.client
    return jwt.encode({"alg": _ALGORITHM}, claims, _key(secret), algorithms=[_ALGORITHM])


def verify(token: str, secret: bytes) -> Caller:
    """The caller that a token speaks for, or Unauthenticated. Nothing is remembered: see Verifier."""
    caller, _expires = _verified(token, _key(secret))
    return caller


class Verifier:
    """Verifies tokens, and remembers the good ones until they expire: a signature costs more than a look-up.

    Safe to share between threads. What fails to verify is never remembered.
    """

    def __init__(self, secret: bytes) -> None:
        """`secret` has at least SECRET_BYTES_MIN bytes."""
        self._key = _key(secret)
        self._known: OrderedDict[str, tuple[Caller, int]] = OrderedDict()
        self._lock = Lock()

    def verify(self, token: str) -> Caller:
        """The caller that a token speaks for, or Unauthenticated."""
        with self._lock:
            known = self._known.get(token)
        if known is not None and known[1] > time.time():
            return known[0]
        verified = _verified(token, self._key)
        with self._lock:
            self._known[token] = verified
            self._known.move_to_end(token)
            if len(self._known) > CACHED_TOKENS_MAX:
                self._known.popitem(last=False)
        return verified[0]


def _key(secret: bytes) -> OctKey:
    if len(secret) < SECRET_BYTES_MIN:
        message = f"the token secret has {len(secret)} bytes, and needs at least {SECRET_BYTES_MIN}"
        raise ValueError(message)
    return OctKey.import_key(secret)


def _verified(token: str, key: OctKey) -> tuple[Caller, int]:
    if len(token) > TOKEN_BYTES_MAX:
        message = f"the token is longer than {TOKEN_BYTES_MAX} bytes"
        raise Unauthenticated(message)
    try:
        claims = jwt.decode(token, key, algorithms=[_ALGORITHM]).claims
    except (JoseError, ValueError) as error:
        message = "the token is not one that this platform signed"
        raise Unauthenticated(message) from error
    return _caller(claims), _expiry(claims)


def _expiry(claims: dict[str, object]) -> int:
    expires = claims.get("exp")
    if type(expires) is not int:
        message = "the token does not say when it expires"
        raise Unauthenticated(message)
    if expires <= time.time():
        message = "the token has expired: sign in again, or ask for a new one"
        raise Unauthenticated(message)
    return expires


def _caller(claims: dict[str, object]) -> Caller:
    try:
        tenant = UUID(_text(claims, "tenant"))
    except ValueError as error:
        message = "the token's tenant is not a UUID"
        raise Unauthenticated(message) from error
    client = _text(claims, "client") if "client" in claims else None
    scopes = claims.get("scope", "")
    if not isinstance(scopes, str):
        message = "the token's scope is not text"
        raise Unauthenticated(message)
    return Caller(tenant, client, _text(claims, "sub"), _text(claims, "cid"), frozenset(scopes.split()))


def _text(claims: dict[str, object], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value.strip():
        message = f"the token does not carry the claim {name!r}"
        raise Unauthenticated(message)
    return value
