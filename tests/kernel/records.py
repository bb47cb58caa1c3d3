"""Logs made up for pure tests: records that are numbered and chained as a real log's are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from recoup.sample.v1.sample_pb2 import EntryPosted

from kernel.judge import Position, after
from kernel.record import ZERO_HASH, Record, chain_next, chain_start, record_hash

LOG = UUID(int=77)
START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def start_of(partition: int = 0, log_id: UUID = LOG) -> Position:
    """Before the first record."""
    return Position(log_id, -1, chain_start(log_id, partition))


def log_of(count: int, *, partition: int = 0, streams: int = 3, log_id: UUID = LOG, salt: str = "") -> list[Record]:
    """So many records of one partition; another `salt` makes another history."""
    records: list[Record] = []
    position = start_of(partition, log_id)
    for number in range(count):
        record = Record(
            log_id=log_id,
            partition=partition,
            number=number,
            chain=ZERO_HASH,
            tenant=UUID(int=1),
            stream=f"book-{number % streams}",
            version=number // streams + 1,
            event_id=UUID(int=number),
            type="recoup.sample.v1.EntryPosted",
            occurred_at=START,
            recorded_at=START + timedelta(microseconds=number),
            actor="ann",
            command_id=UUID(int=1000 + number),
            correlation_id=UUID(int=5),
            accounts=(UUID(int=9),) * (number % 3),
            previous=ZERO_HASH,
            payload=EntryPosted(book_id=str(number % streams), amount_minor=number, memo=salt).SerializeToString(),
        )
        records.append(chained_onto(position, record))
        position = after(records[-1])
    return records


def chained_onto(position: Position, record: Record) -> Record:
    """The record with the chain that it has at that place."""
    return replace(record, chain=chain_next(position.chain, record_hash(record)))
