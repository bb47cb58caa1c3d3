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
from services.accounts.domain.ledger import amounts_of
from services.accounts.domain.postings import MoneyFact, Posting
from services.accounts.domain.state import NO_ACCOUNT, Account, Dispute, Hold

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
    return _with_terms(account, fact, version, states.ACCOUNT_PHASE_OPEN)


def _quarantined(account: Account, fact: events.PlacementQuarantined, version: int) -> Account:
    account = _with_terms(account, fact, version, states.ACCOUNT_PHASE_QUARANTINED)
    return account._replace(shortcomings=tuple(fact.shortcomings))


def _with_terms(
    account: Account,
    fact: events.AccountPlaced | events.PlacementQuarantined | events.PlacementCompleted,
    version: int,
    phase: states.AccountPhase = states.ACCOUNT_PHASE_OPEN,
) -> Account:
    attached = account.documents[len(account.terms.documents) :]
    return _posted(account, fact, version)._replace(
        account_id=fact.account_id,
        phase=phase,
        terms=fact.terms,
        debtors=tuple(fact.debtors),
        contract=fact.contract,
        digests=(*account.digests, fact.content_digest),
        shortcomings=(),
        documents=(*fact.terms.documents, *attached),
    )


def _paid(
    account: Account,
    fact: events.PaymentPosted | events.PaymentReturned | events.PaymentRefunded | events.PaymentCorrected,
    version: int,
) -> Account:
    return _posted(account, fact, version)._replace(overpaid=fact.overpaid_after_minor)


def _posted(account: Account, fact: MoneyFact, version: int) -> Account:
    """After any fact that moves money. What is owed again is no longer paid in full."""
    owed, paid = fact.balance_after, account.paid_in_full_date
    return account._replace(
        version=version,
        owed=owed,
        postings=(*account.postings, Posting(version, fact)),
        paid_in_full_date="" if paid and amounts_of(owed).total else paid,
    )


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
    events.PlacementCompleted: _with_terms,
    events.PaymentPosted: _paid,
    events.PaymentReturned: _paid,
    events.PaymentRefunded: _paid,
    events.PaymentCorrected: _paid,
    events.BalanceAdjusted: _posted,
    events.AccountPaidInFull: _paid_in_full,
    events.DisputeOpened: _dispute_opened,
    events.VerificationSent: _verification_sent,
    events.DisputeClosed: _dispute_closed,
    events.HoldPlaced: _hold_placed,
    events.HoldReleased: _hold_released,
    events.DocumentAttached: _document_attached,
    events.AccountClosed: _closed,
}

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
