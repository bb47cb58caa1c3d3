"""What audit does with a fact it hears: it keeps the record, in the transaction that moves the checkpoint.

Before that it computes the record's hash with its own code and checks the chain of the partition and of the stream. A
record that does not fit is not kept: the listener parks it with the reason, and `recoup parked` shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID

import psycopg

from kernel.record import Record
from services.audit.domain.entry import Entry
from services.audit.domain.verify import FIRST_PREVIOUS, Head, chain_next, record_hash

Connection: TypeAlias = psycopg.Connection[Any]
Stream: TypeAlias = tuple[UUID, str]

COLUMNS: Final = ", ".join(Entry._fields)

_CHECKPOINT: Final = (
    "SELECT last, chain FROM log.checkpoints WHERE consumer = 'audit' AND source = %s AND partition = %s"
)
_STREAMS: Final = (
    "SELECT r.tenant, r.stream, r.version, r.hash FROM unnest(%s::uuid[], %s::text[]) AS n(tenant, stream)"
    " CROSS JOIN LATERAL (SELECT tenant, stream, version, hash FROM audit.records WHERE tenant = n.tenant"
    " AND source = %s AND stream = n.stream ORDER BY version DESC LIMIT 1) r"
)
_INSERT: Final = (
    f"INSERT INTO audit.records ({COLUMNS}) SELECT %s, log_id, partition, number, chain, tenant, stream, version,"  # noqa: S608 - constants.
    " event_id, type, occurred_at, recorded_at, actor, command_id, correlation_id, accounts::uuid[], previous, payload,"
    " hash FROM unnest(%b::uuid[], %b::int2[], %b::int8[], %b::bytea[], %b::uuid[], %s::text[], %b::int8[], %b::uuid[],"
    " %s::text[], %b::timestamptz[], %b::timestamptz[], %s::text[], %b::uuid[], %b::uuid[], %s::text[], %b::bytea[],"
    f" %b::bytea[], %b::bytea[]) AS n({COLUMNS.removeprefix('source, ')})"
)
_MENTION: Final = (
    "INSERT INTO audit.mentions (tenant, account, source, partition, number)"
    " SELECT tenant, account, %s, partition, number FROM unnest(%b::uuid[], %b::uuid[], %b::int2[], %b::int8[])"
    " AS n(tenant, account, partition, number)"
)


class BrokenChain(Exception):  # noqa: N818 - named for what is wrong.
    """A record that does not follow the one before it; the text says in what."""


class Recorder:
    """The effect of every fact of one source."""

    def __init__(self, source: str) -> None:
        """`source` is the service whose log is heard."""
        self._source = source

    def __call__(self, connection: Connection, records: Sequence[Record]) -> None:
        """Keep records of one partition, in order; BrokenChain when one does not fit. The caller commits."""
        entries = [self._entry(record) for record in records]
        self._check_chain(connection, entries)
        self._check_streams(connection, entries)
        cursor = connection.cursor(binary=True)
        cursor.execute(_INSERT, [self._source, *_columns(entries)])
        mentions = [(entry, account) for entry in entries for account in _elsewhere(entry)]
        if mentions:
            cursor.execute(_MENTION, [self._source, *_mentioned(mentions)])

    def _entry(self, record: Record) -> Entry:
        entry = Entry(
            self._source,
            record.log_id,
            record.partition,
            record.number,
            record.chain,
            record.tenant,
            record.stream,
            record.version,
            record.event_id,
            record.type,
            record.occurred_at,
            record.recorded_at,
            record.actor,
            record.command_id,
            record.correlation_id,
            record.accounts,
            record.previous,
            record.payload,
            b"",
        )
        return entry._replace(hash=record_hash(entry))

    def _check_chain(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Where the record before is at hand. It is not where that one is parked, or for one that was."""
        row = connection.execute(_CHECKPOINT, [self._source, entries[0].partition]).fetchone()
        head = Head(*row) if row else None
        for entry in entries:
            follows = head is not None and entry.number == head.number + 1
            if head is not None and follows and entry.chain != chain_next(head.chain, entry.hash):
                message = f"number {entry.number}: its chain is not the one that its contents and the chain before give"
                raise BrokenChain(message)
            head = Head(entry.number, entry.chain)

    def _check_streams(self, connection: Connection, entries: Sequence[Entry]) -> None:
        ends = self._ends(connection, entries)
        for entry in entries:
            stream = (entry.tenant, entry.stream)
            version, hash_ = ends.get(stream, (0, FIRST_PREVIOUS))
            if entry.version != version + 1 or entry.previous != hash_:
                message = f"number {entry.number}: it does not follow version {version} of its stream"
                raise BrokenChain(message)
            ends[stream] = (entry.version, entry.hash)

    def _ends(self, connection: Connection, entries: Iterable[Entry]) -> dict[Stream, tuple[int, bytes]]:
        streams = list({(entry.tenant, entry.stream) for entry in entries})
        tenants, names = [tenant for tenant, _name in streams], [name for _tenant, name in streams]
        rows = connection.execute(_STREAMS, [tenants, names, self._source])
        return {(tenant, name): (version, bytes(hash_)) for tenant, name, version, hash_ in rows}


def _elsewhere(entry: Entry) -> Iterable[UUID]:
    """The accounts that a record concerns and whose own stream it is not."""
    own = entry.stream.partition("-")[2]
    return (account for account in entry.accounts if str(account) != own)


def _columns(entries: Sequence[Entry]) -> Sequence[Sequence[object]]:
    columns: Mapping[str, list[object]] = {
        name: list(column) for name, column in zip(Entry._fields, zip(*entries, strict=True), strict=True)
    }
    accounts = ["{" + ",".join(map(str, entry.accounts)) + "}" for entry in entries]
    return [accounts if name == "accounts" else column for name, column in columns.items() if name != "source"]


def _mentioned(mentions: Sequence[tuple[Entry, UUID]]) -> Sequence[Sequence[object]]:
    return [
        [entry.tenant for entry, _account in mentions],
        [account for _entry, account in mentions],
        [entry.partition for entry, _account in mentions],
        [entry.number for entry, _account in mentions],
    ]
