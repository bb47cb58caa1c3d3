"""The owner's side of the public log: heads and ranges straight from the system of record, for other services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final, TypeAlias

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from recoup.event.v1 import log_service_pb2, log_service_pb2_grpc

from kernel.append import Head as StoreHead
from kernel.append import Store
from kernel.decider import Fault
from kernel.execute import Incomplete
from kernel.record import Record, microseconds
from kernel.rpc import current_call
from kernel.wire import to_message

SCOPE: Final = "log:read"
"""What a credential must carry to read the facts of all tenants: only services have it."""

PAGE_BYTES_MAX: Final = 2 * 1024 * 1024

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class LogServicer(log_service_pb2_grpc.LogServiceServicer):
    """Answers ReadHeads and ReadLog from a store."""

    def __init__(self, store: Store) -> None:
        """`store` reads all tenants."""
        self._store = store

    async def ReadHeads(  # noqa: N802 - the contract's name.
        self, _request: log_service_pb2.ReadHeadsRequest, _context: Context
    ) -> log_service_pb2.ReadHeadsResponse:
        """Where every partition ends now."""
        current_call().caller.require(SCOPE)
        heads = [_head(head) for head in await self._store.heads()]
        return log_service_pb2.ReadHeadsResponse(log_id=str(self._store.log_id), heads=heads)

    async def ReadLog(  # noqa: N802 - the contract's name.
        self, request: log_service_pb2.ReadLogRequest, _context: Context
    ) -> AsyncIterator[log_service_pb2.ReadLogResponse]:
        """A range of one partition in number order, in pages."""
        current_call().caller.require(SCOPE)
        faults = _faults(request, self._store.partitions)
        if faults:
            raise Incomplete(faults)
        to_number = request.to_number if request.HasField("to_number") else None
        async for page in self._store.read_log(request.partition, request.from_number, to_number):
            for part in _bounded(page):
                yield log_service_pb2.ReadLogResponse(records=map(to_message, part))


def _bounded(page: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """The page in parts that each fit a message, whatever the size of its payloads."""
    start, size = 0, 0
    for index, record in enumerate(page):
        size += len(record.payload)
        if size > PAGE_BYTES_MAX and index > start:
            yield page[start:index]
            start, size = index, len(record.payload)
    yield page[start:]


def _faults(request: log_service_pb2.ReadLogRequest, partitions: int) -> list[Fault]:
    found = []
    if not 0 <= request.partition < partitions:
        text = f"there are partitions 0 to {partitions - 1}, and no {request.partition}"
        found.append(Fault("/partition", "range", text))
    if request.from_number < 0:
        found.append(Fault("/from_number", "range", "numbers start at 0"))
    return found


def _head(head: StoreHead) -> log_service_pb2.Head:
    message = log_service_pb2.Head(partition=head.partition, number=head.number, chain=head.chain)
    if head.number >= 0:
        seconds, rest = divmod(microseconds(head.recorded_at), 1_000_000)
        message.recorded_at.CopyFrom(Timestamp(seconds=seconds, nanos=rest * 1000))
    return message
