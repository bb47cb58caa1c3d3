"""Topics, created from topics.yaml and compared with it. No client of ours creates a topic by using it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

from deploy.local.child import POLL_SECONDS, PlatformError
from deploy.local.places import TOPICS

CALL_MILLISECONDS_MAX: Final = 20_000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it must be."""

    name: str
    partitions: int
    settings: Mapping[str, str] = field(default_factory=dict)
    replicas: int = 1

    def named(self, name: str) -> Topic:
        """The same topic under another name, for a test that wants one of its own."""
        return replace(self, name=name)


def read_topics(file: Path = TOPICS) -> list[Topic]:
    """The topics of topics.yaml."""
    described = yaml.safe_load(file.read_text())["topics"]
    return [Topic(topic["name"], topic["partitions"], topic["settings"]) for topic in described]


def create_topics(address: str, topics: Sequence[Topic]) -> None:
    """Create those that do not exist. One that exists is left as it is; `faults` tells whether it is right."""
    with _admin(address) as admin:
        existing = set(admin.list_topics())
        wanted = [
            NewTopic(topic.name, topic.partitions, topic.replicas, topic_configs=dict(topic.settings))
            for topic in topics
            if topic.name not in existing
        ]
        if wanted:
            # Another of us may have created one since; the others of the request are created all the same.
            with suppress(TopicAlreadyExistsError):
                admin.create_topics(wanted, timeout_ms=CALL_MILLISECONDS_MAX)
        _await_known(admin, {topic.name for topic in topics}, known=True)


def delete_topics(address: str, names: Sequence[str]) -> None:
    """Delete topics with everything in them; for tests."""
    with _admin(address) as admin:
        admin.delete_topics(list(names), timeout_ms=CALL_MILLISECONDS_MAX)
        _await_known(admin, set(names), known=False)


def _await_known(admin: KafkaAdminClient, names: set[str], *, known: bool) -> None:
    """A broker that has agreed to a change of topics shows it a moment later, on a busy machine a long one."""
    deadline = time.monotonic() + CALL_MILLISECONDS_MAX / 1000
    while names & set(admin.list_topics()) != (names if known else set()):
        if time.monotonic() > deadline:
            message = (
                f"the broker did not {'show' if known else 'forget'} the topics {', '.join(sorted(names))} in time"
            )
            raise PlatformError(message)
        time.sleep(POLL_SECONDS)


def faults(address: str, topics: Sequence[Topic]) -> list[str]:
    """What differs on the broker from the topics as they must be, one sentence each."""
    with _admin(address) as admin:
        existing = set(admin.list_topics())
        found: list[str] = []
        for topic in topics:
            if topic.name not in existing:
                found.append(f"topic {topic.name} does not exist")
            else:
                found += _differences(admin, topic)
        return found


def _differences(admin: KafkaAdminClient, topic: Topic) -> Iterator[str]:
    partitions = len(admin.describe_topics([topic.name])[0]["partitions"])
    if partitions != topic.partitions:
        yield f"topic {topic.name} has {partitions} partitions, not {topic.partitions}"
    settings = _settings_of(admin, topic.name)
    for name, wanted in topic.settings.items():
        if settings.get(name) != wanted:
            yield f"topic {topic.name} has {name}={settings.get(name)}, not {wanted}"


def _settings_of(admin: Any, name: str) -> dict[str, str]:  # noqa: ANN401 - kafka-python has no types for answers.
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    return {setting: told["value"] for setting, told in described["topic"][name].items()}


@contextmanager
def _admin(address: str) -> Iterator[KafkaAdminClient]:
    admin = KafkaAdminClient(bootstrap_servers=address, request_timeout_ms=CALL_MILLISECONDS_MAX)
    try:
        yield admin
    finally:
        admin.close()
