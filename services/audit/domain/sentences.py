"""The sentence of every type of fact: who did what and why, and the rule behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from recoup.accounts.v1 import events_pb2 as facts
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.commands_pb2 import Contract
from recoup.accounts.v1.terms_pb2 import AccountTerms

from services.audit.domain import citations, ledger
from services.audit.domain.amounts import listed, money, spread
from services.audit.domain.book import UnknownFact

ID_CHARACTERS: Final = 8
"""So much of an id is told: enough to find it in a case."""
_BASIS_POINTS: Final = 100
_NAMES: Final = {"ACH": "ACH", "US": "the agency", "CLIENT": "the client", "SCRA": "military service"}
_PARTS: Final = {"CH7": "chapter 7", "CH11": "chapter 11", "CH12": "chapter 12", "CH13": "chapter 13"}


class Telling(NamedTuple):
    """A sentence, and the law, contract or specification behind it, empty when there is none."""

    text: str
    rule: str = ""


Teller: TypeAlias = Callable[[Any, str, str], Telling]
"""From a fact, its actor and the currency of its account to what is told of it."""


def telling(fact: Message, actor: str, currency: str) -> Telling:
    """One fact as a sentence; UnknownFact when there is no sentence for its type."""
    teller = _TELLERS.get(type(fact))
    if teller is None:
        raise UnknownFact(fact.DESCRIPTOR.full_name)
    return teller(fact, actor, currency)


def word(kind: EnumTypeWrapper, value: int) -> str:
    """A word of a closed list as one says it: HOLD_REASON_DISASTER_AREA becomes `disaster area`."""
    prefix = "".join(f"_{letter}" if letter.isupper() else letter for letter in kind.DESCRIPTOR.name).lstrip("_")
    name = kind.Name(value).removeprefix(f"{prefix.upper()}_")
    return _NAMES.get(name) or " ".join(_PARTS.get(part, part.lower()) for part in name.split("_"))


def short(id_: str) -> str:
    """The beginning of an id."""
    return id_[:ID_CHARACTERS]


def _account_placed(fact: facts.AccountPlaced, actor: str, _currency: str) -> Telling:
    debtors = [f"person {short(debtor.person_id)} as {word(words.DebtorRole, debtor.role)}" for debtor in fact.debtors]
    text = f"{actor} placed {_owed(fact.terms)}. Named on it: {listed(debtors)}."
    return Telling(text, _portfolio(fact.terms))


def _placement_quarantined(fact: facts.PlacementQuarantined, actor: str, _currency: str) -> Telling:
    lacks = [f"{lack.pointer} ({lack.message.rstrip('.')})" for lack in fact.shortcomings]
    text = (
        f"{actor} placed {_owed(fact.terms)}. It was quarantined and is not worked, "
        f"because something is missing: {listed(lacks)}."
    )
    return Telling(text, citations.ITEMIZATION if fact.terms.debt.consumer else _portfolio(fact.terms))


def _placement_completed(fact: facts.PlacementCompleted, actor: str, _currency: str) -> Telling:
    changed = spread(ledger.amounts(fact.difference), fact.terms.currency)
    text = (
        f"{actor} supplied what was missing, so that it may be worked: {_owed(fact.terms)}. "
        f"The balance changed by {changed}."
    )
    return Telling(text, _portfolio(fact.terms))


def _payment_posted(fact: facts.PaymentPosted, actor: str, currency: str) -> Telling:
    beyond = f", and {money(fact.overpaid_minor, currency)} more than was owed" if fact.overpaid_minor else ""
    text = (
        f"{actor} posted a payment of {money(fact.amount_minor, currency)} to {word(words.Payee, fact.payee)} "
        f"by {word(words.Instrument, fact.instrument)}, effective {fact.effective_date} "
        f"(reference {fact.transaction_reference}). "
        f"It paid {spread(ledger.amounts(fact.applied), currency)}{beyond}; "
        f"{_left(fact, currency)}"
    )
    policy = word(words.AllocationPolicy, fact.allocation_policy)
    return Telling(text, f"{citations.CONTRACT}: payments are spread by {policy}")


def _payment_returned(fact: facts.PaymentReturned, actor: str, currency: str) -> Telling:
    text = (
        f"{actor} took back payment {short(fact.payment_id)} of {money(fact.amount_minor, currency)}, "
        f"because its money came back with code {fact.return_code}, effective {fact.effective_date}. "
        f"{_again(fact, currency)}"
    )
    return Telling(text, f"the bank's return code {fact.return_code}")


def _payment_refunded(fact: facts.PaymentRefunded, actor: str, currency: str) -> Telling:
    text = (
        f"{actor} refunded {money(fact.amount_minor, currency)} of payment {short(fact.payment_id)}, "
        f"effective {fact.effective_date}. {_again(fact, currency)}"
    )
    return Telling(text)


def _payment_corrected(fact: facts.PaymentCorrected, actor: str, currency: str) -> Telling:
    text = (
        f"{actor} corrected the payment of reference {fact.corrects} from {money(fact.amount_before_minor, currency)} "
        f"to {money(fact.amount_minor, currency)}, because it was posted wrongly, effective {fact.effective_date}. "
        f"The balance changed by {spread(ledger.amounts(fact.difference), currency)}; {_left(fact, currency)}"
    )
    return Telling(text)


def _balance_adjusted(fact: facts.BalanceAdjusted, actor: str, currency: str) -> Telling:
    text = (
        f"{actor} adjusted the {word(words.Bucket, fact.bucket)} by {money(fact.difference_minor, currency)}, "
        f"because of {word(words.AdjustmentReason, fact.reason)}, effective {fact.effective_date}; "
        f"{fact.approver} approved it. After it {_left(fact, currency)}"
    )
    return Telling(text, citations.AMOUNTS)


def _account_paid_in_full(fact: facts.AccountPaidInFull, _actor: str, _currency: str) -> Telling:
    text = f"Payment {short(fact.payment_id)} paid the account in full on {fact.paid_date}: nothing is owed any more."
    return Telling(text, citations.EXTINGUISHED)


def _dispute_opened(fact: facts.DisputeOpened, actor: str, currency: str) -> Telling:
    what = f"{money(fact.portion_minor, currency)} of the debt" if fact.HasField("portion_minor") else "the debt"
    how = "in writing" if fact.in_writing else "orally"
    text = (
        f"{actor} recorded that person {short(fact.person_id)} disputed {what} {how} on {fact.received_date}, "
        f"because of {word(words.DisputeReason, fact.reason)}."
    )
    return Telling(text, citations.DISPUTE_IN_WRITING if fact.in_writing else citations.DISPUTE_ORAL)


def _verification_sent(fact: facts.VerificationSent, actor: str, _currency: str) -> Telling:
    answer = f"sent document {short(fact.document_id)} on {fact.sent_date}"
    return Telling(f"{actor} {answer} in answer to dispute {short(fact.dispute_id)}.", citations.DISPUTE_IN_WRITING)


def _dispute_closed(fact: facts.DisputeClosed, actor: str, _currency: str) -> Telling:
    outcome = word(words.DisputeOutcome, fact.outcome)
    text = f"{actor} closed dispute {short(fact.dispute_id)} on {fact.closed_date} with the outcome: {outcome}."
    return Telling(text, citations.of_dispute_end(fact.outcome))


def _hold_placed(fact: facts.HoldPlaced, actor: str, _currency: str) -> Telling:
    why = word(words.HoldReason, fact.reason) + (f" ({fact.text})" if fact.HasField("text") else "")
    person = f" of person {short(fact.person_id)}" if fact.HasField("person_id") else ""
    held = f"every account{person}" if fact.scope == words.HOLD_SCOPE_PERSON else "the account"
    concerned = person if fact.scope == words.HOLD_SCOPE_ACCOUNT else ""
    rule = fact.source if fact.HasField("source") else citations.of_hold(fact.reason)
    return Telling(f"{actor} held {held} because of {why}{concerned}, {_until(fact)}.", rule)


def _hold_released(fact: facts.HoldReleased, actor: str, _currency: str) -> Telling:
    person = f" of person {short(fact.person_id)}" if fact.HasField("person_id") else ""
    held = f"every account{person}" if fact.scope == words.HOLD_SCOPE_PERSON else "the account"
    return Telling(f"{actor} released hold {short(fact.hold_id)} on {held}, because: {_words(fact.reason)}.")


def _document_attached(fact: facts.DocumentAttached, actor: str, _currency: str) -> Telling:
    kind = word(words.DocumentType, fact.type)
    text = f"{actor} attached document {short(fact.document_id)} ({kind}), whose SHA-256 is {fact.sha256}."
    return Telling(text, citations.RECORDS)


def _account_closed(fact: facts.AccountClosed, actor: str, _currency: str) -> Telling:
    text = f"{actor} closed the account on {fact.closed_date}, because of {word(words.CloseCode, fact.code)}."
    return Telling(text, citations.of_closing(fact.code))


def _client_registered(fact: facts.ClientRegistered, actor: str, _currency: str) -> Telling:
    kind = word(words.ClientKind, fact.kind)
    text = f"{actor} registered client {fact.client_id}, {fact.legal_name} ({kind}). {_agreed(fact.contract)}"
    return Telling(text, citations.CONTRACT)


def _contract_amended(fact: facts.ContractAmended, actor: str, _currency: str) -> Telling:
    text = f"{actor} amended the contract of client {fact.client_id}. {_agreed(fact.contract)}"
    return Telling(text, citations.CONTRACT)


def _portfolio_opened(fact: facts.PortfolioOpened, actor: str, _currency: str) -> Telling:
    text = f"{actor} opened portfolio {fact.portfolio_id} ({fact.name}) of client {fact.client_id}."
    return Telling(text, citations.CONTRACT)


def _person_registered(fact: facts.PersonRegistered, actor: str, _currency: str) -> Telling:
    kind = word(words.PartyKind, fact.kind)
    return Telling(f"{actor} entered person {short(fact.person_id)} ({kind}) in the agency's books.")


def _account_linked(fact: facts.AccountLinked, actor: str, _currency: str) -> Telling:
    role = word(words.DebtorRole, fact.role)
    reasons = listed([word(words.HoldReason, hold.reason) for hold in fact.holds])
    held = f", and what holds the person now holds it too: {reasons}" if fact.holds else ""
    text = f"{actor} tied account {short(fact.account_id)} to person {short(fact.person_id)} as {role}{held}."
    return Telling(text)


def _person_hold_placed(fact: facts.PersonHoldPlaced, actor: str, _currency: str) -> Telling:
    reach = f"every account of person {short(fact.person_id)} ({len(fact.account_ids)} at that moment)"
    text = f"{actor} held {reach} because of {word(words.HoldReason, fact.hold.reason)}, {_until(fact.hold)}."
    return Telling(text, citations.of_hold(fact.hold.reason))


def _person_hold_released(fact: facts.PersonHoldReleased, actor: str, _currency: str) -> Telling:
    reach = f"every account of person {short(fact.person_id)} ({len(fact.account_ids)} at that moment)"
    return Telling(f"{actor} released hold {short(fact.hold_id)} on {reach}, because: {_words(fact.reason)}.")


def _persons_linked(fact: facts.PersonsLinked, actor: str, _currency: str) -> Telling:
    return Telling(f"{actor} said that {_two(fact)} are the same, because: {_words(fact.reason)}.")


def _persons_unlinked(fact: facts.PersonsUnlinked, actor: str, _currency: str) -> Telling:
    return Telling(f"{actor} took back that {_two(fact)} are the same, because: {_words(fact.reason)}.")


def _person_erased(fact: facts.PersonErased, actor: str, _currency: str) -> Telling:
    return Telling(f"{actor} erased person {short(fact.person_id)} from the vault, because: {_words(fact.reason)}.")


def _owed(terms: AccountTerms) -> str:
    total = money(terms.balance.total_minor, terms.currency)
    parts = spread(ledger.amounts(terms.balance.buckets), terms.currency)
    return (
        f"account {terms.client_reference} of client {terms.client_id} on {terms.placement_date}: "
        f"{total} owed to {terms.creditors.current_creditor_legal_name} ({parts})"
    )


def _portfolio(terms: AccountTerms) -> str:
    return f"{citations.CONTRACT}: portfolio {terms.portfolio_id}"


def _left(
    fact: facts.PaymentPosted
    | facts.PaymentReturned
    | facts.PaymentRefunded
    | facts.PaymentCorrected
    | facts.BalanceAdjusted,
    currency: str,
) -> str:
    return f"{money(sum(ledger.amounts(fact.balance_after)), currency)} is owed."


def _again(fact: facts.PaymentReturned | facts.PaymentRefunded, currency: str) -> str:
    less = fact.overpaid_reversed_minor
    reversed_ = f", and {money(less, currency)} less is overpaid" if less else ""
    return f"Owed again: {spread(ledger.amounts(fact.restored), currency)}{reversed_}; {_left(fact, currency)}"


def _until(hold: facts.HoldPlaced | facts.PersonHold) -> str:
    return f"until {hold.expires_at}" if hold.HasField("expires_at") else "until it is released"


def _words(said: str) -> str:
    return said.strip().rstrip(".")


def _two(fact: facts.PersonsLinked | facts.PersonsUnlinked) -> str:
    return f"persons {short(fact.person_id)} and {short(fact.other_person_id)}"


def _agreed(contract: Contract) -> str:
    whole, part = divmod(contract.contingency_rate_basis_points, _BASIS_POINTS)
    policy = word(words.AllocationPolicy, contract.allocation_policy)
    return (
        f"The agency's share is {whole}.{part:02d} %, nothing for the first {contract.free_demand_days} days; "
        f"payments are spread by {policy}; it may place in {listed(list(contract.currencies))}."
    )


_TELLERS: Final[Mapping[type[Message], Teller]] = {
    facts.AccountPlaced: _account_placed,
    facts.PlacementQuarantined: _placement_quarantined,
    facts.PlacementCompleted: _placement_completed,
    facts.PaymentPosted: _payment_posted,
    facts.PaymentReturned: _payment_returned,
    facts.PaymentRefunded: _payment_refunded,
    facts.PaymentCorrected: _payment_corrected,
    facts.BalanceAdjusted: _balance_adjusted,
    facts.AccountPaidInFull: _account_paid_in_full,
    facts.DisputeOpened: _dispute_opened,
    facts.VerificationSent: _verification_sent,
    facts.DisputeClosed: _dispute_closed,
    facts.HoldPlaced: _hold_placed,
    facts.HoldReleased: _hold_released,
    facts.DocumentAttached: _document_attached,
    facts.AccountClosed: _account_closed,
    facts.ClientRegistered: _client_registered,
    facts.ContractAmended: _contract_amended,
    facts.PortfolioOpened: _portfolio_opened,
    facts.PersonRegistered: _person_registered,
    facts.AccountLinked: _account_linked,
    facts.PersonHoldPlaced: _person_hold_placed,
    facts.PersonHoldReleased: _person_hold_released,
    facts.PersonsLinked: _persons_linked,
    facts.PersonsUnlinked: _persons_unlinked,
    facts.PersonErased: _person_erased,
}
FACTS: Final[Mapping[str, type[Message]]] = {str(kind.DESCRIPTOR.full_name): kind for kind in _TELLERS}
"""Every fact that has a sentence, by its full name."""
