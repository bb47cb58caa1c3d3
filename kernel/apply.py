"""Effects of heard facts, each exactly once: many facts a transaction, and the checkpoint moved in the same one.

A fact whose effect can never work must not stop the others: it is parked with its bytes, and all later facts of its
stream queue behind it, so that each stream keeps its order. What may work later (a database or network that is away, a
lock that was not had in time) is raised and tried again by the caller, and never parked. This is the one file that
catches every exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID

import grpc
import psycopg
from recoup.event.v1 import record_pb2

from kernel.checkpoint import (
    PARKED_MAX,
    Checkpoint,
    Connection,
    Halted,
    Moved,
    Place,
    blocked_streams,
    count_parked,
    lock,
    lock_at,
    move,
    park,
    release,
)
from kernel.execute import Busy, Overloaded, Unavailable
from kernel.judge import Position, after
from kernel.record import Record
from kernel.wire import from_message

Effect: TypeAlias = Callable[[Connection, Sequence[Record]], None]
"""Takes facts in log order, inside the transaction that moves the checkpoint; it neither commits nor asks anybody."""

ERROR_CHARACTERS_MAX: Final = 2_000

_FORGET: Final = "DELETE FROM log.parked WHERE (consumer, source, partition, number) = (%s, %s, %s, %s)"
_EXPLAIN: Final = "UPDATE log.parked SET error = %s WHERE (consumer, source, partition, number) = (%s, %s, %s, %s)"
_TRANSIENT_CLASSES: Final = frozenset({"08", "25", "40", "53", "55", "57", "58"})
"""SQLSTATE classes: connection, transaction state, rollback, resources, locks, operator, system."""
_TRANSIENT: Final = (Moved, Halted, Busy, Unavailable, Overloaded, OSError, TimeoutError, MemoryError, grpc.RpcError)


@dataclass(frozen=True, slots=True)
class Effects:
    """What a consumer does with a fact: `project` for every one, `react` for none below the checkpoint's react_from."""

    project: Effect | None = None
    react: Effect | None = None

    def run(self, connection: Connection, records: Sequence[Record], react_from: int) -> None:
        """Have the effects of the records, in order, in the transaction of the caller."""
        if not records:
            return
        tenants = sorted({str(record.tenant) for record in records})
        connection.execute("SELECT set_config('recoup.tenants', %s, true)", (f"{{{','.join(tenants)}}}",))
        if self.project is not None:
            self.project(connection, records)
        owed = [record for record in records if record.number >= react_from]
        if self.react is not None and owed:
            self.react(connection, owed)


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry did: how many facts of the stream had their effect, and what stopped it, if anything did."""

    applied: int
    left: int
    error: str | None


def apply_run(
    connection: Connection, place: Place, effects: Effects, before: Position, run: Sequence[Record]
) -> Position:
    """Apply records that follow `before`, in one transaction when all of them work. Returns the position after them.

    Raises Moved or Halted when the checkpoint says so, and whatever is worth another attempt. What had its effect
    before stays; the caller reads the checkpoint again.
    """
    try:
        return _apply(connection, place, effects, before, run)
    except Exception as error:
        if is_transient(error) or connection.closed:
            raise
        if len(run) == 1:
            return _park_first(connection, place, before, run[0], error)
    # One of them is poisonous. Alone, each shows whether it is the one.
    position = before
    for record in run:
        position = apply_run(connection, place, effects, position, [record])
    return position


def retry(connection: Connection, place: Place, effects: Effects, tenant: UUID, stream: str) -> Retried:
    """Apply the parked facts of one stream in order, in one transaction, until all are done or one fails again."""
    error: str | None = None
    applied = 0
    with connection.transaction():
        checkpoint = lock(connection, place)
        waiting = _parked_of(connection, place, tenant, stream)
        for record in waiting:
            error = _retry_one(connection, place, effects, checkpoint, record)
            if error is not None:
                break
            applied += 1
        _let_go(connection, place, checkpoint)
    return Retried(applied, len(waiting) - applied, error)


def is_transient(error: Exception) -> bool:
    """Whether the same fact may well have its effect on another attempt."""
    if isinstance(error, psycopg.Error):
        if isinstance(error, psycopg.InterfaceError):
            return True
        if error.sqlstate is None:
            return isinstance(error, psycopg.OperationalError)
        return error.sqlstate[:2] in _TRANSIENT_CLASSES
    return isinstance(error, _TRANSIENT)


def _apply(connection: Connection, place: Place, effects: Effects, before: Position, run: Sequence[Record]) -> Position:
    with connection.transaction():
        checkpoint = lock_at(connection, place, before)
        blocked = blocked_streams(connection, place)
        queued = [record for record in run if (record.tenant, record.stream) in blocked]
        effects.run(connection, _others(run, blocked), checkpoint.react_from)
        if queued:
            park(connection, place, queued, None)
        move(connection, place, before, after(run[-1]))
    return after(run[-1])


def _others(run: Iterable[Record], blocked: set[tuple[UUID, str]]) -> Sequence[Record]:
    return [record for record in run if (record.tenant, record.stream) not in blocked]


def _park_first(connection: Connection, place: Place, before: Position, record: Record, error: Exception) -> Position:
    with connection.transaction():
        lock_at(connection, place, before)
        park(connection, place, [record], _words(error))
        move(connection, place, before, after(record))
    return after(record)


def _parked_of(connection: Connection, place: Place, tenant: UUID, stream: str) -> Sequence[Record]:
    rows = connection.execute(
        "SELECT record FROM log.parked WHERE (consumer, source, partition, tenant, stream) = (%s, %s, %s, %s, %s)"
        " ORDER BY number",
        (*place.key, tenant, stream),
    )
    return [from_message(record_pb2.Record.FromString(bytes(record))) for (record,) in rows]


def _retry_one(
    connection: Connection, place: Place, effects: Effects, checkpoint: Checkpoint, record: Record
) -> str | None:
    row = (*place.key, record.number)
    try:
        with connection.transaction():
            effects.run(connection, [record], checkpoint.react_from)
            connection.execute(_FORGET, row)
    except Exception as error:
        if is_transient(error) or connection.closed:
            raise
        connection.execute(_EXPLAIN, (_words(error), *row))
        return _words(error)
    return None


def _let_go(connection: Connection, place: Place, checkpoint: Checkpoint) -> None:
    """End a halt that was due to the number parked, once it is small enough. A fork stays halted."""
    if checkpoint.halted is None or not checkpoint.halted.startswith("parked:"):
        return
    if count_parked(connection, place) <= PARKED_MAX:
        release(connection, place)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\x00", "")[:ERROR_CHARACTERS_MAX]
