"""An account, folded from its facts: every fact is entered in the account's book by the clerk that its type names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from google.protobuf.message import Message
from recoup.accounts.v1 import events_pb2 as facts
from recoup.accounts.v1.state_pb2 import (
    ACCOUNT_PHASE_CLOSED,
    ACCOUNT_PHASE_OPEN,
    ACCOUNT_PHASE_QUARANTINED,
    PAYMENT_PHASE_POSTED,
    PAYMENT_PHASE_RETURNED,
    Dispute,
    Hold,
    Payment,
)
from recoup.accounts.v1.terms_pb2 import PlacedDocument

from services.audit.domain import ledger
from services.audit.domain.book import AccountBook, Finding, UnknownFact

FactBytes: TypeAlias = tuple[int, str, bytes]
"""Version, full type name and payload: all that a fold reads."""
Clerk: TypeAlias = Callable[[AccountBook, Any], None]


def fold_account(stream: Iterable[FactBytes], *, checking: bool = True) -> AccountBook:
    """The book of an account after these facts of its stream, in the order of their versions.

    `checking` off reads a part of the stream, as of an effective instant.
    """
    book = AccountBook(checking=checking)
    for version, type_, payload in stream:
        entry = _CLERKS.get(type_)
        if entry is None:
            raise UnknownFact(type_)
        if checking and version != book.version + 1:
            book.findings.append(Finding(version, type_, "/version", str(version), str(book.version + 1)))
        book.version, book.type = version, type_
        decode, clerk = entry
        clerk(book, decode(payload))
    return book


def _placed(book: AccountBook, fact: facts.AccountPlaced) -> None:
    book.placement, book.phase = fact, ACCOUNT_PHASE_OPEN
    book.post_placement(fact, ledger.amounts(fact.terms.balance.buckets))


def _quarantined(book: AccountBook, fact: facts.PlacementQuarantined) -> None:
    book.placement, book.phase = fact, ACCOUNT_PHASE_QUARANTINED
    book.shortcomings = list(fact.shortcomings)
    book.post_placement(fact, ledger.amounts(fact.terms.balance.buckets))


def _completed(book: AccountBook, fact: facts.PlacementCompleted) -> None:
    book.placement, book.phase, book.shortcomings = fact, ACCOUNT_PHASE_OPEN, []
    book.post_placement(fact, ledger.amounts(fact.difference))


def _payment_posted(book: AccountBook, fact: facts.PaymentPosted) -> None:
    applied = ledger.amounts(fact.applied)
    book.expect("/amount_minor", fact.amount_minor, sum(applied) + fact.overpaid_minor)
    book.post(fact, ledger.negated(applied), fact.overpaid_minor)
    book.payments[fact.payment_id] = Payment(
        payment_id=fact.payment_id,
        transaction_reference=fact.transaction_reference,
        payee=fact.payee,
        amount_minor=fact.amount_minor,
        effective_date=fact.effective_date,
        phase=PAYMENT_PHASE_POSTED,
        applied=fact.applied,
        overpaid_minor=fact.overpaid_minor,
        instrument=fact.instrument,
    )


def _payment_returned(book: AccountBook, fact: facts.PaymentReturned) -> None:
    payment = _given_back(book, fact)
    kept = payment.refunded_minor if payment else 0
    restored = sum(ledger.amounts(fact.restored)) + fact.overpaid_reversed_minor
    book.expect("/amount_minor", fact.amount_minor, restored + kept)
    if payment is not None:
        payment.phase = PAYMENT_PHASE_RETURNED


def _payment_refunded(book: AccountBook, fact: facts.PaymentRefunded) -> None:
    payment = _given_back(book, fact)
    restored = sum(ledger.amounts(fact.restored)) + fact.overpaid_reversed_minor
    book.expect("/amount_minor", fact.amount_minor, restored)
    if payment is not None:
        payment.refunded_minor += fact.amount_minor


def _given_back(book: AccountBook, fact: facts.PaymentReturned | facts.PaymentRefunded) -> Payment | None:
    """What a payment had taken off is owed again: out of the payment, onto the balance."""
    restored, reversed_minor = ledger.amounts(fact.restored), fact.overpaid_reversed_minor
    book.post(fact, restored, -reversed_minor)
    payment = book.known(book.payments, "/payment_id", fact.payment_id)
    if payment is not None:
        left = ledger.added(ledger.amounts(payment.applied), ledger.negated(restored))
        payment.applied.CopyFrom(ledger.message(left))
        payment.overpaid_minor -= reversed_minor
    return payment


def _payment_corrected(book: AccountBook, fact: facts.PaymentCorrected) -> None:
    book.post(fact, ledger.amounts(fact.difference), fact.overpaid_difference_minor)
    payment = book.known(book.payments, "/payment_id", fact.payment_id)
    if payment is not None:
        book.expect("/amount_before_minor", fact.amount_before_minor, payment.amount_minor)
        payment.amount_minor = fact.amount_minor
        payment.applied.CopyFrom(fact.applied)
        payment.overpaid_minor += fact.overpaid_difference_minor


def _adjusted(book: AccountBook, fact: facts.BalanceAdjusted) -> None:
    book.post(fact, ledger.single(fact.bucket, fact.difference_minor), 0)


def _paid_in_full(book: AccountBook, fact: facts.AccountPaidInFull) -> None:
    book.expect("/balance_total_minor", 0, sum(book.balance))
    if not sum(book.balance):
        book.paid_in_full_date = fact.paid_date


def _dispute_opened(book: AccountBook, fact: facts.DisputeOpened) -> None:
    dispute = Dispute(
        dispute_id=fact.dispute_id,
        person_id=fact.person_id,
        reason=fact.reason,
        received_date=fact.received_date,
        in_writing=fact.in_writing,
    )
    _carry(fact, dispute, "portion_minor")
    book.disputes[fact.dispute_id] = dispute


def _verification_sent(book: AccountBook, fact: facts.VerificationSent) -> None:
    dispute = book.known(book.disputes, "/dispute_id", fact.dispute_id)
    if dispute is not None:
        dispute.verification_sent_date = fact.sent_date


def _dispute_closed(book: AccountBook, fact: facts.DisputeClosed) -> None:
    dispute = book.known(book.disputes, "/dispute_id", fact.dispute_id)
    if dispute is not None:
        dispute.outcome, dispute.closed_date = fact.outcome, fact.closed_date


def _hold_placed(book: AccountBook, fact: facts.HoldPlaced) -> None:
    hold = Hold(hold_id=fact.hold_id, scope=fact.scope, reason=fact.reason)
    _carry(fact, hold, "person_id", "expires_at", "text", "dispute_id")
    book.holds[fact.hold_id] = hold


def _hold_released(book: AccountBook, fact: facts.HoldReleased) -> None:
    if book.known(book.holds, "/hold_id", fact.hold_id) is not None:
        del book.holds[fact.hold_id]


def _document_attached(book: AccountBook, fact: facts.DocumentAttached) -> None:
    book.attached.append(PlacedDocument(document_id=fact.document_id, type=fact.type, sha256=fact.sha256))


def _closed(book: AccountBook, fact: facts.AccountClosed) -> None:
    book.phase, book.closing = ACCOUNT_PHASE_CLOSED, fact


def _carry(fact: Message, into: Message, *names: str) -> None:
    for name in names:
        if fact.HasField(name):
            setattr(into, name, getattr(fact, name))


def _clerks(*pairs: tuple[type[Message], Clerk]) -> Mapping[str, tuple[Callable[[bytes], Message], Clerk]]:
    return {str(kind.DESCRIPTOR.full_name): (kind.FromString, clerk) for kind, clerk in pairs}


_CLERKS: Final = _clerks(
    (facts.AccountPlaced, _placed),
    (facts.PlacementQuarantined, _quarantined),
    (facts.PlacementCompleted, _completed),
    (facts.PaymentPosted, _payment_posted),
    (facts.PaymentReturned, _payment_returned),
    (facts.PaymentRefunded, _payment_refunded),
    (facts.PaymentCorrected, _payment_corrected),
    (facts.BalanceAdjusted, _adjusted),
    (facts.AccountPaidInFull, _paid_in_full),
    (facts.DisputeOpened, _dispute_opened),
    (facts.VerificationSent, _verification_sent),
    (facts.DisputeClosed, _dispute_closed),
    (facts.HoldPlaced, _hold_placed),
    (facts.HoldReleased, _hold_released),
    (facts.DocumentAttached, _document_attached),
    (facts.AccountClosed, _closed),
)
ACCOUNT_FACTS: Final = frozenset(_CLERKS)
