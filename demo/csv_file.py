"""Placement CSV on disk: the columns of the public API, and `client_id` beside them in a file of several clients.

Rows are sent as they stand, also those with too few or too many columns: the API has a result for each.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from demo.draft import Batch, Client, Portfolio, client_id_of
from demo.placement_json import Json
from demo.unreadable import UnreadableFile
from kernel.decider import Fault
from services.gateway.placement_csv import read_header, write_rows

CSV: Final = "text/csv"
CLIENT_COLUMN: Final = "client_id"
CREDITOR_COLUMN: Final = "creditors.current_creditor_legal_name"
PORTFOLIO_COLUMN: Final = "portfolio_id"
REFERENCE_COLUMN: Final = "client_reference"
CURRENCY_COLUMN: Final = "balance.currency"
_MARK: Final = "\ufeff"
_TEXT: Final = re.compile(r"[!-~](?:[ -~]{0,62}[!-~])?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
"""What a client can be registered with; rows that say anything else are sent too, and refused by the API."""


def is_placement_csv(first_line: str) -> bool:
    """Whether a file that starts with this line is placement CSV."""
    return REFERENCE_COLUMN in [name.strip('" ') for name in first_line.split(",")]


def written(lines: Iterable[tuple[str, Mapping[str, Json]]]) -> bytes:
    """Placements of several clients as one file, in the order given."""
    clients, bodies = zip(*lines, strict=True)
    plain, made = io.StringIO(newline=""), io.StringIO(newline="")
    write_rows(plain, bodies)
    plain.seek(0)
    writer = csv.writer(made, lineterminator="\r\n")
    writer.writerows([first, *row] for first, row in zip((CLIENT_COLUMN, *clients), csv.reader(plain), strict=True))
    return made.getvalue().encode()


def read(content: bytes, source: str) -> Portfolio:
    """The file's rows as a batch for each client; UnreadableFile when it cannot be told what the rows are."""
    rows = _rows(_text(content, source), source)
    _line, header = next(rows)
    _refuse_wrong_header(header, source)
    owned = [(line, row, _client_of(header, row)) for line, row in rows]
    if not owned:
        message = f"{source}: the file holds a header and no rows"
        raise UnreadableFile(message)
    known = next((client for _, _, client in owned if client), None)
    if known is None:
        message = f"{source}: no row names a client in {CLIENT_COLUMN} or {CREDITOR_COLUMN}"
        raise UnreadableFile(message)
    by_client: dict[str, list[tuple[int, Sequence[str]]]] = {}
    for line, row, client in owned:
        by_client.setdefault(client_id_of(client or known), []).append((line, row))
    batches = [_batch(client_id, header, some) for client_id, some in by_client.items()]
    return Portfolio(source, len(owned), batches)


def _text(content: bytes, source: str) -> str:
    try:
        return content.decode().removeprefix(_MARK)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"{source}, line {line}: byte {error.start} is not UTF-8; save the file in UTF-8"
        raise UnreadableFile(message) from error


def _rows(text: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """Every row with the line that it begins on. Blank lines are no rows."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        message = f"{source}, line {line}: {error}"
        raise UnreadableFile(message) from error


def _refuse_wrong_header(header: Sequence[str], source: str) -> None:
    found = read_header([name for name in header if name != CLIENT_COLUMN])
    faults = [fault.message for fault in found if isinstance(fault, Fault)]
    if header.count(CLIENT_COLUMN) > 1:
        faults.append(f"The column {CLIENT_COLUMN!r} stands here twice.")
    if faults:
        message = f"{source}: the header is wrong: {' '.join(faults)}"
        raise UnreadableFile(message)


def _client_of(header: Sequence[str], row: Sequence[str]) -> str | None:
    """Whose row it is, by the column that names the client, else by the creditor; None when the row does not say."""
    column = CLIENT_COLUMN if CLIENT_COLUMN in header else CREDITOR_COLUMN
    return (_cell(header, row, column) or "").strip() or None


def _cell(header: Sequence[str], row: Sequence[str], column: str) -> str | None:
    position = header.index(column)
    return row[position] if len(row) == len(header) else None


def _batch(client_id: str, header: Sequence[str], some: Sequence[tuple[int, Sequence[str]]]) -> Batch:
    own = header.index(CLIENT_COLUMN) if CLIENT_COLUMN in header else len(header)
    made = io.StringIO(newline="")
    writer = csv.writer(made, lineterminator="\r\n")
    writer.writerow([*header[:own], *header[own + 1 :]])
    writer.writerows([*row[:own], *row[own + 1 :]] for _, row in some)
    names, portfolios, currencies = (
        tuple(dict.fromkeys(cell for _, row in some if form.fullmatch(cell := _cell(header, row, column) or "")))
        for column, form in (
            (CREDITOR_COLUMN, _TEXT),
            (PORTFOLIO_COLUMN, _TEXT),
            (CURRENCY_COLUMN, _CURRENCY),
        )
    )
    client = Client(client_id, (*names, client_id)[0], portfolios, currencies or ("USD",))
    return Batch(client, CSV, made.getvalue().encode(), [line for line, _ in some])
