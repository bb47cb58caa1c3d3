"""The gateway's process: what it opens, in which order it ends, and when it is ready."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final

import grpc.aio
import psycopg
import structlog
import uvicorn
from grpc_health.v1 import health_pb2, health_pb2_grpc
from psycopg_pool import AsyncConnectionPool

from kernel.dial import Peer, Tokens
from kernel.execute import StartRefused
from kernel.readiness import Check, Endpoint, Readiness
from kernel.settings import Settings, SettingsError
from services.gateway.accounts import Accounts
from services.gateway.app import create_app
from services.gateway.asked import Gateway, Stopping
from services.gateway.principal import Keys
from services.gateway.rates import Rates
from services.gateway.requests import Requests
from services.gateway.settings import EdgeSettings

CONNECTIONS_MIN: Final = 2
CONNECTIONS_MAX: Final = 8
CONNECTION_SECONDS: Final = 5.0
STOP_SECONDS_MAX: Final = 8
KEEP_ALIVE_SECONDS: Final = 30
CHECK_SECONDS: Final = 2.0
OWNER: Final = "accounts"

_ROLE: Final = """
    SELECT rolsuper OR rolbypassrls
           OR EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'gateway' AND tableowner = current_user)
    FROM pg_roles WHERE rolname = current_user"""

log = structlog.get_logger("gateway")


async def serve(settings: Settings, edge: EdgeSettings) -> None:
    """Serve until SIGTERM or SIGINT. Requests that run are finished, within STOP_SECONDS_MAX."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with opened(settings, edge) as gateway:
        server = _Server(gateway, edge)
        endpoint = Endpoint(gateway.readiness)
        await endpoint.start(settings.grpc_host, settings.metrics_port)
        running = asyncio.create_task(server.serve())
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping")
        gateway.stopping.asked = True
        server.should_exit = True
        await running
        waiting.cancel()
        await endpoint.stop()
    log.info("stopped")


@asynccontextmanager
async def opened(settings: Settings, edge: EdgeSettings) -> AsyncIterator[Gateway]:
    """What the process answers with; leaving lets go of every connection."""
    if OWNER not in settings.owners:
        message = f"RECOUP_OWNERS must say where {OWNER} is, as {OWNER}=host:port"
        raise SettingsError(message)
    async with AsyncExitStack() as stack:
        url = settings.database_url.get_secret_value()
        await asyncio.to_thread(_refuse_strong_role, url)
        pool = AsyncConnectionPool(
            url, min_size=CONNECTIONS_MIN, max_size=CONNECTIONS_MAX, timeout=CONNECTION_SECONDS, open=False
        )
        await pool.open()
        stack.push_async_callback(pool.close)
        peer = Peer(settings.owners[OWNER], Tokens(settings.token_secret.get_secret_value().encode()))
        stack.push_async_callback(peer.close)
        readiness = Readiness({"database": _database_check(pool), OWNER: _owner_check(peer)})
        requests = Requests(pool, settings.input_key.get_secret_value().encode())
        rates = Rates(edge.requests_per_second, edge.failures_per_minute)
        yield Gateway(Keys(pool, edge.environment), rates, Accounts(peer), requests, pool, Stopping(), readiness)


class _Server(uvicorn.Server):
    """uvicorn, whose signals are ours: it is told to end."""

    def __init__(self, gateway: Gateway, edge: EdgeSettings) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(gateway),
                host=edge.http_host,
                port=edge.http_port,
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS_MAX,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: `serve` has them."""
        yield


def _refuse_strong_role(url: str) -> None:
    """Row-level security binds neither superusers nor owners: the process does not start as one."""
    try:
        with psycopg.connect(url, connect_timeout=int(CONNECTION_SECONDS)) as connection:
            row = connection.execute(_ROLE).fetchone()
    except psycopg.OperationalError as error:
        message = f"The gateway's database cannot be reached: {error}"
        raise StartRefused(message) from None
    if row is None or row[0]:
        message = "The gateway's database role is a superuser, bypasses row-level security or owns tables."
        raise StartRefused(message)


def _database_check(pool: AsyncConnectionPool) -> Check:
    async def check() -> str | None:
        async with pool.connection() as connection:
            await connection.execute("SELECT 1")
        return None

    return check


def _owner_check(peer: Peer) -> Check:
    stub = health_pb2_grpc.HealthStub(peer.channel)

    async def check() -> str | None:
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=CHECK_SECONDS)
        except grpc.aio.AioRpcError as error:
            return f"{OWNER} does not answer: {error.code().name}"
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        return None if serving else f"{OWNER} answers that it is not serving"

    return check
