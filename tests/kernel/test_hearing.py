"""Relay and listener together, on the real broker and the real database: every effect once, in stream order."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.databases import Database
from deploy.local.kafka import Broker
from deploy.local.topics import delete_topics
from kernel.wire import to_kafka
from tests.kernel.hearing import (
    Ear,
    Owner,
    await_kafka_alone,
    await_true,
    make_ear_database,
    read_topic,
    records_of,
    recreate_topic,
    send_raw,
)

FACTS = 5_000
KILLS = 20


@pytest.fixture
def owner(sample_database: Callable[..., Database], topics: Callable[..., str], kafka: Broker) -> Iterator[Owner]:
    owner = Owner(sample_database(), topics(), kafka.address)
    yield owner
    owner.stop()


@pytest.fixture
def ear(database: Callable[..., Database], owner: Owner, tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(make_ear_database(database), owner, tmp_path)
    yield ear
    ear.stop()


def test_facts_are_published_heard_and_have_their_effect_once(owner: Owner, ear: Ear) -> None:
    owner.publish()
    worker = ear.start()
    owner.post(1_000)
    await_true(lambda: ear.caught_up(owner), what="the listener")
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0
    ear.check_effects(owner)
    ear.check_effects(owner, "react")
    topic = read_topic(owner.topic, owner.broker)
    assert {partition: records_of(messages) for partition, messages in topic.items()} == owner.log()


def test_facts_come_through_kafka_alone_once_it_has_assigned_the_partitions(owner: Owner, ear: Ear) -> None:
    owner.publish()
    ear.start()
    await_kafka_alone(owner, ear)
    ear.check_effects(owner)


def test_a_worker_killed_again_and_again_has_every_effect_once(owner: Owner, ear: Ear) -> None:
    owner.publish()
    chance = random.Random(7)  # noqa: S311 - a moment to die at, not a secret.
    for _kill in range(KILLS):
        worker = ear.start()
        before = ear.effects()
        for _ in range(FACTS // KILLS // 50):
            owner.post(50)
            time.sleep(chance.uniform(0, 0.05))
        await_more_effects(ear, before)
        time.sleep(chance.uniform(0, 0.1))
        worker.kill()
        worker.join()
    ear.start()
    await_true(lambda: ear.caught_up(owner), what="the last worker")
    assert ear.effects() == FACTS
    ear.check_effects(owner)
    ear.check_effects(owner, "react")


def await_more_effects(ear: Ear, before: int) -> None:
    await_true(lambda: ear.effects() > before, what="an effect")


def test_a_topic_that_is_deleted_is_filled_again_and_nothing_has_its_effect_twice(owner: Owner, ear: Ear) -> None:
    owner.publish()
    ear.start()
    owner.post(500)
    await_true(lambda: ear.caught_up(owner), what="the listener")
    delete_topics(owner.broker, [owner.topic])
    owner.post(100)
    recreate_topic(owner)
    owner.post(400)
    await_true(lambda: ear.caught_up(owner), what="the listener")
    await_true(lambda: _topic_is_whole(owner), what="the topic")
    assert ear.effects() == 1_000
    ear.check_effects(owner)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_facts_dropped_repeated_and_reordered_among_garbage_have_every_effect_once(
    owner: Owner, ear: Ear, seed: int
) -> None:
    ear.start()
    chance = random.Random(seed)  # noqa: S311 - an accident, not a secret.
    for _ in range(4):
        owner.post(250)
        send_raw(owner.topic, owner.broker, _mangled(owner, chance))
    await_true(lambda: ear.caught_up(owner), what="the listener")
    assert ear.effects() == 1_000
    ear.check_effects(owner)


def _mangled(owner: Owner, chance: random.Random) -> list[tuple[int, bytes | None, list[tuple[str, bytes]]]]:
    """The last facts of the log as a bad network would bring them, and what has nothing to do in the topic."""
    messages: list[tuple[int, bytes | None, list[tuple[str, bytes]]]] = []
    for partition, records in owner.log().items():
        recent = [to_kafka(record, "sample") for record in records[-60:]]
        kept = [message for message in recent if chance.random() > 0.2]
        repeated = kept + [message for message in recent if chance.random() < 0.2]
        near = sorted(range(len(repeated)), key=lambda index: index + chance.uniform(0, 8))
        messages += [(partition, repeated[index].value, repeated[index].headers) for index in near]
        messages.append((partition, chance.randbytes(40), []))
        messages.append((partition, None, [("ce_sequence", b"7")]))
        if recent:
            rogue = [(n, b"999999" if n == "ce_sequence" else v) for n, v in recent[-1].headers]
            false = [(n, b"00" * 32 if n == "ce_chain" else v) for n, v in recent[-1].headers]
            other = [
                (n, b"00000000-0000-0000-0000-000000000009" if n == "ce_logid" else v) for n, v in recent[0].headers
            ]
            messages += [(partition, b"rogue", headers) for headers in (rogue, false, other)]
    chance.shuffle(messages)
    return messages


def _topic_is_whole(owner: Owner) -> bool:
    held = {p: {r.number: r for r in records_of(m)} for p, m in read_topic(owner.topic, owner.broker).items()}
    return all(held[p] == {r.number: r for r in records} for p, records in owner.log().items())
