"""The rows of a streamed batch, one after the other, each with whatever is wrong with it and with it alone.

A row that cannot be read is refused and the next one is read. Only what makes it unknowable where the next row begins
stops the batch: an unterminated quote, or a row without an end.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from kernel.decider import Fault
from services.gateway.placement_csv import Column, read_header, read_row
from services.gateway.problems import Code, Problem
from services.gateway.strict_json import BOMS, Document, read, walk_texts

ROW_BYTES_MAX: Final = 256 * 1024
ROWS_MAX: Final = 1_000_000
NEVER_READ: Final = "Neither this row nor those after it were taken."


def same(fault: Fault) -> Fault:
    """The fault as it is: a row of JSON is pointed into as it was sent."""
    return fault


@dataclass(frozen=True, slots=True)
class Row:
    """One row, numbered from 1: what it says, or the faults for which it cannot be read."""

    number: int
    document: Document | None
    faults: Sequence[Fault] = ()
    pointing: Callable[[Fault], Fault] = field(default=same)
    """Turns a fault of the JSON into one of the row as it was sent."""
    has_currencies: bool = True
    """Whether each amount names its currency itself."""


class Stopped(Exception):  # noqa: N818 - named for what happened.
    """No further row can be read; `fault` says why and where."""

    def __init__(self, fault: Fault) -> None:
        """`fault` points at the row."""
        super().__init__(fault.message)
        self.fault = fault


async def ndjson_rows(chunks: AsyncIterator[bytes]) -> AsyncIterator[Row]:
    """One JSON object a line; blank lines are no rows."""
    number = 0
    async for line in _records(chunks, quoted=False):
        if line.strip(b" \t\r\n"):
            number = _next(number)
            yield _json_row(number, line)


def _json_row(number: int, line: bytes) -> Row:
    try:
        return Row(number, read(line))
    except Problem as problem:
        return Row(number, None, problem.faults or (Fault("", problem.code, problem.detail),))  # type: ignore[arg-type]


async def csv_rows(chunks: AsyncIterator[bytes]) -> AsyncIterator[Row]:
    """A header, then one placement a row; a Problem when the header is wrong."""
    columns: list[Column] | None = None
    number = 0
    async for record in _records(chunks, quoted=True):
        if columns is None:
            columns = _header(record)
        elif record.strip(b"\r\n"):
            number = _next(number)
            yield _csv_row(number, columns, record)


def _header(record: bytes) -> list[Column]:
    cells, fault = _cells(record)
    read_columns = [fault] if fault is not None else read_header(cells)
    faults = [found for found in read_columns if isinstance(found, Fault)]
    if faults:
        raise Problem(Code.INVALID, "The header of the file is wrong; `errors` names each fault.", faults=faults)
    return [found for found in read_columns if isinstance(found, Column)]


def _csv_row(number: int, columns: Sequence[Column], record: bytes) -> Row:
    cells, fault = _cells(record)
    if fault is not None:
        return Row(number, None, (fault,))
    if len(cells) != len(columns):
        code = "too_few_columns" if len(cells) < len(columns) else "too_many_columns"
        return Row(number, None, (Fault("", code, f"The row has {len(cells)} columns, the header {len(columns)}."),))
    made = read_row(columns, cells)
    document = Document(made.value, tuple(walk_texts(made.value)))
    return Row(number, document, pointing=made.fault, has_currencies=False)


def _cells(record: bytes) -> tuple[list[str], Fault | None]:
    try:
        text = record.decode("utf-8")
    except UnicodeDecodeError as error:
        return [], Fault("", "encoding", f"The row is not UTF-8: its byte {error.start + 1} cannot be read.")
    try:
        rows = list(csv.reader([text.rstrip("\r\n")], strict=True))
    except csv.Error as error:
        return [], Fault("", "malformed", f"The row is no CSV: {error}.")
    return (rows[0] if len(rows) == 1 else []), None


async def _records(chunks: AsyncIterator[bytes], *, quoted: bool) -> AsyncIterator[bytes]:
    """Pieces that end with a line end; if `quoted`, not within quotes. A Problem when the file begins with a mark."""
    pending = bytearray()
    begun = False
    searched = 0
    count = 0
    async for chunk in chunks:
        pending += chunk
        if not begun and len(pending) >= 4:  # noqa: PLR2004 - the longest mark.
            begun = True
            _refuse_mark(pending)
        while (end := _end(pending, searched, quoted=quoted)) >= 0:
            count += 1
            yield bytes(pending[: end + 1])
            del pending[: end + 1]
            searched = 0
        searched = 0 if quoted else len(pending)
        if len(pending) > ROW_BYTES_MAX:
            raise Stopped(_unending(count + 1, pending, quoted=quoted))
    _refuse_mark(pending) if not begun else None
    if pending:
        if quoted and pending.count(b'"') % 2:
            raise Stopped(_unending(count + 1, pending, quoted=True))
        yield bytes(pending)


def _end(pending: bytearray, searched: int, *, quoted: bool) -> int:
    """Where the first record ends, -1 when its end has not come yet: a line end after an even number of quotes."""
    end = pending.find(b"\n", searched)
    quotes, counted = 0, 0
    while quoted and end >= 0:
        quotes += pending.count(b'"', counted, end)
        counted = end
        if quotes % 2 == 0:
            break
        end = pending.find(b"\n", end + 1)
    return end


def _unending(line: int, pending: bytearray, *, quoted: bool) -> Fault:
    if quoted and pending.count(b'"') % 2:
        return Fault("", "unterminated_quote", f"Record {line} of the file opens a quote that never ends. {NEVER_READ}")
    return Fault("", "row_too_long", f"Record {line} of the file has more than {ROW_BYTES_MAX} bytes. {NEVER_READ}")


def _refuse_mark(pending: bytearray) -> None:
    if pending.startswith(BOMS):
        raise Problem(Code.BYTE_ORDER_MARK, "Send plain UTF-8 without a byte-order mark.")


def _next(number: int) -> int:
    if number >= ROWS_MAX:
        raise Stopped(Fault("", "too_many_rows", f"A batch has at most {ROWS_MAX} rows. {NEVER_READ}"))
    return number + 1


Rows = Callable[[AsyncIterator[bytes]], AsyncIterator[Row]]
READERS: Final[dict[str, tuple[str, Rows]]] = {
    "application/x-ndjson": ("ndjson", ndjson_rows),
    "text/csv": ("csv", csv_rows),
}
"""The format and the reader of each media type."""
