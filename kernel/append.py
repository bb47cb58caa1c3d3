"""What passes between deciding and the log: decided commands, what became of them, and their places in the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeAlias
from uuid import UUID

import psycopg
from google.protobuf.message import Message

from kernel.decider import Heard
from kernel.project import Project, RowChange
from kernel.record import PAYLOAD_BYTES_MAX, ZERO_HASH, Record, chain_next, record_hash

PAGE_RECORDS_MAX = 500
"""The most records that one page of the log holds."""


class Fact(NamedTuple):
    """A decided fact, serialised once: these payload bytes are the ones recorded, published and hashed."""

    message: Message
    type: str
    payload: bytes
    event_id: UUID
    occurred_at: datetime
    accounts: tuple[UUID, ...]


class Decided(NamedTuple):
    """A decided command on its way into the log. No facts: it was refused, or was so already.

    `version` and `previous` are those of the stream that it was decided on. `instant` is the simulated one, None under
    the real clock, where the database tells the time.
    """

    tenant: UUID
    stream: str
    partition: int
    version: int
    previous: bytes
    command_id: UUID
    input: bytes
    outcome: bytes
    facts: Sequence[Fact]
    actor: str
    correlation_id: UUID
    instant: datetime | None
    rows: Sequence[RowChange]
    project: Project


class Committed(NamedTuple):
    """The command stands in the log: the stream's version after it, and the record hash of its last fact."""

    version: int
    hash: bytes


class Repeated(NamedTuple):
    """The command's id is taken: the input and the answer that it was taken with."""

    input: bytes
    outcome: bytes


class Conflicted(NamedTuple):
    """The stream has moved on: it must be loaded again and the command decided again."""

    version: int


Result: TypeAlias = Committed | Repeated | Conflicted | Exception
"""What became of one decided command; an exception is its own and nobody else's."""


class Head(NamedTuple):
    """Where a partition ends."""

    partition: int
    number: int
    chain: bytes
    recorded_at: datetime


class History(NamedTuple):
    """A stream as folds need it: types and payloads in order, and the version and record hash that it ends with."""

    facts: Sequence[tuple[str, bytes]]
    version: int
    hash: bytes


NO_HISTORY = History((), 0, ZERO_HASH)


class Store(Protocol):
    """The log of one service. Every method that takes a tenant sees that tenant alone."""

    @property
    def log_id(self) -> UUID:
        """Which log this is."""

    @property
    def partitions(self) -> int:
        """How many partitions it has, for ever."""

    @property
    def alive(self) -> bool:
        """Whether appends can succeed."""

    async def append(self, decided: Sequence[Decided]) -> list[Result]:
        """Record commands of different streams, each with its own result, in the order given."""

    def append_within(self, connection: psycopg.Connection[Any], decided: Sequence[Decided]) -> list[Result]:
        """Record commands in the caller's transaction, after `lock_within`; one stream may occur several times."""

    def lock_within(
        self, connection: psycopg.Connection[Any], tenants: Iterable[UUID], partitions: Iterable[int]
    ) -> None:
        """Name the tenants of the caller's transaction and lock the heads it will append to, in partition order."""

    def find_within(
        self, connection: psycopg.Connection[Any], tenant: UUID, command_ids: Sequence[UUID]
    ) -> Mapping[UUID, Repeated]:
        """The stored answers among these commands, as the caller's transaction sees them."""

    def histories_within(
        self, connection: psycopg.Connection[Any], tenant: UUID, streams: Sequence[str]
    ) -> Mapping[str, History]:
        """Whole streams, as the caller's transaction sees them; a stream without facts is absent."""

    async def histories(self, tenant: UUID, streams: Sequence[str]) -> Mapping[str, History]:
        """Whole streams; a stream without facts is absent."""

    async def history(self, tenant: UUID, stream: str, recorded_until: datetime | None = None) -> History:
        """A stream, as far as it was recorded at `recorded_until`."""

    async def read_stream(
        self,
        tenant: UUID,
        stream: str,
        after_version: int = 0,
        recorded_until: datetime | None = None,
        limit: int | None = None,
    ) -> Sequence[Record]:
        """A stream's records above a version, the first `limit` of them."""

    def read_log(
        self, partition: int, from_number: int = 0, to_number: int | None = None
    ) -> AsyncIterator[Sequence[Record]]:
        """A partition of all tenants in number order, in pages of at most PAGE_RECORDS_MAX; to the head by default."""

    async def heads(self) -> Sequence[Head]:
        """Where every partition ends."""

    async def cut(self, recorded_until: datetime) -> Mapping[int, int]:
        """Per partition the last number recorded by then, or NotFinal while an earlier record can still arrive."""


class Place:
    """The moving end of one partition while a batch is numbered."""

    __slots__ = ("chain", "log_id", "moved", "number", "partition", "recorded_at")

    def __init__(self, log_id: UUID, head: Head, now: datetime) -> None:
        """The instant is set under the head's lock and never falls within a partition."""
        self.log_id = log_id
        self.partition, self.number, self.chain = head.partition, head.number, head.chain
        self.recorded_at = max(now, head.recorded_at)
        self.moved = False

    def number_next(self, decided: Decided, fact: Fact, version: int, previous: bytes) -> tuple[Record, bytes]:
        """The fact's record with its place in the log, its chain still to be read from here, and its record hash."""
        self.number += 1
        self.moved = True
        record = Record(
            self.log_id,
            self.partition,
            self.number,
            ZERO_HASH,
            decided.tenant,
            decided.stream,
            version,
            fact.event_id,
            fact.type,
            fact.occurred_at,
            self.recorded_at,
            decided.actor,
            decided.command_id,
            decided.correlation_id,
            fact.accounts,
            previous,
            fact.payload,
        )
        hash_ = record_hash(record)
        self.chain = chain_next(self.chain, hash_)
        return record, hash_


class Placed(NamedTuple):
    """One decided command with the places of its facts: records in order, their chains, and the rows that follow."""

    decided: Decided
    records: Sequence[Record]
    chains: Sequence[bytes]
    rows: Sequence[RowChange]
    committed: Committed


def place(decided: Decided, at: Place) -> Placed:
    """Number and chain the facts of one command, and project them. A payload beyond the bound is a ValueError."""
    version, previous = decided.version, decided.previous
    records: list[Record] = []
    chains: list[bytes] = []
    rows: list[RowChange] = list(decided.rows)
    if decided.instant is not None:
        at.recorded_at = max(at.recorded_at, decided.instant)
    for fact in decided.facts:
        if len(fact.payload) > PAYLOAD_BYTES_MAX:
            message = f"a fact of type {fact.type} has {len(fact.payload)} bytes, more than {PAYLOAD_BYTES_MAX}"
            raise ValueError(message)
        version += 1
        record, previous = at.number_next(decided, fact, version, previous)
        records.append(record)
        chains.append(at.chain)
        rows.extend(decided.project(heard_of(fact.message, record)))
    return Placed(decided, records, chains, rows, Committed(version, previous))


def heard_of(fact: Message, record: Record) -> Heard:
    """A record as policies and views see it."""
    return Heard(
        fact,
        str(record.tenant),
        record.stream,
        record.version,
        str(record.event_id),
        record.partition,
        record.number,
        record.occurred_at,
        record.recorded_at,
        record.actor,
        tuple(map(str, record.accounts)),
        str(record.correlation_id),
    )
