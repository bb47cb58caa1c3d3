"""Whether records are what was recorded: hashes, chains, versions and numbers, computed from docs/record.md alone.

This is a reading of its own, so that a mistake in the kernel's hashing cannot prove itself right. One Inspector walks
one partition in number order. After a breach it goes on from what the record itself says, so that one change is
named where it is and not again in every record behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

from services.audit.domain.entry import Entry

NONE: Final = -1
"""The number of an empty partition's head."""
FIRST_PREVIOUS: Final = bytes(32)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Breach(NamedTuple):
    """Something that does not fit, and where."""

    source: str
    partition: int
    number: int
    text: str


class Head(NamedTuple):
    """Where a partition ends: the last number, and the chain there."""

    number: int
    chain: bytes


def record_hash(entry: Entry) -> bytes:
    """The record hash of docs/record.md, from the columns and the payload."""
    stream, type_, actor = entry.stream.encode(), entry.type.encode(), entry.actor.encode()
    leaf = bytearray(b"\x01")
    leaf += entry.tenant.bytes
    leaf += len(stream).to_bytes(2, "big") + stream
    leaf += entry.version.to_bytes(8, "big")
    leaf += entry.event_id.bytes
    leaf += len(type_).to_bytes(2, "big") + type_
    leaf += _microseconds(entry.occurred_at) + _microseconds(entry.recorded_at)
    leaf += len(actor).to_bytes(2, "big") + actor
    leaf += entry.command_id.bytes + entry.correlation_id.bytes
    leaf += len(entry.accounts).to_bytes(2, "big")
    for account in entry.accounts:
        leaf += account.bytes
    leaf += entry.previous + sha256(entry.payload).digest()
    return sha256(b"\x00" + leaf).digest()


def empty_head(log_id: UUID, partition: int) -> Head:
    """Where a partition of a log stands before its first record."""
    return Head(NONE, sha256(b"\x03" + log_id.bytes + partition.to_bytes(2, "big")).digest())


class Inspector:
    """Reads one partition's records in number order and says of each what does not fit."""

    __slots__ = ("_head", "_instant", "_log_id", "_partition", "_source", "_streams")

    def __init__(self, source: str, log_id: UUID, partition: int, head: Head | None = None) -> None:
        """`head` is where to go on from; the partition's beginning when absent."""
        self._source = source
        self._log_id = log_id
        self._partition = partition
        self._head = head or empty_head(log_id, partition)
        self._instant: datetime | None = None
        self._streams: dict[tuple[UUID, str], tuple[int, bytes]] = {}

    @property
    def head(self) -> Head:
        """The last record that was read."""
        return self._head

    def knows(self, tenant: UUID, stream: str, version: int, hash_: bytes) -> None:
        """Say where a stream stands, for an inspection that does not start at the beginning."""
        self._streams[tenant, stream] = (version, hash_)

    def read(self, entry: Entry) -> list[Breach]:
        """Everything about this record that does not fit, in plain words."""
        breaches = [
            Breach(self._source, self._partition, entry.number, text)
            for text in (*self._place(entry), *self._contents(entry), *self._stream(entry))
        ]
        self._head = Head(entry.number, entry.chain)
        self._instant = entry.recorded_at
        self._streams[entry.tenant, entry.stream] = (entry.version, entry.hash)
        return breaches

    def end(self, expected: Head, whose: str) -> list[Breach]:
        """What does not fit when the partition should end at `expected`, as `whose` has it."""
        number, chain = self._head
        if number < expected.number:
            missing = expected.number - number
            text = f"the records end at {number}, and {whose} at {expected.number}: {missing} are missing at the end"
        elif number > expected.number:
            text = f"the records go on to {number}, and {whose} ends at {expected.number}"
        elif chain != expected.chain:
            text = f"the chain at the end is not the one of {whose}: the histories are not the same"
        else:
            return []
        return [Breach(self._source, self._partition, number, text)]

    def _place(self, entry: Entry) -> Iterator[str]:
        expected = self._head.number + 1
        if entry.number > expected:
            yield f"{entry.number - expected} records are missing before it: {expected} should come next"
        elif entry.number < expected:
            yield f"it is out of order: {expected} should come next"
        if entry.log_id != self._log_id:
            yield f"it carries the log id {entry.log_id}, and the log is {self._log_id}"
        if self._instant is not None and entry.recorded_at < self._instant:
            yield "it was recorded earlier than the record before it, which cannot be"

    def _contents(self, entry: Entry) -> Iterator[str]:
        hash_ = record_hash(entry)
        if hash_ != entry.hash:
            yield "its payload or its metadata were changed: they do not give the hash that was kept when it was heard"
        elif entry.number == self._head.number + 1 and entry.chain != chain_next(self._head.chain, hash_):
            yield "the chain does not hold here: this record or its chain is not what was recorded"

    def _stream(self, entry: Entry) -> Iterator[str]:
        version, hash_ = self._streams.get((entry.tenant, entry.stream), (0, FIRST_PREVIOUS))
        if entry.version != version + 1:
            yield f"its stream goes from version {version} to {entry.version}"
        elif entry.previous != hash_:
            yield f"it does not follow version {version} of its stream: the hash of that record is another one"


def chain_next(chain: bytes, hash_: bytes) -> bytes:
    """The chain after one more record."""
    return sha256(b"\x02" + chain + hash_).digest()


def _microseconds(instant: datetime) -> bytes:
    since = instant - _EPOCH
    whole = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return whole.to_bytes(8, "big", signed=True)
