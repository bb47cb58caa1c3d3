"""Read rows as data: what `project` says of a fact, and how it is applied to PostgreSQL and to the memory store alike.

A row belongs to one stream, so changes are values and never increments, and replaying a fact gives the same row. A
batch merges the changes of one row before they reach the database, then changes each table once per set of columns.
A change that meets an existing row where it inserts, or none where it updates or deletes, is a bug and fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

import psycopg

from kernel.arrays import packed
from kernel.decider import Heard

Value: TypeAlias = str | int | bool | bytes | UUID | date | datetime | Sequence[str] | Sequence[UUID] | None
"""What a column holds; JSON travels as its text."""

Row: TypeAlias = Mapping[str, Value]
Key: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Insert:
    """A new row. `table` is schema and name, as in every change; an existing key is a bug."""

    table: str
    row: Row


@dataclass(frozen=True, slots=True)
class Update:
    """New values of some columns of an existing row, found by the table's primary key."""

    table: str
    key: Row
    changes: Row


@dataclass(frozen=True, slots=True)
class Delete:
    """An existing row goes, found by the table's primary key."""

    table: str
    key: Row


class RowExists(LookupError):  # noqa: N818 - named for what is wrong.
    """A row that was to be inserted is there already: another caller has written it."""


RowChange: TypeAlias = Insert | Update | Delete
Project: TypeAlias = Callable[[Heard], Iterable[RowChange]]


class Table(NamedTuple):
    """A table as the catalogue describes it: its primary key, and the SQL type of every column."""

    key: tuple[str, ...]
    types: Mapping[str, str]


Tables: TypeAlias = Mapping[str, Table]


class Statement(NamedTuple):
    """SQL over arrays, one array a column."""

    sql: str
    parameters: Sequence[object]


class _Net(NamedTuple):
    """What a batch comes to for one row: whether the old row goes, and the columns that are then written."""

    deletes: bool
    inserts: bool
    columns: Row


_CATALOGUE = """
SELECT n.nspname || '.' || c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
       coalesce(array_position(i.indkey::int2[], a.attnum), -1)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('log', 'pg_catalog', 'information_schema')
ORDER BY 1, 4, a.attnum
"""


def tables_of(connection: psycopg.Connection) -> Tables:
    """The tables outside the log that rows may go to, from the catalogue."""
    keys: dict[str, list[str]] = {}
    types: dict[str, dict[str, str]] = {}
    for table, column, type_, place in connection.execute(_CATALOGUE):
        types.setdefault(table, {})[column] = type_
        if place >= 0:
            keys.setdefault(table, []).append(column)
    return {table: Table(tuple(keys.get(table, ())), columns) for table, columns in types.items()}


def merge(changes: Iterable[RowChange], tables: Tables) -> Mapping[str, Mapping[Key, _Net]]:
    """One net change a row, by table and primary key, in order of first mention."""
    net: dict[str, dict[Key, _Net]] = {}
    for change in changes:
        table = _table(tables, change.table)
        row = change.row if isinstance(change, Insert) else change.key
        key = _key(change, table.key, row)
        rows = net.setdefault(change.table, {})
        rows[key] = _combined(change, rows.get(key))
    return net


def _table(tables: Tables, name: str) -> Table:
    table = tables.get(name)
    if table is None or not table.key:
        message = f"there is no table {name} with a primary key"
        raise LookupError(message)
    return table


def _key(change: RowChange, columns: tuple[str, ...], row: Row) -> Key:
    if isinstance(change, Insert):
        return tuple([row[column] for column in columns])
    if len(row) != len(columns):
        message = f"a row of {change.table} is found by {', '.join(columns)}, not by {', '.join(row)}"
        raise LookupError(message)
    return tuple([row[column] for column in columns])


def _combined(change: RowChange, before: _Net | None) -> _Net:
    if before is None:
        return _first(change)
    gone = not before.inserts and (before.deletes or not before.columns)
    if gone and isinstance(change, Insert):
        return _Net(before.deletes, inserts=True, columns=change.row)
    if not gone and isinstance(change, Update):
        return _Net(before.deletes, before.inserts, {**before.columns, **change.changes})
    if not gone and isinstance(change, Delete):
        return _Net(before.deletes or not before.inserts, inserts=False, columns={})
    message = f"{change} meets a row that the same batch has already {'deleted' if gone else 'written'}"
    raise LookupError(message)


def _first(change: RowChange) -> _Net:
    if isinstance(change, Update):
        return _Net(deletes=False, inserts=False, columns=change.changes)
    if isinstance(change, Insert):
        return _Net(deletes=False, inserts=True, columns=change.row)
    return _Net(deletes=True, inserts=False, columns={})


def statements(changes: Iterable[RowChange], tables: Tables, names: Mapping[str, str] | None = None) -> list[Statement]:
    """The SQL that applies a batch of changes: deletions, then insertions, then updates, each one array statement.

    `names` says what tables are called, where they are not yet called what the changes call them.
    """
    named = names or {}
    deletes: dict[str, list[Key]] = {}
    writes: dict[tuple[str, bool, tuple[str, ...]], list[tuple[Key, Row]]] = {}
    for name, rows in merge(changes, tables).items():
        for key, net in rows.items():
            if net.deletes:
                deletes.setdefault(name, []).append(key)
            if net.columns:
                writes.setdefault((name, net.inserts, tuple(net.columns)), []).append((key, net.columns))
    found = [_delete(named.get(name, name), tables[name], keys) for name, keys in deletes.items()]
    for inserting in (True, False):
        for (name, inserts, columns), group in writes.items():
            if inserts is inserting:
                found.append((_insert if inserts else _update)(named.get(name, name), tables[name], columns, group))
    return found


def _delete(name: str, table: Table, keys: Sequence[Key]) -> Statement:
    change = f"DELETE FROM {name} t USING ({_rows(table, table.key)}) n WHERE {_matched(table.key)}"  # noqa: S608 - names come from the catalogue.
    return Statement(_counted(change, name), [*_columns(table, table.key, keys), len(keys)])


def _insert(name: str, table: Table, columns: tuple[str, ...], group: Sequence[tuple[Key, Row]]) -> Statement:
    sql = f"INSERT INTO {name} ({_listed(columns)}) {_rows(table, columns)}"
    return Statement(sql, _columns(table, columns, [tuple([row[column] for column in columns]) for _key, row in group]))


def _update(name: str, table: Table, columns: tuple[str, ...], group: Sequence[tuple[Key, Row]]) -> Statement:
    every = (*table.key, *(column for column in columns if column not in table.key))
    assigned = ", ".join(f'"{column}" = n."{column}"' for column in columns)
    change = f"UPDATE {name} t SET {assigned} FROM ({_rows(table, every)}) n WHERE {_matched(table.key)}"  # noqa: S608 - as above.
    changed = every[len(table.key) :]
    values = [(*key, *[row[column] for column in changed]) for key, row in group]
    return Statement(_counted(change, name), [*_columns(table, every, values), len(group)])


def _counted(change: str, name: str) -> str:
    """The change, failing unless it finds as many rows as the statement's last parameter says."""
    return f"WITH changed AS ({change} RETURNING 1) SELECT log.expect(count(*), %s, '{name}') FROM changed"  # noqa: S608 - as above.


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _matched(key: Iterable[str]) -> str:
    return " AND ".join(f't."{column}" = n."{column}"' for column in key)


def _rows(table: Table, columns: Sequence[str]) -> str:
    """Columns as parameters, turned into rows. Arrays travel as text: unnest would flatten them."""
    casts, selected = [], []
    for column in columns:
        type_ = table.types[column]
        nested = type_.endswith("[]")
        casts.append(f"%s::{'text' if nested else type_}[]")
        selected.append(f'n."{column}"::{type_}' if nested else f'n."{column}"')
    return f"SELECT {', '.join(selected)} FROM unnest({', '.join(casts)}) AS n({_listed(columns)})"  # noqa: S608 - as above.


def _columns(table: Table, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> list[object]:
    turned: list[object] = []
    for column, values in zip(columns, zip(*rows, strict=True), strict=True):
        type_ = table.types[column]
        if type_.endswith("[]"):
            turned.append(packed("text", [None if value is None else _array_text(value) for value in values]))
        else:
            turned.append(packed(type_, values))
    return turned


def _array_text(values: Sequence[str] | Sequence[UUID]) -> str:
    quoted = (str(value).replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def apply_in_memory(
    changes: Iterable[RowChange], tables: Tables, rows: MutableMapping[str, MutableMapping[Key, Row]]
) -> None:
    """What `statements` does to a database, done to dictionaries; all of it or, with a LookupError, nothing."""
    net = merge(changes, tables)
    for name, by_key in net.items():
        present = rows.setdefault(name, {})
        for key, change in by_key.items():
            if (change.deletes or change.columns) and (key in present) is not (change.deletes or not change.inserts):
                message = f"{name}: the row {key} {'exists already' if key in present else 'does not exist'}"
                raise RowExists(message) if key in present else LookupError(message)
    for name, by_key in net.items():
        present = rows[name]
        for key, change in by_key.items():
            before = present.pop(key) if change.deletes else present.get(key, {})
            if change.columns:
                present[key] = dict(change.columns) if change.inserts else {**before, **change.columns}
