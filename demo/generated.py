"""Invents a portfolio: accounts of three creditors, with the flaws that real files have, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from recoup.accounts.v1 import placement_pb2, terms_pb2
from recoup.accounts.v1 import words_pb2 as words

from demo.draft import PORTFOLIO_ID, Client
from demo.people import People
from demo.places import CITY_BY_STATE

ACCOUNTS_DEFAULT: Final = 2_000
BATCH_REFERENCE: Final = "generated-1"

_PER_MILLE: Final = 1_000
_DUPLICATES_PER_MILLE: Final = 15
_REFUSED_PER_MILLE: Final = 10
_QUARANTINED_PER_MILLE: Final = 30
_CO_DEBTORS_PER_MILLE: Final = 150
_GUARANTORS_PER_MILLE: Final = 20
_BUSINESSES_PER_MILLE: Final = 30
_KNOWN_PERSONS_PER_MILLE: Final = 60
_CHARGED_OFF_PER_MILLE: Final = 600
_OPEN_DISPUTES_PER_MILLE: Final = 6


@dataclass(frozen=True, slots=True)
class _Creditor:
    """One client and what it lends or sells, each product as often as it is named."""

    client: Client
    prefix: str
    products: tuple[words.ProductType, ...]


CREDITORS: Final = (
    _Creditor(
        Client("cascade-auto-finance", "Cascade Auto Finance LLC"),
        "CAF",
        (words.PRODUCT_TYPE_AUTO,),
    ),
    _Creditor(
        Client("harbor-point-bank", "Harbor Point Bank N.A."),
        "HPB",
        (
            *(words.PRODUCT_TYPE_CARD,) * 5,
            *(words.PRODUCT_TYPE_PERSONAL_LOAN,) * 3,
            words.PRODUCT_TYPE_STUDENT_LOAN,
        ),
    ),
    _Creditor(
        Client("prairie-health-and-utilities", "Prairie Health and Utilities Cooperative"),
        "PHU",
        (
            *(words.PRODUCT_TYPE_MEDICAL,) * 3,
            *(words.PRODUCT_TYPE_UTILITY,) * 2,
            words.PRODUCT_TYPE_TELECOM,
            words.PRODUCT_TYPE_RENT,
        ),
    ),
)

_CONTRACT_KINDS: Final = {
    words.PRODUCT_TYPE_AUTO: words.CONTRACT_KIND_WRITTEN,
    words.PRODUCT_TYPE_CARD: words.CONTRACT_KIND_OPEN_ACCOUNT,
    words.PRODUCT_TYPE_PERSONAL_LOAN: words.CONTRACT_KIND_WRITTEN,
    words.PRODUCT_TYPE_STUDENT_LOAN: words.CONTRACT_KIND_PROMISSORY_NOTE,
    words.PRODUCT_TYPE_MEDICAL: words.CONTRACT_KIND_WRITTEN,
    words.PRODUCT_TYPE_UTILITY: words.CONTRACT_KIND_OPEN_ACCOUNT,
    words.PRODUCT_TYPE_TELECOM: words.CONTRACT_KIND_OPEN_ACCOUNT,
    words.PRODUCT_TYPE_RENT: words.CONTRACT_KIND_LEASE,
}
_INTEREST_BEARING: Final = frozenset({words.PRODUCT_TYPE_CARD, words.PRODUCT_TYPE_PERSONAL_LOAN})


@dataclass(frozen=True, slots=True)
class Invented:
    """One line of the invented file: whose it is and what it says."""

    client: Client
    placement: placement_pb2.Placement


def invent(count: int, seed: int, placement_date: date, today: date) -> Sequence[Invented]:
    """`count` lines. Some repeat an earlier one, some can only be quarantined, some only refused."""
    chance = random.Random(f"{seed}|portfolio")  # noqa: S311 - nothing is secret.
    people = People(seed, today)
    lines: list[Invented] = []
    for number in range(1, count + 1):
        if lines and _happens(chance, _DUPLICATES_PER_MILLE):
            lines.append(chance.choice(lines))
            continue
        line = _line(number, chance, people, placement_date)
        if _happens(chance, _QUARANTINED_PER_MILLE):
            chance.choice(_SHORTCOMINGS)(line.placement)
        elif _happens(chance, _REFUSED_PER_MILLE):
            chance.choice((*_FAULTS, _conflict_with(lines)))(line.placement)
        lines.append(line)
    return lines


def _happens(chance: random.Random, per_mille: int) -> bool:
    return chance.randrange(_PER_MILLE) < per_mille


def _line(number: int, chance: random.Random, people: People, placement_date: date) -> Invented:
    creditor = chance.choice(CREDITORS)
    product = chance.choice(creditor.products)
    reference = f"{creditor.prefix}-{number:06}"
    name = creditor.client.legal_name
    placement = placement_pb2.Placement(
        terms=terms_pb2.AccountTerms(
            client_id=creditor.client.client_id,
            portfolio_id=PORTFOLIO_ID,
            client_reference=reference,
            batch_reference=BATCH_REFERENCE,
            placement_date=placement_date.isoformat(),
            currency="USD",
            creditors=terms_pb2.Creditors(
                current_creditor_legal_name=name, original_creditor_name=name, itemization_date_creditor=name
            ),
            debt=_debt(product, reference, chance, placement_date),
        ),
    )
    _add_balance(placement.terms, chance)
    if product == words.PRODUCT_TYPE_AUTO:
        placement.terms.debt.collateral.add(
            type="vehicle", value_minor=chance.randint(2_000, 15_000) * 100, lien="first", status="with_debtor"
        )
        placement.collateral_identifiers.append(people.vehicle(reference))
    _add_parties(placement, reference, chance, people)
    if product == words.PRODUCT_TYPE_MEDICAL:
        guarantor = placement.parties[0].name
        placement.medical_guarantors.append(guarantor.business_name or f"{guarantor.first} {guarantor.last}")
    return Invented(creditor.client, placement)


def _debt(product: words.ProductType, reference: str, chance: random.Random, placement_date: date) -> terms_pb2.Debt:
    first_missed = placement_date - timedelta(days=chance.randint(150, 1_400))
    opened = first_missed - timedelta(days=chance.randint(60, 2_000))
    name = words.ProductType.Name(product).removeprefix("PRODUCT_TYPE_").replace("_", " ").lower()
    secured = product == words.PRODUCT_TYPE_AUTO
    debt = terms_pb2.Debt(
        product_type=product,
        description=f"{name} account, past due",
        consumer=not _happens(chance, _BUSINESSES_PER_MILLE),
        debt_type=words.DEBT_TYPE_SECURED if secured else words.DEBT_TYPE_UNSECURED,
        account_open_date=opened.isoformat(),
        date_of_first_delinquency=first_missed.isoformat(),
        last_statement_date=(placement_date - timedelta(days=chance.randint(2, 60))).isoformat(),
        accrual_date=first_missed.isoformat(),
        contract_kind=_CONTRACT_KINDS[product],
    )
    if product == words.PRODUCT_TYPE_MEDICAL:
        debt.service_date = opened.isoformat()
    if product == words.PRODUCT_TYPE_STUDENT_LOAN:
        debt.servicer_account_number = f"S{reference}"
    return debt


def _add_balance(terms: terms_pb2.AccountTerms, chance: random.Random) -> None:
    principal = chance.randint(8, 90) * chance.randint(1_000, 12_000)
    interest = principal * chance.randint(1, 25) // 100 if terms.debt.product_type in _INTEREST_BEARING else 0
    fees = chance.choice((0, 0, 2_500, 3_500, 7_900))
    total = principal + interest + fees
    terms.balance.buckets.principal_minor = principal
    terms.balance.buckets.interest_minor = interest
    terms.balance.buckets.fees_minor = fees
    terms.balance.total_minor = total
    if interest:
        terms.debt.interest_terms.rate_basis_points = chance.randint(600, 2_999)
        terms.debt.interest_terms.accrues_from = terms.debt.date_of_first_delinquency
        terms.debt.interest_terms.method = words.ACCRUAL_METHOD_SIMPLE_365
    if _happens(chance, _CHARGED_OFF_PER_MILLE):
        charged_off = date.fromisoformat(terms.debt.date_of_first_delinquency) + timedelta(days=120)
        terms.debt.charge_off_date = charged_off.isoformat()
        terms.debt.charge_off_balance_minor = total
    if _happens(chance, _OPEN_DISPUTES_PER_MILLE):
        terms.history.disputes.add(date=terms.debt.last_statement_date, reason=words.DISPUTE_REASON_WRONG_AMOUNT)
    _add_itemization(terms, fees)


def _add_itemization(terms: terms_pb2.AccountTerms, fees: int) -> None:
    itemization = terms.itemization
    itemization.itemization_date_type = words.ITEMIZATION_DATE_TYPE_LAST_STATEMENT
    itemization.itemization_date = terms.debt.last_statement_date
    itemization.amount_on_itemization_date_minor = terms.balance.total_minor - fees
    itemization.interest_since_minor = 0
    itemization.fees_since_minor = fees
    itemization.payments_since_minor = 0
    itemization.credits_since_minor = 0
    itemization.current_amount_minor = terms.balance.total_minor
    itemization.account_number_display = f"ending in {terms.client_reference[-4:]}"


def _add_parties(placement: placement_pb2.Placement, reference: str, chance: random.Random, people: People) -> None:
    state = chance.choice(sorted(CITY_BY_STATE))
    # Some people owe more than one account: what holds the one must hold the other.
    known = _happens(chance, _KNOWN_PERSONS_PER_MILLE)
    key = f"known person {chance.randint(1, 25)}" if known else reference
    primary = people.person(key, "", "" if known else state)
    if not placement.terms.debt.consumer:
        primary = people.organisation(key, "", state)
    primary.role = words.DEBTOR_ROLE_PRIMARY
    placement.parties.append(primary)
    for per_mille, role in (
        (_CO_DEBTORS_PER_MILLE, words.DEBTOR_ROLE_CO_DEBTOR),
        (_GUARANTORS_PER_MILLE, words.DEBTOR_ROLE_GUARANTOR),
    ):
        if _happens(chance, per_mille):
            other = people.person(f"{reference}|{role}", "", state)
            other.role = role
            placement.parties.append(other)
    for per_mille, put in _KNOWN_FLAGS:
        if _happens(chance, per_mille) and placement.terms.debt.consumer:
            put(chance.choice(placement.parties))


def _put_bankruptcy(party: placement_pb2.PlacedParty) -> None:
    party.flags.bankruptcy.chapter = 13


def _put_discharge(party: placement_pb2.PlacedParty) -> None:
    party.flags.bankruptcy.chapter = 7
    party.flags.bankruptcy.discharged = True


def _put_death(party: placement_pb2.PlacedParty) -> None:
    party.flags.deceased = True


def _put_service(party: placement_pb2.PlacedParty) -> None:
    party.flags.military = True


def _put_theft(party: placement_pb2.PlacedParty) -> None:
    party.flags.identity_theft = True


_KNOWN_FLAGS: Final[Sequence[tuple[int, Callable[[placement_pb2.PlacedParty], None]]]] = (
    (14, _put_bankruptcy),
    (4, _put_discharge),
    (7, _put_death),
    (6, _put_service),
    (4, _put_theft),
)


def _forget_itemization(placement: placement_pb2.Placement) -> None:
    placement.terms.ClearField("itemization")
    placement.terms.debt.consumer = True


def _forget_limitation(placement: placement_pb2.Placement) -> None:
    placement.terms.debt.ClearField("accrual_date")
    placement.terms.debt.ClearField("contract_kind")
    placement.terms.debt.consumer = True


def _forget_charge_off_balance(placement: placement_pb2.Placement) -> None:
    placement.terms.debt.ClearField("charge_off_balance_minor")
    placement.terms.debt.charge_off_date = placement.terms.debt.last_statement_date
    placement.terms.debt.consumer = True


_SHORTCOMINGS: Final = (_forget_itemization, _forget_limitation, _forget_charge_off_balance)


def _miscount_balance(placement: placement_pb2.Placement) -> None:
    placement.terms.balance.total_minor += 100


def _look_ahead(placement: placement_pb2.Placement) -> None:
    opened = date.fromisoformat(placement.terms.placement_date)
    placement.terms.debt.account_open_date = opened.replace(year=opened.year + 5, day=1).isoformat()


def _owe_nothing(placement: placement_pb2.Placement) -> None:
    placement.terms.balance.Clear()


_FAULTS: Final = (_miscount_balance, _look_ahead, _owe_nothing)


def _conflict_with(lines: Sequence[Invented]) -> Callable[[placement_pb2.Placement], None]:
    """Other content under a reference that the client has used before, where it has used one."""

    def conflict(placement: placement_pb2.Placement) -> None:
        placement.terms.client_reference = next(
            (
                line.placement.terms.client_reference
                for line in reversed(lines)
                if line.placement.terms.client_id == placement.terms.client_id
            ),
            placement.terms.client_reference,
        )

    return conflict
