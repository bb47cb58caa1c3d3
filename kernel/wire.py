"""A record on its way, as a Kafka message with CloudEvents headers or the contract's Record; its payload is untouched.

Nothing here trusts what it reads: whatever is no record of a log is `Unreadable`, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from recoup.event.v1 import record_pb2

from kernel.record import HASH_BYTES, PAYLOAD_BYTES_MAX, Record, instant_of, microseconds

NUMBER_MAX: Final = 2**63 - 1

_DECIMAL: Final = re.compile(r"(?:0|[1-9]\d{0,18})", re.ASCII)
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


class Unreadable(ValueError):  # noqa: N818 - named for what is wrong with the bytes.
    """These bytes are no record of a log; the text says why."""


@dataclass(frozen=True, slots=True)
class KafkaMessage:
    """What a producer is given. `partition` is explicit: the log knows it, and no client is to work it out again."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    partition: int


def to_kafka(record: Record, service: str) -> KafkaMessage:
    """The record as a CloudEvent in binary mode: metadata in headers, the value being the payload as committed."""
    fields = {
        "ce_specversion": "1.0",
        "ce_id": str(record.event_id),
        "ce_type": record.type,
        "ce_source": f"/recoup/{service}",
        "ce_subject": record.stream,
        "ce_time": _instant_text(record.occurred_at),
        "ce_sequence": str(record.number),
        "ce_version": str(record.version),
        "ce_tenant": str(record.tenant),
        "ce_recordedat": _instant_text(record.recorded_at),
        "ce_actor": record.actor,
        "ce_commandid": str(record.command_id),
        "ce_correlationid": str(record.correlation_id),
        "ce_accounts": ",".join(map(str, record.accounts)),
        "ce_previous": record.previous.hex(),
        "ce_chain": record.chain.hex(),
        "ce_logid": str(record.log_id),
        "content-type": "application/protobuf",
    }
    headers = [(name, value.encode()) for name, value in fields.items()]
    return KafkaMessage(entity_of(record.stream).encode(), record.payload, headers, record.partition)


def from_kafka(partition: int, headers: Iterable[tuple[str, bytes]] | None, value: bytes | None) -> Record:
    """The record that a Kafka message of any client carries, or Unreadable."""
    if value is None or len(value) > PAYLOAD_BYTES_MAX:
        message = "a message without a value" if value is None else f"a payload of {len(value)} bytes"
        raise Unreadable(message)
    found = _texts(headers or ())
    accounts = _required(found, "ce_accounts")
    return Record(
        log_id=_uuid(found, "ce_logid"),
        partition=partition,
        number=_whole(found, "ce_sequence"),
        chain=_digest(found, "ce_chain"),
        tenant=_uuid(found, "ce_tenant"),
        stream=_required(found, "ce_subject"),
        version=_whole(found, "ce_version"),
        event_id=_uuid(found, "ce_id"),
        type=_required(found, "ce_type"),
        occurred_at=_instant(found, "ce_time"),
        recorded_at=_instant(found, "ce_recordedat"),
        actor=_required(found, "ce_actor"),
        command_id=_uuid(found, "ce_commandid"),
        correlation_id=_uuid(found, "ce_correlationid"),
        accounts=tuple(uuid_of("ce_accounts", part) for part in accounts.split(",")) if accounts else (),
        previous=_digest(found, "ce_previous"),
        payload=value,
    )


def to_message(record: Record) -> record_pb2.Record:
    """The record as the contract's message, for gRPC and for what is kept of a parked fact."""
    return record_pb2.Record(
        log_id=str(record.log_id),
        partition=record.partition,
        number=record.number,
        chain=record.chain,
        tenant=str(record.tenant),
        stream=record.stream,
        version=record.version,
        event_id=str(record.event_id),
        type=record.type,
        occurred_at=_timestamp(record.occurred_at),
        recorded_at=_timestamp(record.recorded_at),
        actor=record.actor,
        command_id=str(record.command_id),
        correlation_id=str(record.correlation_id),
        accounts=map(str, record.accounts),
        previous=record.previous,
        payload=record.payload,
    )


def from_message(message: record_pb2.Record) -> Record:
    """The record of a contract's message, or Unreadable."""
    return Record(
        log_id=uuid_of("log_id", message.log_id),
        partition=message.partition,
        number=message.number,
        chain=message.chain,
        tenant=uuid_of("tenant", message.tenant),
        stream=message.stream,
        version=message.version,
        event_id=uuid_of("event_id", message.event_id),
        type=message.type,
        occurred_at=_instant_at(message.occurred_at),
        recorded_at=_instant_at(message.recorded_at),
        actor=message.actor,
        command_id=uuid_of("command_id", message.command_id),
        correlation_id=uuid_of("correlation_id", message.correlation_id),
        accounts=tuple(uuid_of("accounts", account) for account in message.accounts),
        previous=message.previous,
        payload=message.payload,
    )


def entity_of(stream: str) -> str:
    """The entity id of a stream: what follows the first dash."""
    return stream.partition("-")[2]


def _texts(headers: Iterable[tuple[str, bytes]]) -> Mapping[str, str]:
    try:
        return {name: value.decode() for name, value in headers if name.startswith("ce_")}
    except (UnicodeDecodeError, AttributeError) as error:
        message = "a header that is not UTF-8 text"
        raise Unreadable(message) from error


def _required(found: Mapping[str, str], name: str) -> str:
    try:
        return found[name]
    except KeyError:
        message = f"no header {name}"
        raise Unreadable(message) from None


def _whole(found: Mapping[str, str], name: str) -> int:
    text = _required(found, name)
    if not _DECIMAL.fullmatch(text) or int(text) > NUMBER_MAX:
        message = f"{name} is no number from 0 to {NUMBER_MAX}"
        raise Unreadable(message)
    return int(text)


def _digest(found: Mapping[str, str], name: str) -> bytes:
    text = _required(found, name)
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != HASH_BYTES:
        message = f"{name} is no hash of {HASH_BYTES} bytes in hexadecimal"
        raise Unreadable(message)
    return digest


def _uuid(found: Mapping[str, str], name: str) -> UUID:
    return uuid_of(name, _required(found, name))


def uuid_of(name: str, text: str) -> UUID:
    """The UUID of a field, or Unreadable, naming the field."""
    try:
        return UUID(text)
    except ValueError:
        message = f"{name} is no UUID"
        raise Unreadable(message) from None


def _instant(found: Mapping[str, str], name: str) -> datetime:
    text = _required(found, name)
    try:
        if _INSTANT.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    message = f"{name} is no instant in UTC with microseconds"
    raise Unreadable(message)


def _instant_text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def _timestamp(instant: datetime) -> Timestamp:
    seconds, rest = divmod(microseconds(instant), 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def _instant_at(timestamp: Timestamp) -> datetime:
    try:
        return instant_of(timestamp.seconds * 1_000_000 + timestamp.nanos // 1000)
    except OverflowError:
        message = "an instant outside the calendar"
        raise Unreadable(message) from None
