"""Who a request speaks for: an API key in the Authorization header and one client of it. Fails closed."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request

from kernel.tenancy import Caller
from services.gateway.keys import Key, find_key, presented
from services.gateway.problems import Code, EdgeFault, Problem

READ: Final = "accounts:read"
KNOWN_SECONDS: Final = 5.0
"""How long a key that was found is remembered, and so how long after its revocation it may still open."""
KNOWN_KEYS_MAX: Final = 1024
ACTOR: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@:/-]{0,62}[A-Za-z0-9]|[A-Za-z0-9]")
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="recoup"'}

_MISSING: Final = "Send `Authorization: Bearer ck_…`; a key is never taken from the body or the query."
_WRONG: Final = "The API key is not known, was revoked, has expired, or is for another environment."


@dataclass(frozen=True, slots=True)
class Principal:
    """One client, speaking through one key."""

    key: Key
    client: str
    person: str | None
    """Who of the client's people acts, as X-Actor says."""

    @property
    def actor(self) -> str:
        """Who is recorded: the key, and the person behind it."""
        return f"key:{self.key.key_id}" if self.person is None else f"key:{self.key.key_id}/{self.person}"

    def caller(self) -> Caller:
        """Who accounts is told is calling. The credential is the client, so that ids stay its own when keys change.

        It may always read: the answer to a command is read back. Routes that read ask whether the key may.
        """
        credential = f"client:{self.client}"
        return Caller(self.key.tenant, self.client, self.actor, credential, frozenset({*self.key.scopes, READ}))

    def require(self, scope: str) -> None:
        """A Problem unless the key allows `scope`."""
        if scope not in self.key.scopes:
            raise Problem(Code.FORBIDDEN, f"The API key does not carry the scope {scope}.")


class Keys:
    """Finds keys, and remembers for a moment those that it found."""

    def __init__(self, pool: AsyncConnectionPool, environment: str) -> None:
        """`environment` is the one whose keys are taken; any other is not known here."""
        self._pool = pool
        self._environment = environment
        self._known: OrderedDict[str, tuple[Key, float]] = OrderedDict()

    async def opened(self, text: str) -> Key:
        """The key that `text` opens, or a Problem that does not tell what is wrong with it."""
        parts = presented(text)
        key = None if parts is None else await self._found(parts.key_id)
        if parts is None or key is None or parts.environment != key.environment or key.environment != self._environment:
            raise Problem(Code.UNAUTHENTICATED, _WRONG, headers=CHALLENGE)
        if not key.opens_with(parts.secret, datetime.now(UTC)):
            raise Problem(Code.UNAUTHENTICATED, _WRONG, headers=CHALLENGE)
        return key

    async def _found(self, key_id: str) -> Key | None:
        known = self._known.get(key_id)
        if known is not None and time.monotonic() - known[1] < KNOWN_SECONDS:
            return known[0]
        async with self._pool.connection() as connection:
            key = await find_key(connection, key_id)
        if key is not None:
            self._known[key_id] = (key, time.monotonic())
            self._known.move_to_end(key_id)
        if len(self._known) > KNOWN_KEYS_MAX:
            self._known.popitem(last=False)
        return key


def bearer(request: Request) -> str:
    """The credential of the Authorization header; there must be exactly one."""
    headers = request.headers.getlist("authorization")
    scheme, _space, text = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not text.strip():
        raise Problem(Code.UNAUTHENTICATED, _MISSING, headers=CHALLENGE)
    return text.strip()


def principal_of(key: Key, request: Request) -> Principal:
    """The client that the request speaks for, and the person who acts."""
    return Principal(key, _client(key, request), _person(request))


def _client(key: Key, request: Request) -> str:
    named = request.headers.getlist("x-client-id")
    if not named and len(key.clients) == 1:
        return key.clients[0]
    if len(named) != 1:
        fault = EdgeFault("header", "X-Client-Id", "required", "Name one client of the key.")
        raise Problem(Code.CLIENT_REQUIRED, "This key serves several clients.", faults=[fault])
    if named[0] not in key.clients:
        raise Problem(Code.FORBIDDEN, "The API key does not serve the client that X-Client-Id names.")
    return named[0]


def _person(request: Request) -> str | None:
    named = request.headers.get("x-actor")
    if named is not None and not ACTOR.fullmatch(named):
        message = "At most 64 letters, digits, spaces and ._@:/- that begin and end with a letter or digit."
        fault = EdgeFault("header", "X-Actor", "wrong_form", message)
        raise Problem(Code.INVALID_PARAMETER, "The header X-Actor cannot be recorded.", faults=[fault])
    return named
