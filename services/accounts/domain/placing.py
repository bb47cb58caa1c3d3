"""Placing an account and completing a quarantined one: accepted, quarantined, already so, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from google.protobuf.message import Message
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import state_pb2 as states
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.commands_pb2 import ClientStanding
from recoup.accounts.v1.terms_pb2 import AccountTerms, Debtor

from kernel.decider import Fault, Refused
from services.accounts.domain.disputes import known_disputes
from services.accounts.domain.holds import known_holds
from services.accounts.domain.ledger import amounts_of, buckets_of
from services.accounts.domain.placement import term_faults
from services.accounts.domain.quarantine import shortcomings_of
from services.accounts.domain.state import Account

Placing = commands.PlaceAccount | commands.CompletePlacement


class PlacementInvalid(Refused):
    """A placement is refused as long as any of its fields is at fault."""

    source = "Recoup: placement checks"


class ClientUnknown(Refused):
    """Only a registered client places accounts: register the client first."""


class PortfolioUnknown(Refused):
    """An account is placed into an open portfolio of its client: open the portfolio first."""


class CurrencyNotAgreed(Refused):
    """An account is placed in a currency of the client's contract."""


class ClientReferenceTaken(Refused):
    """The client reference names one account, which was placed with other content."""

    source = "Recoup: natural key client_id and client_reference"


class ReopeningNotOffered(Refused):
    """The account is closed, and a further placement of a closed account is not taken."""

    source = "Recoup: placement sequence"


class StillIncomplete(Refused):
    """A quarantined account leaves quarantine when nothing is missing any more."""

    source = "Recoup: quarantine"


class NotQuarantined(Refused):
    """Only a quarantined account can be completed."""

    source = "Recoup: quarantine"


class ImmutableChanged(Refused):
    """What identifies an account, and its date of first delinquency, never change."""

    source = "15 USC 1681c(c)"


class CompletedBelowZero(Refused):
    """The completed balance must leave every bucket at zero or above after what was already posted."""


def place_account(command: commands.PlaceAccount, account: Account, now: datetime) -> Sequence[Message]:
    """Accept or quarantine, together with every hold and dispute that is known already."""
    if account.placed:
        return _place_again(command, account)
    _refuse(command, now.date())
    shortcomings = [*shortcomings_of(command.terms, command.client), *command.shortcomings]
    kind = events.PlacementQuarantined if shortcomings else events.AccountPlaced
    placed = kind(
        account_id=command.account_id,
        client_id=command.terms.client_id,
        terms=command.terms,
        debtors=command.debtors,
        contract=command.contract,
        content_digest=command.content_digest,
        balance_after=command.terms.balance.buckets,
        placed_date=command.terms.placement_date,
    )
    if isinstance(placed, events.PlacementQuarantined):
        placed.shortcomings.extend(shortcomings)
    primary = next(debtor for debtor in command.debtors if debtor.role == words.DEBTOR_ROLE_PRIMARY)
    client_id, disputes = command.terms.client_id, command.terms.history.disputes
    return (
        placed,
        *known_holds(command.account_id, client_id, command.debtors),
        *known_disputes(command.account_id, client_id, primary.person_id, disputes),
    )


def complete_placement(command: commands.CompletePlacement, account: Account, now: datetime) -> Sequence[Message]:
    """Let a quarantined account out of quarantine; holds that are known only now are placed with it."""
    if account.phase != states.ACCOUNT_PHASE_QUARANTINED:
        if command.content_digest in account.digests:
            return ()
        raise NotQuarantined
    _refuse_changed(command.terms, account.terms)
    _refuse(command, now.date())
    shortcomings = [*shortcomings_of(command.terms, command.client), *command.shortcomings]
    if shortcomings:
        raise StillIncomplete(faults=[Fault(s.pointer, s.code, s.message) for s in shortcomings])
    placed_before = amounts_of(account.terms.balance.buckets)
    difference = amounts_of(command.terms.balance.buckets).minus(placed_before)
    balance = account.balance.plus(difference)
    if min(balance) < 0:
        raise CompletedBelowZero
    completed = events.PlacementCompleted(
        account_id=account.account_id,
        client_id=account.client_id,
        terms=command.terms,
        debtors=command.debtors,
        contract=command.contract,
        content_digest=command.content_digest,
        difference=buckets_of(difference),
        balance_after=buckets_of(balance),
        placed_date=command.terms.placement_date,
    )
    return (completed, *_new_holds(command.debtors, account))


def _place_again(command: commands.PlaceAccount, account: Account) -> Sequence[Message]:
    if command.content_digest in account.digests:
        return ()
    if account.closed and command.terms.placement_sequence > max(account.terms.placement_sequence, 1):
        raise ReopeningNotOffered
    fault = Fault("/terms/client_reference", "taken", "was used for other content")
    raise ClientReferenceTaken(faults=[fault])


def _refuse(command: Placing, today: date) -> None:
    faults = [
        *(Fault(fault.pointer, fault.code, fault.message) for fault in command.faults),
        *term_faults(command.terms, today),
        *(() if command.faults else _debtor_faults(command.debtors)),
    ]
    if faults:
        raise PlacementInvalid(faults=faults)
    for fault, rule in _client_refusals(command.terms, command.client):
        raise rule(faults=[fault])


def client_faults(terms: AccountTerms, client: ClientStanding) -> Sequence[Fault]:
    """What hinders the client from placing this account at all."""
    return [fault for fault, _rule in _client_refusals(terms, client)]


def _client_refusals(terms: AccountTerms, client: ClientStanding) -> Iterator[tuple[Fault, type[Refused]]]:
    if not client.registered:
        yield Fault("/terms/client_id", "unknown", "is not registered"), ClientUnknown
        return
    if not client.portfolio_open:
        yield Fault("/terms/portfolio_id", "unknown", "is not open for this client"), PortfolioUnknown
    if terms.currency not in client.currencies:
        text = f"must be one of {', '.join(client.currencies)}"
        yield Fault("/terms/currency", "not_agreed", text), CurrencyNotAgreed


def _debtor_faults(debtors: Sequence[Debtor]) -> Iterator[Fault]:
    if sum(debtor.role == words.DEBTOR_ROLE_PRIMARY for debtor in debtors) != 1:
        yield Fault("/parties", "one_primary", "must have exactly one primary")
    seen: set[str] = set()
    for index, debtor in enumerate(debtors):
        if debtor.person_id in seen:
            yield Fault(f"/parties/{index}", "repeated", "is the same party as one before")
        seen.add(debtor.person_id)


def _refuse_changed(terms: AccountTerms, before: AccountTerms) -> None:
    faults = [
        Fault(f"/terms/{name}", "immutable", "must stay what it was")
        for name in ("client_id", "client_reference", "portfolio_id", "currency", "placement_date")
        if getattr(terms, name) != getattr(before, name)
    ]
    first = before.debt.date_of_first_delinquency
    if first and terms.debt.date_of_first_delinquency != first:
        faults.append(Fault("/terms/debt/date_of_first_delinquency", "immutable", "must stay what it was"))
    if faults:
        raise ImmutableChanged(faults=faults)


def _new_holds(debtors: Sequence[Debtor], account: Account) -> Iterator[Message]:
    for hold in known_holds(account.account_id, account.client_id, debtors):
        if hold.hold_id not in account.holds:
            yield hold
