"""A placement as one row of CSV: every field of the JSON has a column, its path with dots, list items counted from 1.

    client_reference, balance.principal, balance.currency, debtor.1.name.first, debtor.1.address.1.zip, metadata.desk

Amounts are integers in minor units of the currency in `balance.currency`; `true` and `false` are written so; a blank
cell is an absent field. The file is UTF-8 without a byte-order mark, as RFC 4180 describes it, with a header row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Literal, TextIO, get_args, get_origin

from kernel.decider import Fault
from services.gateway.mapping import unwrapped
from services.gateway.placement import Placement
from services.gateway.shapes import ITEMS_MAX, MONEY, Body
from services.gateway.strict_json import DIGITS_MAX, Json, escaped

COLUMNS_MAX: Final = 2000
SHOWN_CHARACTERS_MAX: Final = 80
CURRENCY_COLUMN: Final = "balance.currency"
NO_CURRENCY: Final = "XXX"
"""Stands in amounts when the row names no currency that can be one: the fault is named once, where it is."""

_SINGULARS: Final = {
    "debtors": "debtor",
    "addresses": "address",
    "aliases": "alias",
    "phones": "phone",
    "emails": "email",
    "documents": "document",
    "payments": "payment",
    "contacts": "contact",
    "disputes": "dispute",
    "insurance_payments": "insurance_payment",
    "guarantors": "guarantor",
    "opt_outs": "opt_out",
}
_INTEGER: Final = re.compile(rf"-?(0|[1-9]\d{{0,{DIGITS_MAX}}})", re.ASCII)
_DECIMAL: Final = re.compile(r"-?\d{1,20}\.\d{1,20}", re.ASCII)
_COUNT: Final = re.compile(r"[1-9]\d{0,2}", re.ASCII)

Kind = Literal["text", "integer", "money", "boolean"]


@dataclass(frozen=True, slots=True)
class _Node:
    """One field of a shape: a value of a kind, an object, a list of either, or a map of texts."""

    name: str
    token: str
    many: bool
    kind: Kind | None
    mapped: bool
    within: Mapping[str, _Node]
    """The fields of the object, by their names in columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the header: its name, the path in the JSON with list positions from 1, and its kind."""

    name: str
    path: tuple[str | int, ...]
    kind: Kind


@dataclass(slots=True)
class Cells:
    """A row as the JSON of a placement, and how to point from that back to the columns."""

    value: dict[str, Json]
    columns: Mapping[tuple[str | int, ...], str]
    positions: dict[tuple[str | int, ...], list[int]] = field(default_factory=dict)
    """For each list, by its path, the positions that its items had in the columns."""

    def fault(self, found: Fault) -> Fault:
        """The same fault, pointing at the column: an amount and its currency are one column."""
        path: list[str | int] = []
        for token in found.pointer.split("/")[1:]:
            listed = self.positions.get(tuple(path))
            path.append(listed[int(token)] if listed is not None and token.isdigit() else token)
        for length in range(len(path), 0, -1):
            name = self.columns.get(tuple(path[:length]))
            if name is not None:
                return Fault(f"/{escaped(name)}", found.code, found.message)
        name = _column_name(path)
        return Fault(f"/{escaped(name)}" if name else "", found.code, found.message)


def read_header(names: Sequence[str]) -> list[Column] | list[Fault]:
    """The columns of a header, or every fault of it, pointing at the column by its number from 0."""
    faults: list[Fault] = []
    columns: list[Column] = []
    if len(names) > COLUMNS_MAX:
        return [Fault("", "too_many_columns", f"The header has more than {COLUMNS_MAX} columns.")]
    for number, name in enumerate(names):
        column = _column(name)
        if column is None:
            faults.append(Fault(f"/{number}", "unknown_column", f"There is no column {_shown(name)}."))
        elif any(column.path == other.path for other in columns):
            faults.append(Fault(f"/{number}", "duplicate_column", f"The column {_shown(name)} stands here twice."))
        else:
            columns.append(column)
    given = {column.name for column in columns}
    faults += [
        Fault("", "missing_column", f"The column {name} is missing.") for name in REQUIRED_COLUMNS if name not in given
    ]
    return faults or columns


def read_row(columns: Sequence[Column], cells: Sequence[str]) -> Cells:
    """One row as the JSON of a placement; a cell that does not fit its kind is left for the shape to refuse."""
    given = dict(zip((column.name for column in columns), cells, strict=True))
    currency = given.get(CURRENCY_COLUMN, "")
    currency = currency if re.fullmatch("[A-Z]{3}", currency) else NO_CURRENCY
    tree: dict[str | int, Any] = {}
    for column, cell in zip(columns, cells, strict=True):
        if cell != "":
            _put(tree, column.path, _value(column.kind, cell, currency))
    made = Cells({}, {column.path: column.name for column in columns})
    value = _listed(tree, (), made.positions)
    assert isinstance(value, dict)
    made.value = value
    return made


def write_rows(stream: TextIO, bodies: Sequence[Mapping[str, Json]]) -> None:
    """Write placements, as the JSON that POST /v1/placements takes, with the columns that any of them needs."""
    rows = [flattened(body) for body in bodies]
    names = dict.fromkeys(REQUIRED_COLUMNS)
    for row in rows:
        names.update(dict.fromkeys(row))
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([row.get(name, "") for name in names] for row in rows)


def flattened(body: Mapping[str, Json]) -> dict[str, str]:
    """The cells of one placement, by column."""
    return {_required_name(path): cell for path, cell in _leaves(dict(body), _ROOT, ())}


def _leaves(value: Json, node: _Node, path: tuple[str | int, ...]) -> Iterable[tuple[tuple[str | int, ...], str]]:
    if value is None:
        return
    if isinstance(value, list):
        for number, item in enumerate(value, 1):
            yield from _leaves(item, replace(node, many=False), (*path, number))
    elif isinstance(value, Mapping) and node.kind is None:
        inner = {child.name: child for child in node.within.values()}
        for name, item in value.items():
            yield from _leaves(item, _TEXT if node.mapped else inner[name], (*path, name))
    elif isinstance(value, Mapping):
        yield path, str(value["amount"])
    else:
        yield path, str(value).lower() if isinstance(value, bool) else str(value)


def _value(kind: Kind, cell: str, currency: str) -> Json:
    match kind:
        case "text":
            return cell
        case "boolean":
            return {"true": True, "false": False}.get(cell, cell)
        case "integer":
            return _number(cell)
        case "money":
            return {"amount": _number(cell), "currency": currency}


def _number(cell: str) -> Json:
    """What the cell would be in JSON: the shape tells a fraction from what is no number at all."""
    if len(cell) <= DIGITS_MAX and _INTEGER.fullmatch(cell):
        return int(cell)
    return float(cell) if _DECIMAL.fullmatch(cell) else cell


def _put(tree: dict[str | int, Any], path: Sequence[str | int], value: Json) -> None:
    for token in path[:-1]:
        tree = tree.setdefault(token, {})
    tree[path[-1]] = value


def _listed(tree: Any, path: tuple[str | int, ...], positions: dict[tuple[str | int, ...], list[int]]) -> Json:  # noqa: ANN401 - a tree of objects.
    """Objects whose keys are positions become lists, in order and without gaps."""
    if not isinstance(tree, dict):
        found: Json = tree
        return found
    if tree and all(isinstance(key, int) for key in tree):
        positions[path] = sorted(tree)
        return [_listed(tree[key], (*path, key), positions) for key in positions[path]]
    return {key: _listed(item, (*path, key), positions) for key, item in tree.items()}


def _column(name: str) -> Column | None:
    """The column of this name; None when no field is called so."""
    node = _ROOT
    path: list[str | int] = []
    tokens = name.split(".")
    while tokens:
        if node.mapped:
            return Column(name, (*path, ".".join(tokens)), "text")
        found = node.within.get(tokens.pop(0))
        if found is None:
            return None
        path.append(found.name)
        if found.many:
            if not tokens or not _COUNT.fullmatch(tokens[0]) or int(tokens[0]) > ITEMS_MAX:
                return None
            path.append(int(tokens.pop(0)))
        node = found
        if node.kind is not None:
            return None if tokens else Column(name, tuple(path), node.kind)
    return None


def _column_name(path: Sequence[str | int]) -> str:
    """The name of the column at this path, as far as the path leads to fields."""
    node = _ROOT
    tokens: list[str] = []
    for token in path:
        if node.mapped or isinstance(token, int) or (isinstance(token, str) and token.isdigit()):
            tokens.append(str(token))
            continue
        found = next((child for child in node.within.values() if child.name == token), None)
        if found is None:
            break
        tokens.append(found.token)
        node = found
    return ".".join(tokens)


def _required_name(path: Sequence[str | int]) -> str:
    name = _column_name(path)
    assert _column(name) is not None, path
    return name


def _shown(name: str) -> str:
    return repr(name if len(name) <= SHOWN_CHARACTERS_MAX else name[:SHOWN_CHARACTERS_MAX] + "…")


def _nodes(shape: type[Body]) -> dict[str, _Node]:
    nodes: dict[str, _Node] = {}
    for name, info in shape.model_fields.items():
        kind, _extra = unwrapped(Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation)
        node = _node(info.alias or name, kind)
        nodes[node.token] = node
    return nodes


def _node(name: str, kind: Any) -> _Node:  # noqa: ANN401 - any type of a field.
    many, mapped = get_origin(kind) is list, get_origin(kind) is dict
    item, _extra = unwrapped(get_args(kind)[0]) if many else (kind, [])
    value: Kind | None = (
        "money" if item in MONEY else "boolean" if item is bool else "integer" if item is int else "text"
    )
    within: Mapping[str, _Node] = {}
    if mapped:
        value = None
    elif isinstance(item, type) and issubclass(item, Body) and item not in MONEY:
        value, within = None, _nodes(item)
    return _Node(name, _SINGULARS.get(name, name), many, value, mapped, within)


_ROOT: Final = _Node("", "", many=False, kind=None, mapped=False, within=_nodes(Placement))
_TEXT: Final = _Node("", "", many=False, kind="text", mapped=False, within={})

REQUIRED_COLUMNS: Final = (
    "client_reference",
    "portfolio_id",
    "batch_reference",
    "placement_date",
    "creditors.current_creditor_legal_name",
    "creditors.original_creditor_name",
    "debt.product_type",
    "debt.description",
    "debt.consumer",
    "debt.debt_type",
    "balance.principal",
    "balance.interest",
    "balance.fees",
    "balance.costs",
    "balance.total",
    "balance.currency",
    "debtor.1.role",
    "debtor.1.kind",
    "debtor.1.address.1.type",
    "debtor.1.address.1.street",
    "debtor.1.address.1.city",
    "debtor.1.address.1.state",
    "debtor.1.address.1.zip",
)
"""Columns that every file has, because every placement needs what they hold."""
