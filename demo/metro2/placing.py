"""Turns tradelines into placements, moving every date forward by one whole number of days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from recoup.accounts.v1 import placement_pb2, terms_pb2
from recoup.accounts.v1 import words_pb2 as words

from demo.draft import PORTFOLIO_ID, Draft, Note, client_id_of
from demo.metro2 import codes, layout
from demo.metro2.reader import Associate, FurnisherFile, Tradeline
from demo.people import People

MINOR_PER_DOLLAR: Final = 100
DAYS_TO_CHARGE_OFF: Final = 120
"""Closed-end credit is charged off when it is 120 days past due (Uniform Retail Credit Classification, 65 FR 36903)."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of the job: the file's days move by `shift_days`, so that all lie before the placement."""

    shift_days: int
    placement_date: date

    def moved(self, day: date) -> str:
        """A day of the file as a day of the job. Raises OverflowError for a day that no calendar has."""
        return (day + timedelta(days=self.shift_days)).isoformat()


def calendar_for(tradelines: Iterable[Tradeline], placement_date: date, today: date) -> Calendar:
    """The calendar that puts the file's latest day just before the placement.

    Days that lie ahead even of today are mistakes of the file and do not count.
    """
    days = [day for tradeline in tradelines for day in _days_of(tradeline) if day < today]
    shift = (placement_date - max(days)).days - 1 if days else 0
    return Calendar(max(shift, 0), placement_date)


def drafts_of(
    furnished: FurnisherFile, calendar: Calendar, people: People
) -> tuple[list[Draft], list[Note], list[Note]]:
    """The placements in the order of their lines, the refusals of all lines, and the warnings."""
    refused = [
        Note(line.line, "; ".join(f"{fault.field}: {fault.reason}" for fault in line.faults))
        for line in furnished.refused
    ]
    warnings = [Note(warned.line, warned.text) for warned in furnished.warnings]
    batch = f"metro2-{furnished.activity_date or 'undated'}"
    drafts = []
    for tradeline in furnished.tradelines:
        try:
            drafts.append(_draft(tradeline, batch, calendar, people))
        except OverflowError:
            refused.append(Note(tradeline.line, "dates: a date would move beyond the calendar"))
            continue
        warnings.extend(Note(tradeline.line, text) for text in _code_warnings(tradeline))
    return drafts, refused, warnings


def _days_of(tradeline: Tradeline) -> Iterator[date]:
    days = (tradeline.opened, tradeline.as_of, tradeline.first_delinquency, tradeline.last_payment)
    yield from (day for day in days if day is not None)
    if (charged_off := _charge_off(tradeline)) is not None:
        yield charged_off[0]


def _charge_off(tradeline: Tradeline) -> tuple[date, bool] | None:
    """The charge-off date of a charged-off account, and whether it is derived."""
    if tradeline.status != layout.CHARGED_OFF:
        return None
    if tradeline.closed is not None:
        return tradeline.closed, False
    if tradeline.first_delinquency is not None and tradeline.first_delinquency.year < date.max.year:
        return tradeline.first_delinquency + timedelta(days=DAYS_TO_CHARGE_OFF), True
    return None


def _draft(tradeline: Tradeline, batch: str, calendar: Calendar, people: People) -> Draft:
    product = codes.PRODUCT_BY_ACCOUNT_TYPE.get(tradeline.account_type, words.PRODUCT_TYPE_OTHER)
    placement = placement_pb2.Placement(
        terms=terms_pb2.AccountTerms(
            client_id=client_id_of(tradeline.reporter),
            portfolio_id=PORTFOLIO_ID,
            client_reference=tradeline.account_number,
            batch_reference=batch,
            placement_date=calendar.placement_date.isoformat(),
            metadata=_metadata(tradeline),
            currency="USD",
            creditors=_creditors(tradeline, product),
            debt=_debt(tradeline, product, calendar),
            balance=_balance(tradeline),
            itemization=_itemization(tradeline, calendar),
        ),
        parties=_parties(tradeline, people),
    )
    if product == words.PRODUCT_TYPE_AUTO:
        placement.collateral_identifiers.append(people.vehicle(_key(tradeline)))
    _add_dispute(placement, tradeline, calendar)
    return Draft(tradeline.line, placement)


def _metadata(tradeline: Tradeline) -> dict[str, str]:
    metadata = {"metro2_status": tradeline.status, "metro2_account_type": tradeline.account_type.strip() or "blank"}
    charged_off = _charge_off(tradeline)
    if charged_off is not None and charged_off[1]:
        metadata["charge_off_date"] = f"derived: first delinquency and {DAYS_TO_CHARGE_OFF} days"
    return metadata


def _creditors(tradeline: Tradeline, product: words.ProductType) -> terms_pb2.Creditors:
    return terms_pb2.Creditors(
        current_creditor_legal_name=tradeline.reporter,
        original_creditor_name=tradeline.original_creditor or tradeline.reporter,
        itemization_date_creditor=tradeline.reporter,
        creditor_classification=codes.CLASSIFICATION_BY_PRODUCT.get(product, codes.OTHER_CLASSIFICATION),
    )


def _debt(tradeline: Tradeline, product: words.ProductType, calendar: Calendar) -> terms_pb2.Debt:
    charged_off = _charge_off(tradeline)
    debt = terms_pb2.Debt(
        product_type=product,
        description=_description(tradeline, product),
        consumer=tradeline.account_type not in codes.BUSINESS_ACCOUNT_TYPES,
        debt_type=_debt_type(tradeline),
        account_open_date=_moved(tradeline.opened, calendar),
        date_of_first_delinquency=_moved(tradeline.first_delinquency, calendar),
        charge_off_date=_moved(charged_off[0] if charged_off else None, calendar),
        last_payment_date=_moved(tradeline.last_payment, calendar),
        last_statement_date=_moved(tradeline.as_of, calendar),
        accrual_date=_moved(tradeline.first_delinquency, calendar),
        cycles_delinquent=layout.CYCLES_BY_STATUS.get(tradeline.status),
        total_delinquent_minor=tradeline.past_due * MINOR_PER_DOLLAR if tradeline.past_due else None,
    )
    if tradeline.first_delinquency is not None:
        debt.contract_kind = _contract_kind(tradeline, product)
    if tradeline.status == layout.CHARGED_OFF:
        debt.charge_off_balance_minor = tradeline.charge_off_amount * MINOR_PER_DOLLAR
    if tradeline.last_payment is not None and tradeline.actual_payment:
        debt.last_payment_amount_minor = tradeline.actual_payment * MINOR_PER_DOLLAR
    if product == words.PRODUCT_TYPE_AUTO:
        debt.collateral.add(
            collateral_id="vehicle-1",
            type="vehicle",
            value_minor=tradeline.current_balance * MINOR_PER_DOLLAR,
            lien="first",
            status="with_debtor",
        )
    return debt


def _moved(day: date | None, calendar: Calendar) -> str | None:
    return None if day is None else calendar.moved(day)


def _description(tradeline: Tradeline, product: words.ProductType) -> str:
    name = words.ProductType.Name(product).removeprefix("PRODUCT_TYPE_").replace("_", " ").lower()
    state = "charged off" if tradeline.status == layout.CHARGED_OFF else "past due"
    return f"{name} account, {state}, as furnished"


def _debt_type(tradeline: Tradeline) -> words.DebtType:
    if tradeline.account_type in codes.PUBLIC_ACCOUNT_TYPES:
        return words.DEBT_TYPE_PUBLIC
    if tradeline.account_type in codes.SECURED_ACCOUNT_TYPES:
        return words.DEBT_TYPE_SECURED
    return words.DEBT_TYPE_UNSECURED


def _contract_kind(tradeline: Tradeline, product: words.ProductType) -> words.ContractKind:
    if tradeline.account_type in codes.LEASE_ACCOUNT_TYPES:
        return words.CONTRACT_KIND_LEASE
    return codes.CONTRACT_KIND_BY_PRODUCT[product]


def _balance(tradeline: Tradeline) -> terms_pb2.PlacedBalance:
    owed = tradeline.current_balance * MINOR_PER_DOLLAR
    return terms_pb2.PlacedBalance(buckets=terms_pb2.Buckets(principal_minor=owed), total_minor=owed)


def _itemization(tradeline: Tradeline, calendar: Calendar) -> terms_pb2.Itemization:
    owed = tradeline.current_balance * MINOR_PER_DOLLAR
    return terms_pb2.Itemization(
        itemization_date_type=words.ITEMIZATION_DATE_TYPE_LAST_STATEMENT,
        itemization_date=_moved(tradeline.as_of, calendar),
        amount_on_itemization_date_minor=owed,
        interest_since_minor=0,
        fees_since_minor=0,
        payments_since_minor=0,
        credits_since_minor=0,
        current_amount_minor=owed,
        account_number_display=f"ending in {tradeline.account_number[-4:]}",
    )


def _key(tradeline: Tradeline) -> str:
    # People hang on the account and not on the line, so that a repeated line repeats its people too.
    return f"{tradeline.reporter}|{tradeline.account_number}"


def _parties(tradeline: Tradeline, people: People) -> list[placement_pb2.PlacedParty]:
    primary = people.person(f"{_key(tradeline)}|primary", tradeline.city, tradeline.state)
    primary.role = words.DEBTOR_ROLE_PRIMARY
    _set_flags(primary, tradeline.indicator, tradeline.ecoa)
    parties = [primary]
    for ordinal, associate in enumerate(tradeline.associates, start=1):
        if associate.ecoa in codes.ROLE_BY_ECOA:
            parties.append(_associated_party(f"{_key(tradeline)}|{ordinal}", associate, people))
    return parties


def _associated_party(key: str, associate: Associate, people: People) -> placement_pb2.PlacedParty:
    invent = people.organisation if associate.ecoa == codes.BUSINESS_ECOA else people.person
    party = invent(key, associate.city, associate.state)
    party.role = codes.ROLE_BY_ECOA[associate.ecoa]
    _set_flags(party, associate.indicator, associate.ecoa)
    return party


def _set_flags(party: placement_pb2.PlacedParty, indicator: str, ecoa: str) -> None:
    if ecoa == codes.DECEASED_ECOA:
        party.flags.deceased = True
    if indicator in codes.CHAPTER_BY_PETITION:
        party.flags.bankruptcy.chapter = codes.CHAPTER_BY_PETITION[indicator]
    elif indicator in codes.CHAPTER_BY_DISCHARGE:
        party.flags.bankruptcy.chapter = codes.CHAPTER_BY_DISCHARGE[indicator]
        party.flags.bankruptcy.discharged = True


def _indicators(tradeline: Tradeline) -> set[str]:
    return {tradeline.indicator, *(associate.indicator for associate in tradeline.associates)}


def _add_dispute(placement: placement_pb2.Placement, tradeline: Tradeline, calendar: Calendar) -> None:
    """A dispute that is open has no outcome yet: accounts opens it, with its hold, as it accepts the account."""
    still_open = tradeline.compliance in codes.OPEN_DISPUTE_CODES
    if still_open or tradeline.compliance in codes.CLOSED_DISPUTE_CODES:
        placement.terms.history.disputes.add(
            date=_moved(tradeline.as_of, calendar) or placement.terms.placement_date,
            reason=words.DISPUTE_REASON_OTHER,
            outcome=None if still_open else words.DISPUTE_OUTCOME_VERIFIED,
        )


def _code_warnings(tradeline: Tradeline) -> Iterator[str]:
    known = codes.NO_BANKRUPTCY | set(codes.CHAPTER_BY_PETITION) | set(codes.CHAPTER_BY_DISCHARGE) | {""}
    for indicator in sorted(_indicators(tradeline) - known):
        yield f"consumer information indicator {indicator!r} is not known and has no effect"
    disputes = codes.OPEN_DISPUTE_CODES | codes.CLOSED_DISPUTE_CODES | codes.NO_DISPUTE_CODES | {""}
    if tradeline.compliance not in disputes:
        yield f"compliance condition code {tradeline.compliance!r} is not known and has no effect"
    if tradeline.ecoa in codes.LEFT_OUT_ECOA:
        yield f"ECOA code {tradeline.ecoa!r} says that the base's consumer left; they stay the primary debtor here"
    for associate in tradeline.associates:
        if associate.ecoa not in codes.ROLE_BY_ECOA and associate.ecoa not in codes.LEFT_OUT_ECOA:
            yield f"{associate.segment} with ECOA code {associate.ecoa!r} is not known and left out"
