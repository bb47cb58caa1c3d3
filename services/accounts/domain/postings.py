"""What the facts that move money say: the ledger, the payments, and what each transaction said.

An account keeps these facts as they are. What they come to is worked out when it is asked for, because a fold passes
over far more of them than are ever looked at one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import words_pb2 as words

from services.accounts.domain.ledger import NOTHING, Amounts, amounts_of, in_bucket

MoneyFact: TypeAlias = (
    events.AccountPlaced
    | events.PlacementQuarantined
    | events.PlacementCompleted
    | events.PaymentPosted
    | events.PaymentReturned
    | events.PaymentRefunded
    | events.PaymentCorrected
    | events.BalanceAdjusted
)
PLACEMENTS: Final = (events.AccountPlaced, events.PlacementQuarantined, events.PlacementCompleted)

Content: TypeAlias = tuple[object, ...]
"""What a transaction said, for telling a repetition from a contradiction."""


class Posting(NamedTuple):
    """A fact that moves money, at the version of the stream that it made."""

    version: int
    fact: Any


class Entry(NamedTuple):
    """One posting of the ledger."""

    version: int
    type: str
    effective_date: str
    difference: Amounts
    overpaid_difference: int
    reference: str


class Payment(NamedTuple):
    """A payment and what became of it. While it stands, its amount = applied + overpaid + refunded."""

    payment_id: str
    reference: str
    payee: words.Payee
    amount: int
    effective_date: str
    instrument: words.Instrument
    policy: words.AllocationPolicy
    applied: Amounts
    overpaid: int
    refunded: int = 0
    returned: bool = False


def ledger_of(postings: Sequence[Posting]) -> tuple[Entry, ...]:
    """Every posting as an entry, in order."""
    return tuple(_entry(posting) for posting in postings)


def payments_of(postings: Sequence[Posting]) -> Mapping[str, Payment]:
    """Every payment by id, in order, as it stands after all that became of it."""
    payments: dict[str, Payment] = {}
    for posting in postings:
        change = _PAYMENTS.get(type(posting.fact))
        if change is not None:
            fact = posting.fact
            payments[fact.payment_id] = change(payments.get(fact.payment_id), fact)
    return payments


def content_of(postings: Sequence[Posting], reference: str) -> Content | None:
    """What the transaction under a reference said, None when there is none."""
    for posting in postings:
        content = _CONTENTS.get(type(posting.fact))
        if content is not None and posting.fact.transaction_reference == reference:
            return content(posting.fact)
    return None


def _entry(posting: Posting) -> Entry:
    version, fact = posting
    difference, overpaid_difference = _DIFFERENCES[type(fact)](fact)
    if isinstance(fact, PLACEMENTS):
        effective_date, reference = fact.terms.placement_date, fact.terms.client_reference
    else:
        effective_date, reference = fact.effective_date, fact.transaction_reference
    type_ = str(fact.DESCRIPTOR.full_name)
    return Entry(version, type_, effective_date, difference, overpaid_difference, reference)


_DIFFERENCES: Final[Mapping[type, Callable[[Any], tuple[Amounts, int]]]] = {
    events.AccountPlaced: lambda fact: (amounts_of(fact.balance_after), 0),
    events.PlacementQuarantined: lambda fact: (amounts_of(fact.balance_after), 0),
    events.PlacementCompleted: lambda fact: (amounts_of(fact.difference), 0),
    events.PaymentPosted: lambda fact: (NOTHING.minus(amounts_of(fact.applied)), fact.overpaid_minor),
    events.PaymentReturned: lambda fact: (amounts_of(fact.restored), -fact.overpaid_reversed_minor),
    events.PaymentRefunded: lambda fact: (amounts_of(fact.restored), -fact.overpaid_reversed_minor),
    events.PaymentCorrected: lambda fact: (amounts_of(fact.difference), fact.overpaid_difference_minor),
    events.BalanceAdjusted: lambda fact: (in_bucket(fact.bucket, fact.difference_minor), 0),
}


def _posted(_before: Payment | None, fact: events.PaymentPosted) -> Payment:
    return Payment(
        fact.payment_id,
        fact.transaction_reference,
        fact.payee,
        fact.amount_minor,
        fact.effective_date,
        fact.instrument,
        fact.allocation_policy,
        amounts_of(fact.applied),
        fact.overpaid_minor,
    )


def _returned(before: Payment, _fact: events.PaymentReturned) -> Payment:
    return before._replace(returned=True, applied=NOTHING, overpaid=0)


def _refunded(before: Payment, fact: events.PaymentRefunded) -> Payment:
    return before._replace(
        applied=before.applied.minus(amounts_of(fact.restored)),
        overpaid=before.overpaid - fact.overpaid_reversed_minor,
        refunded=before.refunded + fact.amount_minor,
    )


def _corrected(before: Payment, fact: events.PaymentCorrected) -> Payment:
    return before._replace(
        amount=fact.amount_minor,
        applied=amounts_of(fact.applied),
        overpaid=before.overpaid + fact.overpaid_difference_minor,
    )


_PAYMENTS: Final[Mapping[type, Callable[[Any, Any], Payment]]] = {
    events.PaymentPosted: _posted,
    events.PaymentReturned: _returned,
    events.PaymentRefunded: _refunded,
    events.PaymentCorrected: _corrected,
}

_CONTENTS: Final[Mapping[type, Callable[[Any], Content]]] = {
    events.PaymentPosted: lambda fact: (
        "payment",
        fact.payee,
        fact.amount_minor,
        fact.effective_date,
        fact.instrument,
    ),
    events.PaymentReturned: lambda fact: ("return", fact.payment_id, fact.return_code, fact.effective_date),
    events.PaymentRefunded: lambda fact: ("refund", fact.payment_id, fact.amount_minor, fact.effective_date),
    events.PaymentCorrected: lambda fact: ("correction", fact.payment_id, fact.amount_minor, fact.effective_date),
    events.BalanceAdjusted: lambda fact: (
        "adjustment",
        fact.bucket,
        fact.difference_minor,
        fact.reason,
        fact.approver,
        fact.effective_date,
    ),
}
