"""The layout's positions against an independent table of the Metro 2 record."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from demo.metro2 import layout
from demo.metro2.layout import Field

TABLE = Path(__file__).parents[2].parent / "shared/data/reference/metro2_field_positions_cfpb.csv"


def our_fields() -> dict[str, Field]:
    return {value.name: value for value in vars(layout).values() if isinstance(value, Field)}


def test_every_position_is_that_of_the_independent_table() -> None:
    if not TABLE.exists():
        pytest.skip("the independent table of field positions is not on this machine")
    with TABLE.open() as table:
        theirs = {row["field"]: (int(row["start"]), int(row["end"])) for row in csv.DictReader(table)}
    ours = {name: (field.start, field.end) for name, field in our_fields().items()}
    compared = ours.keys() & theirs.keys()
    assert {name: ours[name] for name in compared} == {name: theirs[name] for name in compared}
    # The independent table has no trailer; every field of header, base and segments must have been compared.
    assert {name for name in ours.keys() - compared if "total" not in name} == {"record_identifier_trailer"}


def test_every_segment_length_is_the_last_position_of_the_independent_table() -> None:
    if not TABLE.exists():
        pytest.skip("the independent table of field positions is not on this machine")
    with TABLE.open() as table:
        rows = list(csv.DictReader(table))
    last: dict[str, int] = {}
    for row in rows:
        last[row["segment"].upper()] = max(last.get(row["segment"].upper(), 0), int(row["end"]))
    assert last.pop("HEADER") == last.pop("BASE") == layout.RECORD_LENGTH
    assert last == layout.SEGMENT_LENGTHS
