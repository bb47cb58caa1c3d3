"""Relay and listener together, on the real broker and the real database."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.local.databases import Database
from deploy.local.kafka import Broker
from kernel.store import schema_sql
from tests.kernel.ear import TABLES
from tests.kernel.hearing import Ear, Owner, await_true, read_topic, records_of


@pytest.fixture
def owner(
    sample_database: Callable[..., Database], topics: Callable[..., str], kafka: Broker
) -> Iterator[Owner]:
    owner = Owner(sample_database(), topics(), kafka.address)
    yield owner
    owner.stop()


@pytest.fixture
def ear(database: Callable[..., Database], owner: Owner, tmp_path: Path) -> Ear:
    made = database("ear", migrated=False)
    with psycopg.connect(made.migrator_url) as connection:
        connection.execute(schema_sql("ear"))
        connection.execute(TABLES)
    return Ear(made, owner, tmp_path)


def test_facts_are_published_heard_and_have_their_effect_once(owner: Owner, ear: Ear) -> None:
    owner.publish()
    worker = ear.start()
    owner.post(1_000)
    await_true(lambda: ear.caught_up(owner), what="the listener")
    worker.terminate()
    assert worker.wait(10) == 0
    ear.check_effects(owner)
    ear.check_effects(owner, "react")
    topic = read_topic(owner.topic, owner.broker)
    assert {p: records_of(messages) for p, messages in topic.items()} == owner.log()
