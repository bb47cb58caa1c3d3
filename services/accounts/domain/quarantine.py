"""What must be known before a consumer's account may be worked; whatever is missing quarantines it, all of it named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.commands_pb2 import ClientStanding, Shortcoming
from recoup.accounts.v1.terms_pb2 import AccountTerms, Creditors, Debt

from services.accounts.domain.placement import DATE_OF_TYPE

_ITEMIZATION: Final = (
    ("itemization_date", "the date must be given"),
    ("amount_on_itemization_date_minor", "the amount on that date must be given"),
    ("interest_since_minor", "the interest since must be given, zero when there was none"),
    ("fees_since_minor", "the fees since must be given, zero when there were none"),
    ("payments_since_minor", "the payments since must be given, zero when there were none"),
    ("credits_since_minor", "the credits since must be given, zero when there were none"),
    ("current_amount_minor", "the amount now must be given"),
    ("account_number_display", "the account number, or a truncation of it, must be given for the notice"),
)
_ACCOUNT_LEVEL: Final = (
    words.DOCUMENT_TYPE_CONTRACT,
    words.DOCUMENT_TYPE_STATEMENT,
    words.DOCUMENT_TYPE_INVOICE,
    words.DOCUMENT_TYPE_JUDGMENT,
)


def shortcomings_of(terms: AccountTerms, client: ClientStanding) -> Iterator[Shortcoming]:
    """Everything that the terms of a consumer's account lack; of other debts nothing is demanded."""
    if not terms.debt.consumer:
        return
    yield from _itemization(terms)
    yield from _limitation(terms.debt)
    yield from _charge_off(terms.debt)
    yield from _product(terms)
    yield from _reporting(terms)
    if client.kind == words.CLIENT_KIND_DEBT_BUYER or _changed_hands(terms.creditors):
        yield from _purchase(terms)


def _itemization(terms: AccountTerms) -> Iterator[Shortcoming]:
    itemization, at = terms.itemization, "/terms/itemization"
    if not terms.creditors.itemization_date_creditor:
        text = "the creditor on the itemization date must be named (12 CFR 1006.34(c)(2)(iii))"
        yield _missing("/terms/creditors/itemization_date_creditor", text)
    if not itemization.itemization_date_type:
        text = "one of the five itemization dates must be chosen (12 CFR 1006.34(b)(3))"
        yield _missing(f"{at}/itemization_date_type", text)
    for name, text in _ITEMIZATION:
        if not itemization.HasField(name):
            yield _missing(f"{at}/{name}", f"{text} (12 CFR 1006.34(c)(2))")
    basis = DATE_OF_TYPE.get(itemization.itemization_date_type)
    if basis is not None and not getattr(terms.debt, basis):
        yield _missing(f"/terms/debt/{basis}", "must be given, because it is the itemization date")


def _limitation(debt: Debt) -> Iterator[Shortcoming]:
    if debt.out_of_statute_date:
        return
    if not debt.accrual_date:
        text = "either this with contract_kind, or out_of_statute_date, must be given (12 CFR 1006.26)"
        yield _missing("/terms/debt/accrual_date", text)
    elif not debt.contract_kind:
        text = "must be given with accrual_date, to choose the limitation period (12 CFR 1006.26)"
        yield _missing("/terms/debt/contract_kind", text)


def _charge_off(debt: Debt) -> Iterator[Shortcoming]:
    if debt.charge_off_date and not debt.HasField("charge_off_balance_minor"):
        yield _missing("/terms/debt/charge_off_balance_minor", "must be given with charge_off_date")
    if debt.HasField("charge_off_balance_minor") and not debt.charge_off_date:
        yield _missing("/terms/debt/charge_off_date", "must be given with charge_off_balance_minor")


def _product(terms: AccountTerms) -> Iterator[Shortcoming]:
    debt = terms.debt
    if debt.debt_type == words.DEBT_TYPE_SECURED and not debt.collateral:
        yield _missing("/terms/debt/collateral", "what secures the debt must be given")
    if debt.product_type == words.PRODUCT_TYPE_STUDENT_LOAN and not debt.servicer_account_number:
        text = "must be given for a student loan: it forms the debt group (12 CFR 1006.14(b)(4))"
        yield _missing("/terms/debt/servicer_account_number", text)
    if debt.product_type == words.PRODUCT_TYPE_MEDICAL and not debt.service_date:
        yield _missing("/terms/debt/service_date", "the date of service must be given for a medical debt")
    bears_interest = terms.balance.buckets.interest_minor or terms.itemization.interest_since_minor
    if bears_interest and not debt.HasField("interest_terms"):
        text = "rate, first day and method must be given, because the balance holds interest"
        yield _missing("/terms/debt/interest_terms", text)


def _reporting(terms: AccountTerms) -> Iterator[Shortcoming]:
    """A negative notice means that the creditor reports to credit bureaus."""
    if not terms.history.negative_notice_sent:
        return
    if not terms.debt.date_of_first_delinquency:
        text = "must be given for a debt that is reported (15 USC 1681s-2(a)(5))"
        yield _missing("/terms/debt/date_of_first_delinquency", text)
    if not terms.creditors.creditor_classification:
        yield _missing("/terms/creditors/creditor_classification", "must be given for a debt that is reported")


def _purchase(terms: AccountTerms) -> Iterator[Shortcoming]:
    """What RMAI's certification standard v5.0 asks of a purchased debt."""
    chain, at = terms.creditors.chain_of_title, "/terms/creditors/chain_of_title"
    if not chain:
        yield _missing(at, "every transfer of a purchased debt must be given, in order")
    else:
        owners = [terms.creditors.original_creditor_name, *(transfer.to_owner for transfer in chain)]
        for index, transfer in enumerate(chain):
            if _plain(transfer.from_owner) != _plain(owners[index]):
                yield _broken(f"{at}/{index}/from_owner", f"must be the owner before, {owners[index]}")
        if _plain(owners[-1]) != _plain(terms.creditors.current_creditor_legal_name):
            yield _broken(f"{at}/{len(chain) - 1}/to_owner", "must be the current creditor")
    if not terms.debt.charge_off_date:
        yield _missing("/terms/debt/charge_off_date", "must be given for a purchased debt")
    if all(document.type not in _ACCOUNT_LEVEL for document in terms.documents):
        yield _missing("/terms/documents", "a contract or account-level document must be given for a purchased debt")


def _changed_hands(creditors: Creditors) -> bool:
    return _plain(creditors.current_creditor_legal_name) != _plain(creditors.original_creditor_name)


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _missing(pointer: str, text: str) -> Shortcoming:
    return Shortcoming(pointer=pointer, code="missing", message=text)


def _broken(pointer: str, text: str) -> Shortcoming:
    return Shortcoming(pointer=pointer, code="broken_chain", message=text)
