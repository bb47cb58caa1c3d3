"""One message of every fact with every field filled; the golden corpus is their bytes when they were published."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass


def facts_of(file: FileDescriptor) -> list[Descriptor]:
    """The facts that one events.proto declares."""
    return list(file.message_types_by_name.values())


def filled(descriptor: Descriptor, depth: int = 0) -> Message:
    """A message with every field set to a value that is not its default and that its number makes recognisable."""
    message: Message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        _fill(message, field, depth)
    return message


def _fill(message: Message, field: FieldDescriptor, depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(message, field.name)[f"key{field.number}"] = f"value{field.number}"
    elif field.message_type is not None:
        child = filled(field.message_type, depth + 1)
        if field.is_repeated:
            getattr(message, field.name).append(child)
        else:
            getattr(message, field.name).CopyFrom(child)
    elif field.is_repeated:
        getattr(message, field.name).append(_scalar(field, depth))
    else:
        setattr(message, field.name, _scalar(field, depth))


def _scalar(field: FieldDescriptor, depth: int) -> str | int | bool | bytes:
    if field.type == FieldDescriptor.TYPE_STRING:
        return f"{field.name}-{field.number}"
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes([field.number])
    if field.type == FieldDescriptor.TYPE_ENUM:
        assert field.enum_type is not None, "an enum field has its enum"
        return int(field.enum_type.values[-1].number)
    return 1000 * (depth + 1) + int(field.number)
