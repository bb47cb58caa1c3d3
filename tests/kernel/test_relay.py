"""The relay on the real broker: nothing is lost, and the topic holds nothing but repeats of the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from deploy.local.databases import Database
from deploy.local.kafka import Broker
from deploy.local.topics import delete_topics
from kernel import relay as relay_module
from kernel.broker import Sent, Topic
from kernel.relay import Relay
from kernel.wire import KafkaMessage, to_kafka
from tests.kernel.hearing import ROOT, Owner, await_true, read_topic, records_of, recreate_topic, send_raw
from tests.kernel.relay_process import DIED, STEPS


@pytest.fixture
def owner(sample_database: Callable[..., Database], topics: Callable[..., str], kafka: Broker) -> Iterator[Owner]:
    owner = Owner(sample_database(), topics(), kafka.address)
    yield owner
    owner.stop()


ROUNDS_MAX = 200
"""Of posting, until the relays have stolen from each other often enough."""


def test_killed_at_every_step_it_loses_nothing_and_repeats_the_same_bytes(owner: Owner) -> None:
    for step in STEPS:
        owner.post(200)
        relay = start_process(owner, step)
        assert relay.wait(60) == DIED, step
    owner.publish()
    await_true(lambda: all_sent(owner), what="the last relay")
    check_topic(owner)


def test_two_relays_that_steal_from_each_other_make_no_fork(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    # Every lease has lapsed before it is renewed, so whoever looks first takes the partition.
    monkeypatch.setattr(relay_module, "LEASE_SECONDS", 0.01)
    monkeypatch.setattr(relay_module, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(relay_module, "WINDOW_RECORDS_MAX", 10)
    relays = [relay_of(owner), relay_of(owner)]
    for relay in relays:
        relay.start()
    for _ in range(ROUNDS_MAX):
        owner.post(80)
        if query(owner, "SELECT max(epoch) FROM log.relays")[0][0] > 4:
            break
    await_true(lambda: all_sent(owner), 120, "both relays")
    for relay in relays:
        relay.stop()
    assert query(owner, "SELECT max(epoch) FROM log.relays")[0][0] > 4
    check_topic(owner)


def test_a_relay_that_came_back_from_the_dead_moves_nothing(owner: Owner) -> None:
    relay = owner.publish()
    owner.post(100)
    await_true(lambda: all_sent(owner))
    query(
        owner,
        "UPDATE log.relays SET epoch = epoch + 1, holder = 'another', until = now() + interval '1 hour', sent = 0",
    )
    owner.post(100)
    await_true(lambda: not relay._held, what="that it lets go")
    assert query(owner, "SELECT DISTINCT sent, holder FROM log.relays") == [(0, "another")]


def test_a_fatal_error_of_the_producer_is_mended_by_a_new_one(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Topic] = []
    begin, send = Topic.__init__, Topic.send

    def counted(topic: Topic, name: str, broker: str) -> None:
        begun.append(topic)
        begin(topic, name, broker)

    def failing(topic: Topic, messages: list[KafkaMessage]) -> list[Sent]:
        outcomes = send(topic, messages)
        if len(begun) < 3:
            return [*outcomes[: len(outcomes) // 2], Sent(None, "fenced"), *outcomes[len(outcomes) // 2 + 1 :]]
        return outcomes

    monkeypatch.setattr(Topic, "__init__", counted)
    monkeypatch.setattr(Topic, "send", failing)
    owner.post(300)
    relay = owner.publish()
    await_true(lambda: all_sent(owner), what="the third producer")
    assert len(begun) == 3
    assert relay.faults() == []
    check_topic(owner)


def test_only_the_acknowledged_prefix_counts_as_sent(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_topic: Topic, messages: list[KafkaMessage]) -> list[Sent]:
        return [Sent(number, None) if number != 2 else Sent(None, "lost") for number, _ in enumerate(messages)]

    monkeypatch.setattr(Topic, "send", half)
    owner.post(10, books=1)
    relay = owner.publish()
    await_true(lambda: query(owner, "SELECT max(sent) FROM log.relays") == [(1,)], what="the prefix")
    await_true(lambda: any("lost" in fault for fault in relay.faults()))


def test_a_topic_made_anew_while_nobody_published_is_filled_from_the_start(owner: Owner) -> None:
    publish_and_stop(owner, 300)
    delete_topics(owner.broker, [owner.topic])
    recreate_topic(owner)
    owner.publish()
    await_true(lambda: whole(owner), what="the topic")
    check_topic(owner)


def test_a_topic_made_anew_under_a_relay_that_has_nothing_to_send_is_filled_too(owner: Owner) -> None:
    owner.publish()
    owner.post(300)
    await_true(lambda: all_sent(owner))
    delete_topics(owner.broker, [owner.topic])
    recreate_topic(owner)
    await_true(lambda: whole(owner), what="the topic")


def test_a_topic_that_was_made_anew_and_has_begun_in_the_middle_is_filled_from_the_start(owner: Owner) -> None:
    publish_and_stop(owner, 300)
    delete_topics(owner.broker, [owner.topic])
    recreate_topic(owner)
    latest = [to_kafka(records[-1], "sample") for records in owner.log().values() if records]
    send_raw(owner.topic, owner.broker, [(m.partition, m.value, m.headers) for m in latest])
    owner.publish()
    await_true(lambda: whole(owner), what="the topic")


def test_garbage_at_the_end_of_the_topic_does_not_confuse_the_comparison(owner: Owner) -> None:
    publish_and_stop(owner, 300)
    garbage = [(partition, b"garbage", [("ce_sequence", b"x")]) for partition in range(8) for _ in range(200)]
    send_raw(owner.topic, owner.broker, garbage)
    owner.publish()
    owner.post(100)
    await_true(lambda: all_sent(owner))
    check_topic(owner, repeats=False)


def test_a_log_that_was_set_back_is_not_published_over_what_is_known_of_it(owner: Owner) -> None:
    publish_and_stop(owner, 300)
    set_back(owner, keep=10)
    before = read_topic(owner.topic, owner.broker)
    relay = owner.publish()
    await_true(lambda: len([fault for fault in relay.faults() if "set back" in fault]) == 8, what="refusal")
    query(owner, "UPDATE log.relays SET sent = -1")
    assert {p: len(m) for p, m in read_topic(owner.topic, owner.broker).items()} == {
        p: len(m) for p, m in before.items()
    }


def test_a_log_that_was_set_back_and_has_gone_on_is_refused_as_well(owner: Owner) -> None:
    owner.post(40, books=1)
    (partition,) = [p for p, head in owner.heads().items() if head.number >= 0]
    relay = owner.publish()
    await_true(lambda: all_sent(owner))
    relay.stop()
    set_back(owner, keep=10)
    owner.executor._states.forget(UUID(int=1), f"book-{UUID(int=0)}")
    owner.post(60, books=1, memo="another history")
    relay = owner.publish()
    await_true(lambda: relay.faults() != [] and "gone on" in relay.faults()[0], what="refusal")
    assert len(read_topic(owner.topic, owner.broker)[partition]) == 40


def test_a_topic_with_the_facts_of_another_log_is_refused(
    owner: Owner, sample_database: Callable[..., Database]
) -> None:
    publish_and_stop(owner, 100)
    other = Owner(sample_database(), owner.topic, owner.broker)
    try:
        other.post(100)
        relay = other.publish()
        await_true(lambda: sum("facts of the log" in fault for fault in relay.faults()) == 8, what="refusal")
    finally:
        other.stop()
    check_topic(owner)


def test_a_topic_that_does_not_exist_is_awaited(owner: Owner) -> None:
    delete_topics(owner.broker, [owner.topic])
    owner.post(50)
    relay = owner.publish()
    time.sleep(1)
    assert relay.faults() != []
    recreate_topic(owner)
    await_true(lambda: all_sent(owner), what="the topic's coming")
    check_topic(owner)


def test_large_facts_go_in_windows_of_bounded_size(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "WINDOW_BYTES_MAX", 1_000_000)
    sent: list[int] = []
    send = Topic.send

    def measured(topic: Topic, messages: list[KafkaMessage]) -> list[Sent]:
        sent.append(sum(len(message.value) for message in messages))
        return send(topic, messages)

    monkeypatch.setattr(Topic, "send", measured)
    owner.post(1, books=1)
    owner.post(20, books=1, memo="x" * 200_000)
    owner.publish()
    await_true(lambda: all_sent(owner))
    assert max(sent) < 1_300_000
    check_topic(owner)


def test_it_stops_cleanly_and_leaves_its_leases(owner: Owner) -> None:
    relay = owner.publish()
    owner.post(10)
    await_true(lambda: all_sent(owner))
    began = time.monotonic()
    relay.stop()
    assert time.monotonic() - began < 8
    assert not relay.alive
    assert query(owner, "SELECT DISTINCT holder FROM log.relays") == [(None,)]


def relay_of(owner: Owner) -> Relay:
    return Relay("sample", owner.topic, reader_url=owner.database.reader_url, broker=owner.broker)


def start_process(owner: Owner, step: str) -> subprocess.Popen[bytes]:
    settings = {"topic": owner.topic, "reader_url": owner.database.reader_url, "broker": owner.broker, "step": step}
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "tests.kernel.relay_process", json.dumps(settings)]
    null = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=null, stdout=null, stderr=null)


def query(owner: Owner, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(owner.database.admin_url) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def all_sent(owner: Owner) -> bool:
    return query(owner, "SELECT count(*) FROM log.heads JOIN log.relays USING (partition) WHERE number <> sent") == [
        (0,)
    ]


def publish_and_stop(owner: Owner, facts: int) -> None:
    relay = owner.publish()
    owner.post(facts)
    await_true(lambda: all_sent(owner))
    relay.stop()


def whole(owner: Owner) -> bool:
    held = {p: {record.number for record in records_of(m)} for p, m in read_topic(owner.topic, owner.broker).items()}
    return all(held[p] == set(range(head.number + 1)) for p, head in owner.heads().items())


def check_topic(owner: Owner, *, repeats: bool = True) -> None:
    """Every fact is there, first in order, and whatever is there is the very message of a fact."""
    topic = read_topic(owner.topic, owner.broker)
    for partition, records in owner.log().items():
        messages = {record.number: to_kafka(record, "sample") for record in records}
        seen: list[int] = []
        for found in topic[partition]:
            if not records_of([found]):
                continue
            (record,) = records_of([found])
            expected = messages[record.number]
            assert (found.key, found.value, found.headers) == (expected.key, expected.value, expected.headers)
            seen.append(record.number)
        assert list(dict.fromkeys(seen)) == list(messages)
        assert repeats or len(seen) == len(messages)


def set_back(owner: Owner, keep: int) -> None:
    """Bring the log to what it was after `keep` facts of each partition, as restoring a backup does."""
    with psycopg.connect(owner.database.admin_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM log.events WHERE number >= %s", [keep])
        connection.execute(
            "UPDATE log.heads h SET number = e.number, chain = e.chain, recorded_at = e.recorded_at"
            " FROM log.events e WHERE e.partition = h.partition AND e.number = %s",
            [keep - 1],
        )
        connection.execute("UPDATE log.relays SET sent = least(sent, %s)", [keep - 1])
