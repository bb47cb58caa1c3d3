"""Makes a portfolio ready to be placed: one that is generated, a Metro 2 furnisher file, or placement CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from demo import csv_file, generated
from demo.draft import Batch, Client, Draft, Portfolio
from demo.metro2 import placing, reader
from demo.people import People
from demo.placement_json import placement_json
from demo.unreadable import UnreadableFile

DAYS_PLAYED: Final = 90
"""The placement lies so many days back, so that there is time for something to happen."""
FILE_BYTES_MAX: Final = 512 * 1024 * 1024
NDJSON: Final = "application/x-ndjson"
GENERATED_FILE: Final = "portfolio.csv"
_MARKS: Final = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\xf0\xf4\xf2\xf6": "EBCDIC",
}


def generate(count: int, seed: int, today: date, folder: Path) -> Portfolio:
    """Invent `count` lines, write them as placement CSV into the folder, and read that file like any other."""
    placed = today - timedelta(days=DAYS_PLAYED)
    lines = generated.invent(count, seed, placed, today)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / GENERATED_FILE
    rows = ((line.client.client_id, placement_json(line.placement)) for line in lines)
    file.write_bytes(csv_file.written(rows))
    return csv_file.read(file.read_bytes(), str(file))


def load(file: Path, seed: int, today: date) -> Portfolio:
    """A file made ready; UnreadableFile with what is wrong when nothing of it can be placed."""
    content = _content(file)
    first_line = content.split(b"\n", 1)[0].rstrip(b"\r").decode("utf-8-sig", errors="replace")
    if reader.is_metro2(first_line):
        return _metro2(content, str(file), seed, today)
    if csv_file.is_placement_csv(first_line):
        return csv_file.read(content, str(file))
    message = (
        f"{file}: neither a Metro 2 file nor placement CSV. A Metro 2 file in character format begins with a header"
        f" record (0426HEADER…); placement CSV begins with a line of column names, client_reference among them."
    )
    raise UnreadableFile(message)


def _content(file: Path) -> bytes:
    try:
        size = file.stat().st_size
        if size > FILE_BYTES_MAX:
            message = f"{file}: {size:,} bytes are more than the {FILE_BYTES_MAX:,} that the demo takes"
            raise UnreadableFile(message)
        content = file.read_bytes()
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise UnreadableFile(message) from error
    if not content.strip():
        message = f"{file}: the file is empty"
        raise UnreadableFile(message)
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            message = f"{file}: the file is in {encoding}; it must be in ASCII or UTF-8"
            raise UnreadableFile(message)
    return content


def _metro2(content: bytes, source: str, seed: int, today: date) -> Portfolio:
    furnished = reader.read(content)
    calendar = placing.calendar_for(furnished.tradelines, today - timedelta(days=DAYS_PLAYED), today)
    drafts, refused, warnings = placing.drafts_of(furnished, calendar, People(seed, today))
    if not furnished.lines:
        message = f"{source}: the file holds a header and no tradelines"
        raise UnreadableFile(message)
    if not drafts:
        first = f", the first at line {refused[0].line}: {refused[0].text}" if refused else ""
        message = (
            f"{source}: none of its {furnished.lines:,} lines can be placed:"
            f" {len(furnished.passed_over):,} are passed over, {len(refused):,} are refused{first}"
        )
        raise UnreadableFile(message)
    return Portfolio(
        source=source,
        lines=furnished.lines,
        batches=_batches(drafts),
        passed_over=len(furnished.passed_over),
        refused=refused,
        warnings=warnings,
        shift_days=calendar.shift_days,
    )


def _batches(drafts: Iterable[Draft]) -> list[Batch]:
    by_client: dict[str, list[Draft]] = {}
    for draft in drafts:
        by_client.setdefault(draft.placement.terms.client_id, []).append(draft)
    return [
        Batch(
            Client(client_id, some[0].placement.terms.creditors.current_creditor_legal_name),
            NDJSON,
            b"".join(json.dumps(placement_json(draft.placement)).encode() + b"\n" for draft in some),
            [draft.line for draft in some],
        )
        for client_id, some in by_client.items()
    ]
