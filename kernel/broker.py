"""A service's topic as the relay sees it: how it is written, where it ends, and what its last record is.

Everything of kafka-python that is used is used here, behind one exception: whatever the broker cannot do now is
`TopicAway`, which is worth another attempt.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from kafka.record.util import crc32c_c

from kernel.record import Record
from kernel.wire import KafkaMessage, Unreadable, from_kafka

CONNECT_MILLISECONDS_MAX: Final = 3_000
REQUEST_MILLISECONDS_MAX: Final = 4_000
DELIVERY_MILLISECONDS_MAX: Final = 5_000
CLOSE_SECONDS_MAX: Final = 1.0
READ_SECONDS_MAX: Final = 10.0
READ_BACK_RECORDS: Final = 64


class TopicAway(Exception):  # noqa: N818 - named for what is wrong.
    """The broker or the topic cannot be used now; the text says what was told."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one message: the offset that all replicas acknowledged, or the error."""

    offset: int | None
    error: str | None


class Topic:
    """One service's topic, for one thread. Close it; a fatal producer error is mended by a new one only."""

    def __init__(self, name: str, broker: str) -> None:
        """Connects, or TopicAway. Without the C implementation of CRC-32C all is several times slower."""
        assert crc32c_c is not None, "kafka-python runs without the package crc32c"
        self.name = name
        with _away():
            self._producer = KafkaProducer(
                bootstrap_servers=broker,
                acks="all",
                enable_idempotence=True,
                linger_ms=5,
                batch_size=256 * 1024,
                max_block_ms=CONNECT_MILLISECONDS_MAX,
                bootstrap_timeout_ms=CONNECT_MILLISECONDS_MAX,
                request_timeout_ms=REQUEST_MILLISECONDS_MAX,
                delivery_timeout_ms=DELIVERY_MILLISECONDS_MAX,
                metrics_enabled=False,
            )
        try:
            with _away():
                self._consumer = _consumer(broker)
        except TopicAway:
            self._producer.close(CLOSE_SECONDS_MAX)
            raise

    def close(self) -> None:
        """Let go of both connections. What was not acknowledged counts as not sent."""
        with suppress(KafkaError, OSError):
            self._producer.close(CLOSE_SECONDS_MAX)
        with suppress(KafkaError, OSError):
            self._consumer.close(timeout_ms=int(CLOSE_SECONDS_MAX * 1000))

    def send(self, messages: Sequence[KafkaMessage]) -> list[Sent]:
        """Send messages, each to its own partition, and wait until every one is acknowledged or has failed."""
        with _away():
            futures = [
                self._producer.send(self.name, value=m.value, key=m.key, headers=m.headers, partition=m.partition)
                for m in messages
            ]
            self._producer.flush(2 * DELIVERY_MILLISECONDS_MAX / 1000)
        return [
            Sent(future.value.offset, None) if future.succeeded() else Sent(None, str(future.exception))
            for future in futures
        ]

    def ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """The offset after the last message of each partition."""
        with _away():
            ends = self._consumer.end_offsets([TopicPartition(self.name, partition) for partition in partitions])
            return {at.partition: offset for at, offset in ends.items()}

    def last(self, partition: int, end: int) -> Record | None:
        """The last record below the offset `end`. Messages behind it that are no records are passed over."""
        at = TopicPartition(self.name, partition)
        with _away():
            (begin,) = self._consumer.beginning_offsets([at]).values()
            self._consumer.assign([at])
            window = READ_BACK_RECORDS
            while begin < end:
                start = max(begin, end - window)
                found = [record for message in self._read(at, start, end) if (record := _readable(message))]
                if found:
                    return found[-1]
                end, window = start, window * 2
        return None

    def _read(self, at: TopicPartition, start: int, end: int) -> Iterator[Any]:
        self._consumer.seek(at, start)
        deadline = time.monotonic() + READ_SECONDS_MAX
        while self._consumer.position(at) < end:
            if time.monotonic() > deadline:
                message = f"partition {at.partition} could not be read up to offset {end}"
                raise TopicAway(message)
            for message in self._consumer.poll(timeout_ms=500).get(at, []):
                if message.offset < end:
                    yield message


def _consumer(broker: str) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=broker,
        group_id=None,
        enable_auto_commit=False,
        allow_auto_create_topics=False,
        auto_offset_reset="earliest",
        request_timeout_ms=REQUEST_MILLISECONDS_MAX,
        bootstrap_timeout_ms=CONNECT_MILLISECONDS_MAX,
        metrics_enabled=False,
    )


def _readable(message: Any) -> Record | None:  # noqa: ANN401 - kafka-python has no types.
    try:
        return from_kafka(message.partition, message.headers, message.value)
    except Unreadable:
        return None


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except (KafkaError, OSError) as error:
        raise TopicAway(str(error) or type(error).__name__) from error
