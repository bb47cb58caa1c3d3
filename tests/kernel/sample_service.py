"""The sample aggregate behind gRPC, as a service writes its own edge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc.aio
from recoup.sample.v1 import service_pb2, service_pb2_grpc

from kernel.errors import Unknown
from kernel.execute import Executor
from kernel.rpc import Context, current_call, execute_items, fill
from tests.kernel.support import LEDGER


class SampleApi(service_pb2_grpc.SampleServiceServicer):
    """Books over gRPC."""

    def __init__(self, executor: Executor) -> None:
        """`executor` decides the commands."""
        self._executor = executor

    async def Execute(  # noqa: N802 - gRPC names methods.
        self, request: service_pb2.ExecuteRequest, _context: Context
    ) -> service_pb2.ExecuteResponse:
        """Decide the commands, each for itself."""
        response = service_pb2.ExecuteResponse()
        fill(response.results, await execute_items(self._executor, request.commands))
        return response

    async def GetBook(  # noqa: N802
        self, request: service_pb2.GetBookRequest, _context: Context
    ) -> service_pb2.GetBookResponse:
        """One book of the caller's tenant, after as long as the caller wants to wait."""
        await asyncio.sleep(request.after_milliseconds / 1000)
        state, version = await self._executor.load(current_call().caller.tenant, LEDGER, request.book_id)
        if version == 0:
            raise Unknown(request.book_id)
        return service_pb2.GetBookResponse(balance_minor=state.balance_minor, version=version)

    async def WatchBook(  # noqa: N802
        self, request: service_pb2.WatchBookRequest, _context: Context
    ) -> AsyncIterator[service_pb2.WatchBookResponse]:
        """The version of a book, counted up."""
        _state, version = await self._executor.load(current_call().caller.tenant, LEDGER, request.book_id)
        if version == 0:
            raise Unknown(request.book_id)
        for number in range(version):
            yield service_pb2.WatchBookResponse(amount_minor=number)


def register(executor: Executor) -> Callable[[grpc.aio.Server], None]:
    """What a service hands to `Server.add`."""
    return lambda server: service_pb2_grpc.add_SampleServiceServicer_to_server(SampleApi(executor), server)
