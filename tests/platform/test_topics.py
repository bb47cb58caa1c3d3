"""Topics come from topics.yaml, and whatever differs from it is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

from deploy.local.kafka import Broker
from deploy.local.topics import Topic, create_topics, delete_topics, faults, read_topics


def test_a_topic_of_the_file_is_made_as_it_says(kafka: Broker, topics: Callable[..., str]) -> None:
    wanted = read_topics()[0].named(topics())
    assert faults(kafka.address, [wanted]) == []


def test_the_settings_that_keep_the_log_for_ever_are_in_the_file() -> None:
    for topic in read_topics():
        assert topic.partitions == 8
        assert topic.settings["cleanup.policy"] == "delete"
        assert topic.settings["retention.ms"] == topic.settings["retention.bytes"] == "-1"


def test_making_topics_again_changes_nothing(kafka: Broker, topics: Callable[..., str]) -> None:
    wanted = read_topics()[0].named(topics())
    create_topics(kafka.address, [wanted])
    assert faults(kafka.address, [wanted]) == []


def test_a_topic_with_other_settings_or_partitions_is_told(kafka: Broker) -> None:
    create_topics(kafka.address, [Topic("test.wrong", 3, {"retention.ms": "1000"})])
    wanted = Topic("test.wrong", 8, {"retention.ms": "-1"})
    told = faults(kafka.address, [wanted, wanted.named("test.absent")])
    delete_topics(kafka.address, ["test.wrong"])
    assert told == [
        "topic test.wrong has 3 partitions, not 8",
        "topic test.wrong has retention.ms=1000, not -1",
        "topic test.absent does not exist",
    ]


def test_nothing_creates_a_topic_by_using_it(kafka: Broker) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.address, max_block_ms=1500)
    with pytest.raises(KafkaTimeoutError):
        producer.send("test.by-use", b"fact")
    producer.close()
    assert faults(kafka.address, [Topic("test.by-use", 1)]) == ["topic test.by-use does not exist"]
