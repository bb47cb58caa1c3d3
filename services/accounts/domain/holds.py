"""Holds: what stops work, how far it reaches, when it ends, and what a placement already tells us to hold.

A hold never blocks money that comes in. One that is known when an account is placed is recorded in the very decision
that accepts the account, so that no such account is ever worked first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID, uuid5

from google.protobuf.message import Message
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.terms_pb2 import Debtor, DebtorFlags

from kernel.decider import Fault, Refused
from services.accounts.domain.fields import instant_of
from services.accounts.domain.refusals import DocumentUnknown, NotADebtor, refuse_faults
from services.accounts.domain.state import Account, Hold

HOLD_DAYS_MAX: Final = 366
CHAPTER_OF_CO_DEBTOR_STAY: Final = 13

NEEDS_EXPIRY: Final = frozenset(
    {
        words.HOLD_REASON_BANKRUPTCY_VERIFICATION,
        words.HOLD_REASON_HARDSHIP_TEMPORARY,
        words.HOLD_REASON_HARDSHIP_TEMPORARY_CONFIRMED,
        words.HOLD_REASON_DISASTER_AREA,
        words.HOLD_REASON_RECALL_PENDING,
        words.HOLD_REASON_VALIDATION_DOCUMENTS_SENT,
        words.HOLD_REASON_PRIOR_PAYMENT_DOCUMENTS,
        words.HOLD_REASON_MAILED_IN_PAYMENT,
        words.HOLD_REASON_GOOD_FAITH_PAYMENT,
        words.HOLD_REASON_ABUSIVE_CONTACT,
        words.HOLD_REASON_OTHER,
    }
)
"""Reasons that hold for days; every other one ends by its outcome, which is a release, and takes no expiry."""

LAWS: Final = {
    words.HOLD_REASON_SCRA: "50 USC 3911",
    words.HOLD_REASON_BANKRUPTCY: "11 USC 362(a)(6)",
    words.HOLD_REASON_DECEASED: "12 CFR 1006.6(a)(4)",
    words.HOLD_REASON_IDENTITY_THEFT: "15 USC 1681m(f)",
    words.HOLD_REASON_CEASE_COMMUNICATION: "12 CFR 1006.6(c)",
    words.HOLD_REASON_DISCHARGED: "11 USC 524(a)(2)",
    words.HOLD_REASON_REPRESENTED: "12 CFR 1006.6(b)(2)",
}
"""The law that demands a hold for a reason, where one does."""

CO_DEBTOR_STAY: Final = "11 USC 1301"

_HOLDS: Final = UUID("7a6d2f0b-3a0e-5b7e-8a86-5a5a3c9c1b42")


class ExpiryNeeded(Refused):
    """A hold for this reason ends after days, so it needs an expiry ahead and at most 366 days away."""

    source = "Recoup: hold reasons"


class ExpiryForbidden(Refused):
    """A hold for this reason ends by an outcome and never by itself, so it takes no expiry."""

    source = "Recoup: hold reasons"


class DisputeHoldsItself(Refused):
    """The hold of a dispute is placed by opening the dispute, so that it ends with its answer."""

    source = "15 USC 1692g(b)"


class DisputeStillOpen(Refused):
    """Collection ceases until the dispute is answered: answer or close it, which releases its hold."""

    source = "15 USC 1692g(b)"


class DischargeStands(Refused):
    """A discharged debt is never worked again: no release ends this hold."""

    source = "11 USC 524(a)(2)"


class HoldIdTaken(Refused):
    """A hold's id names one hold: another hold needs another id."""


class HoldUnknown(Refused):
    """There is no hold under this id."""


class _Known(NamedTuple):
    """A hold that a placement demands: why, how far, for whom, and by which law."""

    reason: words.HoldReason
    scope: words.HoldScope
    person_id: str
    source: str


def place_hold(command: commands.PlaceHold, account: Account, now: datetime) -> Sequence[Message]:
    """Stop work for a reason; on a closed account too, because it protects a person should work start again."""
    fact = events.HoldPlaced(
        account_id=account.account_id,
        client_id=account.client_id,
        hold_id=command.hold_id,
        scope=command.scope,
        reason=command.reason,
        source=LAWS.get(command.reason),
    )
    for name in ("person_id", "text", "expires_at", "document_id"):
        if command.HasField(name):
            setattr(fact, name, getattr(command, name))
    known = account.holds.get(command.hold_id)
    if known is not None:
        if not _same_hold(known, fact):
            raise HoldIdTaken
        return ()
    refuse_faults(_hold_faults(command))
    if command.reason == words.HOLD_REASON_DISPUTE:
        raise DisputeHoldsItself
    if command.person_id and not account.owes(command.person_id):
        raise NotADebtor
    if command.document_id and not account.has_document(command.document_id):
        raise DocumentUnknown
    refuse_expiry(command.reason, command.expires_at, now)
    return (fact,)


def release_hold(command: commands.ReleaseHold, account: Account, _now: datetime) -> Sequence[Message]:
    """Let work go on, as far as no other hold stands."""
    hold = account.holds.get(command.hold_id)
    if hold is None:
        raise HoldUnknown
    if hold.released:
        return ()
    if hold.placed.reason == words.HOLD_REASON_DISCHARGED:
        raise DischargeStands
    dispute = account.disputes.get(hold.placed.dispute_id)
    if dispute is not None and dispute.is_open and not dispute.verification_sent_date:
        raise DisputeStillOpen
    return (released(account, hold, command.reason),)


def released(account: Account, hold: Hold, reason: str) -> events.HoldReleased:
    """The fact that a hold of this account ended."""
    fact = events.HoldReleased(
        account_id=account.account_id,
        client_id=account.client_id,
        hold_id=hold.placed.hold_id,
        reason=reason,
        scope=hold.placed.scope,
    )
    if hold.placed.HasField("person_id"):
        fact.person_id = hold.placed.person_id
    return fact


def known_holds(account_id: str, client_id: str, debtors: Sequence[Debtor]) -> Iterator[events.HoldPlaced]:
    """The holds that what the creditor knows of the debtors demands. Their ids come from account, person and reason."""
    for known in dict.fromkeys(_known(debtors)):
        yield events.HoldPlaced(
            account_id=account_id,
            client_id=client_id,
            hold_id=str(uuid5(_HOLDS, f"{account_id}|{known.person_id}|{known.reason}")),
            scope=known.scope,
            person_id=known.person_id,
            reason=known.reason,
            source=known.source,
        )


def holds_in_force(account: Account, now: datetime) -> Sequence[events.HoldPlaced]:
    """The holds that were neither released nor have expired at an instant."""
    return [
        hold.placed for hold in account.holds.values() if not hold.released and not expired(hold.placed.expires_at, now)
    ]


def expired(expires_at: str, now: datetime) -> bool:
    """Whether a hold that ends at this RFC 3339 instant, or never when blank, has ended."""
    instant = instant_of(expires_at) if expires_at else None
    return instant is not None and instant <= now


def refuse_expiry(reason: words.HoldReason, expires_at: str, now: datetime) -> None:
    """Refuse an expiry where the reason takes none, and the lack or a wrong one where the reason needs it."""
    if reason not in NEEDS_EXPIRY:
        if expires_at:
            raise ExpiryForbidden(faults=[Fault("/expires_at", "forbidden", "must be absent for this reason")])
        return
    instant = instant_of(expires_at)
    if instant is None or not now < instant <= now + timedelta(days=HOLD_DAYS_MAX):
        text = f"must be an RFC 3339 instant ahead, at most {HOLD_DAYS_MAX} days away"
        raise ExpiryNeeded(faults=[Fault("/expires_at", "invalid_expiry", text)])


def _known(debtors: Sequence[Debtor]) -> Iterator[_Known]:
    for debtor in debtors:
        yield from _known_of(debtor.person_id, debtor.flags)
        if debtor.flags.bankruptcy.chapter == CHAPTER_OF_CO_DEBTOR_STAY and not debtor.flags.bankruptcy.discharged:
            yield from _co_debtor_stays(debtor, debtors)


def _known_of(person_id: str, flags: DebtorFlags) -> Iterator[_Known]:
    person, account = words.HOLD_SCOPE_PERSON, words.HOLD_SCOPE_ACCOUNT
    discharged = flags.bankruptcy.discharged
    for demanded, reason, scope in (
        (discharged, words.HOLD_REASON_DISCHARGED, account),
        (flags.HasField("bankruptcy") and not discharged, words.HOLD_REASON_BANKRUPTCY, person),
        (flags.deceased, words.HOLD_REASON_DECEASED, person),
        (flags.military, words.HOLD_REASON_SCRA, person),
        (flags.identity_theft, words.HOLD_REASON_IDENTITY_THEFT, account),
        (flags.represented, words.HOLD_REASON_REPRESENTED, account),
        (flags.HasField("cease_date"), words.HOLD_REASON_CEASE_COMMUNICATION, account),
    ):
        if demanded:
            yield _Known(reason, scope, person_id, LAWS[reason])


def _co_debtor_stays(bankrupt: Debtor, debtors: Iterable[Debtor]) -> Iterator[_Known]:
    """The stay of chapter 13 protects whoever is liable with the debtor, on this debt alone."""
    liable = (words.DEBTOR_ROLE_PRIMARY, words.DEBTOR_ROLE_CO_DEBTOR, words.DEBTOR_ROLE_GUARANTOR)
    for other in debtors:
        if other.person_id != bankrupt.person_id and other.role in liable:
            yield _Known(words.HOLD_REASON_BANKRUPTCY, words.HOLD_SCOPE_ACCOUNT, other.person_id, CO_DEBTOR_STAY)


def _hold_faults(command: commands.PlaceHold) -> Iterator[Fault]:
    if command.reason == words.HOLD_REASON_OTHER and not command.text.strip():
        yield Fault("/text", "missing", "must say why, because the reason is `other`")
    if command.scope == words.HOLD_SCOPE_PERSON and not command.person_id:
        yield Fault("/person_id", "missing", "must name the person whose accounts are held")


def _same_hold(known: Hold, fact: events.HoldPlaced) -> bool:
    """Whether two facts are one hold. On a person's other accounts the hold is the same without its words."""
    placed = known.placed
    if (placed.scope, placed.person_id, placed.reason, placed.expires_at) != (
        fact.scope,
        fact.person_id,
        fact.reason,
        fact.expires_at,
    ):
        return False
    return placed.scope == words.HOLD_SCOPE_PERSON or placed.text == fact.text
