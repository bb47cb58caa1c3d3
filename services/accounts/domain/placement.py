"""The checks of a placement's terms: faults refuse it, shortcomings quarantine it, warnings hinder nothing.

All three name every field concerned by its JSON pointer in the placement. What concerns persons is in parties.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.terms_pb2 import AccountTerms, Debt, Itemization, PriorHistory

from kernel.decider import Fault
from services.accounts.domain.fields import (
    AMOUNT_MINOR_MAX,
    amount_faults,
    currency_faults,
    date_faults,
    date_of,
    instant_of,
    length_faults,
    rate_faults,
    reference_faults,
    sha256_faults,
)
from services.accounts.domain.ledger import amounts_of

METADATA_ENTRIES_MAX: Final = 50
METADATA_KEY_CHARACTERS_MAX: Final = 64
ITEMS_MAX: Final = 100
INTEREST_BASIS_POINTS_MAX: Final = 100_000

DATE_OF_TYPE: Final = {
    words.ITEMIZATION_DATE_TYPE_LAST_STATEMENT: "last_statement_date",
    words.ITEMIZATION_DATE_TYPE_CHARGE_OFF: "charge_off_date",
    words.ITEMIZATION_DATE_TYPE_LAST_PAYMENT: "last_payment_date",
    words.ITEMIZATION_DATE_TYPE_TRANSACTION: "transaction_date",
    words.ITEMIZATION_DATE_TYPE_JUDGMENT: "judgment_date",
}
"""The field of the debt that holds the itemization date of each type (12 CFR 1006.34(b)(3))."""

_PAST_DATES: Final = (
    "account_open_date",
    "transaction_date",
    "date_of_first_delinquency",
    "default_date",
    "charge_off_date",
    "last_payment_date",
    "last_charge_date",
    "last_statement_date",
    "accrual_date",
    "judgment_date",
    "service_date",
)
_ANY_DATES: Final = ("due_date_original", "due_date_current", "out_of_statute_date")
_DEBT_AMOUNTS: Final = ("charge_off_balance_minor", "last_payment_amount_minor", "total_delinquent_minor")
_SINCE: Final = ("interest_since_minor", "fees_since_minor", "payments_since_minor", "credits_since_minor")


def term_faults(terms: AccountTerms, today: date) -> Iterator[Fault]:
    """Everything for which a placement is refused. Fields that are not given have no faults here."""
    yield from _envelope_faults(terms, today)
    yield from _debt_faults(terms.debt, "/terms/debt", today)
    yield from _order_faults(terms)
    yield from _balance_faults(terms)
    if terms.HasField("itemization"):
        yield from _itemization_faults(terms, today)
    yield from _history_faults(terms.history, today)
    yield from _document_faults(terms, today)


def term_warnings(terms: AccountTerms) -> Iterator[Fault]:
    """What looks odd and hinders nothing."""
    debt = terms.debt
    first, opened = date_of(debt.date_of_first_delinquency), date_of(debt.account_open_date)
    if first and opened and first < opened:
        text = "lies before the account was opened"
        yield Fault("/terms/debt/date_of_first_delinquency", "before_opening", text)


def _envelope_faults(terms: AccountTerms, today: date) -> Iterator[Fault]:
    yield from length_faults(terms, "/terms")
    for name in ("client_id", "portfolio_id", "client_reference", "batch_reference"):
        yield from reference_faults(f"/terms/{name}", getattr(terms, name))
    yield from _date("/terms/placement_date", terms.placement_date, today)
    yield from _date("/terms/expected_recall_date", terms.expected_recall_date)
    if terms.HasField("placement_sequence") and terms.placement_sequence < 1:
        yield Fault("/terms/placement_sequence", "out_of_range", "must be at least 1")
    for name in ("contingency_rate_basis_points", "suit_fee_rate_basis_points"):
        yield from rate_faults(f"/terms/{name}", getattr(terms, name))
    if terms.currency:
        yield from currency_faults("/terms/currency", terms.currency)
    if terms.creditors.merchant_name and terms.creditors.affinity_brand:
        text = "must not be given beside merchant_name: at most one of the two"
        yield Fault("/terms/creditors/affinity_brand", "one_of_two", text)
    yield from _metadata_faults(terms)


def _metadata_faults(terms: AccountTerms) -> Iterator[Fault]:
    if len(terms.metadata) > METADATA_ENTRIES_MAX:
        yield Fault("/terms/metadata", "too_many", f"must have at most {METADATA_ENTRIES_MAX} entries")
    for key, value in terms.metadata.items():
        if len(key) > METADATA_KEY_CHARACTERS_MAX or len(value) > METADATA_ENTRIES_MAX * 10:
            yield Fault(
                "/terms/metadata", "too_long", "must have keys of at most 64 and values of at most 500 characters"
            )
            return


def _debt_faults(debt: Debt, at: str, today: date) -> Iterator[Fault]:
    for name in _PAST_DATES:
        yield from _date(f"{at}/{name}", getattr(debt, name), today)
    for name in _ANY_DATES:
        yield from _date(f"{at}/{name}", getattr(debt, name))
    for name in _DEBT_AMOUNTS:
        yield from amount_faults(f"{at}/{name}", getattr(debt, name))
    if debt.cycles_delinquent < 0:
        yield Fault(f"{at}/cycles_delinquent", "out_of_range", "must not be below zero")
    yield from _counted(f"{at}/collateral", len(debt.collateral))
    for index, collateral in enumerate(debt.collateral):
        yield from amount_faults(f"{at}/collateral/{index}/value_minor", collateral.value_minor)
    if debt.HasField("interest_terms"):
        terms = debt.interest_terms
        yield from rate_faults(
            f"{at}/interest_terms/rate_basis_points", terms.rate_basis_points, INTEREST_BASIS_POINTS_MAX
        )
        yield from _date(f"{at}/interest_terms/accrues_from", terms.accrues_from)
        yield from _date(f"{at}/interest_terms/last_accrual_date", terms.last_accrual_date, today)
    yield from _counted(f"{at}/insurance_payments", len(debt.insurance_payments))
    for index, payment in enumerate(debt.insurance_payments):
        yield from _date(f"{at}/insurance_payments/{index}/date", payment.date, today)
        yield from amount_faults(f"{at}/insurance_payments/{index}/amount_minor", payment.amount_minor)


def _order_faults(terms: AccountTerms) -> Iterator[Fault]:
    debt = terms.debt
    paid, placed = date_of(debt.last_payment_date), date_of(terms.placement_date)
    if paid and placed and paid > placed:
        yield Fault("/terms/debt/last_payment_date", "after_placement", "must not be after the placement")
    first, charged_off = date_of(debt.date_of_first_delinquency), date_of(debt.charge_off_date)
    if first and charged_off and first > charged_off:
        text = "must not be after the charge-off"
        yield Fault("/terms/debt/date_of_first_delinquency", "after_charge_off", text)


def _balance_faults(terms: AccountTerms) -> Iterator[Fault]:
    balance, at = terms.balance, "/terms/balance"
    amounts = amounts_of(balance.buckets)
    for name, amount in amounts._asdict().items():
        yield from amount_faults(f"{at}/buckets/{name}_minor", amount)
    yield from _counted(f"{at}/other", len(balance.other))
    for index, item in enumerate(balance.other):
        yield from amount_faults(f"{at}/other/{index}/amount_minor", item.amount_minor)
    if sum(item.amount_minor for item in balance.other) != amounts.other and (balance.other or amounts.other):
        yield Fault(f"{at}/buckets/other_minor", "sum", "must be the sum of the items of `other`")
    if balance.total_minor != amounts.total:
        yield Fault(f"{at}/total_minor", "sum", f"must be the sum of the buckets, {amounts.total}")
    yield from amount_faults(f"{at}/total_minor", balance.total_minor, least=1)


def _itemization_faults(terms: AccountTerms, today: date) -> Iterator[Fault]:
    yield from _itemized_faults(terms.itemization, today)
    itemization, at = terms.itemization, "/terms/itemization"
    name = DATE_OF_TYPE.get(itemization.itemization_date_type, "")
    day = getattr(terms.debt, name) if name else ""
    if day and itemization.itemization_date and day != itemization.itemization_date:
        text = f"must be the date of its type, {name} {day} (12 CFR 1006.34(b)(3))"
        yield Fault(f"{at}/itemization_date", "not_the_date_of_its_type", text)
    if all(
        itemization.HasField(name) for name in ("amount_on_itemization_date_minor", *_SINCE, "current_amount_minor")
    ):
        yield from _sum_faults(itemization)
    if itemization.HasField("current_amount_minor") and itemization.current_amount_minor != terms.balance.total_minor:
        yield Fault(f"{at}/current_amount_minor", "sum", f"must be the balance placed, {terms.balance.total_minor}")


def _itemized_faults(itemization: Itemization, today: date) -> Iterator[Fault]:
    at = "/terms/itemization"
    yield from _date(f"{at}/itemization_date", itemization.itemization_date, today)
    for name in ("amount_on_itemization_date_minor", *_SINCE, "debits_since_minor", "current_amount_minor"):
        yield from amount_faults(f"{at}/{name}", getattr(itemization, name))
    yield from amount_faults(
        f"{at}/adjustments_since_minor", itemization.adjustments_since_minor, least=-AMOUNT_MINOR_MAX
    )


def _sum_faults(itemization: Itemization) -> Iterator[Fault]:
    expected = (
        itemization.amount_on_itemization_date_minor
        + itemization.interest_since_minor
        + itemization.fees_since_minor
        - itemization.payments_since_minor
        - itemization.credits_since_minor
        + itemization.debits_since_minor
        + itemization.adjustments_since_minor
    )
    if itemization.current_amount_minor != expected:
        text = f"must be the amount on the itemization date with everything since, {expected}"
        yield Fault("/terms/itemization/current_amount_minor", "sum", text)


def _history_faults(history: PriorHistory, today: date) -> Iterator[Fault]:
    at = "/terms/history"
    yield from _date(f"{at}/negative_notice_date", history.negative_notice_date, today)
    for name in ("payments", "contacts", "disputes"):
        yield from _counted(f"{at}/{name}", len(getattr(history, name)))
    for index, payment in enumerate(history.payments):
        yield from _date(f"{at}/payments/{index}/date", payment.date, today)
        yield from amount_faults(f"{at}/payments/{index}/total_minor", payment.total_minor)
        if amounts_of(payment.applied).total != payment.total_minor:
            yield Fault(f"{at}/payments/{index}/total_minor", "sum", "must be the sum of what was applied")
    for index, contact in enumerate(history.contacts):
        if instant_of(contact.at) is None:
            yield Fault(f"{at}/contacts/{index}/at", "invalid_instant", "must be an RFC 3339 instant with its offset")
    for index, dispute in enumerate(history.disputes):
        yield from _date(f"{at}/disputes/{index}/date", dispute.date, today)


def _document_faults(terms: AccountTerms, today: date) -> Iterator[Fault]:
    yield from _counted("/terms/documents", len(terms.documents))
    seen: set[str] = set()
    for index, document in enumerate(terms.documents):
        if document.sha256:
            yield from sha256_faults(f"/terms/documents/{index}/sha256", document.sha256)
        if document.document_id in seen:
            yield Fault(f"/terms/documents/{index}/document_id", "repeated", "must be another id than the ones before")
        seen.add(document.document_id)
    yield from _counted("/terms/creditors/chain_of_title", len(terms.creditors.chain_of_title))
    for index, transfer in enumerate(terms.creditors.chain_of_title):
        yield from _date(f"/terms/creditors/chain_of_title/{index}/date", transfer.date, today)


def _date(pointer: str, text: str, today: date | None = None) -> Iterator[Fault]:
    if text:
        yield from date_faults(pointer, text, today)


def _counted(pointer: str, count: int) -> Iterator[Fault]:
    if count > ITEMS_MAX:
        yield Fault(pointer, "too_many", f"must have at most {ITEMS_MAX} items, not {count}")
