"""Reads JSON as RFC 8259 means it, and refuses what readers understand differently: duplicate keys, NaN, 1e400, a mark.

`json.loads` alone takes all of these. Every fault of a document is found in one pass, each with its pointer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from kernel.characters import forbidden_in
from kernel.decider import Fault
from services.gateway.problems import Code, Problem

DEPTH_MAX: Final = 16
DIGITS_MAX: Final = 40
"""No number of the API is longer; Python itself takes time that grows with the square of the digits."""
BOMS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object that was read, and the faults of its texts, which do not hinder reading the rest."""

    value: dict[str, Json]
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class _Unreadable:
    """A number that JSON has no name for; it stands in the tree so that its pointer is found."""

    code: str
    message: str


@dataclass(slots=True)
class _Oddities:
    """What the reader met on its way: objects with duplicate keys, kept so that their identities stay their own."""

    objects: list[dict[str, Json]] = field(default_factory=list)
    keys: dict[int, list[str]] = field(default_factory=dict)

    def object(self, pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        made = dict(pairs)
        if len(made) != len(pairs):
            names = [name for name, _value in pairs]
            self.objects.append(made)
            self.keys[id(made)] = sorted({name for name in names if names.count(name) > 1})
        return made


def escaped(token: object) -> str:
    """One token of a JSON pointer (RFC 6901, section 3)."""
    return str(token).replace("~", "~0").replace("/", "~1")


def pointer(path: Sequence[object]) -> str:
    """The JSON pointer of a path of keys and indices."""
    return "".join(f"/{escaped(token)}" for token in path)


def read(body: bytes) -> Document:
    """The document, or a Problem that names everything that makes it unreadable."""
    oddities = _Oddities()
    value = _parsed(text_of(body), oddities)
    unreadable: list[Fault] = []
    texts: list[Fault] = []
    for path, fault, fatal in _walk(value, (), oddities):
        (unreadable if fatal else texts).append(Fault(pointer(path), fault.code, fault.message))
    if unreadable:
        raise Problem(Code.MALFORMED, "The body is not unambiguous JSON; `errors` names each place.", faults=unreadable)
    if not isinstance(value, dict):
        detail = "The body is JSON, but no object."
        raise Problem(Code.MALFORMED, detail, faults=[Fault("", "wrong_type", "An object is wanted here.")])
    return Document(value, tuple(texts))


def walk_texts(value: Json) -> Iterator[Fault]:
    """The faults of the texts of a value that was not read from JSON."""
    for path, fault, _fatal in _walk(value, (), _Oddities()):
        yield Fault(pointer(path), fault.code, fault.message)


def text_of(body: bytes) -> str:
    """The body as text; a Problem when it bears a byte-order mark or is not UTF-8."""
    if body.startswith(BOMS):
        raise Problem(Code.BYTE_ORDER_MARK, "Send plain UTF-8 without a byte-order mark.")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        detail = f"The body is not UTF-8: byte {error.start + 1} cannot be read."
        raise Problem(Code.ENCODING, detail) from None


def _parsed(text: str, oddities: _Oddities) -> object:
    try:
        return json.loads(
            text,
            object_pairs_hook=oddities.object,
            parse_constant=lambda name: _Unreadable("not_a_number", f"{name} is no JSON number."),
            parse_float=_number,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        detail = f"The body is no JSON: {error.msg.lower()} at line {error.lineno}, column {error.colno}."
        raise Problem(Code.MALFORMED, detail) from None
    except RecursionError:
        raise Problem(Code.MALFORMED, f"The body is nested deeper than {DEPTH_MAX} levels.") from None


def _number(text: str) -> float | _Unreadable:
    number = float(text)
    return number if math.isfinite(number) else _Unreadable("out_of_range", "The number is too large to be one.")


def _integer(text: str) -> int | _Unreadable:
    if len(text) > DIGITS_MAX:
        return _Unreadable("out_of_range", f"The number has more than {DIGITS_MAX} digits.")
    return int(text)


_Found: TypeAlias = tuple[tuple[object, ...], Fault, bool]
"""A path, what is wrong there, and whether it makes the document unreadable."""


def _walk(value: object, path: tuple[object, ...], oddities: _Oddities) -> Iterator[_Found]:
    """Everything that is wrong with the value and below it."""
    if isinstance(value, dict | list) and len(path) >= DEPTH_MAX:
        yield path, Fault("", "too_deep", f"The body is nested deeper than {DEPTH_MAX} levels."), True
        return
    match value:
        case str():
            yield from _text(value, path)
        case dict():
            for name in oddities.keys.get(id(value), ()):
                yield (*path, name), Fault("", "duplicate_key", "The object holds this key more than once."), True
            for name, item in value.items():
                yield from _text(name, path)
                yield from _walk(item, (*path, name), oddities)
        case list():
            for index, item in enumerate(value):
                yield from _walk(item, (*path, index), oddities)
        case _Unreadable():
            yield path, Fault("", value.code, value.message), True


def _text(text: str, path: tuple[object, ...]) -> Iterator[_Found]:
    found = forbidden_in(text)
    if found is not None:
        yield path, Fault("", "forbidden_character", f"The text holds {found}, which no text may hold."), False
