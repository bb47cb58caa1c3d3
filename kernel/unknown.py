"""Fields that our contract does not know: a caller who sends one means something that we would silently leave out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from kernel.decider import Fault

Request = TypeVar("Request", bound=Message)


def has_unknown_fields(message: Message) -> bool:
    """Whether `message` or any message within it carries an unknown field. Such a message is emptied of them.

    The protobuf runtime drops them all in one native pass, which shows in the size: a walk in Python costs a
    hundred times as much, and is kept for naming what was found.
    """
    size = message.ByteSize()
    message.DiscardUnknownFields()
    return message.ByteSize() != size


def unknown_faults(message: Message, pointer: str = "") -> list[Fault]:
    """A fault for every unknown field of `message` and of all messages within it; an unknown one has but a number."""
    return [*own_unknown_faults(message, pointer), *_within(message, pointer)]


def own_unknown_faults(message: Message, pointer: str = "") -> list[Fault]:
    """The same, for the message's own fields only."""
    text = f"{message.DESCRIPTOR.full_name} has no field of this number and kind"
    unknown = UnknownFieldSet(message)
    numbers = (unknown[index].field_number for index in range(len(unknown)))
    return [Fault(f"{pointer}/{number}", "unknown_field", text) for number in numbers]


def _within(message: Message, pointer: str) -> Iterator[Fault]:
    for field, value in message.ListFields():
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            continue
        for path, inner in _messages(value, f"{pointer}/{field.name}"):
            yield from unknown_faults(inner, path)


def _messages(value: object, pointer: str) -> Iterator[tuple[str, Message]]:
    """The messages that a field holds: one, or those of a list or map."""
    if isinstance(value, Message):
        yield pointer, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, Message):
                yield f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}", inner
    elif isinstance(value, Sequence):
        for index, inner in enumerate(value):
            yield f"{pointer}/{index}", inner
