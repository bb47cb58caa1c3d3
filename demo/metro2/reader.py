"""Reads a Metro 2 furnisher file line by line: each line is a tradeline, passed over, or refused with its faults.

Nothing about people is read: names, numbers and birth dates stay in the file, and the demo invents its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from demo.metro2 import layout
from demo.metro2.layout import Field

_AMOUNT: Final = re.compile(r"[0-9]{9}")
_DIGITS_OF_A_DATE: Final = re.compile(r"[0-9]{8}")


@dataclass(frozen=True, slots=True)
class LineFault:
    """Why a field of a line cannot be read."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line of which something cannot be read; `line` counts from 1."""

    line: int
    faults: tuple[LineFault, ...]


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A readable line that is no debt to collect."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something odd that hinders nothing."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Associate:
    """A J segment: another consumer on the tradeline; city and state are those of the base where J1 has none."""

    segment: str
    ecoa: str
    indicator: str
    city: str
    state: str


@dataclass(frozen=True, slots=True)
class Tradeline:
    """One base segment with what stands behind it. Amounts are whole dollars; absent dates are None."""

    line: int
    reporter: str
    account_number: str
    account_type: str
    status: str
    compliance: str
    ecoa: str
    indicator: str
    city: str
    state: str
    original_creditor: str
    current_balance: int
    past_due: int
    charge_off_amount: int
    actual_payment: int
    opened: date | None
    as_of: date | None
    first_delinquency: date | None
    closed: date | None
    last_payment: date | None
    associates: tuple[Associate, ...] = ()


@dataclass(slots=True)
class FurnisherFile:
    """What a file holds. `lines` counts tradelines of any fate: headers and trailers are not among them."""

    lines: int = 0
    activity_date: date | None = None
    tradelines: list[Tradeline] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)
    refused: list[RefusedLine] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)
    segments: Counter[str] = field(default_factory=Counter)


def is_metro2(first_line: str) -> bool:
    """Whether a file that starts with this line is a Metro 2 file in character format."""
    if layout.HEADER_MARK.of(first_line) == "HEADER":
        return True
    word = layout.RECORD_LENGTH_WORD.of(first_line)
    return word.isdecimal() and len(first_line) >= layout.RECORD_LENGTH and int(word) == len(first_line)


def read(content: bytes) -> FurnisherFile:
    """Reads a whole file. Any line that cannot be read is refused by itself; none stops the reading."""
    furnished = FurnisherFile()
    reporter = ""
    for number, raw in _lines(content):
        text = raw.decode("ascii", errors="replace")
        if layout.HEADER_MARK.of(text) == "HEADER":
            reporter = _unless_blank_or_zeros(layout.REPORTER_NAME.of(text))
            furnished.activity_date = _date_or_none(layout.ACTIVITY_DATE.of(text))
        elif layout.TRAILER_MARK.of(text) == "TRAILER":
            furnished.warnings.extend(_trailer_warnings(number, text, furnished))
        else:
            _read_line(furnished, number, text, reporter)
    return furnished


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    lines = content.split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, start=1):
        yield number, line.removesuffix(b"\r")


def _read_line(furnished: FurnisherFile, number: int, text: str, reporter: str) -> None:
    furnished.lines += 1
    segments, faults = _segments(text)
    furnished.segments.update(segment if segment in layout.SEGMENT_LENGTHS else "base" for segment, _ in segments)
    if not faults:
        faults = [*_base_faults(segments[0][1], reporter), *_associate_faults(segments[1:])]
    if faults:
        furnished.refused.append(RefusedLine(number, tuple(faults)))
        return
    tradeline = _tradeline(number, segments, reporter)
    furnished.warnings.extend(_tradeline_warnings(tradeline, text))
    reason = _why_passed_over(tradeline)
    if reason is None:
        furnished.tradelines.append(tradeline)
    else:
        furnished.passed_over.append(PassedOver(number, reason))


def _segments(text: str) -> tuple[list[tuple[str, str]], list[LineFault]]:
    """The base segment and those behind it, by their identifiers; or what is wrong with the lengths."""
    if odd := next((position for position, sign in enumerate(text, 1) if not " " <= sign <= "~"), None):
        return [], [LineFault("encoding", f"byte {odd} is no printable ASCII character")]
    if len(text) < layout.RECORD_LENGTH:
        return [], [LineFault("length", f"{len(text)} characters where a base segment has {layout.RECORD_LENGTH}")]
    word = layout.RECORD_LENGTH_WORD.of(text)
    if not word.isdecimal():
        return [], [LineFault(layout.RECORD_LENGTH_WORD.name, f"{word!r} is no record length of four digits")]
    found = [("base", text[: layout.RECORD_LENGTH])]
    position = layout.RECORD_LENGTH
    while position < len(text):
        identifier = text[position : position + 2]
        length = layout.SEGMENT_LENGTHS.get(identifier)
        if length is None:
            return [], [LineFault("length", f"{identifier!r} at position {position + 1} is no known segment")]
        segment = text[position : position + length]
        if len(segment) < length:
            return [], [LineFault("length", f"segment {identifier} has {len(segment)} of {length} characters")]
        found.append((identifier, segment))
        position += length
    return found, []


def _base_faults(base: str, reporter: str) -> list[LineFault]:
    faults = []
    if not layout.ACCOUNT_NUMBER.of(base).strip():
        faults.append(LineFault(layout.ACCOUNT_NUMBER.name, "the account number is blank"))
    if not reporter and not _unless_blank_or_zeros(layout.IDENTIFICATION_NUMBER.of(base)):
        faults.append(LineFault(layout.IDENTIFICATION_NUMBER.name, "neither reporter name nor identification number"))
    status = layout.ACCOUNT_STATUS.of(base)
    if status not in layout.STATUSES:
        faults.append(LineFault(layout.ACCOUNT_STATUS.name, f"{status!r} is no account status"))
    faults += [
        LineFault(amount.name, f"{amount.of(base)!r} is not nine digits")
        for amount in layout.BASE_AMOUNTS
        if not _AMOUNT.fullmatch(amount.of(base))
    ]
    return faults + _date_faults(base, layout.BASE_DATES)


def _associate_faults(segments: Sequence[tuple[str, str]]) -> list[LineFault]:
    births = {"J1": layout.J1_DATE_OF_BIRTH, "J2": layout.J2_DATE_OF_BIRTH}
    return [
        fault
        for identifier, segment in segments
        if identifier in births
        for fault in _date_faults(segment, (births[identifier],))
    ]


def _date_faults(segment: str, fields: Sequence[Field]) -> list[LineFault]:
    return [
        LineFault(of.name, f"{of.of(segment)!r} is neither a date as MMDDYYYY, zeros nor blanks")
        for of in fields
        if of.of(segment).strip(" ") and of.of(segment).strip("0") and _date_or_none(of.of(segment)) is None
    ]


def _date_or_none(text: str) -> date | None:
    if not _DIGITS_OF_A_DATE.fullmatch(text):
        return None
    try:
        return date(int(text[4:]), int(text[:2]), int(text[2:4]))
    except ValueError:
        return None


def _unless_blank_or_zeros(text: str) -> str:
    return text.strip() if text.strip(" 0") else ""


def _tradeline(number: int, segments: Sequence[tuple[str, str]], reporter: str) -> Tradeline:
    base = segments[0][1]
    original = next((layout.K1_ORIGINAL_CREDITOR.of(segment).strip() for name, segment in segments if name == "K1"), "")
    return Tradeline(
        line=number,
        reporter=reporter or _unless_blank_or_zeros(layout.IDENTIFICATION_NUMBER.of(base)),
        account_number=layout.ACCOUNT_NUMBER.of(base).strip(),
        account_type=layout.ACCOUNT_TYPE.of(base),
        status=layout.ACCOUNT_STATUS.of(base),
        compliance=layout.COMPLIANCE_CODE.of(base).strip(),
        ecoa=layout.ECOA_CODE.of(base).strip(),
        indicator=layout.CONSUMER_INDICATOR.of(base).strip(),
        city=_unless_blank_or_zeros(layout.CITY.of(base)),
        state=_unless_blank_or_zeros(layout.STATE.of(base)),
        original_creditor=original,
        current_balance=int(layout.CURRENT_BALANCE.of(base)),
        past_due=int(layout.AMOUNT_PAST_DUE.of(base)),
        charge_off_amount=int(layout.CHARGE_OFF_AMOUNT.of(base)),
        actual_payment=int(layout.ACTUAL_PAYMENT.of(base)),
        opened=_date_or_none(layout.DATE_OPENED.of(base)),
        as_of=_date_or_none(layout.DATE_OF_ACCOUNT_INFORMATION.of(base)),
        first_delinquency=_date_or_none(layout.FIRST_DELINQUENCY.of(base)),
        closed=_date_or_none(layout.DATE_CLOSED.of(base)),
        last_payment=_date_or_none(layout.LAST_PAYMENT.of(base)),
        associates=tuple(_associate(name, segment, base) for name, segment in segments if name in ("J1", "J2")),
    )


def _associate(name: str, segment: str, base: str) -> Associate:
    if name == "J1":
        return Associate(
            segment=name,
            ecoa=layout.J1_ECOA_CODE.of(segment).strip(),
            indicator=layout.J1_CONSUMER_INDICATOR.of(segment).strip(),
            city=_unless_blank_or_zeros(layout.CITY.of(base)),
            state=_unless_blank_or_zeros(layout.STATE.of(base)),
        )
    return Associate(
        segment=name,
        ecoa=layout.J2_ECOA_CODE.of(segment).strip(),
        indicator=layout.J2_CONSUMER_INDICATOR.of(segment).strip(),
        city=_unless_blank_or_zeros(layout.J2_CITY.of(segment)),
        state=_unless_blank_or_zeros(layout.J2_STATE.of(segment)),
    )


def _why_passed_over(tradeline: Tradeline) -> str | None:
    if tradeline.status not in layout.COLLECTIBLE_STATUSES:
        return f"status {tradeline.status} is no debt to collect"
    if tradeline.current_balance == 0:
        return f"status {tradeline.status} with nothing owed"
    return None


def _tradeline_warnings(tradeline: Tradeline, text: str) -> Iterator[Warned]:
    # Real files hold records whose length word is wrong while every segment is whole, so the segments decide.
    if int(layout.RECORD_LENGTH_WORD.of(text)) != len(text):
        word = layout.RECORD_LENGTH_WORD.of(text)
        yield Warned(tradeline.line, f"the record says {word} characters and has {len(text)}")
    if _why_passed_over(tradeline) is not None:
        return
    if tradeline.first_delinquency and tradeline.opened and tradeline.first_delinquency < tradeline.opened:
        text = f"first delinquency {tradeline.first_delinquency} lies before the opening on {tradeline.opened}"
        yield Warned(tradeline.line, text)


def _trailer_warnings(number: int, text: str, furnished: FurnisherFile) -> Iterator[Warned]:
    for segment, total in layout.TRAILER_TOTALS.items():
        said, counted = total.of(text).strip(), furnished.segments[segment]
        if not said.isdecimal() or int(said) != counted:
            yield Warned(number, f"the trailer says {said or 'nothing'} {segment} segments, the file has {counted}")
