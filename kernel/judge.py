"""What an incoming record means for a checkpoint. Pure: Kafka is a hint, and only what chains onto what we know counts.

A record that is next and fits is applied. One that we know already is a duplicate. For anything else the owner is
asked: where the owner agrees with the checkpoint, the owner's own records are applied instead; where only the owner
contradicts it, or is shorter, the log has forked and the partition halts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from kernel.record import Record, chain_next, record_hash


@dataclass(frozen=True, slots=True)
class Position:
    """A place in one partition of one log: the last number, -1 before the first, and the chain up to it."""

    log_id: UUID
    last: int
    chain: bytes


class Verdict(Enum):
    """What one record is to a position."""

    NEXT = auto()
    DUPLICATE = auto()
    FORGOTTEN = auto()
    AHEAD = auto()
    ODD = auto()


class Fork(Exception):  # noqa: N818 - the trade's word for two histories of one log.
    """The owner contradicts what we have already applied; the text says where. Nobody but a person can mend that."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with a batch: apply `run`, in order; then, where `ask_to` is set, ask the owner for all up to it."""

    run: tuple[Record, ...]
    ask_to: int | None
    duplicates: int
    odd: int


def judge(position: Position, partition: int, known: Mapping[int, bytes], record: Record) -> Verdict:
    """What a record is. `known` maps earlier numbers to their chains, as far as they are remembered.

    FORGOTTEN is most likely a duplicate, but nothing at hand proves that it is of the same history.
    """
    if record.log_id != position.log_id or record.partition != partition:
        return Verdict.ODD
    if record.number <= position.last:
        chain = position.chain if record.number == position.last else known.get(record.number)
        if chain is None:
            return Verdict.FORGOTTEN
        return Verdict.DUPLICATE if record.chain == chain else Verdict.ODD
    if record.number > position.last + 1:
        return Verdict.AHEAD
    return Verdict.NEXT if follows(position, record) else Verdict.ODD


def plan(position: Position, partition: int, known: Mapping[int, bytes], records: Iterable[Record]) -> Plan:
    """Sort a batch out. Records out of order within the batch are put in order; nothing is applied on a guess."""
    run: list[Record] = []
    ask_to: int | None = None
    duplicates = odd = 0
    applied: dict[int, bytes] = {}
    for record in sorted(records, key=lambda record: record.number):
        verdict = judge(position, partition, applied if record.number in applied else known, record)
        if verdict is Verdict.NEXT:
            run.append(record)
            position = after(record)
            applied[record.number] = record.chain
        elif verdict is Verdict.DUPLICATE:
            duplicates += 1
        else:
            odd += verdict is Verdict.ODD
            ask_to = record.number
    return Plan(tuple(run), ask_to, duplicates, odd)


def compare_head(position: Position, head: Position | None) -> None:
    """Raise Fork when where the owner's partition ends already shows that its log is not the one that we applied."""
    if head is None:
        message = "the owner no longer has this partition"
        raise Fork(message)
    if head.log_id != position.log_id:
        message = f"the owner's log is {head.log_id}, ours was {position.log_id}"
        raise Fork(message)
    if head.last < position.last:
        message = f"the owner's partition ends at {head.last}, we have applied up to {position.last}"
        raise Fork(message)


def compare_record(position: Position, at_last: Record) -> None:
    """Raise Fork unless the owner's record of the position's number has the position's chain."""
    if at_last.number != position.last or at_last.chain != position.chain:
        message = f"the owner's chain at number {position.last} is not the one that we applied"
        raise Fork(message)


def chained(position: Position, partition: int, records: Iterable[Record]) -> Sequence[Record]:
    """The owner's records, each proven to follow the one before, from `position` on; Fork where one does not."""
    proven: list[Record] = []
    for record in records:
        if judge(position, partition, {}, record) is not Verdict.NEXT:
            message = f"the owner's record {record.number} does not chain onto its number {position.last}"
            raise Fork(message)
        position = after(record)
        proven.append(record)
    return proven


def follows(position: Position, record: Record) -> bool:
    """Whether the record's chain is the position's with this very record added: metadata and payload are both bound."""
    return chain_next(position.chain, record_hash(record)) == record.chain


def after(record: Record) -> Position:
    """The position once the record is applied."""
    return Position(record.log_id, record.number, record.chain)
