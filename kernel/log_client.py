"""Asking the owner of a log, over gRPC: where its partitions end, and what stands in them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final, Protocol

from recoup.event.v1 import log_service_pb2
from recoup.event.v1.log_service_pb2_grpc import LogServiceStub

from kernel.dial import Peer
from kernel.judge import Position
from kernel.record import Record
from kernel.tenancy import Caller
from kernel.wire import Unreadable, from_message, uuid_of

HEADS_SECONDS_MAX: Final = 5.0
PAGES_SECONDS_MAX: Final = 60.0


class Owner(Protocol):
    """What a listener asks of the service that owns a log. Whatever fails is raised, and asked again later."""

    async def read_heads(self) -> Mapping[int, Position]:
        """Where every partition ends."""

    def read_log(self, partition: int, from_number: int, to_number: int) -> AsyncGenerator[Sequence[Record], None]:
        """Records of a range, in number order, in pages."""


class LogClient:
    """The Owner at the other end of a channel."""

    def __init__(self, peer: Peer, caller: Caller) -> None:
        """`caller` is the asking service itself, with the scope that reads logs."""
        self._peer, self._caller = peer, caller
        self._stub = LogServiceStub(peer.channel)

    async def read_heads(self) -> Mapping[int, Position]:
        """Where every partition ends; CallFailed when the owner does not say so in time."""
        request = log_service_pb2.ReadHeadsRequest()
        answer = await self._peer.ask(self._stub.ReadHeads, request, self._caller, seconds=HEADS_SECONDS_MAX)
        log_id = uuid_of("log_id", answer.log_id)
        return {head.partition: Position(log_id, head.number, head.chain) for head in answer.heads}

    async def read_log(
        self, partition: int, from_number: int, to_number: int
    ) -> AsyncGenerator[Sequence[Record], None]:
        """Records of a range; CallFailed when the owner stops, Unreadable when it sends what is no record."""
        request = log_service_pb2.ReadLogRequest(partition=partition, from_number=from_number, to_number=to_number)
        pages = self._peer.stream(self._stub.ReadLog, request, self._caller, seconds=PAGES_SECONDS_MAX)
        expected = from_number
        async for page in pages:
            records = [from_message(message) for message in page.records]
            for record in records:
                if (record.partition, record.number) != (partition, expected):
                    message = f"the owner sent number {record.number} where {expected} was to come"
                    raise Unreadable(message)
                expected += 1
            yield records
