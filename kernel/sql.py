"""The statements that append, shared by the writer and by listeners' own transactions: decided commands as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import psycopg

from kernel.append import Conflicted, Decided, Head, Place, Placed, Repeated, place
from kernel.arrays import packed
from kernel.project import Statement, Tables, statements
from kernel.record import Record

SET_TENANTS: Final = "SELECT set_config('recoup.tenants', %s, true)"
BEGIN_BATCH: Final = "SELECT * FROM log.begin_batch(%s, %s::int2[])"
READ_CLOCK: Final = "SELECT clock_timestamp()"
FIND_COMMANDS: Final = (
    "SELECT c.tenant, c.command_id, c.input, c.outcome FROM log.commands c"
    " JOIN unnest(%b::uuid[], %b::uuid[]) AS n(tenant, command_id) USING (tenant, command_id)"
)
FIND_VERSIONS: Final = (
    "SELECT n.tenant, n.stream, coalesce((SELECT max(e.version) FROM log.events e"
    " WHERE e.tenant = n.tenant AND e.stream = n.stream), 0) FROM unnest(%b::uuid[], %s::text[]) AS n(tenant, stream)"
)
RECORD_COLUMNS: Final = (
    "partition, number, chain, tenant, stream, version, event_id, type, occurred_at, recorded_at, actor, command_id,"
    " correlation_id, accounts, previous, payload"
)
READ_PAGE: Final = (
    f"SELECT {RECORD_COLUMNS} FROM log.events WHERE partition = %b AND number BETWEEN %b AND %b ORDER BY number"  # noqa: S608
)

# One statement, because each costs its share of every batch; the heads move with what they count.
_RECORD: Final = (
    f"WITH facts AS (INSERT INTO log.events ({RECORD_COLUMNS}) SELECT partition, number, chain, tenant, stream,"  # noqa: S608
    " version, event_id, type, occurred_at, recorded_at, actor, command_id, correlation_id, accounts::uuid[], previous,"
    " payload"
    " FROM unnest(%s::int2[], %s::int8[], %s::bytea[], %s::uuid[], %s::text[], %s::int8[], %s::uuid[], %s::text[],"
    " %s::timestamptz[], %s::timestamptz[], %s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::bytea[], %s::bytea[])"
    f" AS n({RECORD_COLUMNS})), answers AS ("
    "INSERT INTO log.commands (tenant, command_id, input, stream, version, outcome)"
    " SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::bytea[], %s::text[], %s::int8[], %s::bytea[]))"
    " UPDATE log.heads h SET number = n.number, chain = n.chain, recorded_at = n.recorded_at"
    " FROM unnest(%s::int2[], %s::int8[], %s::bytea[], %s::timestamptz[]) AS n(partition, number, chain, recorded_at)"
    " WHERE h.partition = n.partition"
)


def tenants_text(tenants: Iterable[UUID]) -> str:
    """The value of the setting that row-level security reads."""
    return "{" + ",".join(sorted({str(tenant) for tenant in tenants})) + "}"


def pairs(decided: Iterable[Decided]) -> tuple[list[UUID], list[UUID]]:
    """Tenants and command ids, as FIND_COMMANDS takes them."""
    chosen = list(decided)
    return [one.tenant for one in chosen], [one.command_id for one in chosen]


def streams(decided: Iterable[Decided]) -> tuple[list[UUID], list[str]]:
    """Tenants and streams, as FIND_VERSIONS takes them."""
    chosen = list(decided)
    return [one.tenant for one in chosen], [one.stream for one in chosen]


def judged_all(
    decided: Sequence[Decided],
    commands: Mapping[tuple[UUID, UUID], Repeated],
    versions: Mapping[tuple[UUID, str], int],
) -> list[Repeated | Conflicted | None]:
    """Each command's judgement; nothing was asked about most batches, and all of their commands stand."""
    if not commands and not versions:
        return [None] * len(decided)
    return [judged(one, commands, versions) for one in decided]


def judged(
    decided: Decided,
    commands: Mapping[tuple[UUID, UUID], Repeated],
    versions: Mapping[tuple[UUID, str], int],
) -> Repeated | Conflicted | None:
    """The id first, then the version; None when the command stands. A stream that was not asked about stands."""
    repeated = commands.get((decided.tenant, decided.command_id))
    if repeated is not None:
        return repeated
    version = versions.get((decided.tenant, decided.stream), decided.version)
    return None if version == decided.version else Conflicted(version)


def places(log_id: UUID, heads: Iterable[Sequence[Any]], *, simulated: bool) -> dict[int, Place]:
    """The moving ends of the locked partitions. Under a simulated clock the commands bring their own instants."""
    found = {}
    for *columns, now in heads:
        head = Head(*columns)
        found[head.partition] = Place(log_id, head, head.recorded_at if simulated else now)
    return found


def place_all(decided: Iterable[Decided], at: Mapping[int, Place]) -> list[Placed]:
    """Number commands in order; those of one stream continue one another."""
    placed: list[Placed] = []
    ends: dict[tuple[UUID, str], bytes] = {}
    for one in decided:
        stream = (one.tenant, one.stream)
        if stream in ends:
            one = one._replace(previous=ends[stream])  # noqa: PLW2901 - its predecessor's hash is known only now.
        placed.append(place(one, at[one.partition]))
        ends[stream] = placed[-1].committed.hash
    return placed


def insertions(placed: Sequence[Placed], at: Mapping[int, Place], tables: Tables) -> list[Statement]:
    """Everything that a numbered batch writes: facts, answers, read rows, heads."""
    records = [record for one in placed for record in one.records]
    chains = [chain for one in placed for chain in one.chains]
    moved = [end for end in at.values() if end.moved]
    columns = (*_event_columns(records, chains), *_command_columns(placed), *_head_columns(moved))
    rows = [row for one in placed for row in one.rows]
    return [Statement(_RECORD, columns), *(statements(rows, tables) if rows else ())]


def record_of(log_id: UUID, row: Sequence[Any]) -> Record:
    """A record from the columns of RECORD_COLUMNS."""
    (*before, accounts, previous, payload) = row
    return Record(log_id, *before, tuple(accounts), previous, payload)  # type: ignore[call-arg]


def _event_columns(records: Sequence[Record], chains: Sequence[bytes]) -> Sequence[object]:
    return [
        packed("smallint", [record.partition for record in records]),
        packed("bigint", [record.number for record in records]),
        packed("bytea", chains),
        packed("uuid", [record.tenant for record in records]),
        packed("text", [record.stream for record in records]),
        packed("bigint", [record.version for record in records]),
        packed("uuid", [record.event_id for record in records]),
        packed("text", [record.type for record in records]),
        packed("timestamp with time zone", [record.occurred_at for record in records]),
        packed("timestamp with time zone", [record.recorded_at for record in records]),
        packed("text", [record.actor for record in records]),
        packed("uuid", [record.command_id for record in records]),
        packed("uuid", [record.correlation_id for record in records]),
        packed("text", ["{" + ",".join(map(str, record.accounts)) + "}" for record in records]),
        packed("bytea", [record.previous for record in records]),
        packed("bytea", [record.payload for record in records]),
    ]


def _command_columns(placed: Iterable[Placed]) -> Sequence[object]:
    """Sorted by id, so that two writers who meet in this index wait for each other in one direction only."""
    ordered = sorted(placed, key=lambda one: one.decided.command_id.int)
    return [
        packed("uuid", [one.decided.tenant for one in ordered]),
        packed("uuid", [one.decided.command_id for one in ordered]),
        packed("bytea", [one.decided.input for one in ordered]),
        packed("text", [one.decided.stream for one in ordered]),
        packed("bigint", [one.committed.version for one in ordered]),
        packed("bytea", [one.decided.outcome for one in ordered]),
    ]


def _head_columns(ends: Sequence[Place]) -> Sequence[object]:
    return [
        packed("smallint", [end.partition for end in ends]),
        packed("bigint", [end.number for end in ends]),
        packed("bytea", [end.chain for end in ends]),
        packed("timestamp with time zone", [end.recorded_at for end in ends]),
    ]


def stored(connection: psycopg.Cursor[Any]) -> dict[tuple[UUID, UUID], Repeated]:
    """What FIND_COMMANDS found."""
    return {(tenant, id_): Repeated(input_, outcome) for tenant, id_, input_, outcome in connection}
