"""A record survives Kafka and gRPC unchanged, and whatever is no record is told apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recoup.event.v1 import record_pb2

from kernel.judge import follows
from kernel.record import PAYLOAD_BYTES_MAX, Record
from kernel.wire import Unreadable, entity_of, from_kafka, from_message, to_kafka, to_message
from tests.kernel.records import log_of, start_of

(RECORD,) = log_of(1)
INSTANTS = st.datetimes(
    min_value=datetime.min,  # noqa: DTZ901 - the strategy adds the zone.
    max_value=datetime.max,  # noqa: DTZ901
    timezones=st.just(UTC),
)
TEXTS = st.text(st.characters(codec="utf-8"))
RECORDS = st.builds(
    Record,
    log_id=st.uuids(),
    partition=st.integers(0, 1023),
    number=st.integers(0, 2**63 - 1),
    chain=st.binary(min_size=32, max_size=32),
    tenant=st.uuids(),
    stream=TEXTS,
    version=st.integers(1, 2**63 - 1),
    event_id=st.uuids(),
    type=TEXTS,
    occurred_at=INSTANTS,
    recorded_at=INSTANTS,
    actor=TEXTS,
    command_id=st.uuids(),
    correlation_id=st.uuids(),
    accounts=st.lists(st.uuids(), max_size=3).map(tuple),
    previous=st.binary(min_size=32, max_size=32),
    payload=st.binary(),
)


def headers_with(**changed: bytes | None) -> list[tuple[str, bytes]]:
    """The headers of RECORD, some changed or, when None, left out."""
    headers = dict(to_kafka(RECORD, "sample").headers) | changed
    return [(name, value) for name, value in headers.items() if value is not None]


@given(RECORDS)
def test_a_record_comes_back_from_kafka_as_it_was(record: Record) -> None:
    message = to_kafka(record, "sample")
    assert from_kafka(message.partition, message.headers, message.value) == record


@given(RECORDS)
def test_a_record_comes_back_from_grpc_as_it_was(record: Record) -> None:
    assert from_message(record_pb2.Record.FromString(to_message(record).SerializeToString())) == record


def test_a_message_is_a_cloud_event_keyed_by_its_entity() -> None:
    message = to_kafka(RECORD, "sample")
    headers = dict(message.headers)
    assert message.key == b"0"
    assert message.value == RECORD.payload
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_source"] == b"/recoup/sample"
    assert headers["ce_time"] == b"2026-03-02T15:00:00.000000Z"
    assert headers["content-type"] == b"application/protobuf"


def test_the_entity_is_what_follows_the_first_dash() -> None:
    assert entity_of(f"book-{UUID(int=3)}") == str(UUID(int=3))


def test_an_instant_in_another_zone_is_written_in_utc() -> None:
    message = to_kafka(RECORD, "sample")
    assert from_kafka(0, message.headers, message.value).occurred_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, _ in to_kafka(RECORD, "sample").headers
        if name not in {"ce_specversion", "ce_source", "content-type"}
    ],
)
def test_a_message_that_lacks_a_header_is_no_record(name: str) -> None:
    with pytest.raises(Unreadable, match=name):
        from_kafka(0, headers_with(**{name: None}), RECORD.payload)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_sequence", b"-1"),
        ("ce_sequence", b"1_0"),
        ("ce_sequence", b" 1"),
        ("ce_sequence", b"01"),
        ("ce_sequence", b"\xd9\xa1"),
        ("ce_sequence", b"9223372036854775808"),
        ("ce_version", b"1.0"),
        ("ce_id", b"x"),
        ("ce_logid", b""),
        ("ce_accounts", b"a,b"),
        ("ce_chain", b"00"),
        ("ce_chain", b"zz" * 32),
        ("ce_previous", b"00" * 33),
        ("ce_time", b"2026-03-02"),
        ("ce_time", b"2026-02-30T00:00:00.000000Z"),
        ("ce_recordedat", b"2026-03-02T15:00:00.000000+01:00"),
        ("ce_actor", b"\xff"),
    ],
)
def test_a_message_with_an_unreadable_header_is_no_record(name: str, value: bytes) -> None:
    with pytest.raises(Unreadable):
        from_kafka(0, headers_with(**{name: value}), RECORD.payload)


@pytest.mark.parametrize("value", [None, bytes(PAYLOAD_BYTES_MAX + 1)])
def test_a_message_without_a_payload_or_with_too_much_is_no_record(value: bytes | None) -> None:
    with pytest.raises(Unreadable):
        from_kafka(0, headers_with(), value)


@pytest.mark.parametrize("headers", [None, [], [("a", b"b")], [("ce_sequence", None)]])
def test_a_message_without_our_headers_is_no_record(headers: list[tuple[str, bytes]] | None) -> None:
    with pytest.raises(Unreadable):
        from_kafka(0, headers, b"x")


def test_a_change_on_the_way_breaks_the_chain() -> None:
    message = to_kafka(RECORD, "sample")
    assert follows(start_of(), from_kafka(0, message.headers, message.value))
    assert not follows(start_of(), from_kafka(0, headers_with(ce_actor=b"eve"), message.value))
    assert not follows(start_of(), from_kafka(0, message.headers, message.value + b"!"))
