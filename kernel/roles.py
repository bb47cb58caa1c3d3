"""What the fields of commands and facts mean to the log, read once from their options."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from recoup.event.v1 import options_pb2

from kernel.identity import uuid_of
from kernel.record import instant_of

_NANOS_A_MICROSECOND = 1000
_MICROSECONDS_A_SECOND = 1_000_000


class Roles(NamedTuple):
    """The fields of one message type that play a role."""

    type: str
    entity: str | None
    occurred: Callable[[Any, datetime], datetime]
    accounts: Callable[[Any], tuple[UUID, ...]]


@cache
def roles_of(descriptor: Descriptor) -> Roles:
    """The roles that a type's fields play; a type that gives one role twice, or to a wrong kind of field, is a bug."""
    streams = _marked(descriptor, options_pb2.stream)
    occurred = _marked(descriptor, options_pb2.occurred)
    accounts = _marked(descriptor, options_pb2.account)
    for fields, most in ((streams, 1), (occurred, 1)):
        if len(fields) > most:
            message = f"{descriptor.full_name} marks more than one of {[field.name for field in fields]}"
            raise TypeError(message)
    return Roles(
        str(descriptor.full_name),
        streams[0].name if streams else None,
        _occurred(occurred[0]) if occurred else lambda _fact, now: now,
        _accounts(accounts),
    )


def _marked(descriptor: Descriptor, option: FieldDescriptor) -> list[FieldDescriptor]:
    return [field for field in descriptor.fields if field.GetOptions().Extensions[option]]  # type: ignore[index]


def _occurred(field: FieldDescriptor) -> Callable[[Any, datetime], datetime]:
    name = field.name
    if field.type == FieldDescriptor.TYPE_STRING:
        return lambda fact, now: _first_instant(value) if (value := getattr(fact, name)) else now
    if field.message_type is None or field.message_type.full_name != "google.protobuf.Timestamp":
        message = f"{field.full_name} cannot say when a fact occurred: it is neither a Timestamp nor a date"
        raise TypeError(message)
    return lambda fact, now: _instant(getattr(fact, name)) if fact.HasField(name) else now


def _first_instant(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), UTC)


def _instant(timestamp: Timestamp) -> datetime:
    return instant_of(timestamp.seconds * _MICROSECONDS_A_SECOND + timestamp.nanos // _NANOS_A_MICROSECOND)


def _accounts(fields: list[FieldDescriptor]) -> Callable[[Any], tuple[UUID, ...]]:
    single = [field.name for field in fields if not field.is_repeated]
    several = [field.name for field in fields if field.is_repeated]
    if len(single) == 1 and not several:
        (name,) = single
        return lambda fact: (uuid_of(value),) if (value := getattr(fact, name)) else ()

    def accounts(fact: Message) -> tuple[UUID, ...]:
        found = [getattr(fact, name) for name in single]
        for name in several:
            found.extend(getattr(fact, name))
        return tuple(dict.fromkeys(uuid_of(value) for value in found if value))

    return accounts
