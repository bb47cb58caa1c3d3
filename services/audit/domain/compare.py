"""Where two states of the same case differ: one JSON pointer (RFC 6901) for every field that is not the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | bool | None"


class Difference(NamedTuple):
    """One field: what its owner says and what audit says, as JSON, empty where the field is absent."""

    pointer: str
    owner: str
    audit: str


class _Absent:
    """Stands for a field that one side does not have; no JSON value can."""


_ABSENT: Final = _Absent()


def differences(owner: Message, audit: Message) -> list[Difference]:
    """Every field in which two messages of one type differ, in the order of names; none when they are the same."""
    return list(_walk("", _json(owner), _json(audit)))


def _json(message: Message) -> Json:
    found: Json = MessageToDict(message, preserving_proto_field_name=True)
    return found


def _walk(pointer: str, owner: Json | _Absent, audit: Json | _Absent) -> Iterator[Difference]:
    if isinstance(owner, Mapping) and isinstance(audit, Mapping):
        for name in sorted(owner.keys() | audit.keys()):
            step = name.replace("~", "~0").replace("/", "~1")
            yield from _walk(f"{pointer}/{step}", owner.get(name, _ABSENT), audit.get(name, _ABSENT))
    elif isinstance(owner, list) and isinstance(audit, list):
        for place in range(max(len(owner), len(audit))):
            yield from _walk(f"{pointer}/{place}", _at(owner, place), _at(audit, place))
    elif owner != audit:
        yield Difference(pointer, _text(owner), _text(audit))


def _at(items: Sequence[Json], place: int) -> Json | _Absent:
    return items[place] if place < len(items) else _ABSENT


def _text(value: Json | _Absent) -> str:
    return "" if isinstance(value, _Absent) else json.dumps(value, ensure_ascii=False, sort_keys=True)
