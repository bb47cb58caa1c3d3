"""What causes a decision: a client's request or a heard fact, identified and routed to its stream."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from google.protobuf.message import Message

from kernel.complete import faults_of
from kernel.decider import Decider, Fault, Heard
from kernel.errors import Incomplete
from kernel.identity import command_id, reaction_id, uuid_of
from kernel.project import RowChange
from kernel.record import partition_of
from kernel.roles import roles_of
from kernel.tenancy import Caller

ENTITIES_REMEMBERED_MAX: Final = 50_000
GIVEN_ID_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Request:
    """One call: the command, and who gives it. `rows` commit with the command, only if it is accepted.

    `input` is what the caller sent, where the edge has made the command of it: a repetition is known by what was sent.
    """

    command: Message
    given_id: str
    caller: Caller
    correlation_id: UUID
    rows: tuple[RowChange, ...] = ()
    input: bytes | None = None


class Route(NamedTuple):
    """Where commands of one type go."""

    decider: Decider[Any]
    name: str
    entity: str
    types: Mapping[str, type[Message]]


class Cause(NamedTuple):
    """A command with all that is known before its stream is: who, which, and when. `now` None is the present."""

    command: Message
    route: Route
    tenant: UUID
    client: str | None
    stream: str
    partition: int
    command_id: UUID
    input: bytes
    actor: str
    correlation_id: UUID
    now: datetime | None
    rows: tuple[RowChange, ...]


class Causes:
    """Makes causes of requests and of reactions, for one log."""

    def __init__(self, deciders: Sequence[Decider[Any]], partitions: int, input_key: bytes, *, simulated: bool) -> None:
        """`input_key` keys the MAC by which a repeated command is known to be the same."""
        self._routes = {command: _route(decider, command) for decider in deciders for command in decider.commands}
        self._partitions, self._simulated = partitions, simulated
        self._mac_begun = hmac.new(input_key, digestmod="sha256")

    def of(self, request: Request) -> Cause:
        """The cause that a client's request is, or Incomplete."""
        command, caller = request.command, request.caller
        route = self._routes[type(command)]
        faults = [*_id_faults(request.given_id), *faults_of(command)]
        if faults:
            raise Incomplete(faults)
        entity = getattr(command, route.entity)
        return Cause(
            command,
            route,
            caller.tenant,
            caller.client,
            f"{route.decider.category}-{entity}",
            _partition_of(entity, self._partitions),
            command_id(caller.tenant, caller.credential, route.name, request.given_id),
            self._mac(command, request.input),
            caller.actor,
            request.correlation_id,
            None,
            request.rows,
        )

    def owed(self, consumer: str, source: str, heard: Heard, command: Message, ordinal: int) -> Cause:
        """The cause that a command is which a heard fact obliges us to."""
        route = self._routes[type(command)]
        faults = faults_of(command)
        if faults:
            raise Incomplete(faults)
        entity, tenant = getattr(command, route.entity), uuid_of(heard.tenant)
        return Cause(
            command,
            route,
            tenant,
            None,
            f"{route.decider.category}-{entity}",
            _partition_of(entity, self._partitions),
            reaction_id(tenant, consumer, source, heard.event_id, ordinal),
            self._mac(command),
            f"service:{consumer}",
            uuid_of(heard.correlation_id),
            heard.recorded_at if self._simulated else None,
            (),
        )

    def _mac(self, command: Message, sent: bytes | None = None) -> bytes:
        message = command.SerializeToString(deterministic=True) if sent is None else sent
        # A copy of one begun with the key: hmac.digest lets go of the interpreter each time, and waits to have it back.
        mac = self._mac_begun.copy()
        mac.update(message)
        return mac.digest()


_partition_of = lru_cache(ENTITIES_REMEMBERED_MAX)(partition_of)


def _route(decider: Decider[Any], command: type[Message]) -> Route:
    roles = roles_of(command.DESCRIPTOR)
    if roles.entity is None:
        message = f"{roles.type} does not mark the field that names its stream"
        raise TypeError(message)
    return Route(decider, roles.type, roles.entity, types_of(decider))


def types_of(decider: Decider[Any]) -> Mapping[str, type[Message]]:
    """The facts of an aggregate by their full names."""
    return {str(fact.DESCRIPTOR.full_name): fact for fact in decider.facts}


def _id_faults(given_id: str) -> list[Fault]:
    if given_id.strip() and len(given_id) <= GIVEN_ID_CHARACTERS_MAX and given_id.isprintable():
        return []
    text = f"must have 1 to {GIVEN_ID_CHARACTERS_MAX} printable characters"
    return [Fault("/given_id", "invalid_id", text)]
