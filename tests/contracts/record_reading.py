"""A second reading of docs/record.md, written from the page alone: nothing of the kernel is imported here."""

from __future__ import annotations

from hashlib import sha256
from typing import Any


def read_leaf(vector: dict[str, Any]) -> bytes:
    """The leaf of one vector, field by field as the table of the page numbers them."""
    out = bytearray([1])
    out += bytes.fromhex(vector["tenant"].replace("-", ""))
    out += _text(vector["stream"])
    out += vector["version"].to_bytes(8, "big")
    out += bytes.fromhex(vector["event_id"].replace("-", ""))
    out += _text(vector["type"])
    out += vector["occurred_at_microseconds"].to_bytes(8, "big", signed=True)
    out += vector["recorded_at_microseconds"].to_bytes(8, "big", signed=True)
    out += _text(vector["actor"])
    out += bytes.fromhex(vector["command_id"].replace("-", ""))
    out += bytes.fromhex(vector["correlation_id"].replace("-", ""))
    out += len(vector["accounts"]).to_bytes(2, "big")
    for account in vector["accounts"]:
        out += bytes.fromhex(account.replace("-", ""))
    out += bytes.fromhex(vector["previous"])
    out += sha256(bytes.fromhex(vector["payload"])).digest()
    return bytes(out)


def read_record_hash(vector: dict[str, Any]) -> bytes:
    """The record hash of one vector."""
    return sha256(bytes([0]) + read_leaf(vector)).digest()


def read_chains(log_id: str, partition: int, hashes: list[bytes]) -> list[bytes]:
    """The chain after each of a partition's records, from the empty partition on."""
    chain = sha256(bytes([3]) + bytes.fromhex(log_id.replace("-", "")) + partition.to_bytes(2, "big")).digest()
    chains = []
    for hash_ in hashes:
        chain = sha256(bytes([2]) + chain + hash_).digest()
        chains.append(chain)
    return chains


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8")
    return len(encoded).to_bytes(2, "big") + encoded
