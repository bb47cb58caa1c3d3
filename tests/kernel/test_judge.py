"""What a record means for a checkpoint, case by case, and what of a shuffled batch is applied."""

from __future__ import annotations

import random
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.judge import (
    Fork,
    Position,
    Verdict,
    after,
    chained,
    compare_head,
    compare_record,
    judge,
    plan,
)
from kernel.record import ZERO_HASH, Record
from tests.kernel.records import LOG, log_of, start_of

RECORDS = log_of(10)
OTHER_HISTORY = log_of(10, salt="other")
OTHER_LOG = log_of(10, log_id=UUID(int=78))
AT_5 = after(RECORDS[5])
KNOWN = {record.number: record.chain for record in RECORDS[2:6]}


@pytest.mark.parametrize(
    ("record", "verdict"),
    [
        (RECORDS[6], Verdict.NEXT),
        (RECORDS[5], Verdict.DUPLICATE),
        (RECORDS[4], Verdict.DUPLICATE),
        (RECORDS[1], Verdict.FORGOTTEN),
        (RECORDS[7], Verdict.AHEAD),
        (RECORDS[9], Verdict.AHEAD),
        (OTHER_HISTORY[6], Verdict.ODD),
        (OTHER_HISTORY[5], Verdict.ODD),
        (OTHER_HISTORY[4], Verdict.ODD),
        (OTHER_LOG[6], Verdict.ODD),
        (OTHER_LOG[5], Verdict.ODD),
        (replace(RECORDS[6], partition=1), Verdict.ODD),
        (replace(RECORDS[6], payload=b"changed"), Verdict.ODD),
        (replace(RECORDS[6], actor="eve"), Verdict.ODD),
        (replace(RECORDS[6], chain=ZERO_HASH), Verdict.ODD),
        (replace(RECORDS[6], number=2**63 - 1), Verdict.AHEAD),
    ],
)
def test_each_record_is_judged_by_what_is_known(record: Record, verdict: Verdict) -> None:
    assert judge(AT_5, 0, KNOWN, record) is verdict


def test_the_first_record_follows_the_start_of_its_own_log_and_partition_only() -> None:
    assert judge(start_of(), 0, {}, RECORDS[0]) is Verdict.NEXT
    assert judge(start_of(1), 0, {}, RECORDS[0]) is Verdict.ODD
    assert judge(start_of(), 0, {}, log_of(1, partition=1)[0]) is Verdict.ODD


def test_nothing_to_judge_is_nothing_to_do() -> None:
    assert plan(AT_5, 0, KNOWN, []) == plan(AT_5, 0, {}, ())
    assert plan(AT_5, 0, KNOWN, []).ask_to is None


def test_a_batch_out_of_order_is_put_in_order() -> None:
    planned = plan(AT_5, 0, KNOWN, [RECORDS[8], RECORDS[6], RECORDS[7]])
    assert planned.run == tuple(RECORDS[6:9])
    assert planned.ask_to is None


def test_a_record_repeated_within_a_batch_is_a_duplicate() -> None:
    planned = plan(AT_5, 0, KNOWN, [RECORDS[6], RECORDS[7], RECORDS[6], RECORDS[5]])
    assert planned.run == tuple(RECORDS[6:8])
    assert (planned.duplicates, planned.odd, planned.ask_to) == (2, 0, None)


def test_after_a_gap_the_owner_is_asked_up_to_the_last_that_came() -> None:
    planned = plan(AT_5, 0, KNOWN, [RECORDS[6], RECORDS[9], RECORDS[8]])
    assert planned.run == (RECORDS[6],)
    assert (planned.ask_to, planned.odd) == (9, 0)


def test_a_false_record_does_not_keep_the_true_one_from_its_place() -> None:
    false = replace(RECORDS[6], payload=b"false")
    for batch in ([false, RECORDS[6], RECORDS[7]], [RECORDS[6], false, RECORDS[7]], [RECORDS[6], RECORDS[7], false]):
        planned = plan(AT_5, 0, KNOWN, batch)
        assert planned.run == tuple(RECORDS[6:8])
        assert (planned.ask_to is None, planned.odd) in {(False, 1), (True, 0)}


def test_what_is_forgotten_is_asked_about_and_not_called_odd() -> None:
    planned = plan(AT_5, 0, KNOWN, [RECORDS[0]])
    assert (planned.run, planned.ask_to, planned.odd) == ((), 0, 0)


@given(st.data())
def test_whatever_comes_only_the_true_continuation_is_applied(data: st.DataObject) -> None:
    at = data.draw(st.integers(-1, 9))
    position = start_of() if at < 0 else after(RECORDS[at])
    bad = [replace(record, payload=b"!") for record in RECORDS] + OTHER_HISTORY[1:] + OTHER_LOG
    batch = data.draw(st.lists(st.sampled_from([*RECORDS, *bad]), max_size=20))
    planned = plan(position, 0, {}, batch)
    assert planned.run == tuple(RECORDS[at + 1 : at + 1 + len(planned.run)])
    # What is there and could be applied is applied, and nothing that is missing goes unnoticed.
    beyond = [record.number for record in batch if record.number > at + len(planned.run)]
    assert not beyond or planned.ask_to is not None


def test_the_owner_fits_where_its_log_contains_the_position() -> None:
    compare_head(AT_5, after(RECORDS[5]))
    compare_head(AT_5, after(RECORDS[9]))
    compare_head(start_of(), start_of())
    compare_record(AT_5, RECORDS[5])


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (None, "no longer has"),
        (after(RECORDS[4]), "ends at 4"),
        (start_of(), "ends at -1"),
        (Position(UUID(int=78), 9, RECORDS[9].chain), "log is"),
    ],
)
def test_an_owner_that_is_shorter_or_another_is_a_fork(head: Position | None, words: str) -> None:
    with pytest.raises(Fork, match=words):
        compare_head(AT_5, head)


@pytest.mark.parametrize("record", [OTHER_HISTORY[5], RECORDS[6], RECORDS[4]])
def test_an_owner_with_another_chain_at_our_place_is_a_fork(record: Record) -> None:
    with pytest.raises(Fork, match="chain at number 5"):
        compare_record(AT_5, record)


def test_the_owners_own_records_are_proven_too() -> None:
    assert chained(AT_5, 0, RECORDS[6:]) == RECORDS[6:]
    with pytest.raises(Fork, match="record 8"):
        chained(AT_5, 0, [*RECORDS[6:8], OTHER_HISTORY[8]])
    with pytest.raises(Fork, match="record 8"):
        chained(AT_5, 0, [RECORDS[6], RECORDS[8]])


def test_a_long_shuffle_in_small_batches_ends_where_the_log_ends() -> None:
    records = log_of(200)
    chance = random.Random(3)  # noqa: S311 - a shuffle, not a secret.
    position = start_of()
    known: dict[int, bytes] = {}
    while position.last < 199:
        batch = chance.sample(records[max(0, position.last - 5) : position.last + 8], 4)
        planned = plan(position, 0, known, batch)
        for record in planned.run:
            assert record == records[position.last + 1]
            position = after(record)
            known[record.number] = record.chain
    assert position == Position(LOG, 199, records[-1].chain)
