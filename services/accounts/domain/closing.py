"""Documents by their hashes, and the end of the agency's work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from google.protobuf.message import Message
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import words_pb2 as words

from kernel.decider import Fault, Refused
from services.accounts.domain.fields import date_faults, sha256_faults
from services.accounts.domain.refusals import AlreadyClosed, refuse_faults
from services.accounts.domain.state import Account

PROVED_BY_HOLD: Final = {
    words.CLOSE_CODE_BANKRUPTCY_CH7: (words.HOLD_REASON_BANKRUPTCY, words.HOLD_REASON_DISCHARGED),
    words.CLOSE_CODE_BANKRUPTCY_CH11: (words.HOLD_REASON_BANKRUPTCY, words.HOLD_REASON_DISCHARGED),
    words.CLOSE_CODE_BANKRUPTCY_CH12: (words.HOLD_REASON_BANKRUPTCY, words.HOLD_REASON_DISCHARGED),
    words.CLOSE_CODE_BANKRUPTCY_CH13: (words.HOLD_REASON_BANKRUPTCY, words.HOLD_REASON_DISCHARGED),
    words.CLOSE_CODE_DECEASED: (words.HOLD_REASON_DECEASED,),
    words.CLOSE_CODE_IDENTITY_THEFT: (words.HOLD_REASON_IDENTITY_THEFT,),
    words.CLOSE_CODE_CEASE_COMMUNICATION: (words.HOLD_REASON_CEASE_COMMUNICATION,),
}
"""Close codes that say what a hold must have said before, whether or not it was released since."""


class DocumentIdTaken(Refused):
    """A document's id names one document: another one needs another id."""


class StillOwed(Refused):
    """An account closes as paid in full only when nothing is owed."""

    source = "Recoup: close codes"


class NothingOwed(Refused):
    """An account on which nothing is owed closes as paid: no other close code fits it."""

    source = "Recoup: close codes"


class NothingReceived(Refused):
    """An account closes as settled, or as paid to the client, only when of such a payment something stands."""

    source = "Recoup: close codes"


class CloseCodeUnproved(Refused):
    """This close code says what no hold of the account has said: place the hold first."""

    source = "Recoup: close codes"


class NoDisputeOpen(Refused):
    """An account closes with an unresolved dispute only while a dispute is open."""

    source = "Recoup: close codes"


def attach_document(command: commands.AttachDocument, account: Account, _now: datetime) -> Sequence[Message]:
    """Attach a document by its hash."""
    refuse_faults(sha256_faults("/sha256", command.sha256))
    for known in account.documents:
        if known.document_id == command.document_id:
            if (known.type, known.sha256) != (command.type, command.sha256):
                raise DocumentIdTaken
            return ()
    fact = events.DocumentAttached(
        account_id=account.account_id,
        client_id=account.client_id,
        document_id=command.document_id,
        type=command.type,
        sha256=command.sha256,
    )
    return (fact,)


def close_account(command: commands.CloseAccount, account: Account, now: datetime) -> Sequence[Message]:
    """End the agency's work, for a reason that the facts bear out."""
    if account.closed:
        if (account.close_code, account.closed_date) != (command.code, command.closed_date):
            raise AlreadyClosed
        return ()
    refuse_faults(_date_faults(command, account, now))
    _refuse_inconsistent(command.code, account)
    fact = events.AccountClosed(
        account_id=account.account_id,
        client_id=account.client_id,
        code=command.code,
        closed_date=command.closed_date,
    )
    return (fact,)


def _date_faults(command: commands.CloseAccount, account: Account, now: datetime) -> Sequence[Fault]:
    faults = list(date_faults("/closed_date", command.closed_date, now.date()))
    if not faults and command.closed_date < account.terms.placement_date:
        text = f"must not be before the placement, {account.terms.placement_date}"
        faults.append(Fault("/closed_date", "too_early", text))
    return faults


def _refuse_inconsistent(code: words.CloseCode, account: Account) -> None:
    owed = account.balance.total
    standing = [
        payment for payment in account.payments.values() if not payment.returned and payment.amount > payment.refunded
    ]
    if code == words.CLOSE_CODE_PAID_IN_FULL:
        if owed:
            raise StillOwed
        return
    if code == words.CLOSE_CODE_PAID_TO_CLIENT:
        if all(payment.payee != words.PAYEE_CLIENT for payment in standing):
            raise NothingReceived
        return
    if code == words.CLOSE_CODE_SETTLED_IN_FULL and not standing:
        raise NothingReceived
    if not owed and account.paid_in_full_date:
        raise NothingOwed
    if code == words.CLOSE_CODE_DISPUTE_UNRESOLVED and not any(d.is_open for d in account.disputes.values()):
        raise NoDisputeOpen
    reasons = PROVED_BY_HOLD.get(code)
    if reasons is not None and all(hold.placed.reason not in reasons for hold in account.holds.values()):
        raise CloseCodeUnproved
