"""Ids derived from causes, so that a repetition meets its own mark, and nobody can forge or block another's.

id = uuid5(namespace, parts), where every part is written as its length in bytes, a colon, and its UTF-8 bytes: no two
lists of parts are written alike. Every derivation begins with the tenant or contains it.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final
from uuid import UUID, SafeUUID

CLIENT_NAMESPACE: Final = UUID("5b0c4a52-8d5c-5a0b-9a1e-7a2b4f3c6d01")
REACTION_NAMESPACE: Final = UUID("5b0c4a52-8d5c-5a0b-9a1e-7a2b4f3c6d02")
EVENT_NAMESPACE: Final = UUID("5b0c4a52-8d5c-5a0b-9a1e-7a2b4f3c6d03")


_HEX_DIGITS: Final = 32
_VERSION_AND_VARIANT: Final = ~(0xF000 << 64 | 0xC000 << 48)
_VERSION_FIVE: Final = 0x5000 << 64 | 0x8000 << 48

_text = lru_cache(1024)(str)
"""Tenants are few, and are written in every id."""


def command_id(tenant: UUID, credential: str, type_: str, given_id: str) -> UUID:
    """The stored id of a client's command."""
    return derived(CLIENT_NAMESPACE, _text(tenant), credential, type_, given_id)


def reaction_id(tenant: UUID, consumer: str, source: str, fact_id: str, ordinal: int) -> UUID:
    """The stored id of the command, one of a fact's several, that a consumer owes to a fact of a source."""
    return derived(REACTION_NAMESPACE, _text(tenant), consumer, source, fact_id, str(ordinal))


def event_id(service: str, tenant: UUID, stream: str, stored_command_id: UUID, ordinal: int) -> UUID:
    """The id of one of a command's facts."""
    return derived(EVENT_NAMESPACE, service, _text(tenant), stream, str(stored_command_id), str(ordinal))


def derived(namespace: UUID, *parts: str) -> UUID:
    """The uuid5 of a list of parts."""
    name = "".join([f"{len(part)}:{part}" for part in parts])
    if not name.isascii():
        name = "".join([f"{len(part.encode())}:{part}" for part in parts])
    digest = hashlib.sha1(namespace.bytes + name.encode(), usedforsecurity=False).digest()
    return _uuid(int.from_bytes(digest[:16]) & _VERSION_AND_VARIANT | _VERSION_FIVE)


def uuid_of(text: str) -> UUID:
    """The UUID that a text is in its usual form; ValueError when it is none."""
    digits = text.replace("-", "")
    if len(digits) != _HEX_DIGITS or not (digits.isascii() and digits.isalnum()):
        message = f"{text!r} is not a UUID"
        raise ValueError(message)
    return _uuid(int(digits, 16))


def _uuid(number: int) -> UUID:
    """What UUID(int=number) is, in a third of the time: every command makes several."""
    made = object.__new__(UUID)
    object.__setattr__(made, "int", number)
    object.__setattr__(made, "is_safe", SafeUUID.unknown)
    return made
