"""The real parts that tests run on: one PostgreSQL server and one Kafka broker for each run, in folders of their own.

Ask for `postgres` or `kafka` for the servers, for `database` to make fresh databases of a service, and for `topics` to
make fresh topics. Everything is on free ports of the loopback address and is stopped, by its pid, when the run ends.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.databases import Database, create_database, drop_database
from deploy.local.kafka import Broker, start_kafka
from deploy.local.migrate import PARTITIONS, Clock, migrate
from deploy.local.places import Places
from deploy.local.postgres import Server, start_postgres
from deploy.local.secrets import Secrets, random_secrets
from deploy.local.topics import create_topics, delete_topics, read_topics

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def places() -> Iterator[Places]:
    """The folder of this run's servers; gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="recoup-tests-"))
    home.chmod(0o711)
    yield Places(home)
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def secrets() -> Secrets:
    """The secrets of this run's roles and processes."""
    return random_secrets()


@pytest.fixture(scope="session")
def postgres(places: Places, secrets: Secrets) -> Iterator[Server]:
    """The run's PostgreSQL server; `.url` is its administrator's."""
    port = ports.choose(["postgres"], places.ports)["postgres"]
    server = start_postgres(places, port, secrets.password("postgres"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kafka(places: Places) -> Iterator[Broker]:
    """The run's Kafka broker; `.address` is host:port. It has no topics but those that tests make."""
    chosen = ports.choose(["kafka", "controller"], places.ports)
    broker = start_kafka(places, chosen["kafka"], chosen["controller"])
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def new_database(postgres: Server, secrets: Secrets) -> Callable[..., Database]:
    """What `database` is, for fixtures that live longer than a test; whoever makes one drops it."""

    def make(service: str, *, migrated: bool = True, clock: Clock = "real", partitions: int = PARTITIONS) -> Database:
        made = create_database(postgres.url, service, secrets, f"test_{service}_{next(_numbers)}")
        if migrated:
            migrate(made, clock=clock, partitions=partitions)
        return made

    return make


@pytest.fixture
def database(new_database: Callable[..., Database]) -> Iterator[Callable[..., Database]]:
    """Makes a fresh database: `database("accounts")`, also `migrated=False`, `clock="simulated"`, `partitions=4`."""
    made: list[Database] = []

    def make(service: str, *, migrated: bool = True, clock: Clock = "real", partitions: int = PARTITIONS) -> Database:
        made.append(new_database(service, migrated=migrated, clock=clock, partitions=partitions))
        return made[-1]

    yield make
    for each in made:
        drop_database(each)


@pytest.fixture
def topics(kafka: Broker) -> Iterator[Callable[..., str]]:
    """Makes a fresh topic like one of topics.yaml, under a name of its own: `topics("accounts.events")`."""
    made: list[str] = []

    def make(like: str = "accounts.events") -> str:
        (topic,) = (topic for topic in read_topics() if topic.name == like)
        made.append(f"test.{next(_numbers)}.{like}")
        create_topics(kafka.address, [topic.named(made[-1])])
        return made[-1]

    yield make
    delete_topics(kafka.address, made)
