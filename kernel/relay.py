"""Publishing the log: whoever leases a partition sends its facts above `sent`, in order, and moves `sent` behind them.

`sent` is the longest prefix that all replicas have acknowledged. A crash at any step repeats facts, the same bytes in
the same order, and never loses one. The lease keeps repeats few; nothing else depends on it, since numbers are given by
the log alone. The topic is compared with the log whenever a partition is taken, and from time to time: one that was
made anew is filled again, and one that knows more than the log stops us, because the log has then been set back.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import UUID

import psycopg
import structlog

from kernel import sql
from kernel.broker import Topic, TopicAway
from kernel.record import Record
from kernel.store import connect
from kernel.telemetry import HALTED, LAG_FACTS, SENT
from kernel.wire import from_kafka, to_kafka

__all__ = ["Relay", "from_kafka", "to_kafka"]

LEASE_SECONDS: Final = 6.0
RENEW_SECONDS: Final = 2.0
WINDOW_RECORDS_MAX: Final = 500
WINDOW_BYTES_MAX: Final = 2 * 1024 * 1024
POLL_SECONDS_MIN: Final = 0.005
POLL_SECONDS_MAX: Final = 0.25
PAUSE_SECONDS_MIN: Final = 0.1
PAUSE_SECONDS_MAX: Final = 3.0
STOP_SECONDS_MAX: Final = 8.0

_TAKE: Final = """
WITH free AS (
    SELECT partition FROM log.relays WHERE holder = %(holder)s OR until IS NULL OR until <= clock_timestamp()
    ORDER BY partition FOR UPDATE SKIP LOCKED)
UPDATE log.relays r SET holder = %(holder)s, until = clock_timestamp() + make_interval(secs => %(seconds)s),
    epoch = CASE WHEN holder = %(holder)s THEN epoch ELSE epoch + 1 END
FROM free WHERE r.partition = free.partition RETURNING r.partition, r.sent, r.epoch
"""
_MOVE: Final = """
UPDATE log.relays r SET sent = n.sent, until = clock_timestamp() + make_interval(secs => %(seconds)s)
FROM unnest(%(partitions)s::int2[], %(sent)s::int8[], %(epochs)s::int8[]) AS n(partition, sent, epoch)
WHERE r.partition = n.partition AND r.epoch = n.epoch AND r.holder = %(holder)s RETURNING r.partition
"""
_LEAVE: Final = "UPDATE log.relays SET until = NULL, holder = NULL WHERE holder = %s"
_HEADS: Final = "SELECT partition, number FROM log.heads"
_CHAIN: Final = "SELECT chain FROM log.events WHERE partition = %s AND number = %s"
_UNSENT: Final = f"""
SELECT {sql.RECORD_COLUMNS} FROM unnest(%b::int2[], %b::int8[]) AS n(p, sent) CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT *, sum(length(payload)) OVER (ORDER BY number) - length(payload) AS before
        FROM (SELECT * FROM log.events WHERE partition = n.p AND number > n.sent ORDER BY number LIMIT %b) AS e) AS e
    WHERE before < %b) AS e
ORDER BY partition, number
"""  # noqa: S608 - constants.

_Connection: TypeAlias = psycopg.Connection[Any]
log = structlog.get_logger("relay")


@dataclass(slots=True)
class _Held:
    """A partition that we lease: what is sent, under which epoch, and where its topic ended when we last looked."""

    sent: int
    epoch: int
    end: int = 0
    refused: str | None = None


class Relay:
    """Publishes one service's log, from a thread of its own."""

    def __init__(self, service: str, topic: str, *, reader_url: str, broker: str) -> None:
        """`reader_url` is the role that reads all tenants and moves `sent`."""
        self._service, self._topic, self._reader_url, self._broker = service, topic, reader_url, broker
        self._holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._held: dict[int, _Held] = {}
        self._log_id: UUID | None = None
        self._problem: str | None = "the relay has not started yet"
        self._renew_at = 0.0
        self._nudged = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"relay-{service}", daemon=True)

    def start(self) -> None:
        """Begin; neither database nor broker need be there."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being sent, give up the leases, end."""
        self._stopping.set()
        self._nudged.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS_MAX)

    def nudge(self) -> None:
        """Something was committed in this process: look now. Never waits; may be called from any thread."""
        self._nudged.set()

    @property
    def alive(self) -> bool:
        """Whether its thread runs; one that has ended does not begin again."""
        return self._thread.is_alive()

    def faults(self) -> list[str]:
        """What keeps the log from being published, one sentence each."""
        refused = [
            f"partition {p} is not published: {held.refused}" for p, held in dict(self._held).items() if held.refused
        ]
        return ([self._problem] if self._problem else []) + refused

    def _run(self) -> None:
        pause = PAUSE_SECONDS_MIN
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                with closing(Topic(self._topic, self._broker)) as topic, connect(self._reader_url) as connection:
                    self._session(connection, topic)
            except (TopicAway, psycopg.Error) as error:
                self._problem = f"{type(error).__name__}: {error}".strip()
                if time.monotonic() - started > PAUSE_SECONDS_MAX:
                    pause = PAUSE_SECONDS_MIN
                log.warning("not published yet", topic=self._topic, error=self._problem, seconds=pause)
                self._stopping.wait(pause)
                pause = min(pause * 2, PAUSE_SECONDS_MAX)

    def _session(self, connection: _Connection, topic: Topic) -> None:
        """Lease and publish until told to stop, or until the database or the broker fails."""
        (self._log_id,) = connection.execute("SELECT log_id FROM log.meta").fetchone() or (None,)
        self._held, self._renew_at = {}, 0.0
        pause = POLL_SECONDS_MIN
        try:
            while not self._stopping.is_set():
                self._nudged.clear()
                if time.monotonic() >= self._renew_at:
                    self._renew(connection, topic)
                    self._problem = None
                pause = POLL_SECONDS_MIN if self._publish(connection, topic) else min(pause * 2, POLL_SECONDS_MAX)
                if self._nudged.wait(pause if pause > POLL_SECONDS_MIN else 0):
                    pause = POLL_SECONDS_MIN
        finally:
            if not connection.broken:
                connection.execute(_LEAVE, [self._holder])

    def _renew(self, connection: _Connection, topic: Topic) -> None:
        """Keep our leases, take what is free, and compare what was taken, refused or shortened with the topic."""
        rows = connection.execute(_TAKE, {"holder": self._holder, "seconds": LEASE_SECONDS})
        taken = {partition: _Held(sent, epoch) for partition, sent, epoch in rows}
        before, self._held = self._held, taken
        ends = topic.ends(sorted(taken))
        for partition, fresh in list(taken.items()):
            kept = before.get(partition)
            fits = kept is not None and kept.epoch == fresh.epoch and kept.refused is None
            if kept is not None and fits and ends[partition] >= kept.end:
                taken[partition] = kept
            else:
                fresh.refused = kept.refused if kept is not None else None
                self._compare(connection, topic, partition, fresh, ends[partition])
        self._renew_at = time.monotonic() + RENEW_SECONDS
        heads: dict[int, int] = dict(connection.execute(_HEADS).fetchall())
        behind = sum(heads[partition] - held.sent for partition, held in taken.items())
        LAG_FACTS.labels("relay", self._service).set(behind)

    def _compare(self, connection: _Connection, topic: Topic, partition: int, held: _Held, end: int) -> None:
        """Fit `sent` to what the topic holds, or refuse the partition when the topic knows what the log does not."""
        last = topic.last(partition, end)
        before = held.refused
        held.end = end
        held.refused = None if last is None else self._contradiction(connection, partition, last)
        HALTED.labels("relay", self._service, partition).set(held.refused is not None)
        if held.refused is not None:
            if held.refused != before:
                log.error("not published: the topic contradicts the log", partition=partition, reason=held.refused)
            return
        # A topic with fewer messages than facts up to its last one was made anew and has begun in the middle.
        whole = last is not None and end > last.number
        present = last.number if last is not None and whole else -1
        if present < held.sent:
            log.warning("the topic is shorter than what was sent", partition=partition, sent=held.sent, topic=present)
            held.sent = present
            self._move(connection, [partition])

    def _contradiction(self, connection: _Connection, partition: int, last: Record) -> str | None:
        if last.log_id != self._log_id:
            return f"it holds facts of the log {last.log_id}, and this is {self._log_id}"
        row = connection.execute(_CHAIN, [partition, last.number]).fetchone()
        if row is None:
            return f"it holds number {last.number}, which the log does not have: the log was set back"
        if bytes(row[0]) != last.chain:
            return f"its number {last.number} is not the log's: the log was set back and has gone on"
        return None

    def _publish(self, connection: _Connection, topic: Topic) -> int:
        """Send one window of every partition and move `sent`; the number of facts sent."""
        records = self._unsent(connection)
        if not records:
            return 0
        outcomes = topic.send([to_kafka(record, self._service) for record in records])
        errors: dict[int, str] = {}
        for record, outcome in zip(records, outcomes, strict=True):
            held = self._held[record.partition]
            if record.partition in errors:
                continue
            if outcome.offset is None:
                errors[record.partition] = outcome.error or "not acknowledged"
            elif outcome.offset < record.number:
                held.sent, held.end = -1, 0
                errors[record.partition] = f"number {record.number} went to offset {outcome.offset}: a new topic"
            else:
                held.sent, held.end = record.number, outcome.offset + 1
        self._move(connection, sorted({record.partition for record in records}))
        SENT.labels(self._service).inc(len(records))
        if errors:
            raise TopicAway("; ".join(f"partition {partition}: {error}" for partition, error in errors.items()))
        return len(records)

    def _unsent(self, connection: _Connection) -> Sequence[Record]:
        open_ = {partition: held.sent for partition, held in self._held.items() if held.refused is None}
        cursor = connection.cursor(binary=True)
        cursor.execute(_UNSENT, [list(open_), list(open_.values()), WINDOW_RECORDS_MAX, WINDOW_BYTES_MAX])
        assert self._log_id is not None, "a session begins by reading the log's id"
        return [sql.record_of(self._log_id, row) for row in cursor]

    def _move(self, connection: _Connection, partitions: Sequence[int]) -> None:
        """Store `sent` and lengthen the lease. A partition that another relay has taken meanwhile is let go."""
        held = [self._held[partition] for partition in partitions]
        moves: Mapping[str, Any] = {
            "partitions": list(partitions),
            "sent": [one.sent for one in held],
            "epochs": [one.epoch for one in held],
            "holder": self._holder,
            "seconds": LEASE_SECONDS,
        }
        kept = {partition for (partition,) in connection.execute(_MOVE, moves)}
        for partition in set(partitions) - kept:
            log.warning("another relay has taken a partition", partition=partition)
            del self._held[partition]
