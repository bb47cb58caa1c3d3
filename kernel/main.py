"""One program for every service: `api | worker | relay | rebuild | all`, from its settings to a clean end.

The gRPC server starts first and stops answering last, because a service answers while Kafka is away; relay and worker
run beside it, supervised. SIGTERM ends the process within STOP_SECONDS_MAX: it is no longer serving, hears no more,
finishes its calls, records what was decided, and lets go.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, NoReturn, TypeAlias, cast

import grpc.aio
import psycopg
import structlog
from google.protobuf.message import Message
from pydantic import SecretStr
from recoup.event.v1.log_service_pb2_grpc import add_LogServiceServicer_to_server
from recoup.event.v1.parked_service_pb2_grpc import add_ParkedServiceServicer_to_server
from sqlalchemy.ext.asyncio import AsyncEngine

from kernel import settings as settings_module
from kernel import telemetry
from kernel.append import Store
from kernel.apply import Effects
from kernel.checks import database_check, part_check, relay_lag_check, topics_check
from kernel.clock import Clock, RealClock, SimulatedClock
from kernel.decider import Decider, React
from kernel.dial import Peer, Tokens
from kernel.errors import StartRefused
from kernel.execute import Executor
from kernel.listen import Listener, Source
from kernel.log_client import LogClient
from kernel.log_service import SCOPE as LOG_SCOPE
from kernel.log_service import LogServicer
from kernel.parked_service import ParkedServicer
from kernel.project import Project
from kernel.reactions import reactions
from kernel.readiness import Check, Endpoint, Readiness
from kernel.reads import engine_of
from kernel.rebuild import RebuildRefused, rebuild
from kernel.relay import Relay
from kernel.rpc import Server
from kernel.settings import Settings, SettingsError
from kernel.store import PostgresStore
from kernel.supervise import Part, stop_within, supervise
from kernel.tenancy import Verifier, service_caller
from kernel.topics import topic_of

Verb: TypeAlias = Literal["api", "worker", "relay", "rebuild", "all"]
Register: TypeAlias = Callable[[grpc.aio.Server], None]

VERBS: Final[Mapping[Verb, str]] = {
    "api": "answer gRPC",
    "worker": "hear other services",
    "relay": "publish this service's facts",
    "rebuild": "build the read tables anew from the log, and end",
    "all": "api, worker and relay in one process",
}
STOP_SECONDS_MAX: Final = 10.0
STOP_SECONDS_SPARE: Final = 1.0
PARTS_SECONDS_MAX: Final = 5.0
CALLS_SECONDS_MAX: Final = 2.5
LOOK_SECONDS: Final = 1.0
"""How often the threads of writer and relay are looked at."""
START_REFUSED: Final = 2
STOPPED_LATE: Final = 3
WRITER_DIED: Final = 4

log = structlog.get_logger("main")


class WriterDied(Exception):  # noqa: N818 - named for what happened.
    """The thread that records has ended by an error of its own, which is in the log."""


@dataclass(frozen=True, slots=True)
class Service:
    """What one service is made of; its `__main__` says this and calls `run`.

    `grpc` gives what registers its methods. `hears` names the services whose facts it hears; `react` is what those
    among `facts` oblige it to do. A service that does something else with what it hears gives `effects`, by source.
    `react_from` says whether a new consumer owes anything for what happened before it began.
    """

    name: str
    deciders: Sequence[Decider[Any]]
    project: Project
    grpc: Callable[[Context], Sequence[Register]]
    hears: Sequence[str] = ()
    react: React | None = None
    facts: Sequence[type[Message]] = ()
    effects: Callable[[Context, str], Effects] | None = None
    react_from: Literal["start", "head"] = "start"


@dataclass(frozen=True, slots=True)
class Context:
    """What a process of a service works with; handed to whatever the service builds."""

    service: Service
    settings: Settings
    clock: Clock
    store: PostgresStore
    executor: Executor
    engine: AsyncEngine
    tokens: Tokens
    peers: Mapping[str, Peer]


@dataclass(frozen=True, slots=True)
class Running:
    """Where a running process listens; a free port was taken where the settings said 0."""

    grpc_port: int | None
    metrics_port: int


def run(service: Service, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the verb that the command line names, and exit: 0 after a clean end, START_REFUSED with the reason before."""
    parser = argparse.ArgumentParser(prog=f"python -m services.{service.name}")
    verbs = "; ".join(f"{verb}: {purpose}" for verb, purpose in VERBS.items())
    parser.add_argument("verb", choices=list(VERBS), help=verbs)
    verb = cast("Verb", parser.parse_args(arguments).verb)
    try:
        settings = settings_module.load()
        telemetry.configure(service.name, verb, settings.log)
        if verb == "rebuild":
            _rebuild(service, settings)
        else:
            asyncio.run(_run(service, verb, settings))
    except (SettingsError, StartRefused, RebuildRefused) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(START_REFUSED)
    except WriterDied as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(WRITER_DIED)
    sys.exit(0)


async def _run(service: Service, verb: Verb, settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with opened(service, settings) as context, serving(context, verb):
        await told_to_stop(stopping, context.store)
        log.info("stopping")
        _end_at_latest(STOP_SECONDS_MAX - STOP_SECONDS_SPARE)
    log.info("stopped")


async def told_to_stop(stopping: asyncio.Event, store: Store) -> None:
    """Wait until the process is told to stop; WriterDied when it can no longer record, so that it is begun anew."""
    while not stopping.is_set():
        if not store.alive:
            message = "the writer of the log has died, so this process can record nothing: it must be started again"
            raise WriterDied(message)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await stopping.wait()
        except TimeoutError:
            continue


def _end_at_latest(seconds: float) -> None:
    """End the process without more ado then, whatever hangs: what was not acknowledged may be asked again."""

    def end() -> None:
        log.error("the process did not stop in time and ends now", seconds=seconds)
        os._exit(STOPPED_LATE)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _rebuild(service: Service, settings: Settings) -> None:
    if not service.deciders:
        message = f"{service.name} records no facts of its own, so it has nothing to rebuild its tables from"
        raise RebuildRefused(message)
    if settings.migrator_url is None:
        message = "rebuild replaces tables: set RECOUP_MIGRATOR_URL to the database as the role that owns them"
        raise SettingsError(message)
    reader_url = settings.reader_url.get_secret_value()
    try:
        rebuilt = rebuild(settings.migrator_url.get_secret_value(), reader_url, service.deciders, service.project)
    except psycopg.Error as error:
        message = f"the tables stand as before, because the database refused: {error.diag.message_primary or error}"
        raise RebuildRefused(message) from error
    log.info("rebuilt", **asdict(rebuilt))


@asynccontextmanager
async def opened(service: Service, settings: Settings) -> AsyncIterator[Context]:
    """The context of a process; closing it records what is waiting and lets go of every connection."""
    url = _url(settings)
    clock: Clock = SimulatedClock() if settings.clock == "simulated" else RealClock()
    async with AsyncExitStack() as stack:
        store = await _store(settings, clock)
        stack.push_async_callback(store.close)
        if isinstance(clock, SimulatedClock):
            # It goes on where the log ends; an empty one begins where every simulation does.
            clock.advance_to(max(clock.now(), *(head.recorded_at for head in await store.heads())))
        engine = engine_of(url)
        stack.push_async_callback(engine.dispose)
        tokens = Tokens(_secret(settings.token_secret))
        # A service that hears its own facts asks itself for what Kafka did not bring.
        peers = {name: Peer(address, tokens) for name, address in settings.owners.items()}
        for peer in peers.values():
            stack.push_async_callback(peer.close)
        key = _secret(settings.input_key)
        executor = Executor(service.name, service.deciders, store, clock, service.project, key)
        yield Context(service, settings, clock, store, executor, engine, tokens, peers)


async def _store(settings: Settings, clock: Clock) -> PostgresStore:
    try:
        return await PostgresStore.open(_url(settings), settings.reader_url.get_secret_value(), clock)
    except psycopg.OperationalError as error:
        message = f"the database cannot be reached: {str(error).strip()}"
        raise StartRefused(message) from error


@asynccontextmanager
async def serving(context: Context, verb: Verb) -> AsyncIterator[Running]:
    """The running parts of a verb; leaving it ends them in order."""
    settings = context.settings
    server = _server(context) if verb in ("api", "all") else None
    hearing = _Hearing(context) if verb in ("worker", "all") and context.service.hears else None
    # A service that decides nothing records nothing, has no topic, and nothing to publish.
    relaying = _Relaying(context) if verb in ("relay", "all") and context.service.deciders else None
    endpoint = Endpoint(Readiness(_checks(context, hearing, relaying)))
    grpc_port = await server.start(f"{settings.grpc_host}:{settings.grpc_port}") if server else None
    metrics_port = await endpoint.start(settings.grpc_host, settings.metrics_port)
    running = {"worker": hearing, "relay": relaying}
    parts = [_begun(name, part.run) for name, part in running.items() if part is not None]
    log.info("started", grpc_port=grpc_port, metrics_port=metrics_port, clock=settings.clock)
    try:
        yield Running(grpc_port, metrics_port)
    finally:
        if server is not None:
            await server.serving(yes=False)
        await stop_within(PARTS_SECONDS_MAX, *parts)
        if server is not None:
            await server.stop(CALLS_SECONDS_MAX)
        await endpoint.stop()


def _begun(name: str, part: Part) -> asyncio.Task[None]:
    return asyncio.create_task(supervise(name, part), name=name)


def _server(context: Context) -> Server:
    server = Server(Verifier(_secret(context.settings.token_secret)), context.clock)
    server.add(lambda server: add_LogServiceServicer_to_server(LogServicer(context.store), server))
    if context.service.hears:
        parked = _parked(context)
        server.add(lambda server: add_ParkedServiceServicer_to_server(parked, server))
    for register in context.service.grpc(context):
        server.add(register)
    return server


class _Hearing:
    """The listener of this process; one that has ended cannot be begun again, so each run has its own."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._listener: Listener | None = None

    async def run(self) -> None:
        context = self._context
        settings = context.settings
        self._listener = Listener(
            context.service.name,
            [_source(context, name) for name in context.service.hears],
            database_url=_url(settings),
            broker=settings.kafka,
            data=settings.data,
        )
        await self._listener.run()

    def faults(self, lag_facts_max: int) -> Sequence[str]:
        if self._listener is None:
            return ["nothing has been heard yet"]
        return self._listener.faults(lag_facts_max)


class _Relaying:
    """The relay of this process; like a listener, each run has its own."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._relay: Relay | None = None

    async def run(self) -> None:
        context = self._context
        reader_url = context.settings.reader_url.get_secret_value()
        topic = topic_of(context.service.name)
        relay = Relay(context.service.name, topic, reader_url=reader_url, broker=context.settings.kafka)
        self._relay = relay
        context.store.committed = relay.nudge
        relay.start()
        try:
            while relay.alive:  # noqa: ASYNC110 - a thread cannot set an asyncio event when it dies.
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await asyncio.to_thread(relay.stop)

    def faults(self) -> Sequence[str]:
        return ["the relay has not started yet"] if self._relay is None else self._relay.faults()


def _source(context: Context, name: str) -> Source:
    service = context.service
    owner = LogClient(context.peers[name], service_caller(service.name, LOG_SCOPE))
    return Source(name, topic_of(name), owner, _effects(context, name), service.react_from)


def _parked(context: Context) -> ParkedServicer:
    effects = {name: _effects(context, name) for name in context.service.hears}
    return ParkedServicer(context.service.name, effects, _url(context.settings))


def _effects(context: Context, source: str) -> Effects:
    service = context.service
    return service.effects(context, source) if service.effects else _reactions(context, source)


def _reactions(context: Context, source: str) -> Effects:
    service = context.service
    assert service.react is not None, f"{service.name} hears {source} and says nothing of what it does then"
    return Effects(react=reactions(context.executor, service.name, source, service.react, service.facts))


def _checks(context: Context, hearing: _Hearing | None, relaying: _Relaying | None) -> Mapping[str, Check]:
    settings, name = context.settings, context.service.name
    used = [topic_of(name)] if relaying else []
    checks = {"database": database_check(context.store)}
    if relaying is not None:
        reader_url = settings.reader_url.get_secret_value()
        checks["relay"] = part_check(relaying.faults)
        checks["relay_lag"] = relay_lag_check(reader_url, name, settings.lag_facts_max)
    if hearing is not None:
        used += map(topic_of, context.service.hears)
        checks["hearing"] = part_check(lambda: hearing.faults(settings.lag_facts_max))
    if used:
        checks["topics"] = topics_check(settings.kafka, used, context.store.partitions)
    return checks


def _url(settings: Settings) -> str:
    return settings.database_url.get_secret_value()


def _secret(secret: SecretStr) -> bytes:
    return secret.get_secret_value().encode()
