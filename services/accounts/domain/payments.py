"""Money: payments posted, returned, refunded and corrected, and balances adjusted.

A closed account takes all of it but adjustments: money that was received must be recordable whatever the agency does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from google.protobuf.message import Message
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events

from kernel.decider import Fault, Refused
from services.accounts.domain.fields import AMOUNT_MINOR_MAX, amount_faults, date_faults, reference_faults
from services.accounts.domain.ledger import NOTHING, Amounts, allocate, buckets_of, in_bucket, restore
from services.accounts.domain.postings import Content, Payment, content_of
from services.accounts.domain.refusals import AlreadyClosed, refuse_faults
from services.accounts.domain.state import Account

_PAYMENTS = UUID("1c0b5a8e-8c1c-5d0f-9f57-0f7f6f1d3a11")


class WrongCurrency(Refused):
    """Every amount of an account is in the currency that it was placed in."""


class ReferenceTaken(Refused):
    """A transaction reference names one transaction of an account: other content needs another reference."""

    source = "Recoup: natural key transaction_reference"


class PaymentUnknown(Refused):
    """The account has no payment under this reference."""


class PaymentAlreadyReturned(Refused):
    """The payment's money came back: it cannot be returned, refunded or corrected any more."""


class RefundTooLarge(Refused):
    """No more can be given back of a payment than was received and not given back yet."""


class CorrectionBelowRefund(Refused):
    """A payment cannot be corrected to less than what of it was already given back."""


class BalanceBelowZero(Refused):
    """An adjustment must leave every bucket of the balance at zero or above."""


class ApprovedByActor(Refused):
    """An adjustment is approved by another one than the one who asks for it."""

    source = "Recoup: four eyes"


def post_payment(command: commands.PostPayment, account: Account, now: datetime) -> Sequence[Message]:
    """Spread the payment by the account's policy; what exceeds the balance is overpaid and owed back."""
    _refuse_amount(command.amount_minor, 1, command.transaction_reference, command.effective_date, now)
    _refuse_currency(command.currency, account)
    payment_id = _payment_id(account, command.transaction_reference)
    content = ("payment", command.payee, command.amount_minor, command.effective_date, command.instrument)
    if _repeats(account, command.transaction_reference, content):
        return ()
    policy = account.contract.allocation_policy
    applied, overpaid = allocate(command.amount_minor, account.balance, policy)
    balance = account.balance.minus(applied)
    posted = events.PaymentPosted(
        account_id=account.account_id,
        client_id=account.client_id,
        payment_id=payment_id,
        payee=command.payee,
        amount_minor=command.amount_minor,
        effective_date=command.effective_date,
        transaction_reference=command.transaction_reference,
        instrument=command.instrument,
        applied=buckets_of(applied),
        overpaid_minor=overpaid,
        allocation_policy=policy,
        balance_after=buckets_of(balance),
        overpaid_after_minor=account.overpaid + overpaid,
    )
    return (posted, *_paid_in_full(account, balance, payment_id, command.effective_date))


def return_payment(command: commands.ReturnPayment, account: Account, now: datetime) -> Sequence[Message]:
    """Restore exactly what the payment still takes off; what of it was given back already is not restored twice."""
    refuse_faults(
        (
            *reference_faults("/transaction_reference", command.transaction_reference),
            *date_faults("/effective_date", command.effective_date, now.date()),
        )
    )
    payment = _payment(account, command.returned_reference)
    content = ("return", payment.payment_id, command.return_code, command.effective_date)
    if _repeats(account, command.transaction_reference, content):
        return ()
    _refuse_returned(payment)
    fact = events.PaymentReturned(
        account_id=account.account_id,
        client_id=account.client_id,
        payment_id=payment.payment_id,
        amount_minor=payment.amount,
        effective_date=command.effective_date,
        transaction_reference=command.transaction_reference,
        return_code=command.return_code,
        restored=buckets_of(payment.applied),
        overpaid_reversed_minor=payment.overpaid,
        balance_after=buckets_of(account.balance.plus(payment.applied)),
        overpaid_after_minor=account.overpaid - payment.overpaid,
    )
    return (fact,)


def refund_payment(command: commands.RefundPayment, account: Account, now: datetime) -> Sequence[Message]:
    """Give back first what was overpaid, then what the payment had satisfied last."""
    _refuse_amount(command.amount_minor, 1, command.transaction_reference, command.effective_date, now)
    _refuse_currency(command.currency, account)
    payment = _payment(account, command.refunded_reference)
    content = ("refund", payment.payment_id, command.amount_minor, command.effective_date)
    if _repeats(account, command.transaction_reference, content):
        return ()
    _refuse_returned(payment)
    left = payment.amount - payment.refunded
    if command.amount_minor > left:
        detail = f"Of this payment {left} minor units are left."
        raise RefundTooLarge(detail, [Fault("/amount_minor", "out_of_range", f"must be at most {left} minor units")])
    reversed_ = min(command.amount_minor, payment.overpaid)
    restored = restore(command.amount_minor - reversed_, payment.applied, payment.policy)
    fact = events.PaymentRefunded(
        account_id=account.account_id,
        client_id=account.client_id,
        payment_id=payment.payment_id,
        amount_minor=command.amount_minor,
        effective_date=command.effective_date,
        transaction_reference=command.transaction_reference,
        restored=buckets_of(restored),
        overpaid_reversed_minor=reversed_,
        balance_after=buckets_of(account.balance.plus(restored)),
        overpaid_after_minor=account.overpaid - reversed_,
    )
    return (fact,)


def correct_payment(command: commands.CorrectPayment, account: Account, now: datetime) -> Sequence[Message]:
    """Take the payment off as it was spread, and spread the right amount over what is then owed."""
    _refuse_amount(command.amount_minor, 0, command.transaction_reference, command.effective_date, now)
    _refuse_currency(command.currency, account)
    payment = _payment(account, command.corrected_reference)
    content = ("correction", payment.payment_id, command.amount_minor, command.effective_date)
    if _repeats(account, command.transaction_reference, content):
        return ()
    _refuse_returned(payment)
    if command.amount_minor < payment.refunded:
        detail = f"Of this payment {payment.refunded} minor units were given back."
        raise CorrectionBelowRefund(detail)
    if command.amount_minor == payment.amount:
        return ()
    owed = account.balance.plus(payment.applied)
    applied, overpaid = allocate(command.amount_minor - payment.refunded, owed, payment.policy)
    balance = owed.minus(applied)
    fact = _corrected(command, account, payment, (applied, overpaid), balance)
    return (fact, *_paid_in_full(account, balance, payment.payment_id, command.effective_date))


def _corrected(
    command: commands.CorrectPayment,
    account: Account,
    payment: Payment,
    spread: tuple[Amounts, int],
    balance: Amounts,
) -> events.PaymentCorrected:
    applied, overpaid = spread
    return events.PaymentCorrected(
        account_id=account.account_id,
        client_id=account.client_id,
        payment_id=payment.payment_id,
        corrects=payment.reference,
        amount_before_minor=payment.amount,
        amount_minor=command.amount_minor,
        effective_date=command.effective_date,
        transaction_reference=command.transaction_reference,
        difference=buckets_of(balance.minus(account.balance)),
        overpaid_difference_minor=overpaid - payment.overpaid,
        applied=buckets_of(applied),
        balance_after=buckets_of(balance),
        overpaid_after_minor=account.overpaid - payment.overpaid + overpaid,
    )


def _same_person(approver: str, actor: str) -> bool:
    """Whether the approver is who acts: an actor may be a key with the person behind it, `key:<id>/<person>`."""
    named = approver.strip().casefold()
    return named in {name.strip().casefold() for name in (actor, actor.partition("/")[2])}


def adjust_balance(command: commands.AdjustBalance, account: Account, now: datetime) -> Sequence[Message]:
    """Change one bucket by a difference, for a reason that another one than the actor approved."""
    refuse_faults(
        (
            *_difference_faults(command.difference_minor),
            *reference_faults("/transaction_reference", command.transaction_reference),
            *date_faults("/effective_date", command.effective_date, now.date()),
        )
    )
    _refuse_currency(command.currency, account)
    content = (
        "adjustment",
        command.bucket,
        command.difference_minor,
        command.reason,
        command.approver,
        command.effective_date,
    )
    if _repeats(account, command.transaction_reference, content):
        return ()
    if account.closed:
        raise AlreadyClosed
    if _same_person(command.approver, command.requested_by):
        raise ApprovedByActor(faults=[Fault("/approver", "approved_by_actor", "must be another one than the actor")])
    balance = account.balance.plus(in_bucket(command.bucket, command.difference_minor))
    _refuse_balance(balance)
    fact = events.BalanceAdjusted(
        account_id=account.account_id,
        client_id=account.client_id,
        transaction_reference=command.transaction_reference,
        bucket=command.bucket,
        difference_minor=command.difference_minor,
        reason=command.reason,
        approver=command.approver,
        effective_date=command.effective_date,
        balance_after=buckets_of(balance),
    )
    return (fact,)


def _refuse_balance(balance: Amounts) -> None:
    if min(balance) < 0:
        fault = Fault("/difference_minor", "below_zero", "must leave the bucket at zero or above")
        raise BalanceBelowZero(faults=[fault])
    refuse_faults(amount_faults("/difference_minor", balance.total))


def _difference_faults(difference_minor: int) -> Iterator[Fault]:
    if difference_minor == 0:
        yield Fault("/difference_minor", "zero", "must not be zero")
    yield from amount_faults("/difference_minor", difference_minor, least=-AMOUNT_MINOR_MAX)


def _refuse_amount(amount_minor: int, least: int, reference: str, effective_date: str, now: datetime) -> None:
    refuse_faults(
        (
            *amount_faults("/amount_minor", amount_minor, least),
            *reference_faults("/transaction_reference", reference),
            *date_faults("/effective_date", effective_date, now.date()),
        )
    )


def _refuse_currency(currency: str, account: Account) -> None:
    expected = account.terms.currency
    if currency != expected:
        fault = Fault("/currency", "wrong_currency", f"must be {expected}")
        raise WrongCurrency(faults=[fault])


def _repeats(account: Account, reference: str, content: Content) -> bool:
    """Whether the reference was used for this very content; used for other content it is refused."""
    known = content_of(account.postings, reference)
    if known is None:
        return False
    if known != content:
        fault = Fault("/transaction_reference", "taken", "was used for other content")
        raise ReferenceTaken(faults=[fault])
    return True


def _payment(account: Account, reference: str) -> Payment:
    payment = account.payments.get(_payment_id(account, reference))
    if payment is None:
        raise PaymentUnknown
    return payment


def _refuse_returned(payment: Payment) -> None:
    if payment.returned:
        raise PaymentAlreadyReturned


def _payment_id(account: Account, reference: str) -> str:
    return str(uuid5(_PAYMENTS, f"{account.account_id}|{reference}"))


def _paid_in_full(account: Account, balance: Amounts, payment_id: str, date: str) -> Sequence[Message]:
    if balance.total > 0 or account.balance == NOTHING:
        return ()
    fact = events.AccountPaidInFull(
        account_id=account.account_id, client_id=account.client_id, payment_id=payment_id, paid_date=date
    )
    return (fact,)
