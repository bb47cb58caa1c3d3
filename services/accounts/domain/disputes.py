"""Disputes: each holds its account from the moment it is opened until its answer is sent or it is closed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from google.protobuf.message import Message
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.terms_pb2 import PriorDispute

from kernel.decider import Fault, Refused
from services.accounts.domain.fields import date_faults, date_of
from services.accounts.domain.holds import released
from services.accounts.domain.refusals import DocumentUnknown, NotADebtor, refuse_faults
from services.accounts.domain.state import Account, Dispute

_DISPUTES = UUID("c4f5a2de-56a1-5c83-92f5-7a7f0f5b9e10")


class DisputeIdTaken(Refused):
    """A dispute's id names one dispute: another dispute needs another id."""


class DisputeUnknown(Refused):
    """The account has no dispute under this id."""


class DisputeClosedAlready(Refused):
    """The dispute has ended, and an ended dispute takes no other end and no further answer."""


class VerificationNotSent(Refused):
    """A dispute ends as verified only after the verification was sent to the consumer."""

    source = "15 USC 1692g(b)"


class AnsweredOtherwise(Refused):
    """The answer to this dispute is recorded already, with another document or date."""


def open_dispute(command: commands.OpenDispute, account: Account, now: datetime) -> Sequence[Message]:
    """Record the dispute and hold the account; a consumer may dispute whatever the phase of the account."""
    opened = _opened(command, account)
    known = account.disputes.get(command.dispute_id)
    if known is not None:
        if not _same_dispute(known, opened):
            raise DisputeIdTaken
        return ()
    refuse_faults(_dispute_faults(command, account, now))
    if not account.owes(command.person_id):
        raise NotADebtor
    _refuse_unknown_document(command.document_id, account)
    return (opened, held(opened))


def send_verification(command: commands.SendVerification, account: Account, now: datetime) -> Sequence[Message]:
    """Record that the answer was sent, which lets work go on."""
    dispute = _dispute(command.dispute_id, account)
    if dispute.verification_sent_date:
        if (dispute.verification_document_id, dispute.verification_sent_date) != (
            command.document_id,
            command.sent_date,
        ):
            raise AnsweredOtherwise
        return ()
    if not dispute.is_open:
        raise DisputeClosedAlready
    refuse_faults(_answer_date_faults("/sent_date", command.sent_date, dispute, now))
    _refuse_unknown_document(command.document_id, account)
    sent = events.VerificationSent(
        account_id=account.account_id,
        client_id=account.client_id,
        dispute_id=command.dispute_id,
        document_id=command.document_id,
        sent_date=command.sent_date,
    )
    return (sent, *_release(command.dispute_id, account, "the verification was sent"))


def close_dispute(command: commands.CloseDispute, account: Account, now: datetime) -> Sequence[Message]:
    """End the dispute, and its hold with it."""
    dispute = _dispute(command.dispute_id, account)
    if not dispute.is_open:
        if (dispute.outcome, dispute.closed_date) != (command.outcome, command.closed_date):
            raise DisputeClosedAlready
        return ()
    refuse_faults(_answer_date_faults("/closed_date", command.closed_date, dispute, now))
    if command.outcome == words.DISPUTE_OUTCOME_VERIFIED and not dispute.verification_sent_date:
        raise VerificationNotSent
    closed = events.DisputeClosed(
        account_id=account.account_id,
        client_id=account.client_id,
        dispute_id=command.dispute_id,
        outcome=command.outcome,
        closed_date=command.closed_date,
    )
    return (closed, *_release(command.dispute_id, account, "the dispute was closed"))


def known_disputes(
    account_id: str, client_id: str, person_id: str, disputes: Sequence[PriorDispute]
) -> Iterator[Message]:
    """The disputes that were open when the account was placed, each with its hold; closed ones are history."""
    for ordinal, dispute in enumerate(disputes):
        if dispute.outcome != words.DISPUTE_OUTCOME_UNSPECIFIED:
            continue
        opened = events.DisputeOpened(
            account_id=account_id,
            client_id=client_id,
            dispute_id=str(uuid5(_DISPUTES, f"{account_id}|{ordinal}|{dispute.date}|{dispute.reason}")),
            person_id=person_id,
            reason=dispute.reason,
            received_date=dispute.date,
        )
        yield opened
        yield held(opened)


def held(opened: events.DisputeOpened) -> events.HoldPlaced:
    """The hold that stands for a dispute."""
    return events.HoldPlaced(
        account_id=opened.account_id,
        client_id=opened.client_id,
        hold_id=str(uuid5(_DISPUTES, f"{opened.account_id}|{opened.dispute_id}|hold")),
        scope=words.HOLD_SCOPE_ACCOUNT,
        person_id=opened.person_id,
        reason=words.HOLD_REASON_DISPUTE,
        dispute_id=opened.dispute_id,
        source="15 USC 1692g(b)",
    )


def _opened(command: commands.OpenDispute, account: Account) -> events.DisputeOpened:
    opened = events.DisputeOpened(
        account_id=account.account_id,
        client_id=account.client_id,
        dispute_id=command.dispute_id,
        person_id=command.person_id,
        reason=command.reason,
        received_date=command.received_date,
        in_writing=command.in_writing,
    )
    for name in ("portion_minor", "document_id"):
        if command.HasField(name):
            setattr(opened, name, getattr(command, name))
    return opened


def _same_dispute(known: Dispute, opened: events.DisputeOpened) -> bool:
    portion = opened.portion_minor if opened.HasField("portion_minor") else None
    return (known.person_id, known.reason, known.received_date, known.in_writing, known.portion, known.document_id) == (
        opened.person_id,
        opened.reason,
        opened.received_date,
        opened.in_writing,
        portion,
        opened.document_id,
    )


def _dispute_faults(command: commands.OpenDispute, account: Account, now: datetime) -> Iterator[Fault]:
    yield from date_faults("/received_date", command.received_date, now.date())
    if command.HasField("portion_minor") and not 0 < command.portion_minor <= account.balance.total:
        yield Fault("/portion_minor", "out_of_range", "must be a part of the balance, above zero")


def _answer_date_faults(pointer: str, text: str, dispute: Dispute, now: datetime) -> Iterator[Fault]:
    yield from date_faults(pointer, text, now.date())
    day, received = date_of(text), date_of(dispute.received_date)
    if day is not None and received is not None and day < received:
        yield Fault(pointer, "too_early", f"must not be before the dispute was received, {dispute.received_date}")


def _dispute(dispute_id: str, account: Account) -> Dispute:
    dispute = account.disputes.get(dispute_id)
    if dispute is None:
        raise DisputeUnknown
    return dispute


def _release(dispute_id: str, account: Account, reason: str) -> Iterator[Message]:
    for hold in account.holds.values():
        if hold.placed.dispute_id == dispute_id and not hold.released:
            yield released(account, hold, reason)


def _refuse_unknown_document(document_id: str, account: Account) -> None:
    if document_id and not account.has_document(document_id):
        raise DocumentUnknown
