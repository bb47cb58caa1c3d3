"""The whole platform as one context: entering it starts everything in order and waits until it is ready.

    with Platform(Places(folder)) as platform:
        platform.addresses.http     # the gateway
        platform.stop("audit")      # by pid, in order
        platform.start("audit")     # again, on the same ports; returns when it is ready

PostgreSQL and Kafka first, then databases, migrations and topics, then the services; leaving stops what was started, in
the opposite order, and nothing else. A server given by RECOUP_POSTGRES_URL or RECOUP_KAFKA is used and left alone.
Enter it in a thread that outlives it: what it starts ends with that thread.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

import psycopg

from deploy.local import ports
from deploy.local.child import Child, PlatformError, recorded, stop_together
from deploy.local.databases import DATABASE_SERVICES, Database, create_database
from deploy.local.kafka import Broker, start_kafka
from deploy.local.migrate import Clock, migrate
from deploy.local.places import Places
from deploy.local.postgres import Server, start_postgres
from deploy.local.programs import PROGRAMS, READY_SECONDS_MAX, Program, Surroundings, is_ready, start_program
from deploy.local.secrets import Secrets, kept_secrets
from deploy.local.topics import create_topics, faults, read_topics

POSTGRES_GIVEN: Final = "RECOUP_POSTGRES_URL"
KAFKA_GIVEN: Final = "RECOUP_KAFKA"
POSTGRES_VERSION_MIN: Final = 180000


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens; what platform.json says."""

    postgres: str
    """The administrator's URL."""
    kafka: str
    services: Mapping[str, Mapping[str, int]]
    """The ports of each service by name: grpc, metrics, http."""
    secrets_file: str

    @property
    def http(self) -> str:
        """The base URL of the REST interface."""
        return f"http://{ports.LOOPBACK}:{self.services['gateway']['http']}"

    def grpc(self, service: str) -> str:
        """The host:port of a service's gRPC."""
        return f"{ports.LOOPBACK}:{self.services[service]['grpc']}"


class Platform:
    """Everything that runs; see the module."""

    def __init__(
        self,
        places: Places | None = None,
        *,
        programs: Sequence[Program] = PROGRAMS,
        clock: Clock = "real",
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """`say` hears of each step that is done."""
        self.places = Places(places.home.resolve()) if places else Places()
        self._programs = {program.service: program for program in programs}
        self._clock: Clock = clock
        self._say = say
        self._stack = ExitStack()
        self._children: dict[str, Child] = {}
        self.postgres = Server("")
        self.kafka = Broker("")
        self._around: Surroundings | None = None
        self._addresses: Addresses | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(hold_lock(self.places))
            stop_together(recorded(self.places))
            secrets = kept_secrets(self.places.secrets)
            chosen = ports.choose(self._port_names(), self.places.ports)
            self.postgres = self._postgres(secrets, chosen)
            stack.callback(self.postgres.stop)
            self.kafka = self._kafka(chosen)
            stack.callback(self.kafka.stop)
            databases = self._prepared(secrets)
            stack.callback(self.places.platform.unlink, missing_ok=True)
            self._around = Surroundings(self.places, secrets, self._clock, self.kafka.address, databases, chosen)
            self._addresses = _addresses(self._programs.values(), self.postgres.url, self._around)
            stack.callback(self._stop_services)
            self.start(*self._programs)
            _write_private(self.places.platform, json.dumps(asdict(self._addresses), indent=2) + "\n")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def addresses(self) -> Addresses:
        """Where everything listens."""
        assert self._addresses is not None, "the platform has been entered"
        return self._addresses

    @property
    def surroundings(self) -> Surroundings:
        """What the services were told: databases, secrets, ports."""
        assert self._around is not None, "the platform has been entered"
        return self._around

    @property
    def children(self) -> Sequence[Child]:
        """The programs that we run, in the order of their start."""
        servers = [server.child for server in (self.postgres, self.kafka) if server.child]
        return [*servers, *self._children.values()]

    def start(self, *services: str) -> None:
        """Start services and wait until each is ready; PlatformError with the end of its log when one is not."""
        began = time.monotonic()
        programs = [self._programs[service] for service in services]
        for program in programs:
            self._children[program.service] = start_program(program, self.surroundings)
        for program in programs:
            child = self._children[program.service]
            child.await_ready(lambda program=program: is_ready(program, self.surroundings), READY_SECONDS_MAX)  # type: ignore[misc]
            self._done(f"{program.service} is ready", began)

    def stop(self, *services: str) -> None:
        """Ask services to end, and wait until they have."""
        stop_together([self._children[service] for service in services])

    def _stop_services(self) -> None:
        stop_together(list(self._children.values()))

    def _port_names(self) -> list[str]:
        services = [name for program in self._programs.values() for name in program.port_names()]
        postgres = [] if os.environ.get(POSTGRES_GIVEN) else ["postgres"]
        kafka = [] if os.environ.get(KAFKA_GIVEN) else ["kafka", "kafka.controller"]
        return [*postgres, *kafka, *services]

    def _postgres(self, secrets: Secrets, chosen: Mapping[str, int]) -> Server:
        began = time.monotonic()
        given = os.environ.get(POSTGRES_GIVEN)
        if given:
            _require_version(given)
        server = (
            Server(given) if given else start_postgres(self.places, chosen["postgres"], secrets.password("postgres"))
        )
        self._done("PostgreSQL is given" if given else f"PostgreSQL is ready at port {chosen['postgres']}", began)
        return server

    def _kafka(self, chosen: Mapping[str, int]) -> Broker:
        began = time.monotonic()
        given = os.environ.get(KAFKA_GIVEN)
        if given:
            _require_broker(given)
        broker = Broker(given) if given else start_kafka(self.places, chosen["kafka"], chosen["kafka.controller"])
        self._done(f"Kafka is {'given' if given else 'ready'} at {broker.address}", began)
        return broker

    def _prepared(self, secrets: Secrets) -> dict[str, Database]:
        began = time.monotonic()
        databases: dict[str, Database] = {
            service: create_database(self.postgres.url, service, secrets)
            for service in DATABASE_SERVICES
            if service in self._programs
        }
        for database in databases.values():
            migrate(database, clock=self._clock)
        create_topics(self.kafka.address, read_topics())
        wrong = faults(self.kafka.address, read_topics())
        if wrong:
            raise PlatformError(
                "\n".join([*wrong, "Mend the settings with Kafka's own tools, or begin anew: `make reset`."])
            )
        self._done("databases and topics are ready", began)
        return databases

    def _done(self, what: str, began: float) -> None:
        self._say(f"{what} ({time.monotonic() - began:.1f} s)")


def read_addresses(places: Places) -> Addresses:
    """Where the running platform listens; PlatformError when none runs."""
    if not places.platform.exists():
        message = f"No platform runs here ({places.platform} does not exist). Start it: `make up`."
        raise PlatformError(message)
    return Addresses(**json.loads(places.platform.read_text()))


def hold_lock(places: Places) -> TextIO:
    """Be the one command that runs the platform of this folder, until the file is closed; it holds our pid."""
    places.home.mkdir(parents=True, exist_ok=True)
    held = places.lock.open("a+")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        message = f"The platform of {places.home} is already running. Stop it: `make down`."
        raise PlatformError(message) from None
    held.truncate(0)
    held.write(f"{os.getpid()}\n")
    held.flush()
    return held


def holder(places: Places) -> int | None:
    """The pid of the command that runs the platform of this folder, None when none does."""
    if not places.lock.exists():
        return None
    with places.lock.open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read())
    return None


def _addresses(programs: Iterable[Program], postgres: str, around: Surroundings) -> Addresses:
    services = {
        program.service: {port: around.ports[f"{program.service}.{port}"] for port in program.ports}
        for program in programs
    }
    return Addresses(postgres, around.kafka, services, str(around.places.secrets))


def _require_version(url: str) -> None:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            version = connection.info.server_version
    except psycopg.OperationalError as error:
        message = f"PostgreSQL does not answer as {POSTGRES_GIVEN} says: {error}"
        raise PlatformError(message) from None
    if version < POSTGRES_VERSION_MIN:
        message = (
            f"PostgreSQL {POSTGRES_VERSION_MIN // 10000} or later is needed; {POSTGRES_GIVEN} names {version // 10000}."
        )
        raise PlatformError(message)


def _require_broker(address: str) -> None:
    host, _colon, port = address.rpartition(":")
    if not (host and port.isdecimal() and ports.answers(int(port), host)):
        message = (
            f"Kafka does not answer at {address}, as {KAFKA_GIVEN} says; it must be host:port of a running broker."
        )
        raise PlatformError(message)


def _write_private(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
