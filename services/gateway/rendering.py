"""From the contract's messages to the JSON that callers read, and to the JSON schema of it: one plan for both.

In states an amount is `{amount, currency}` and a rate loses its unit, as in what creditors send; an enum is its word.
Facts keep their flat `…_minor` integers, in the currency of their account, as they were recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.gateway.shapes import words_of

MONEY_SCHEMA: Final[Mapping[str, object]] = {
    "type": "object",
    "properties": {"amount": {"type": "integer"}, "currency": {"type": "string"}},
    "required": ["amount", "currency"],
    "additionalProperties": False,
}

Render = Callable[[Any, str], object]


@dataclass(frozen=True, slots=True)
class _Member:
    """One member of the JSON: from which field, when it is there, how it is written, and its schema."""

    name: str
    field: str
    present: Callable[[Any], bool]
    render: Render
    schema: Mapping[str, object]


def state(message: Message, currency: str) -> dict[str, object]:
    """A state, its amounts in `currency`."""
    return _rendered(message, _members(message.DESCRIPTOR, money=True), currency)


def fact(message: Message) -> dict[str, object]:
    """The payload of a fact, its amounts flat."""
    return _rendered(message, _members(message.DESCRIPTOR, money=False), "")


def state_schema(descriptor: Descriptor) -> dict[str, object]:
    """The JSON schema of what `state` writes for a message of this type."""
    members = _members(descriptor, money=True)
    return {
        "type": "object",
        "properties": {member.name: dict(member.schema) for member in members},
        "required": [member.name for member in members if member.present is _always],
        "additionalProperties": False,
    }


def instant(timestamp: Timestamp) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return timestamp.ToDatetime().isoformat(timespec="microseconds") + "Z"


def _always(_message: object) -> bool:
    return True


def _rendered(message: Message, members: Sequence[_Member], currency: str) -> dict[str, object]:
    return {m.name: m.render(getattr(message, m.field), currency) for m in members if m.present(message)}


@cache
def _members(descriptor: Descriptor, *, money: bool) -> tuple[_Member, ...]:
    return tuple(_member(field, money=money) for field in descriptor.fields)


def _member(field: FieldDescriptor, *, money: bool) -> _Member:
    name, render, schema = _single(field, money=money)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        texts = {"type": "object", "additionalProperties": {"type": "string"}}
        return _Member(field.name, field.name, _always, lambda v, _c: dict(v), texts)
    if field.is_repeated:
        listed = {"type": "array", "items": dict(schema)}
        return _Member(name, field.name, _always, lambda v, c: [render(item, c) for item in v], listed)
    if field.has_presence:
        return _Member(name, field.name, lambda m: m.HasField(field.name), render, schema)
    if field.enum_type is not None:
        return _Member(name, field.name, lambda m: getattr(m, field.name) != 0, render, schema)
    return _Member(name, field.name, _always, render, schema)


def _single(field: FieldDescriptor, *, money: bool) -> tuple[str, Render, Mapping[str, object]]:
    """The name, the writer and the schema of one value of the field."""
    if field.message_type is not None and field.message_type.full_name == Timestamp.DESCRIPTOR.full_name:
        return field.name, lambda value, _c: instant(value), {"type": "string", "format": "date-time"}
    if field.message_type is not None:
        within = field.message_type
        return (
            field.name,
            lambda value, c: _rendered(value, _members(within, money=money), c),
            _object(within, money=money),
        )
    if field.enum_type is not None:
        words = _numbered(field.enum_type)
        return field.name, lambda value, _c: words[value], {"type": "string", "enum": list(words.values())}
    if money and field.name.endswith("_minor"):
        return field.name.removesuffix("_minor"), lambda v, c: {"amount": v, "currency": c}, MONEY_SCHEMA
    name = field.name.removesuffix("_basis_points") if money else field.name
    return name, _PLAIN.get(field.type, lambda value, _c: value), {"type": _TYPES[field.type]}


def _object(descriptor: Descriptor, *, money: bool) -> Mapping[str, object]:
    if money:
        return state_schema(descriptor)
    return {"type": "object"}


def _numbered(enum: EnumDescriptor) -> dict[int, str]:
    return {number: word for word, number in words_of(enum).items()}


_PLAIN: Final[Mapping[int, Render]] = {FieldDescriptor.TYPE_BYTES: lambda value, _c: value.hex()}
_TYPES: Final[Mapping[int, str]] = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "string",
    FieldDescriptor.TYPE_BOOL: "boolean",
    FieldDescriptor.TYPE_INT32: "integer",
    FieldDescriptor.TYPE_INT64: "integer",
}
