"""The limit that a unary call is measured against: a grpc.aio server whose one handler does nothing.

`python -m benchmarks.idle PORT` serves until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import grpc

METHOD: Final = "/benchmark.Idle/Nothing"


async def _nothing(_request: bytes, _context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    return b""


async def serve(port: int) -> None:
    """Answer every call with nothing."""
    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Nothing": grpc.unary_unary_rpc_method_handler(_nothing)
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("benchmark.Idle", handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
