"""The one public form of accounts, clients and persons: what is "the same, byte for byte" is the same in this form."""

from __future__ import annotations

from recoup.accounts.v1 import state_pb2 as states
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.events_pb2 import PersonHold

from services.accounts.domain.client import Client
from services.accounts.domain.ledger import buckets_of
from services.accounts.domain.person import Person
from services.accounts.domain.postings import Entry, Payment
from services.accounts.domain.state import Account, Dispute, Hold


def account_message(account: Account) -> states.AccountState:
    """Everything that the facts say of an account."""
    message = states.AccountState(
        account_id=account.account_id,
        version=account.version,
        phase=account.phase,
        terms=account.terms,
        debtors=account.debtors,
        contract=account.contract,
        shortcomings=account.shortcomings,
        balance=buckets_of(account.balance),
        balance_total_minor=account.balance.total,
        overpaid_minor=account.overpaid,
        ledger=map(_entry, account.ledger),
        payments=map(_payment, account.payments.values()),
        holds=[hold_message(hold) for hold in account.holds.values() if not hold.released],
        disputes=map(_dispute, account.disputes.values()),
        documents=account.documents,
        close_code=account.close_code,
    )
    if account.paid_in_full_date:
        message.paid_in_full_date = account.paid_in_full_date
    if account.closed_date:
        message.closed_date = account.closed_date
    return message


def client_message(client: Client) -> states.ClientState:
    """Everything that the facts say of a client."""
    return states.ClientState(
        client_id=client.client_id,
        version=client.version,
        legal_name=client.legal_name,
        kind=client.kind,
        contract=client.contract,
        portfolios=[
            states.Portfolio(portfolio_id=portfolio_id, name=name) for portfolio_id, name in client.portfolios.items()
        ],
    )


def person_message(person: Person) -> states.PersonState:
    """Everything that the facts say of a person."""
    return states.PersonState(
        person_id=person.person_id,
        version=person.version,
        kind=person.kind,
        accounts=[
            states.PersonAccount(account_id=account_id, role=role) for account_id, role in person.accounts.items()
        ],
        holds=person.standing_holds(),
        linked_person_ids=person.linked,
        erased=person.erased,
    )


def hold_message(hold: Hold) -> states.Hold:
    """A hold, without what only its fact says."""
    placed = hold.placed
    message = states.Hold(hold_id=placed.hold_id, scope=placed.scope, reason=placed.reason)
    for name in ("person_id", "expires_at", "text", "dispute_id"):
        if placed.HasField(name):
            setattr(message, name, getattr(placed, name))
    return message


def person_hold_message(hold: PersonHold, person_id: str) -> states.Hold:
    """A person's hold as it stands on each of their accounts."""
    message = states.Hold(hold_id=hold.hold_id, scope=words.HOLD_SCOPE_PERSON, person_id=person_id, reason=hold.reason)
    if hold.HasField("expires_at"):
        message.expires_at = hold.expires_at
    return message


def _entry(entry: Entry) -> states.LedgerEntry:
    return states.LedgerEntry(
        version=entry.version,
        type=entry.type,
        effective_date=entry.effective_date,
        difference=buckets_of(entry.difference),
        overpaid_difference_minor=entry.overpaid_difference,
        reference=entry.reference,
    )


def _payment(payment: Payment) -> states.Payment:
    return states.Payment(
        payment_id=payment.payment_id,
        transaction_reference=payment.reference,
        payee=payment.payee,
        amount_minor=payment.amount,
        effective_date=payment.effective_date,
        phase=states.PAYMENT_PHASE_RETURNED if payment.returned else states.PAYMENT_PHASE_POSTED,
        applied=buckets_of(payment.applied),
        overpaid_minor=payment.overpaid,
        refunded_minor=payment.refunded,
        instrument=payment.instrument,
    )


def _dispute(dispute: Dispute) -> states.Dispute:
    message = states.Dispute(
        dispute_id=dispute.dispute_id,
        person_id=dispute.person_id,
        reason=dispute.reason,
        received_date=dispute.received_date,
        in_writing=dispute.in_writing,
        outcome=dispute.outcome,
    )
    if dispute.portion is not None:
        message.portion_minor = dispute.portion
    if dispute.verification_sent_date:
        message.verification_sent_date = dispute.verification_sent_date
    if dispute.closed_date:
        message.closed_date = dispute.closed_date
    return message
