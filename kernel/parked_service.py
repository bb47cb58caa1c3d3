"""What an operator does about parked facts, over gRPC: list, show, and retry a stream in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

import grpc.aio
import structlog
from recoup.event.v1 import parked_service_pb2, parked_service_pb2_grpc, record_pb2

from kernel.apply import Effects, retry
from kernel.checkpoint import Connection, Place
from kernel.decider import Fault
from kernel.execute import Incomplete, Unknown
from kernel.rpc import current_call
from kernel.store import connect

SCOPE: Final = "parked:mend"
"""What a credential must carry to see and retry what is parked: operators have it."""
PAGE_FACTS: Final = 100
PAGE_FACTS_MAX: Final = 500

_PAGE: Final = (
    "SELECT source, partition, number, error, record FROM log.parked"
    " WHERE consumer = %s AND (source, partition, number) > (%s, %s, %s) ORDER BY source, partition, number LIMIT %s"
)
_ONE: Final = (
    "SELECT source, partition, number, error, record FROM log.parked"
    " WHERE (consumer, source, partition, number) = (%s, %s, %s, %s)"
)
_PARTITIONS: Final = (
    "SELECT DISTINCT partition FROM log.parked WHERE (consumer, source, tenant, stream) = (%s, %s, %s, %s)"
)
_HALTED: Final = (
    "SELECT source, partition, halted FROM log.checkpoints WHERE consumer = %s AND halted IS NOT NULL"
    " ORDER BY source, partition"
)

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Result = TypeVar("Result")
log = structlog.get_logger("parked")


class ParkedServicer(parked_service_pb2_grpc.ParkedServiceServicer):
    """Answers for one consumer, from its own database and with its own effects."""

    def __init__(self, consumer: str, effects: Mapping[str, Effects], database_url: str) -> None:
        """`effects` by source, the same that the listener has."""
        self._consumer, self._effects, self._database_url = consumer, dict(effects), database_url

    async def ListParked(  # noqa: N802 - the contract's name.
        self, request: parked_service_pb2.ListParkedRequest, _context: Context
    ) -> parked_service_pb2.ListParkedResponse:
        """A page of parked facts, and every halted partition."""
        current_call().caller.require(SCOPE)
        limit = request.limit or PAGE_FACTS
        if not 0 < limit <= PAGE_FACTS_MAX:
            raise Incomplete([Fault("/limit", "range", f"a page holds 1 to {PAGE_FACTS_MAX} facts")])
        after = (request.after.source, request.after.partition, request.after.number)
        start = after if request.HasField("after") else ("", -1, -1)
        return await self._within(lambda connection: self._list(connection, start, limit))

    async def ShowParked(  # noqa: N802 - the contract's name.
        self, request: parked_service_pb2.ShowParkedRequest, _context: Context
    ) -> parked_service_pb2.ShowParkedResponse:
        """One parked fact, or Unknown."""
        current_call().caller.require(SCOPE)
        at = (request.place.source, request.place.partition, request.place.number)
        return await self._within(lambda connection: self._show(connection, at))

    async def RetryParked(  # noqa: N802 - the contract's name.
        self, request: parked_service_pb2.RetryParkedRequest, _context: Context
    ) -> parked_service_pb2.RetryParkedResponse:
        """Try the facts of a stream again; Unknown when none of it is parked."""
        caller = current_call().caller
        caller.require(SCOPE)
        try:
            tenant = UUID(request.tenant)
        except ValueError:
            raise Incomplete([Fault("/tenant", "not_a_uuid", "a tenant is named by its UUID")]) from None
        answer = await self._within(lambda connection: self._retry(connection, request.source, tenant, request.stream))
        log.info("retried", actor=caller.actor, source=request.source, stream=request.stream, applied=answer.applied,
                 left=answer.left)  # fmt: skip
        return answer

    def _list(
        self, connection: Connection, after: tuple[str, int, int], limit: int
    ) -> parked_service_pb2.ListParkedResponse:
        rows = connection.execute(_PAGE, (self._consumer, *after, limit + 1)).fetchall()
        facts = [_fact(*row) for row in rows[:limit]]
        halted = [
            parked_service_pb2.HaltedPartition(source=source, partition=partition, reason=reason)
            for source, partition, reason in connection.execute(_HALTED, (self._consumer,))
        ]
        next_ = facts[-1].place if len(rows) > limit else None
        return parked_service_pb2.ListParkedResponse(facts=facts, next=next_, halted=halted)

    def _show(self, connection: Connection, at: tuple[str, int, int]) -> parked_service_pb2.ShowParkedResponse:
        row = connection.execute(_ONE, (self._consumer, *at)).fetchone()
        if row is None:
            message = "no fact is parked at {}/{} number {}".format(*at)
            raise Unknown(message)
        record = record_pb2.Record.FromString(bytes(row[-1]))
        return parked_service_pb2.ShowParkedResponse(fact=_fact(*row), record=record)

    def _retry(
        self, connection: Connection, source: str, tenant: UUID, stream: str
    ) -> parked_service_pb2.RetryParkedResponse:
        rows = connection.execute(_PARTITIONS, (self._consumer, source, tenant, stream)).fetchall()
        effects = self._effects.get(source)
        if effects is None or not rows:
            message = f"nothing is parked of {stream} heard from {source}"
            raise Unknown(message)
        ((partition,),) = rows
        done = retry(connection, Place(self._consumer, source, partition), effects, tenant, stream)
        return parked_service_pb2.RetryParkedResponse(applied=done.applied, left=done.left, error=done.error)

    async def _within(self, work: Callable[[Connection], Result]) -> Result:
        def run() -> Result:
            with connect(self._database_url) as connection:
                return work(connection)

        return await asyncio.to_thread(run)


def _fact(source: str, partition: int, number: int, error: str | None, record: bytes) -> parked_service_pb2.ParkedFact:
    kept = record_pb2.Record.FromString(bytes(record))
    return parked_service_pb2.ParkedFact(
        place=parked_service_pb2.ParkedPlace(source=source, partition=partition, number=number),
        tenant=kept.tenant,
        stream=kept.stream,
        version=kept.version,
        type=kept.type,
        error=error,
    )
