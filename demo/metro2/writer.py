"""Writes Metro 2 files in character format: the generated inputs of tests and of whoever wants to try odd cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from demo.metro2 import layout
from demo.metro2.layout import Field

_BASE_DEFAULTS: Final = {
    "id_num": "FURNISHER01",
    "acct_type": "00",
    "date_open": "01152014",
    "acct_stat": "97",
    "current_bal": "000001200",
    "amt_past_due": "000001200",
    "orig_chg_off_amt": "000001500",
    "doai": "01312019",
    "dofd": "06012017",
    "ecoa": "1",
    "city": "FRESNO",
    "state": "CA",
}
_ZEROS: Final = "0"


def header(reporter: str = "FIRST TEST BANK", activity: str = "01312019") -> str:
    """A header record; the reporter's name may be blank."""
    return _written(
        {"rdw": "0426", "record_identifier_header": "HEADER", "activity_date": activity, "reporter_name": reporter},
        (layout.RECORD_LENGTH_WORD, layout.HEADER_MARK, layout.ACTIVITY_DATE, layout.REPORTER_NAME),
        layout.RECORD_LENGTH,
    )


def base(account_number: str, behind: Iterable[str] = (), **values: str) -> str:
    """A record: the base segment with segments behind it. `values` overwrite fields by their names, as they are."""
    segments = "".join(behind)
    word = f"{layout.RECORD_LENGTH + len(segments):04}"
    dates = {field.name: _ZEROS * 8 for field in layout.BASE_DATES}
    amounts = {field.name: _ZEROS * layout.AMOUNT_DIGITS for field in layout.BASE_AMOUNTS}
    given = {**dates, **amounts, **_BASE_DEFAULTS, "rdw": word, "cons_acct_num": account_number, **values}
    return _written(given, _BASE_FIELDS, layout.RECORD_LENGTH) + segments


def j1(ecoa: str = "2", indicator: str = "", birth: str = "00000000") -> str:
    """Another consumer at the same address."""
    fields = (layout.J1_DATE_OF_BIRTH, layout.J1_ECOA_CODE, layout.J1_CONSUMER_INDICATOR)
    values = {"dob_j1": birth, "ecoa_j1": ecoa, "cons_info_ind_j1": indicator}
    return "J1" + _written(values, fields, layout.SEGMENT_LENGTHS["J1"])[2:]


def j2(city: str, state: str, ecoa: str = "2", indicator: str = "") -> str:
    """Another consumer at an address of their own."""
    fields = (
        layout.J2_DATE_OF_BIRTH,
        layout.J2_ECOA_CODE,
        layout.J2_CONSUMER_INDICATOR,
        layout.J2_CITY,
        layout.J2_STATE,
    )
    values = {"dob_j2": "00000000", "ecoa_j2": ecoa, "cons_info_ind_j2": indicator, "city_j2": city, "state_j2": state}
    return "J2" + _written(values, fields, layout.SEGMENT_LENGTHS["J2"])[2:]


def k1(original_creditor: str) -> str:
    """The original creditor."""
    written = _written({"k1_orig_creditor_name": original_creditor}, (layout.K1_ORIGINAL_CREDITOR,), 34)
    return "K1" + written[2:]


def trailer(bases: int, j1s: int, j2s: int) -> str:
    """A trailer that says so many segments."""
    totals = {"base": bases, "J1": j1s, "J2": j2s}
    values = {field.name: f"{totals[name]:09}" for name, field in layout.TRAILER_TOTALS.items()}
    values |= {"rdw": "0426", "record_identifier_trailer": "TRAILER"}
    fields = (layout.RECORD_LENGTH_WORD, layout.TRAILER_MARK, *layout.TRAILER_TOTALS.values())
    return _written(values, fields, layout.RECORD_LENGTH)


def file_of(*records: str) -> bytes:
    """The records as a file, one a line."""
    return "".join(f"{record}\n" for record in records).encode("ascii")


_BASE_FIELDS: Final = (
    layout.RECORD_LENGTH_WORD,
    layout.IDENTIFICATION_NUMBER,
    layout.ACCOUNT_NUMBER,
    layout.ACCOUNT_TYPE,
    layout.ACCOUNT_STATUS,
    layout.COMPLIANCE_CODE,
    layout.ECOA_CODE,
    layout.CONSUMER_INDICATOR,
    layout.CITY,
    layout.STATE,
    *layout.BASE_AMOUNTS,
    *layout.BASE_DATES,
)


def _written(values: Mapping[str, str], fields: Iterable[Field], length: int) -> str:
    by_name = {field.name: field for field in fields}
    assert values.keys() <= by_name.keys(), f"no such field: {sorted(values.keys() - by_name.keys())}"
    record = [" "] * length
    for name, value in values.items():
        field = by_name[name]
        width = field.end - field.start + 1
        assert len(value) <= width, f"{name} takes {width} characters, not {value!r}"
        record[field.start - 1 : field.end] = value.ljust(width)
    return "".join(record)
