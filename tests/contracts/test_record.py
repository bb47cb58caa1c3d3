"""docs/record.md, its vectors, the kernel and a second reading of the page agree on every byte."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from kernel.record import ZERO_HASH, Record, chain_next, chain_start, leaf, record_hash
from tests.contracts.record_reading import read_chains, read_leaf, read_record_hash

VECTORS = Path(__file__).parents[2] / "docs" / "record_vectors.json"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def record_of(vector: dict[str, Any], log_id: str) -> Record:
    return Record(
        log_id=UUID(log_id),
        partition=vector["partition"],
        number=vector["number"],
        chain=bytes.fromhex(vector["chain"]),
        tenant=UUID(vector["tenant"]),
        stream=vector["stream"],
        version=vector["version"],
        event_id=UUID(vector["event_id"]),
        type=vector["type"],
        occurred_at=EPOCH + timedelta(microseconds=vector["occurred_at_microseconds"]),
        recorded_at=EPOCH + timedelta(microseconds=vector["recorded_at_microseconds"]),
        actor=vector["actor"],
        command_id=UUID(vector["command_id"]),
        correlation_id=UUID(vector["correlation_id"]),
        accounts=tuple(UUID(account) for account in vector["accounts"]),
        previous=bytes.fromhex(vector["previous"]),
        payload=bytes.fromhex(vector["payload"]),
    )


def test_the_kernel_and_the_second_reading_give_the_published_vectors() -> None:
    published = json.loads(VECTORS.read_text())
    hashes = []
    for vector in published["records"]:
        record = record_of(vector, published["log_id"])
        assert leaf(record).hex() == read_leaf(vector).hex() == vector["leaf"]
        assert record_hash(record).hex() == read_record_hash(vector).hex() == vector["record_hash"]
        hashes.append(record_hash(record))
    chains = read_chains(published["log_id"], published["partition"], hashes)
    assert [chain.hex() for chain in chains] == [vector["chain"] for vector in published["records"]]
    chain = chain_start(UUID(published["log_id"]), published["partition"])
    for hash_, vector in zip(hashes, published["records"], strict=True):
        chain = chain_next(chain, hash_)
        assert chain.hex() == vector["chain"]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
INSTANTS = st.integers(-(2**50), 2**50)


@given(
    tenant=st.uuids(),
    stream=TEXTS,
    version=st.integers(1, 2**63),
    event_id=st.uuids(),
    type_=TEXTS,
    occurred=INSTANTS,
    recorded=INSTANTS,
    actor=TEXTS,
    accounts=st.lists(st.uuids(), max_size=4),
    payload=st.binary(max_size=80),
)
def test_any_record_is_read_alike(  # noqa: PLR0913, PLR0917 - one argument a field of the layout.
    tenant: UUID,
    stream: str,
    version: int,
    event_id: UUID,
    type_: str,
    occurred: int,
    recorded: int,
    actor: str,
    accounts: list[UUID],
    payload: bytes,
) -> None:
    vector = {
        "partition": 0,
        "number": 0,
        "chain": ZERO_HASH.hex(),
        "tenant": str(tenant),
        "stream": stream,
        "version": version,
        "event_id": str(event_id),
        "type": type_,
        "occurred_at_microseconds": occurred,
        "recorded_at_microseconds": recorded,
        "actor": actor,
        "command_id": str(event_id),
        "correlation_id": str(tenant),
        "accounts": [str(account) for account in accounts],
        "previous": ZERO_HASH.hex(),
        "payload": payload.hex(),
    }
    assert record_hash(record_of(vector, str(tenant))) == read_record_hash(vector)


def make_vectors() -> dict[str, Any]:
    """The published vectors: three facts of two streams in one partition, with every kind of field at its edges."""
    log_id, partition = UUID("0190c5a0-0000-7000-8000-000000000001"), 5
    tenant = UUID("0190c5a0-0000-7000-8000-00000000000a")
    accounts = (UUID("11111111-1111-5111-8111-111111111111"), UUID("22222222-2222-5222-8222-222222222222"))
    plan = [
        (
            "account-11111111-1111-5111-8111-111111111111",
            1,
            "recoup.accounts.v1.AccountPlaced",
            accounts[:1],
            b"\x0a\x01a",
        ),
        ("person-33333333-3333-5333-8333-333333333333", 1, "recoup.accounts.v1.PersonHoldPlaced", accounts, b""),
        (
            "account-11111111-1111-5111-8111-111111111111",
            2,
            "recoup.accounts.v1.AccountClosed",
            accounts[:1],
            b"\x18\x01",
        ),
    ]
    chain, records = chain_start(log_id, partition), []
    last: dict[str, bytes] = {}
    for number, (stream, version, type_, concerned, payload) in enumerate(plan):
        vector: dict[str, Any] = {
            "partition": partition,
            "number": number,
            "tenant": str(tenant),
            "stream": stream,
            "version": version,
            "event_id": str(UUID(int=100 + number)),
            "type": type_,
            "occurred_at_microseconds": (-1, 0, 1_774_000_000_123_456)[number],
            "recorded_at_microseconds": 1_774_000_000_123_456 + number,
            "actor": ("client:acme", "reaction:accounts", "José Ñ")[number],
            "command_id": str(UUID(int=200 + number)),
            "correlation_id": str(UUID(int=300)),
            "accounts": [str(account) for account in concerned],
            "previous": last.get(stream, ZERO_HASH).hex(),
            "payload": payload.hex(),
            "chain": ZERO_HASH.hex(),
        }
        record = record_of(vector, str(log_id))
        last[stream] = record_hash(record)
        chain = chain_next(chain, last[stream])
        vector |= {"leaf": leaf(record).hex(), "record_hash": last[stream].hex(), "chain": chain.hex()}
        records.append(vector)
    return {"layout": 1, "log_id": str(log_id), "partition": partition, "records": records}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(make_vectors(), indent=2, ensure_ascii=False) + "\n")
