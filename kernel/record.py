"""One fact as the log holds it, and the hashes that bind it. The layout is specified in docs/record.md."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

LEAF_VERSION = 1
HASH_BYTES = 32
ZERO_HASH = bytes(HASH_BYTES)
PAYLOAD_BYTES_MAX = 256 * 1024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_TENANT_AND_STREAM = struct.Struct(">B16sH").pack
_VERSION_AND_TYPE = struct.Struct(">Q16sH").pack
_INSTANTS_AND_ACTOR = struct.Struct(">qqH").pack
_COMMAND_AND_ACCOUNTS = struct.Struct(">16s16sH").pack


@dataclass(frozen=True, slots=True)
class Record:
    """One fact with its place in the log. `payload` is what was committed, published and hashed, byte for byte."""

    log_id: UUID
    partition: int
    number: int
    chain: bytes
    tenant: UUID
    stream: str
    version: int
    event_id: UUID
    type: str
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    command_id: UUID
    correlation_id: UUID
    accounts: tuple[UUID, ...]
    previous: bytes
    payload: bytes


def leaf(record: Record) -> bytes:
    """The fixed binary layout of a record's metadata and of the SHA-256 of its payload (docs/record.md)."""
    stream, type_, actor = record.stream.encode(), record.type.encode(), record.actor.encode()
    return b"".join(
        (
            _TENANT_AND_STREAM(LEAF_VERSION, record.tenant.bytes, len(stream)),
            stream,
            _VERSION_AND_TYPE(record.version, record.event_id.bytes, len(type_)),
            type_,
            _INSTANTS_AND_ACTOR(microseconds(record.occurred_at), microseconds(record.recorded_at), len(actor)),
            actor,
            _COMMAND_AND_ACCOUNTS(record.command_id.bytes, record.correlation_id.bytes, len(record.accounts)),
            *[account.bytes for account in record.accounts],
            record.previous,
            hashlib.sha256(record.payload).digest(),
        )
    )


def record_hash(record: Record) -> bytes:
    """SHA-256(0x00 | leaf): the RFC 9162 leaf hash of the record."""
    return hashlib.sha256(b"\x00" + leaf(record)).digest()


def chain_start(log_id: UUID, partition: int) -> bytes:
    """The chain of an empty partition: SHA-256(0x03 | log id | partition as two bytes, big-endian)."""
    return hashlib.sha256(b"\x03" + log_id.bytes + struct.pack(">H", partition)).digest()


def chain_next(chain: bytes, hash_: bytes) -> bytes:
    """The chain after one more record: SHA-256(0x02 | chain | record hash)."""
    return hashlib.sha256(b"\x02" + chain + hash_).digest()


def microseconds(instant: datetime) -> int:
    """Whole microseconds since 1970-01-01T00:00:00Z, exactly."""
    return (instant - _EPOCH) // _MICROSECOND


def instant_of(microseconds_: int) -> datetime:
    """The UTC instant of whole microseconds since 1970-01-01T00:00:00Z."""
    return _EPOCH + timedelta(microseconds=microseconds_)


def partition_of(entity_id: str, partitions: int) -> int:
    """The partition of an entity: murmur2 as in every Java client of Kafka, so that all clients agree."""
    return (murmur2(entity_id.encode()) & 0x7FFFFFFF) % partitions


def murmur2(key: bytes) -> int:
    """Kafka's 32-bit murmur2 with seed 0x9747b28c (org.apache.kafka.common.utils.Utils.murmur2), unsigned."""
    mask, multiplier = 0xFFFFFFFF, 0x5BD1E995
    hash_ = (0x9747B28C ^ len(key)) & mask
    whole = len(key) & ~3
    for (word,) in struct.iter_unpack("<I", key[:whole]):
        word = word * multiplier & mask  # noqa: PLW2901 - the algorithm's own mixing step.
        word ^= word >> 24  # noqa: PLW2901
        hash_ = (hash_ * multiplier & mask) ^ (word * multiplier & mask)
    tail = key[whole:]
    if tail:
        hash_ = (hash_ ^ int.from_bytes(tail, "little")) * multiplier & mask
    hash_ ^= hash_ >> 13
    hash_ = hash_ * multiplier & mask
    return hash_ ^ (hash_ >> 15)
