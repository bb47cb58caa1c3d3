"""Every way to change a kept record is found, named, and named where it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from uuid import UUID

import pytest
from recoup.accounts.v1 import events_pb2 as facts

from kernel.record import record_hash as kernel_hash
from services.audit.domain.entry import Entry
from services.audit.domain.verify import Breach, Head, Inspector, empty_head, record_hash
from services.audit.recorder import Recorder
from tests.audit import histories as h

CHAIN, ORDER = "chain does not hold", "out of order"
CHANGED, GAP = "payload or its metadata were changed", "missing before it"
STREAM, PREVIOUS = "stream goes from version", "does not follow version"


def log() -> h.Log:
    """One partition: two accounts of two agencies, seven facts."""
    made = h.Log(partitions=1)
    for tenant in (h.AGENCY, h.OTHER_AGENCY):
        made.add(h.placed(), tenant)
        made.add(h.adjustment(5_000, h.buckets(80_000, 20_000, 5_000), "2026-03-02"), tenant)
    made.add(facts.AccountClosed(account_id=h.ACCOUNT, closed_date="2026-03-03"))
    made.add(facts.PersonRegistered(person_id=h.PERSON))
    made.add(facts.AccountLinked(person_id=h.PERSON, account_id=h.ACCOUNT))
    return made


def kept() -> list[Entry]:
    return [Recorder("accounts")._entry(record) for record in log().records]


def inspected(entries: Sequence[Entry], end: Head | None = None) -> list[Breach]:
    inspector = Inspector("accounts", h.LOG, 0)
    found = [breach for entry in entries for breach in inspector.read(entry)]
    return found + (inspector.end(end, "the owner") if end else [])


def named(found: Sequence[Breach]) -> list[tuple[int, list[str]]]:
    by_number = groupby(found, lambda breach: breach.number)
    return [(number, [breach.text for breach in group]) for number, group in by_number]


def changed(number: int, **columns: object) -> list[Entry]:
    entries = kept()
    entries[number] = entries[number]._replace(**columns)  # type: ignore[arg-type]
    return entries


def test_the_two_readings_of_the_page_give_one_hash() -> None:
    for record in log().records:
        assert record_hash(Recorder("accounts")._entry(record)) == kernel_hash(record)


def test_what_was_recorded_has_no_breach() -> None:
    entries = kept()
    assert inspected(entries, Head(entries[-1].number, entries[-1].chain)) == []


def flipped(payload: bytes) -> bytes:
    return payload[:-1] + bytes([payload[-1] ^ 1])


METADATA: dict[str, Callable[[Entry], object]] = {
    "payload": lambda e: flipped(e.payload),
    "tenant": lambda _e: h.OTHER_AGENCY,
    "event_id": lambda _e: UUID(int=1),
    "type": lambda _e: "recoup.accounts.v1.HoldPlaced",
    "occurred_at": lambda e: e.occurred_at + timedelta(microseconds=1),
    "actor": lambda _e: "user:eve",
    "command_id": lambda _e: UUID(int=2),
    "correlation_id": lambda _e: UUID(int=3),
    "accounts": lambda _e: (),
    "hash": lambda e: flipped(e.hash),
}


@pytest.mark.parametrize("column", METADATA)
def test_a_changed_payload_or_metadatum_is_found_where_it_is(column: str) -> None:
    """Number 4 is the last of its stream, so that nothing behind it is concerned."""
    found = named(inspected(changed(4, **{column: METADATA[column](kept()[4])})))
    assert [number for number, _texts in found] == [4]
    assert any(CHANGED in text for text in found[0][1])


def test_a_changed_instant_of_recording_is_found() -> None:
    entry = kept()[4]
    later = named(inspected(changed(4, recorded_at=entry.recorded_at + timedelta(seconds=1))))
    assert [number for number, _texts in later] == [4]
    earlier = named(inspected(changed(4, recorded_at=entry.recorded_at - timedelta(days=1))))
    assert "it was recorded earlier than the record before it, which cannot be" in earlier[0][1]


@pytest.mark.parametrize("column", ["stream", "version", "previous"])
def test_a_record_moved_to_another_place_in_its_stream_is_found(column: str) -> None:
    value = {"stream": "account-none", "version": 7, "previous": bytes(32)}[column]
    found = named(inspected(changed(4, **{column: value})))
    assert found[0][0] == 4
    assert any(CHANGED in text for text in found[0][1])
    assert any(STREAM in text or PREVIOUS in text for text in found[0][1])


def test_whoever_computes_the_kept_hash_anew_is_found_by_the_chain_and_by_the_stream() -> None:
    entry = changed(0, payload=flipped(kept()[0].payload))[0]
    found = named(inspected(changed(0, payload=entry.payload, hash=record_hash(entry))))
    assert (found[0][0], CHAIN in found[0][1][0]) == (0, True)
    assert (found[1][0], PREVIOUS in found[1][1][0]) == (1, True)


def test_a_changed_chain_is_found() -> None:
    found = named(inspected(changed(2, chain=bytes(32))))
    assert [(number, CHAIN in texts[0]) for number, texts in found] == [(2, True), (3, True)]


@pytest.mark.parametrize("number", range(6))
def test_a_removed_record_is_found(number: int) -> None:
    entries = kept()
    del entries[number]
    found = named(inspected(entries))
    assert found[0][0] == number + 1
    assert any(GAP in text for text in found[0][1])


def test_a_removed_last_record_is_found_at_the_owners_head() -> None:
    entries = kept()
    assert inspected(entries[:-1]) == []
    (breach,) = inspected(entries[:-1], Head(6, entries[6].chain))
    assert breach.number == 5
    assert "the records end at 5, and the owner at 6: 1 are missing at the end" in breach.text


def test_records_that_changed_places_are_found() -> None:
    entries = kept()
    entries[2], entries[3] = entries[3], entries[2]
    found = named(inspected(entries))
    assert {number for number, _texts in found} == {2, 3, 4}
    assert any(ORDER in text for _number, texts in found for text in texts)
    numbered = kept()
    numbered[2], numbered[3] = numbered[3]._replace(number=2), numbered[2]._replace(number=3)
    assert any(CHAIN in text for _number, texts in named(inspected(numbered)) for text in texts)


def test_a_record_twice_is_found() -> None:
    entries = kept()
    found = named(inspected([*entries[:3], entries[2], *entries[3:]]))
    assert any(ORDER in text for text in found[0][1])


def test_a_whole_history_written_anew_is_found_at_the_owners_chain() -> None:
    forged = h.Log(partitions=1)
    for record in log().records[:6]:
        forged.add(facts.PersonRegistered(person_id=f"p-{record.number}"))
    forged.add(facts.PersonErased(person_id="p-0"))
    entries = [Recorder("accounts")._entry(record) for record in forged.records]
    assert inspected(entries) == []
    (breach,) = inspected(entries, Head(6, log().records[6].chain))
    assert "the histories are not the same" in breach.text


def test_records_of_another_log_are_found() -> None:
    other = [replace(record, log_id=UUID(int=9)) for record in log().records]
    found = inspected([Recorder("accounts")._entry(record) for record in other])
    assert len(found) == 7
    assert "it carries the log id" in found[0].text
    assert empty_head(UUID(int=9), 0) != empty_head(h.LOG, 0)
