"""A broker that is away for a while, or comes back having lost everything. It is one of this module's own."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.databases import Database
from deploy.local.kafka import Broker, start_kafka
from deploy.local.places import Places
from tests.kernel.hearing import (
    Ear,
    Owner,
    await_kafka_alone,
    await_true,
    make_ear_database,
    read_topic,
    records_of,
    recreate_topic,
)


class OwnBroker:
    """A broker that can be stopped, started again, and made to forget."""

    def __init__(self, home: Path) -> None:
        self._places = Places(home)
        chosen = ports.choose(["kafka", "controller"], self._places.ports)
        self._ports = (chosen["kafka"], chosen["controller"])
        self.address = f"127.0.0.1:{self._ports[0]}"
        self._broker: Broker | None = None

    def start(self) -> None:
        self._broker = start_kafka(self._places, *self._ports)

    def stop(self) -> None:
        if self._broker is not None:
            self._broker.stop()
            self._broker = None

    def forget(self) -> None:
        shutil.rmtree(self._places.kafka)


@pytest.fixture(scope="module")
def broker() -> Iterator[OwnBroker]:
    home = Path(tempfile.mkdtemp(prefix="recoup-broker-"))
    broker = OwnBroker(home)
    broker.start()
    yield broker
    broker.stop()
    shutil.rmtree(home)


@pytest.fixture
def owner(sample_database: Callable[..., Database], broker: OwnBroker) -> Iterator[Owner]:
    owner = Owner(sample_database(), f"sample.{time.monotonic_ns()}", broker.address)
    recreate_topic(owner)
    yield owner
    owner.stop()


@pytest.fixture
def ear(database: Callable[..., Database], owner: Owner, tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(make_ear_database(database), owner, tmp_path)
    yield ear
    ear.stop()


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.long)])
def test_while_kafka_is_away_commands_go_on_and_the_backlog_is_published_after(
    owner: Owner, ear: Ear, broker: OwnBroker, seconds: int
) -> None:
    relay = owner.publish()
    ear.start()
    owner.post(200)
    await_true(lambda: whole(owner) and ear.caught_up(owner), what="the beginning")
    broker.stop()
    until = time.monotonic() + seconds
    slowest = 0.0
    while time.monotonic() < until:
        began = time.monotonic()
        owner.post(40)
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.2)
    assert slowest < 10
    await_true(lambda: relay.faults() != [], what="the relay's complaint")
    # What Kafka does not bring is fetched from the owner, so even a listener goes on.
    await_true(lambda: ear.caught_up(owner), what="the listener without Kafka")
    broker.start()
    await_true(lambda: whole(owner), 40, what="the backlog")
    await_true(lambda: relay.faults() == [], what="the relay's peace")
    owner.post(100)
    await_true(lambda: whole(owner) and ear.caught_up(owner), what="the end")
    await_kafka_alone(owner, ear)
    ear.check_effects(owner)
    ear.check_effects(owner, "react")


def test_a_broker_that_has_lost_everything_is_filled_again(owner: Owner, ear: Ear, broker: OwnBroker) -> None:
    owner.publish()
    ear.start()
    owner.post(300)
    await_true(lambda: whole(owner) and ear.caught_up(owner), what="the beginning")
    broker.stop()
    broker.forget()
    broker.start()
    recreate_topic(owner)
    await_true(lambda: whole(owner), 40, what="the topic")
    owner.post(100)
    await_true(lambda: whole(owner) and ear.caught_up(owner), what="the end")
    await_kafka_alone(owner, ear)
    ear.check_effects(owner)


def whole(owner: Owner) -> bool:
    """Whether the topic holds every fact, first in order."""
    for partition, messages in read_topic(owner.topic, owner.broker).items():
        seen = list(dict.fromkeys(record.number for record in records_of(messages)))
        if seen != list(range(owner.heads()[partition].number + 1)):
            return False
    return True
