"""Who calls is what the credential says; whatever is doubtful about it is refused."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from kernel import tenancy
from kernel.tenancy import Caller, Forbidden, Unauthenticated, Verifier, sign, verify

SECRET = b"0123456789abcdef0123456789abcdef"
CALLER = Caller(uuid4(), "client-1", "ann", "credential-1", frozenset({"accounts:write", "accounts:read"}))


def forged(algorithm: str = "HS256", secret: bytes = SECRET, **changes: object) -> str:
    claims = {"tenant": str(uuid4()), "sub": "ann", "cid": "1", "scope": "", "exp": int(time.time()) + 60} | changes
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": algorithm}, kept, OctKey.import_key(secret), algorithms=[algorithm])


def test_a_token_says_who_the_caller_is() -> None:
    assert verify(sign(CALLER, SECRET, 60), SECRET) == CALLER


def test_an_agency_caller_has_no_client() -> None:
    caller = Caller(uuid4(), None, "ann", "credential-1", frozenset())
    assert verify(sign(caller, SECRET, 60), SECRET) == caller


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "a.b.c",
        "é.é.é",
        forged(secret=b"another secret of thirty-two byte"),
        forged(algorithm="HS512", secret=SECRET * 2),
        forged(exp=int(time.time()) - 1),
        forged(exp=None),
        forged(exp=True),
        forged(exp="9999999999"),
        forged(tenant=None),
        forged(tenant="everyone"),
        forged(tenant=7),
        forged(sub=" "),
        forged(cid=None),
        forged(client=""),
        forged(scope=["all"]),
        forged(padding="x" * tenancy.TOKEN_BYTES_MAX),
        # An unsigned token that names another tenant.
        "eyJhbGciOiJub25lIn0.eyJ0ZW5hbnQiOiI3In0.",
    ],
)
def test_a_doubtful_token_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        Verifier(SECRET).verify(token)
    assert not token or token not in str(refusal.value)


def test_a_remembered_token_expires_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = Verifier(SECRET)
    token = sign(CALLER, SECRET, 60)
    assert verifier.verify(token) == CALLER
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Unauthenticated, match="expired"):
        verifier.verify(token)


def test_remembered_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenancy, "CACHED_TOKENS_MAX", 2)
    verifier = Verifier(SECRET)
    for _ in range(3):
        verifier.verify(forged())
    assert len(verifier._known) == 2


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        Verifier(b"short")


def test_a_token_lives_a_day_at_most() -> None:
    with pytest.raises(ValueError, match="between 1 and 86400"):
        sign(CALLER, SECRET, 86_401)


def test_a_scope_that_is_missing_is_named() -> None:
    CALLER.require("accounts:read")
    with pytest.raises(Forbidden, match="'log:read'"):
        CALLER.require("log:read")
