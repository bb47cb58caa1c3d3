"""API keys: `ck_<environment>_<id>_<secret>`, shown once. Kept are the secret's hash and what the key allows."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import psycopg
from psycopg.rows import class_row

SCOPES: Final = (
    "placements:write",
    "accounts:read",
    "payments:write",
    "balances:write",
    "holds:write",
    "disputes:write",
    "documents:write",
    "accounts:close",
)
"""Everything that a key may be allowed."""

_ID_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_ID_CHARACTERS: Final = 12
_SECRET_BYTES: Final = 32
_FORM: Final = re.compile(r"ck_(live|test)_([a-z0-9]{12})_([A-Za-z0-9-]{43})")
_LISTED: Final = "SELECT * FROM gateway.api_keys WHERE tenant = %s ORDER BY created_at DESC"
_FOUND: Final = "SELECT * FROM gateway.api_keys WHERE key_id = %s"

Environment = Literal["live", "test"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key as it is kept."""

    key_id: str
    tenant: UUID
    environment: Environment
    name: str
    secret_hash: bytes
    clients: Sequence[str]
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def opens_with(self, secret: str, now: datetime) -> bool:
        """Whether this is its secret and the key is neither revoked nor expired; as slow for any secret."""
        fits = hmac.compare_digest(self.secret_hash, hash_of(secret))
        return fits and self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Presented:
    """A key as a caller presents it."""

    environment: str
    key_id: str
    secret: str


def presented(text: str) -> Presented | None:
    """The parts of a key; None when the text has not the form of one."""
    form = _FORM.fullmatch(text)
    return None if form is None else Presented(*form.groups())


def hash_of(secret: str) -> bytes:
    """SHA-256: the secret is 256 random bits, so that nothing slower is needed."""
    return hashlib.sha256(secret.encode()).digest()


def create_key(  # noqa: PLR0913 - what a key is made of, each by its name.
    connection: psycopg.Connection,
    *,
    tenant: UUID,
    environment: Environment,
    name: str,
    clients: Sequence[str],
    scopes: Sequence[str],
    expires_at: datetime | None = None,
) -> str:
    """Make a key and return its text, which is shown this once and kept nowhere."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes or not clients or any(not client.strip() for client in clients):
        message = f"a key needs clients and scopes; unknown scopes: {', '.join(unknown) or 'none'}"
        raise ValueError(message)
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_CHARACTERS))
    secret = secrets.token_urlsafe(_SECRET_BYTES).replace("_", "-")
    with connection.transaction():
        _as_tenant(connection, tenant)
        connection.execute(
            "INSERT INTO gateway.api_keys (key_id, tenant, environment, name, secret_hash, clients, scopes, expires_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [key_id, tenant, environment, name, hash_of(secret), list(clients), list(scopes), expires_at],
        )
    return f"ck_{environment}_{key_id}_{secret}"


def list_keys(connection: psycopg.Connection, tenant: UUID) -> Sequence[Key]:
    """The agency's keys, newest first."""
    with connection.transaction(), connection.cursor(row_factory=class_row(Key)) as cursor:
        _as_tenant(connection, tenant)
        cursor.execute(_LISTED, [tenant])
        return cursor.fetchall()


def revoke_key(connection: psycopg.Connection, tenant: UUID, key_id: str) -> bool:
    """Revoke a key from now on; False when there is none of this id that is not revoked yet."""
    with connection.transaction():
        _as_tenant(connection, tenant)
        revoked = connection.execute(
            "UPDATE gateway.api_keys SET revoked_at = clock_timestamp() WHERE key_id = %s AND revoked_at IS NULL",
            [key_id],
        )
        return revoked.rowcount == 1


async def find_key(connection: psycopg.AsyncConnection, key_id: str) -> Key | None:
    """The key of this id, of whichever agency."""
    async with connection.transaction(), connection.cursor(row_factory=class_row(Key)) as cursor:
        await cursor.execute(
            "SELECT set_config('recoup.tenants', '{}', true), set_config('recoup.key', %s, true)", [key_id]
        )
        await cursor.execute(_FOUND, [key_id])
        return await cursor.fetchone()


def _as_tenant(connection: psycopg.Connection, tenant: UUID) -> None:
    connection.execute(
        "SELECT set_config('recoup.tenants', %s, true), set_config('recoup.key', '', true)", [f"{{{tenant}}}"]
    )
