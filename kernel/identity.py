"""Ids derived from causes, so that a repetition meets its own mark, and nobody can forge or block another's.

id = uuid5(namespace, parts), where every part is written as its length in bytes, a colon, and its UTF-8 bytes: no two
lists of parts are written alike. Every derivation begins with the tenant or contains it.
"""

from __future__ import annotations

import hashlib
from typing import Final
from uuid import UUID

CLIENT_NAMESPACE: Final = UUID("5b0c4a52-8d5c-5a0b-9a1e-7a2b4f3c6d01")
REACTION_NAMESPACE: Final = UUID("5b0c4a52-8d5c-5a0b-9a1e-7a2b4f3c6d02")
EVENT_NAMESPACE: Final = UUID("5b0c4a52-8d5c-5a0b-9a1e-7a2b4f3c6d03")


def command_id(tenant: UUID, credential: str, type_: str, given_id: str) -> UUID:
    """The stored id of a client's command."""
    return derived(CLIENT_NAMESPACE, str(tenant), credential, type_, given_id)


def reaction_id(tenant: UUID, consumer: str, source: str, fact_id: str, ordinal: int) -> UUID:
    """The stored id of the command, one of a fact's several, that a consumer owes to a fact of a source."""
    return derived(REACTION_NAMESPACE, str(tenant), consumer, source, fact_id, str(ordinal))


def event_id(service: str, tenant: UUID, stream: str, stored_command_id: UUID, ordinal: int) -> UUID:
    """The id of one of a command's facts."""
    return derived(EVENT_NAMESPACE, service, str(tenant), stream, str(stored_command_id), str(ordinal))


def derived(namespace: UUID, *parts: str) -> UUID:
    """The uuid5 of a list of parts."""
    name = b"".join([b"%d:%b" % (len(part), part) for part in map(str.encode, parts)])
    digest = bytearray(hashlib.sha1(namespace.bytes + name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes=bytes(digest))
