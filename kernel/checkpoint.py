"""How far a consumer has come in each partition of another service's log, kept in the consumer's own database.

The row moves in the transaction of the effect and only from where the mover believed it to be, so an effect happens
once whatever Kafka, another worker or a process that came back from the dead may do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import UUID

import psycopg

from kernel.judge import Position
from kernel.record import Record
from kernel.wire import to_message

Connection: TypeAlias = psycopg.Connection[Any]

PARKED_MAX: Final = 100
"""Facts parked in one partition; with more than these something is wrong with us, not with them, and it halts."""

_READ: Final = (
    "SELECT log_id, last, chain, react_from, halted FROM log.checkpoints"
    " WHERE (consumer, source, partition) = (%s, %s, %s)"
)
_LOCK: Final = _READ + " FOR UPDATE"
_MOVE: Final = (
    "UPDATE log.checkpoints SET last = %s, chain = %s WHERE (consumer, source, partition) = (%s, %s, %s)"
    " AND log_id = %s AND last = %s AND chain = %s"
)
_HALT: Final = "UPDATE log.checkpoints SET halted = %s WHERE (consumer, source, partition) = (%s, %s, %s)"
_BLOCKED: Final = "SELECT DISTINCT tenant, stream FROM log.parked WHERE (consumer, source, partition) = (%s, %s, %s)"
_COUNT: Final = "SELECT count(*) FROM log.parked WHERE (consumer, source, partition) = (%s, %s, %s)"


class Moved(Exception):  # noqa: N818 - it says what happened.
    """The checkpoint is not where we believed it to be: another worker has moved it. Read it again."""


class Halted(Exception):  # noqa: N818 - it says what happened.
    """The partition is halted; the text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """One partition of a source, as one consumer hears it."""

    consumer: str
    source: str
    partition: int

    @property
    def key(self) -> tuple[str, str, int]:
        """The columns that name it."""
        return (self.consumer, self.source, self.partition)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The row of a place. Below `react_from` facts are projected only; `halted` says why nothing moves."""

    position: Position
    react_from: int
    halted: str | None


def create(connection: Connection, place: Place, position: Position, react_from: int) -> None:
    """Make the row, unless it exists."""
    connection.execute(
        "INSERT INTO log.checkpoints (consumer, source, partition, log_id, last, chain, react_from)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (*place.key, position.log_id, position.last, position.chain, react_from),
    )


def read(connection: Connection, place: Place) -> Checkpoint | None:
    """The row as it is now, not locked."""
    return _checkpoint(connection.execute(_READ, place.key).fetchone())


def read_all(connection: Connection, consumer: str, source: str) -> dict[int, Checkpoint]:
    """The rows of a consumer for one source, by partition, not locked."""
    rows = connection.execute(
        "SELECT partition, log_id, last, chain, react_from, halted FROM log.checkpoints"
        " WHERE (consumer, source) = (%s, %s)",
        (consumer, source),
    )
    return {partition: _of(*row) for partition, *row in rows}


def lock(connection: Connection, place: Place) -> Checkpoint:
    """The row, locked until the transaction ends. Whoever moves it, tests the queue or retries does this first."""
    found = _checkpoint(connection.execute(_LOCK, place.key).fetchone())
    assert found is not None, f"{place} has no checkpoint"
    return found


def lock_at(connection: Connection, place: Place, believed: Position) -> Checkpoint:
    """The same, or Moved unless it stands where we believe, or Halted."""
    found = lock(connection, place)
    if found.halted is not None:
        raise Halted(found.halted)
    if found.position != believed:
        message = f"the checkpoint of {place} is at {found.position.last}, not at {believed.last}"
        raise Moved(message)
    return found


def move(connection: Connection, place: Place, before: Position, after: Position) -> None:
    """Move the row by compare-and-set: Moved, and with it the effect undone, when it is not where it was."""
    moved = connection.execute(
        _MOVE,
        (after.last, after.chain, *place.key, before.log_id, before.last, before.chain),
    )
    if moved.rowcount != 1:
        message = f"the checkpoint of {place} was no longer at {before.last}"
        raise Moved(message)


def halt(connection: Connection, place: Place, reason: str) -> None:
    """Stop the partition until a person lets it go on."""
    connection.execute(_HALT, (reason, *place.key))


def release(connection: Connection, place: Place) -> None:
    """Let the partition go on."""
    connection.execute(_HALT, (None, *place.key))


def blocked_streams(connection: Connection, place: Place) -> set[tuple[UUID, str]]:
    """The streams, by tenant, that have a fact parked: whatever comes for them queues behind it."""
    return set(connection.execute(_BLOCKED, place.key))


def park(connection: Connection, place: Place, records: Sequence[Record], error: str | None) -> None:
    """Keep records whose effect does not work, or, with no error, that queue behind one of the same stream."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO log.parked (consumer, source, partition, number, tenant, stream, error, record)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [(*place.key, r.number, r.tenant, r.stream, error, to_message(r).SerializeToString()) for r in records],
        )
    parked = count_parked(connection, place)
    if parked > PARKED_MAX:
        halt(connection, place, f"parked: {parked} facts are parked, more than {PARKED_MAX}")


def count_parked(connection: Connection, place: Place) -> int:
    """How many facts are parked there."""
    (parked,) = connection.execute(_COUNT, place.key).fetchone() or (0,)
    return int(parked)


def _checkpoint(row: tuple[Any, ...] | None) -> Checkpoint | None:
    return None if row is None else _of(*row)


def _of(log_id: UUID, last: int, chain: bytes, react_from: int, halted: str | None) -> Checkpoint:
    return Checkpoint(Position(log_id, last, bytes(chain)), react_from, halted)
