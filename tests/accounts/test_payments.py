"""Payments, returns, refunds, corrections and adjustments: one test for each outcome."""

from __future__ import annotations

from typing import Any

import pytest
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import state_pb2 as states
from recoup.accounts.v1 import words_pb2 as words

from services.accounts.domain import payments as rules
from services.accounts.domain.ledger import Amounts
from services.accounts.domain.refusals import AlreadyClosed, InvalidFields
from tests.accounts.examples import ACCOUNT_ID, contract_terms
from tests.accounts.given import CLIENT_ID, account, after, buckets, close, payment, placed, types


def returned(reference: str = "T1", **changes: Any) -> commands.ReturnPayment:
    return commands.ReturnPayment(
        account_id=ACCOUNT_ID,
        returned_reference=reference,
        transaction_reference=changes.pop("transaction_reference", "R1"),
        return_code=changes.pop("return_code", "R01"),
        effective_date=changes.pop("effective_date", "2026-03-02"),
    )


def refund(amount_minor: int, reference: str = "F1", **changes: Any) -> commands.RefundPayment:
    return commands.RefundPayment(
        account_id=ACCOUNT_ID,
        refunded_reference=changes.pop("refunded_reference", "T1"),
        amount_minor=amount_minor,
        currency=changes.pop("currency", "USD"),
        transaction_reference=reference,
        effective_date="2026-03-02",
    )


def correct(amount_minor: int, reference: str = "C1", **changes: Any) -> commands.CorrectPayment:
    return commands.CorrectPayment(
        account_id=ACCOUNT_ID,
        corrected_reference=changes.pop("corrected_reference", "T1"),
        amount_minor=amount_minor,
        currency="USD",
        transaction_reference=reference,
        effective_date="2026-03-02",
    )


def adjust(difference_minor: int, **changes: Any) -> commands.AdjustBalance:
    command = commands.AdjustBalance(
        account_id=ACCOUNT_ID,
        transaction_reference="A1",
        bucket=words.BUCKET_FEES,
        difference_minor=difference_minor,
        currency="USD",
        reason=words.ADJUSTMENT_REASON_FEE_WAIVED,
        approver="supervisor",
        effective_date="2026-03-02",
        requested_by="clerk",
    )
    command.MergeFrom(commands.AdjustBalance(**changes))
    return command


def test_a_payment_is_spread_by_the_policy_of_the_contract() -> None:
    outcome = account().when(payment(5000))
    payment_id = outcome.facts[0].payment_id  # type: ignore[attr-defined]
    state = outcome.then(
        events.PaymentPosted(
            account_id=ACCOUNT_ID,
            client_id=CLIENT_ID,
            payment_id=payment_id,
            payee=words.PAYEE_US,
            amount_minor=5000,
            effective_date="2026-03-02",
            transaction_reference="T1",
            instrument=words.INSTRUMENT_WIRE,
            applied=buckets(principal=3000, fees=2000),
            allocation_policy=words.ALLOCATION_POLICY_COSTS_FEES_INTEREST_PRINCIPAL,
            balance_after=buckets(principal=7000),
        )
    )
    assert state.balance == Amounts(principal=7000)


def test_a_payment_of_everything_pays_in_full() -> None:
    outcome = account().when(payment(12000))
    assert types(outcome.facts) == ["PaymentPosted", "AccountPaidInFull"]
    assert outcome.state.paid_in_full_date == "2026-03-02"


def test_what_exceeds_the_balance_is_overpaid() -> None:
    state = account().when(payment(12500)).state
    assert (state.balance.total, state.overpaid) == (0, 500)


def test_a_payment_on_nothing_owed_is_overpaid_and_pays_nothing_in_full_again() -> None:
    outcome = after(account(), payment(12000)).when(payment(300, "T2"))
    assert types(outcome.facts) == ["PaymentPosted"]
    assert outcome.state.overpaid == 300


def test_the_same_payment_again_is_already_so() -> None:
    after(account(), payment(5000)).when(payment(5000)).nothing()


def test_a_reference_with_other_content_is_refused() -> None:
    after(account(), payment(5000)).when(payment(5001)).refused(rules.ReferenceTaken, "/transaction_reference")


def test_a_reference_is_one_namespace_for_every_kind_of_transaction() -> None:
    scenario = after(account(), payment(5000))
    scenario.when(returned(transaction_reference="T1")).refused(rules.ReferenceTaken, "/transaction_reference")


@pytest.mark.parametrize("amount_minor", [0, -1, 10**12 + 1])
def test_an_amount_out_of_bounds_is_refused(amount_minor: int) -> None:
    command = payment(1)
    command.amount_minor = amount_minor
    account().when(command).refused(InvalidFields, "/amount_minor")


def test_another_currency_is_refused() -> None:
    account().when(payment(100, currency="CAD")).refused(rules.WrongCurrency, "/currency")


@pytest.mark.parametrize("date", ["2026-03-03", "2026-02-30", "02.03.2026"])
def test_a_date_ahead_or_that_does_not_exist_is_refused(date: str) -> None:
    account().when(payment(100, effective_date=date)).refused(InvalidFields, "/effective_date")


@pytest.mark.parametrize("reference", ["T\u200d1", " T1", "T" * 65, "T\u200b"])
def test_a_reference_that_does_not_look_as_it_is_is_refused(reference: str) -> None:
    account().when(payment(100, reference)).refused(InvalidFields, "/transaction_reference")


def test_a_closed_account_takes_money() -> None:
    scenario = after(account(), close(words.CLOSE_CODE_UNECONOMIC))
    assert types(scenario.when(payment(100)).facts) == ["PaymentPosted"]


def test_a_returned_payment_is_owed_again_as_it_was_spread() -> None:
    outcome = after(account(), payment(12500)).when(returned())
    state = outcome.state
    assert types(outcome.facts) == ["PaymentReturned"]
    assert (state.balance, state.overpaid, state.paid_in_full_date) == (Amounts(10000, fees=2000), 0, "")
    assert [p.returned for p in state.payments.values()] == [True]


def test_the_same_return_again_is_already_so() -> None:
    after(account(), payment(5000), returned()).when(returned()).nothing()


def test_a_payment_is_returned_only_once() -> None:
    scenario = after(account(), payment(5000), returned())
    scenario.when(returned(transaction_reference="R2")).refused(rules.PaymentAlreadyReturned)


def test_a_return_of_an_unknown_payment_is_refused() -> None:
    account().when(returned()).refused(rules.PaymentUnknown)


def test_a_refund_gives_back_what_was_overpaid_first_and_then_what_was_satisfied_last() -> None:
    state = after(account(), payment(12500)).when(refund(1500)).state
    assert (state.balance, state.overpaid, state.paid_in_full_date) == (Amounts(principal=1000), 0, "")
    assert [p.refunded for p in state.payments.values()] == [1500]


def test_no_more_is_refunded_than_is_left_of_the_payment() -> None:
    scenario = after(account(), payment(5000), refund(3000))
    scenario.when(refund(2001, "F2")).refused(rules.RefundTooLarge, "/amount_minor")


def test_the_same_refund_again_is_already_so() -> None:
    after(account(), payment(5000), refund(3000)).when(refund(3000)).nothing()


def test_a_returned_payment_is_not_refunded() -> None:
    after(account(), payment(5000), returned()).when(refund(1)).refused(rules.PaymentAlreadyReturned)


def test_a_correction_spreads_the_right_amount_instead() -> None:
    state = after(account(), payment(5000)).when(correct(1500)).state
    assert state.balance == Amounts(principal=10000, fees=500)
    assert [(p.amount, p.applied) for p in state.payments.values()] == [(1500, Amounts(fees=1500))]


def test_a_correction_upwards_can_pay_in_full() -> None:
    outcome = after(account(), payment(5000)).when(correct(12100))
    assert types(outcome.facts) == ["PaymentCorrected", "AccountPaidInFull"]
    assert outcome.state.overpaid == 100


def test_a_correction_to_what_it_is_changes_nothing() -> None:
    after(account(), payment(5000)).when(correct(5000)).nothing()


def test_a_correction_to_zero_takes_the_payment_off() -> None:
    state = after(account(), payment(5000)).when(correct(0)).state
    assert state.balance == Amounts(principal=10000, fees=2000)


def test_a_payment_is_not_corrected_to_less_than_was_given_back() -> None:
    after(account(), payment(5000), refund(3000)).when(correct(2999)).refused(rules.CorrectionBelowRefund)


def test_a_returned_payment_is_not_corrected() -> None:
    after(account(), payment(5000), returned()).when(correct(1)).refused(rules.PaymentAlreadyReturned)


def test_an_adjustment_changes_one_bucket() -> None:
    outcome = account().when(adjust(-500))
    assert types(outcome.facts) == ["BalanceAdjusted"]
    assert outcome.state.balance == Amounts(principal=10000, fees=1500)


def test_an_adjustment_to_zero_is_no_payment_in_full() -> None:
    scenario = account(placed(contract=contract_terms()))
    outcome = after(scenario, adjust(-2000)).when(
        adjust(-10000, bucket=words.BUCKET_PRINCIPAL, transaction_reference="A2")
    )
    assert types(outcome.facts) == ["BalanceAdjusted"]
    assert (outcome.state.balance.total, outcome.state.paid_in_full_date) == (0, "")


def test_the_same_adjustment_again_is_already_so() -> None:
    after(account(), adjust(-500)).when(adjust(-500)).nothing()


def test_no_bucket_falls_below_zero() -> None:
    account().when(adjust(-2001)).refused(rules.BalanceBelowZero, "/difference_minor")


@pytest.mark.parametrize("actor", ["clerk", " Clerk ", "key:k1/Clerk"])
def test_nobody_approves_their_own_adjustment(actor: str) -> None:
    account().when(adjust(-1, approver="clerk", requested_by=actor)).refused(rules.ApprovedByActor, "/approver")


def test_a_closed_account_is_not_adjusted() -> None:
    after(account(), close(words.CLOSE_CODE_UNECONOMIC)).when(adjust(-1)).refused(AlreadyClosed)


def test_an_adjustment_of_nothing_is_refused() -> None:
    command = adjust(1)
    command.difference_minor = 0
    account().when(command).refused(InvalidFields, "/difference_minor")


def test_the_ledger_names_every_posting() -> None:
    state = after(account(), payment(5000), correct(4000), refund(500), adjust(100), returned()).state()
    assert [(entry.version, entry.type.rpartition(".")[2], entry.reference) for entry in state.ledger] == [
        (1, "AccountPlaced", "4711"),
        (2, "PaymentPosted", "T1"),
        (3, "PaymentCorrected", "C1"),
        (4, "PaymentRefunded", "F1"),
        (5, "BalanceAdjusted", "A1"),
        (6, "PaymentReturned", "R1"),
    ]
    assert state.phase == states.ACCOUNT_PHASE_OPEN
