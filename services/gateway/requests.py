"""What each Idempotency-Key was first used for, and why: kept before the command is sent, and never changed.

Accounts knows a repeated command by its id, but only among commands of one kind. That one key is one request, whatever
it asks for, is known here.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from services.gateway.bound import bound
from services.gateway.principal import Principal
from services.gateway.problems import Code, Problem

_CLAIM = """
    INSERT INTO gateway.requests (tenant, client, given_id, digest, request_id, actor, reason)
    VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
_FOUND = "SELECT digest FROM gateway.requests WHERE tenant = %s AND client = %s AND given_id = %s"
_REASONS = """
    SELECT request_id::text, min(reason) FROM gateway.requests
    WHERE tenant = %s AND client = %s AND request_id = ANY (%s::uuid[]) AND reason IS NOT NULL GROUP BY 1"""


class Requests:
    """The requests that were made under keys."""

    def __init__(self, pool: AsyncConnectionPool, digest_key: bytes) -> None:
        """`digest_key` keys the digest, so that nobody who reads it can guess what was sent."""
        self._pool = pool
        self._begun = hmac.new(digest_key, digestmod="sha256")

    async def claim(
        self, principal: Principal, given_id: str, content: bytes, request_id: UUID, reason: str | None
    ) -> None:
        """Keep what the id is used for; a Problem when it was used for anything else before."""
        mac = self._begun.copy()
        mac.update(content)
        owner = [principal.key.tenant, principal.client, given_id]
        async with bound(self._pool, principal) as connection:
            await connection.execute(_CLAIM, [*owner, mac.digest(), request_id, principal.actor, reason])
            found = await (await connection.execute(_FOUND, owner)).fetchone()
        assert found is not None
        if not hmac.compare_digest(found[0], mac.digest()):
            detail = "This Idempotency-Key was used for another request. Use a new key for a new request."
            raise Problem(Code.IDEMPOTENCY_CONFLICT, detail)

    async def reasons(self, principal: Principal, request_ids: Iterable[str]) -> Mapping[str, str]:
        """The reasons that came with requests, by request id."""
        wanted = list(dict.fromkeys(request_ids))
        async with bound(self._pool, principal) as connection:
            found = await connection.execute(_REASONS, [principal.key.tenant, principal.client, wanted])
            return dict(await found.fetchall())
