"""Whether a message says all that it must, and nothing that its type does not know. Every fault is found in one pass.

Text and bytes must not be blank, messages present, enums specified, oneofs set, however deep, unless the field is
labelled `optional` or marked `(recoup.event.v1.optional)`. Numbers, truth values, lists and maps may be empty. Unknown
fields are refused anywhere: a wrong wire type moves a value there, and an amount would silently become zero. Text holds
no control and no bidirectional characters. What a type demands is read from its descriptor once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet
from recoup.event.v1 import options_pb2

from kernel.characters import FORBIDDEN
from kernel.decider import Fault

Check: TypeAlias = Callable[[Any, str, list[Fault]], None]
"""Looks at a value found at a pointer, and adds its faults."""

_TIMESTAMP: Final = "google.protobuf.Timestamp"
_SECONDS_MIN: Final = -62135596800
_SECONDS_MAX: Final = 253402300799
_NANOS: Final = range(10**9)


def faults_of(message: Message) -> list[Fault]:
    """Every fault of a message, each with the JSON pointer of its field; none when it is complete."""
    faults: list[Fault] = []
    _message_check(message.DESCRIPTOR)(message, "", faults)
    return faults


@cache
def _message_check(descriptor: Descriptor) -> Check:
    if descriptor.full_name == _TIMESTAMP:
        return _check_timestamp
    checks: list[Check] = []

    def check(message: Message, pointer: str, faults: list[Fault]) -> None:
        if len(UnknownFieldSet(message)):
            _add_unknown(message, pointer, faults)
        if not checks:
            checks.extend(_checks(descriptor))
        for one in checks:
            one(message, pointer, faults)

    return check


def _checks(descriptor: Descriptor) -> list[Check]:
    """The checks of a type's fields and oneofs; made on first use, because a type may contain itself."""
    fields = [_field_check(field) for field in descriptor.fields]
    oneofs = [_oneof_check(oneof) for oneof in descriptor.oneofs if not _is_synthetic(oneof)]
    return [*fields, *oneofs] or [lambda _message, _pointer, _faults: None]


def _add_unknown(message: Message, pointer: str, faults: list[Fault]) -> None:
    fields = UnknownFieldSet(message)
    for field in (fields[index] for index in range(len(fields))):
        text = f"{message.DESCRIPTOR.full_name} has no field {field.field_number} of this wire type"
        faults.append(Fault(f"{pointer}/{field.field_number}", "unknown_field", text))


def _field_check(field: FieldDescriptor) -> Check:
    if field.is_repeated:
        return _map_check(field) if _is_map(field) else _list_check(field)
    if field.containing_oneof is not None:
        return _present_check(field, _value_check(field, required=not _is_synthetic(field.containing_oneof)))
    required = not _may_be_left_out(field)
    if field.message_type is not None:
        return _presence_check(field, _value_check(field, required=True), required=required)
    return _plain_check(field, _value_check(field, required=required))


def _plain_check(field: FieldDescriptor, value: Check | None) -> Check:
    name = field.name
    if value is None:
        return lambda _message, _pointer, _faults: None
    return lambda message, pointer, faults: value(getattr(message, name), f"{pointer}/{name}", faults)


def _present_check(field: FieldDescriptor, value: Check | None) -> Check:
    """A field whose absence is no fault, or is its oneof's."""
    name = field.name

    def check(message: Message, pointer: str, faults: list[Fault]) -> None:
        if value is not None and message.HasField(name):
            value(getattr(message, name), f"{pointer}/{name}", faults)

    return check


def _presence_check(field: FieldDescriptor, value: Check | None, *, required: bool) -> Check:
    name = field.name

    def check(message: Message, pointer: str, faults: list[Fault]) -> None:
        if message.HasField(name):
            if value is not None:
                value(getattr(message, name), f"{pointer}/{name}", faults)
        elif required:
            faults.append(Fault(f"{pointer}/{name}", "missing", "must be given"))

    return check


def _oneof_check(oneof: OneofDescriptor) -> Check:
    name, choices = oneof.name, ", ".join(field.name for field in oneof.fields)
    if any(map(_may_be_left_out, oneof.fields)):
        return lambda _message, _pointer, _faults: None

    def check(message: Message, pointer: str, faults: list[Fault]) -> None:
        if message.WhichOneof(name) is None:
            faults.append(Fault(f"{pointer}/{name}", "missing", f"one of {choices} must be given"))

    return check


def _list_check(field: FieldDescriptor) -> Check:
    name, value = field.name, _value_check(field, required=True)

    def check(message: Message, pointer: str, faults: list[Fault]) -> None:
        if value is not None:
            for index, item in enumerate(getattr(message, name)):
                value(item, f"{pointer}/{name}/{index}", faults)

    return check


def _map_check(field: FieldDescriptor) -> Check:
    name, entry = field.name, field.message_type
    assert entry is not None, "a map is a list of entries"
    keys = _value_check(entry.fields_by_name["key"], required=True)
    values = _value_check(entry.fields_by_name["value"], required=True)

    def check(message: Message, pointer: str, faults: list[Fault]) -> None:
        found = getattr(message, name)
        for key in found:
            at = f"{pointer}/{name}/{_escaped(str(key))}"
            if keys is not None:
                keys(key, at, faults)
            if values is not None:
                values(found[key], at, faults)

    return check


def _value_check(field: FieldDescriptor, *, required: bool) -> Check | None:
    """The check of one value of a field, however it is held; None when every value will do."""
    if field.message_type is not None:
        return _message_check(field.message_type)
    if field.enum_type is not None:
        return _enum_check(field.enum_type, required=required)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _check_required_text if required else _check_text
    if field.type == FieldDescriptor.TYPE_BYTES and required:
        return _check_required_bytes
    return None


def _enum_check(enum: EnumDescriptor, *, required: bool) -> Check:
    known = frozenset(enum.values_by_number)
    accepted = known - {0} if required else known
    names = ", ".join(value.name for value in enum.values if value.number in accepted)

    def check(value: int, pointer: str, faults: list[Fault]) -> None:
        if value not in accepted:
            code = "unknown_value" if value else "missing"
            faults.append(Fault(pointer, code, f"must be one of {names}"))

    return check


def _check_required_text(value: str, pointer: str, faults: list[Fault]) -> None:
    if not value or value.isspace():
        faults.append(Fault(pointer, "blank", "must not be blank"))
    elif not value.isprintable():
        _check_text(value, pointer, faults)


def _check_text(value: str, pointer: str, faults: list[Fault]) -> None:
    found = FORBIDDEN.search(value)
    if found is not None:
        text = f"holds the character U+{ord(found[0]):04X} at position {found.start()}, which nobody would see"
        faults.append(Fault(pointer, "forbidden_character", text))


def _check_required_bytes(value: bytes, pointer: str, faults: list[Fault]) -> None:
    if not value:
        faults.append(Fault(pointer, "blank", "must not be empty"))


def _check_timestamp(value: Timestamp, pointer: str, faults: list[Fault]) -> None:
    if len(UnknownFieldSet(value)):
        _add_unknown(value, pointer, faults)
    if not (_SECONDS_MIN <= value.seconds <= _SECONDS_MAX and value.nanos in _NANOS):
        faults.append(Fault(pointer, "out_of_range", "must be an instant of the years 1 to 9999"))


def _may_be_left_out(field: FieldDescriptor) -> bool:
    return bool(field.GetOptions().Extensions[options_pb2.optional])  # type: ignore[index]


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _is_synthetic(oneof: OneofDescriptor) -> bool:
    """Whether this is the oneof that protoc makes up for a field labelled `optional`."""
    return len(oneof.fields) == 1 and oneof.name == f"_{oneof.fields[0].name}"


def _escaped(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")
