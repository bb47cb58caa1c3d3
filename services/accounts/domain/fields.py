"""What one field may hold: dates that exist, amounts in bounds, references that look the same to everyone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Final

from google.protobuf.message import Message

from kernel.decider import Fault

AMOUNT_MINOR_MAX: Final = 10**12
REFERENCE_CHARACTERS_MAX: Final = 64
TEXT_CHARACTERS_MAX: Final = 500
RATE_BASIS_POINTS_MAX: Final = 10_000

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_UNSEEN: Final = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\uffff\U000e0000-\U000e01ef]"
)
"""Characters that a reader cannot see, joiners among them: two references that look the same would not be the same."""


def date_of(text: str) -> date | None:
    """The calendar date of exactly YYYY-MM-DD, or None when there is no such date."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def instant_of(text: str) -> datetime | None:
    """The instant of an RFC 3339 text, or None. RFC 3339 takes small letters too, and no other form of ISO 8601."""
    if not _INSTANT.fullmatch(text.upper()):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def date_faults(pointer: str, text: str, today: date | None = None) -> Iterator[Fault]:
    """The date must exist and, when `today` is given, must not lie ahead of it."""
    day = date_of(text)
    if day is None:
        yield Fault(pointer, "invalid_date", "must be a date that exists, as YYYY-MM-DD")
    elif today is not None and day > today:
        yield Fault(pointer, "future_date", f"must not lie ahead: it is {today.isoformat()}")


def amount_faults(pointer: str, amount_minor: int, least: int = 0, most: int = AMOUNT_MINOR_MAX) -> Iterator[Fault]:
    """The amount must lie between two bounds, in minor units."""
    if not least <= amount_minor <= most:
        yield Fault(pointer, "out_of_range", f"must be {least} to {most} minor units, not {amount_minor}")


def rate_faults(pointer: str, basis_points: int, most: int = RATE_BASIS_POINTS_MAX) -> Iterator[Fault]:
    """The rate must lie between zero and a bound, in basis points."""
    if not 0 <= basis_points <= most:
        yield Fault(pointer, "out_of_range", f"must be 0 to {most} basis points, not {basis_points}")


def reference_faults(pointer: str, text: str) -> Iterator[Fault]:
    """A reference has at most 64 characters, no blanks around it, and none that cannot be seen."""
    if len(text) > REFERENCE_CHARACTERS_MAX:
        yield Fault(pointer, "too_long", f"must have at most {REFERENCE_CHARACTERS_MAX} characters, not {len(text)}")
    if text != text.strip():
        yield Fault(pointer, "blank_around", "must not begin or end with a blank")
    unseen = _UNSEEN.search(text)
    if unseen:
        yield Fault(pointer, "forbidden_character", f"must not hold the unseen character U+{ord(unseen[0]):04X}")


def currency_faults(pointer: str, text: str) -> Iterator[Fault]:
    """The code must have the form of ISO 4217."""
    if not _CURRENCY.fullmatch(text):
        yield Fault(pointer, "invalid_currency", "must be an ISO 4217 code of three capital letters")


def sha256_faults(pointer: str, text: str) -> Iterator[Fault]:
    """The hash must be written as 64 small hexadecimal digits."""
    if not _SHA256.fullmatch(text):
        yield Fault(pointer, "invalid_hash", "must be a SHA-256 as 64 small hexadecimal digits")


def length_faults(message: Message, pointer: str = "") -> Iterator[Fault]:
    """No text of the message, however deep, may exceed TEXT_CHARACTERS_MAX."""
    for field, value in message.ListFields():
        at = f"{pointer}/{field.name}"
        if field.type == field.TYPE_STRING:
            texts = enumerate(value) if field.is_repeated else ((None, value),)
            for index, text in texts:
                if len(text) > TEXT_CHARACTERS_MAX:
                    place = at if index is None else f"{at}/{index}"
                    yield Fault(place, "too_long", f"must have at most {TEXT_CHARACTERS_MAX} characters")
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            if field.is_repeated:
                for index, item in enumerate(value):
                    yield from length_faults(item, f"{at}/{index}")
            else:
                yield from length_faults(value, at)
