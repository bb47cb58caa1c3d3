"""Documents by hash, and the end of work by a code that the facts bear out."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from recoup.accounts.v1 import state_pb2 as states
from recoup.accounts.v1 import words_pb2 as words

from services.accounts.domain import closing as rules
from services.accounts.domain.refusals import AlreadyClosed, InvalidFields
from tests.accounts.given import account, after, close, dispute, document, hold, payment, types
from tests.accounts.test_payments import correct, refund

ANY_TIME = [
    words.CLOSE_CODE_RECALLED_BY_CLIENT,
    words.CLOSE_CODE_RETURNED_UNCOLLECTIBLE,
    words.CLOSE_CODE_OUT_OF_STATUTE,
    words.CLOSE_CODE_UNTRACEABLE,
    words.CLOSE_CODE_FORWARDED,
    words.CLOSE_CODE_UNECONOMIC,
    words.CLOSE_CODE_INVALID_DATA,
    words.CLOSE_CODE_SMALL_BALANCE_WRITE_OFF,
    words.CLOSE_CODE_OTHER,
]


@pytest.mark.parametrize("code", ANY_TIME)
def test_an_account_closes_by_a_code_that_needs_no_proof(code: words.CloseCode) -> None:
    outcome = account().when(close(code))
    assert types(outcome.facts) == ["AccountClosed"]
    assert (outcome.state.phase, outcome.state.close_code) == (states.ACCOUNT_PHASE_CLOSED, code)
    assert not outcome.state.workable


def test_every_close_code_is_either_free_or_has_a_rule() -> None:
    ruled = {
        words.CLOSE_CODE_PAID_IN_FULL,
        words.CLOSE_CODE_SETTLED_IN_FULL,
        words.CLOSE_CODE_PAID_TO_CLIENT,
        words.CLOSE_CODE_DISPUTE_UNRESOLVED,
        *rules.PROVED_BY_HOLD,
    }
    assert ruled | set(ANY_TIME) == set(words.CloseCode.values()) - {words.CLOSE_CODE_UNSPECIFIED}


def test_an_account_closes_as_paid_only_when_nothing_is_owed() -> None:
    account().when(close(words.CLOSE_CODE_PAID_IN_FULL)).refused(rules.StillOwed)
    scenario = after(account(), payment(12000))
    assert types(scenario.when(close(words.CLOSE_CODE_PAID_IN_FULL)).facts) == ["AccountClosed"]


def test_a_paid_account_closes_by_no_other_code() -> None:
    after(account(), payment(12000)).when(close(words.CLOSE_CODE_UNECONOMIC)).refused(rules.NothingOwed)


def test_an_account_closes_as_settled_only_when_something_was_received() -> None:
    account().when(close(words.CLOSE_CODE_SETTLED_IN_FULL)).refused(rules.NothingReceived)
    scenario = after(account(), payment(5000))
    assert types(scenario.when(close(words.CLOSE_CODE_SETTLED_IN_FULL)).facts) == ["AccountClosed"]


def test_an_account_closes_as_paid_to_the_client_only_when_the_client_was_paid() -> None:
    after(account(), payment(5000)).when(close(words.CLOSE_CODE_PAID_TO_CLIENT)).refused(rules.NothingReceived)
    scenario = after(account(), payment(5000, payee=words.PAYEE_CLIENT))
    assert types(scenario.when(close(words.CLOSE_CODE_PAID_TO_CLIENT)).facts) == ["AccountClosed"]


@pytest.mark.parametrize("undone", [refund(5000), correct(0)], ids=["refunded", "corrected to nothing"])
def test_what_was_given_back_or_never_was_counts_as_not_received(undone: Message) -> None:
    scenario = after(account(), payment(5000, payee=words.PAYEE_CLIENT), undone)
    for code in (words.CLOSE_CODE_SETTLED_IN_FULL, words.CLOSE_CODE_PAID_TO_CLIENT):
        scenario.when(close(code)).refused(rules.NothingReceived)


@pytest.mark.parametrize(("code", "reasons"), rules.PROVED_BY_HOLD.items())
def test_a_code_that_says_what_a_hold_says_needs_the_hold(
    code: words.CloseCode, reasons: tuple[words.HoldReason, ...]
) -> None:
    account().when(close(code)).refused(rules.CloseCodeUnproved)
    scenario = after(account(), hold(reasons[0]))
    assert types(scenario.when(close(code)).facts) == ["AccountClosed"]


def test_an_account_closes_with_an_unresolved_dispute_only_while_one_is_open() -> None:
    account().when(close(words.CLOSE_CODE_DISPUTE_UNRESOLVED)).refused(rules.NoDisputeOpen)
    scenario = after(account(), dispute())
    assert types(scenario.when(close(words.CLOSE_CODE_DISPUTE_UNRESOLVED)).facts) == ["AccountClosed"]


@pytest.mark.parametrize("date", ["2026-03-03", "2026-02-28", "2026-02-30"])
def test_an_account_closes_between_its_placement_and_today(date: str) -> None:
    account().when(close(words.CLOSE_CODE_UNECONOMIC, date)).refused(InvalidFields, "/closed_date")


def test_closing_again_is_already_so_and_otherwise_refused() -> None:
    scenario = after(account(), close(words.CLOSE_CODE_UNECONOMIC))
    scenario.when(close(words.CLOSE_CODE_UNECONOMIC)).nothing()
    scenario.when(close(words.CLOSE_CODE_OTHER)).refused(AlreadyClosed)


def test_a_document_is_attached_by_its_hash_also_to_a_closed_account() -> None:
    scenario = after(account(), close(words.CLOSE_CODE_UNECONOMIC))
    outcome = scenario.when(document())
    assert types(outcome.facts) == ["DocumentAttached"]
    assert [each.document_id for each in outcome.state.documents] == ["DOC1"]


def test_the_same_document_again_is_already_so_and_another_one_needs_another_id() -> None:
    scenario = after(account(), document())
    scenario.when(document()).nothing()
    other = document()
    other.sha256 = "b" * 64
    scenario.when(other).refused(rules.DocumentIdTaken)


def test_a_hash_is_a_hash() -> None:
    wrong = document()
    wrong.sha256 = "A" * 64
    account().when(wrong).refused(InvalidFields, "/sha256")
