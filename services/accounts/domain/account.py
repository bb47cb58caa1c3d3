"""The account: what may happen to it, and what has happened.

`decide` sends each command to the module that knows its rules; `evolve` copies what the facts say and computes nothing
that was decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from google.protobuf.message import Message
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import state_pb2 as states
from recoup.accounts.v1.terms_pb2 import PlacedDocument

from kernel.decider import Decider
from services.accounts.domain import closing, disputes, holds, payments, placing
from services.accounts.domain.ledger import NOTHING, Amounts, amounts_of, in_bucket
from services.accounts.domain.state import NO_ACCOUNT, Account, Content, Dispute, Entry, Hold, Payment

_DECISIONS: Final[Mapping[type[Message], Callable[[Any, Account, datetime], Sequence[Message]]]] = {
    commands.PlaceAccount: placing.place_account,
    commands.CompletePlacement: placing.complete_placement,
    commands.PostPayment: payments.post_payment,
    commands.ReturnPayment: payments.return_payment,
    commands.RefundPayment: payments.refund_payment,
    commands.CorrectPayment: payments.correct_payment,
    commands.AdjustBalance: payments.adjust_balance,
    commands.OpenDispute: disputes.open_dispute,
    commands.SendVerification: disputes.send_verification,
    commands.CloseDispute: disputes.close_dispute,
    commands.PlaceHold: holds.place_hold,
    commands.ReleaseHold: holds.release_hold,
    commands.AttachDocument: closing.attach_document,
    commands.CloseAccount: closing.close_account,
}


def decide(command: Message, account: Account, now: datetime) -> Sequence[Message]:
    """The facts that the command brings about, none when it is so already, or a refusal."""
    return _DECISIONS[type(command)](command, account, now)


def evolve(account: Account, fact: Message) -> Account:
    """The account after one more fact."""
    return _EVOLUTIONS[type(fact)](account, fact, account.version + 1)


def _placed(account: Account, fact: events.AccountPlaced, version: int) -> Account:
    return _with_terms(account, fact, version, states.ACCOUNT_PHASE_OPEN, amounts_of(fact.balance_after))


def _quarantined(account: Account, fact: events.PlacementQuarantined, version: int) -> Account:
    quarantined = states.ACCOUNT_PHASE_QUARANTINED
    account = _with_terms(account, fact, version, quarantined, amounts_of(fact.balance_after))
    return account._replace(shortcomings=tuple(fact.shortcomings))


def _completed(account: Account, fact: events.PlacementCompleted, version: int) -> Account:
    return _with_terms(account, fact, version, states.ACCOUNT_PHASE_OPEN, amounts_of(fact.difference))


def _with_terms(
    account: Account,
    fact: events.AccountPlaced | events.PlacementQuarantined | events.PlacementCompleted,
    version: int,
    phase: states.AccountPhase,
    difference: Amounts,
) -> Account:
    attached = account.documents[len(account.terms.documents) :]
    balance = amounts_of(fact.balance_after)
    entry = _entry(fact, version, difference, 0, (fact.terms.placement_date, fact.terms.client_reference))
    return account._replace(
        account_id=fact.account_id,
        version=version,
        phase=phase,
        terms=fact.terms,
        debtors=tuple(fact.debtors),
        contract=fact.contract,
        digests=(*account.digests, fact.content_digest),
        shortcomings=(),
        balance=balance,
        ledger=(*account.ledger, entry),
        documents=(*fact.terms.documents, *attached),
        paid_in_full_date="" if balance.total else account.paid_in_full_date,
    )


def _posted(account: Account, fact: events.PaymentPosted, version: int) -> Account:
    payment = Payment(
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
    content = ("payment", fact.payee, fact.amount_minor, fact.effective_date, fact.instrument)
    difference = payment.applied.negated()
    return _with_payment(account, fact, version, payment, (difference, fact.overpaid_minor, content))


def _returned(account: Account, fact: events.PaymentReturned, version: int) -> Account:
    payment = account.payments[fact.payment_id]._replace(returned=True, applied=NOTHING, overpaid=0)
    content = ("return", fact.payment_id, fact.return_code, fact.effective_date)
    restored = amounts_of(fact.restored)
    return _with_payment(account, fact, version, payment, (restored, -fact.overpaid_reversed_minor, content))


def _refunded(account: Account, fact: events.PaymentRefunded, version: int) -> Account:
    before, restored = account.payments[fact.payment_id], amounts_of(fact.restored)
    payment = before._replace(
        applied=before.applied.minus(restored),
        overpaid=before.overpaid - fact.overpaid_reversed_minor,
        refunded=before.refunded + fact.amount_minor,
    )
    content = ("refund", fact.payment_id, fact.amount_minor, fact.effective_date)
    return _with_payment(account, fact, version, payment, (restored, -fact.overpaid_reversed_minor, content))


def _corrected(account: Account, fact: events.PaymentCorrected, version: int) -> Account:
    before = account.payments[fact.payment_id]
    payment = before._replace(
        amount=fact.amount_minor,
        applied=amounts_of(fact.applied),
        overpaid=before.overpaid + fact.overpaid_difference_minor,
    )
    content = ("correction", fact.payment_id, fact.amount_minor, fact.effective_date)
    change = (amounts_of(fact.difference), fact.overpaid_difference_minor, content)
    return _with_payment(account, fact, version, payment, change)


def _with_payment(
    account: Account,
    fact: events.PaymentPosted | events.PaymentReturned | events.PaymentRefunded | events.PaymentCorrected,
    version: int,
    payment: Payment,
    change: tuple[Amounts, int, Content],
) -> Account:
    difference, overpaid_difference, content = change
    balance, reference = amounts_of(fact.balance_after), fact.transaction_reference
    entry = _entry(fact, version, difference, overpaid_difference, (fact.effective_date, reference))
    return account._replace(
        version=version,
        balance=balance,
        overpaid=fact.overpaid_after_minor,
        ledger=(*account.ledger, entry),
        payments={**account.payments, payment.payment_id: payment},
        transactions={**account.transactions, reference: content},
        paid_in_full_date="" if balance.total else account.paid_in_full_date,
    )


def _adjusted(account: Account, fact: events.BalanceAdjusted, version: int) -> Account:
    balance, reference = amounts_of(fact.balance_after), fact.transaction_reference
    difference = in_bucket(fact.bucket, fact.difference_minor)
    content = ("adjustment", fact.bucket, fact.difference_minor, fact.reason, fact.approver, fact.effective_date)
    return account._replace(
        version=version,
        balance=balance,
        ledger=(*account.ledger, _entry(fact, version, difference, 0, (fact.effective_date, reference))),
        transactions={**account.transactions, reference: content},
        paid_in_full_date="" if balance.total else account.paid_in_full_date,
    )


def _entry(fact: Message, version: int, difference: Amounts, overpaid_difference: int, said: tuple[str, str]) -> Entry:
    effective_date, reference = said
    return Entry(version, _NAMES[type(fact)], effective_date, difference, overpaid_difference, reference)


def _paid_in_full(account: Account, fact: events.AccountPaidInFull, version: int) -> Account:
    return account._replace(version=version, paid_in_full_date=fact.paid_date)


def _dispute_opened(account: Account, fact: events.DisputeOpened, version: int) -> Account:
    dispute = Dispute(
        fact.dispute_id,
        fact.person_id,
        fact.reason,
        fact.received_date,
        fact.in_writing,
        fact.portion_minor if fact.HasField("portion_minor") else None,
        fact.document_id,
    )
    return _with_dispute(account, version, dispute)


def _verification_sent(account: Account, fact: events.VerificationSent, version: int) -> Account:
    dispute = account.disputes[fact.dispute_id]._replace(
        verification_document_id=fact.document_id, verification_sent_date=fact.sent_date
    )
    return _with_dispute(account, version, dispute)


def _dispute_closed(account: Account, fact: events.DisputeClosed, version: int) -> Account:
    dispute = account.disputes[fact.dispute_id]._replace(outcome=fact.outcome, closed_date=fact.closed_date)
    return _with_dispute(account, version, dispute)


def _with_dispute(account: Account, version: int, dispute: Dispute) -> Account:
    return account._replace(version=version, disputes={**account.disputes, dispute.dispute_id: dispute})


def _hold_placed(account: Account, fact: events.HoldPlaced, version: int) -> Account:
    return account._replace(version=version, holds={**account.holds, fact.hold_id: Hold(fact)})


def _hold_released(account: Account, fact: events.HoldReleased, version: int) -> Account:
    hold = account.holds[fact.hold_id]._replace(released=True)
    return account._replace(version=version, holds={**account.holds, fact.hold_id: hold})


def _document_attached(account: Account, fact: events.DocumentAttached, version: int) -> Account:
    document = PlacedDocument(document_id=fact.document_id, type=fact.type, sha256=fact.sha256)
    return account._replace(version=version, documents=(*account.documents, document))


def _closed(account: Account, fact: events.AccountClosed, version: int) -> Account:
    return account._replace(
        version=version,
        phase=states.ACCOUNT_PHASE_CLOSED,
        close_code=fact.code,
        closed_date=fact.closed_date,
    )


_EVOLUTIONS: Final[Mapping[type[Message], Callable[[Account, Any, int], Account]]] = {
    events.AccountPlaced: _placed,
    events.PlacementQuarantined: _quarantined,
    events.PlacementCompleted: _completed,
    events.PaymentPosted: _posted,
    events.PaymentReturned: _returned,
    events.PaymentRefunded: _refunded,
    events.PaymentCorrected: _corrected,
    events.BalanceAdjusted: _adjusted,
    events.AccountPaidInFull: _paid_in_full,
    events.DisputeOpened: _dispute_opened,
    events.VerificationSent: _verification_sent,
    events.DisputeClosed: _dispute_closed,
    events.HoldPlaced: _hold_placed,
    events.HoldReleased: _hold_released,
    events.DocumentAttached: _document_attached,
    events.AccountClosed: _closed,
}

_NAMES: Final = {fact: str(fact.DESCRIPTOR.full_name) for fact in _EVOLUTIONS}

ACCOUNT: Final = Decider(
    category="account",
    initial=NO_ACCOUNT,
    decide=decide,
    evolve=evolve,
    commands=tuple(_DECISIONS),
    facts=tuple(_EVOLUTIONS),
    client=lambda account: account.client_id or None,
    begins=(commands.PlaceAccount,),
)
