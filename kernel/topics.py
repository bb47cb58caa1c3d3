"""Whether the topics of the public log are as they must be: fixed partitions, and nothing ever deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaConnectionError, KafkaTimeoutError

CALL_MILLISECONDS_MAX: Final = 3_000
BOOTSTRAP_MILLISECONDS_MAX: Final = 2_000
SETTINGS: Final[Mapping[str, str]] = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}


def topic_of(service: str) -> str:
    """The topic that a service publishes its facts to."""
    return f"{service}.events"


def faults(address: str, topics: Iterable[str], partitions: int) -> list[str]:
    """What differs on the broker at `address`, one sentence each; blocks for some milliseconds."""
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=address,
            request_timeout_ms=CALL_MILLISECONDS_MAX,
            bootstrap_timeout_ms=BOOTSTRAP_MILLISECONDS_MAX,
        )
    except (KafkaTimeoutError, KafkaConnectionError) as error:
        return [f"the broker at {address} does not answer ({type(error).__name__})"]
    try:
        existing = set(admin.list_topics())
        return [fault for topic in topics for fault in _faults(admin, topic, existing, partitions)]
    finally:
        admin.close()


def _faults(admin: Any, topic: str, existing: set[str], partitions: int) -> list[str]:  # noqa: ANN401 - untyped client.
    if topic not in existing:
        return [f"the topic {topic} does not exist: create it from topics.yaml"]
    found = []
    count = len(admin.describe_topics([topic])[0]["partitions"])
    if count != partitions:
        found.append(f"the topic {topic} has {count} partitions, and the log has {partitions}")
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])["topic"][topic]
    for name, wanted in SETTINGS.items():
        value = described.get(name, {}).get("value")
        if value != wanted:
            found.append(f"the topic {topic} has {name}={value}, and must have {wanted}")
    return found
