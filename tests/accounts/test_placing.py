"""Placements: accepted, quarantined, completed, already so, refused. Every check has its case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import state_pb2 as states
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.terms_pb2 import (
    AccountTerms,
    Bankruptcy,
    Buckets,
    Collateral,
    Debt,
    InsurancePayment,
    InterestTerms,
    OtherAmount,
    PlacedDocument,
    PriorContact,
    PriorDispute,
    PriorPayment,
    TitleTransfer,
)

from kernel.testing import NOW, Scenario
from services.accounts.domain import placing as rules
from services.accounts.domain.account import ACCOUNT
from services.accounts.domain.placement import term_faults, term_warnings
from services.accounts.domain.quarantine import shortcomings_of
from services.accounts.domain.state import Account
from tests.accounts.examples import (
    ACCOUNT_ID,
    ANN,
    BOB,
    STANDING,
    contract_terms,
    debtor,
    place,
    terms,
)
from tests.accounts.given import account, after, close, document, payment, placed, types

NOTHING: Scenario[Account] = Scenario(ACCOUNT)
Change = Callable[[AccountTerms], Any]


def assign(message: Any, **values: object) -> object:
    """Set fields, as an expression."""
    for name, value in values.items():
        setattr(message, name, value)
    return message


def append(values: Any, value: object) -> object:
    """Append, as an expression."""
    values.append(value)
    return values


def transfer(from_owner: str, to_owner: str) -> TitleTransfer:
    return TitleTransfer(from_owner=from_owner, to_owner=to_owner, date="2025-01-01")


def changed(change: Change) -> AccountTerms:
    made = terms()
    change(made)
    return made


def test_a_complete_placement_is_accepted() -> None:
    state = NOTHING.when(place()).then(placed())
    assert (state.phase, state.balance.total) == (states.ACCOUNT_PHASE_OPEN, 12000)


def test_a_placement_that_lacks_something_is_quarantined_with_every_reason() -> None:
    lacking = terms()
    lacking.ClearField("itemization")
    lacking.debt.ClearField("accrual_date")
    outcome = NOTHING.when(place(lacking))
    assert types(outcome.facts) == ["PlacementQuarantined"]
    assert sorted(each.pointer for each in outcome.state.shortcomings) == [
        "/terms/debt/accrual_date",
        "/terms/itemization/account_number_display",
        "/terms/itemization/amount_on_itemization_date_minor",
        "/terms/itemization/credits_since_minor",
        "/terms/itemization/current_amount_minor",
        "/terms/itemization/fees_since_minor",
        "/terms/itemization/interest_since_minor",
        "/terms/itemization/itemization_date",
        "/terms/itemization/itemization_date_type",
        "/terms/itemization/payments_since_minor",
    ]
    assert not outcome.state.workable


def test_what_the_edge_finds_missing_quarantines_too() -> None:
    missing = commands.Shortcoming(pointer="/medical_guarantors", code="missing", message="must be named")
    assert types(NOTHING.when(place(shortcomings=[missing])).facts) == ["PlacementQuarantined"]


def test_of_a_debt_that_is_no_consumers_nothing_is_demanded() -> None:
    business = terms()
    business.debt.consumer = False
    business.ClearField("itemization")
    assert types(NOTHING.when(place(business)).facts) == ["AccountPlaced"]


def test_the_same_placement_again_is_already_so() -> None:
    account().when(place()).nothing()


def test_the_same_reference_with_other_content_is_refused() -> None:
    account().when(place(digest="digest-2")).refused(rules.ClientReferenceTaken, "/terms/client_reference")


def test_a_further_placement_of_a_closed_account_is_refused_clearly() -> None:
    again = place(terms(placement_sequence=2), digest="digest-2")
    after(account(), close(words.CLOSE_CODE_UNECONOMIC)).when(again).refused(rules.ReopeningNotOffered)


def test_an_unregistered_client_places_nothing() -> None:
    unknown = place(client=commands.ClientStanding())
    NOTHING.when(unknown).refused(rules.ClientUnknown, "/terms/client_id")


def test_a_portfolio_must_be_open() -> None:
    closed = commands.ClientStanding(registered=True, currencies=["USD"])
    NOTHING.when(place(client=closed)).refused(rules.PortfolioUnknown, "/terms/portfolio_id")


def test_the_currency_must_be_one_of_the_contract() -> None:
    NOTHING.when(place(terms(currency="CAD"))).refused(rules.CurrencyNotAgreed, "/terms/currency")


def test_every_fault_is_named_at_once_also_those_about_persons() -> None:
    wrong = terms()
    wrong.balance.total_minor = 1
    wrong.debt.charge_off_date = "2099-01-01"
    about_a_person = commands.Shortcoming(pointer="/parties/0/date_of_birth", code="under_age", message="must be 18")
    NOTHING.when(place(wrong, faults=[about_a_person])).refused(
        rules.PlacementInvalid,
        "/parties/0/date_of_birth",
        "/terms/balance/total_minor",
        "/terms/debt/charge_off_date",
        "/terms/itemization/current_amount_minor",
    )


@pytest.mark.parametrize("roles", [(), (1, 1), (2,)])
def test_there_is_exactly_one_primary(roles: tuple[Any, ...]) -> None:
    command = place()
    del command.debtors[:]
    command.debtors.extend(debtor(person, role) for person, role in zip((ANN, BOB), roles, strict=False))
    NOTHING.when(command).refused(rules.PlacementInvalid, "/parties")


def test_the_same_party_twice_is_refused() -> None:
    twice = place(None, debtor(), debtor(role=words.DEBTOR_ROLE_CO_DEBTOR))
    NOTHING.when(twice).refused(rules.PlacementInvalid, "/parties/1")


FAULTS: dict[str, tuple[Change, str]] = {
    "a placement ahead": (lambda t: assign(t, placement_date="2026-03-03"), "/terms/placement_date"),
    "a placement on no date": (lambda t: assign(t, placement_date="2026-02-30"), "/terms/placement_date"),
    "a recall on no date": (lambda t: assign(t, expected_recall_date="soon"), "/terms/expected_recall_date"),
    "a long reference": (lambda t: assign(t, client_reference="4" * 65), "/terms/client_reference"),
    "a joiner in a reference": (lambda t: assign(t, client_reference="47\u200d11"), "/terms/client_reference"),
    "an override in a reference": (lambda t: assign(t, batch_reference="b\u202e1"), "/terms/batch_reference"),
    "a zeroth placement": (lambda t: assign(t, placement_sequence=0), "/terms/placement_sequence"),
    "a rate above all": (
        lambda t: assign(t, contingency_rate_basis_points=10001),
        "/terms/contingency_rate_basis_points",
    ),
    "a rate below zero": (lambda t: assign(t, suit_fee_rate_basis_points=-1), "/terms/suit_fee_rate_basis_points"),
    "a currency of no form": (lambda t: assign(t, currency="usd"), "/terms/currency"),
    "merchant and affinity": (
        lambda t: t.creditors.MergeFrom(type(t.creditors)(merchant_name="Shop", affinity_brand="Club")),
        "/terms/creditors/affinity_brand",
    ),
    "metadata without end": (
        lambda t: t.metadata.update({str(n): "x" for n in range(51)}),
        "/terms/metadata",
    ),
    "text without end": (lambda t: assign(t.debt, description="x" * 501), "/terms/debt/description"),
    "an opening ahead": (lambda t: assign(t.debt, account_open_date="2026-03-03"), "/terms/debt/account_open_date"),
    "a default on no date": (lambda t: assign(t.debt, default_date="2025-13-01"), "/terms/debt/default_date"),
    "a due date on no date": (lambda t: assign(t.debt, due_date_original="1"), "/terms/debt/due_date_original"),
    "a charge-off below zero": (
        lambda t: assign(t.debt, charge_off_balance_minor=-1),
        "/terms/debt/charge_off_balance_minor",
    ),
    "cycles below zero": (lambda t: assign(t.debt, cycles_delinquent=-1), "/terms/debt/cycles_delinquent"),
    "a payment after placement": (
        lambda t: (assign(t, placement_date="2026-02-01"), assign(t.debt, last_payment_date="2026-02-02")),
        "/terms/debt/last_payment_date",
    ),
    "delinquency after charge-off": (
        lambda t: (
            assign(t.debt, charge_off_date="2025-01-01"),
            assign(t.debt, date_of_first_delinquency="2025-01-02"),
        ),
        "/terms/debt/date_of_first_delinquency",
    ),
    "collateral below zero": (
        lambda t: t.debt.collateral.append(Collateral(collateral_id="1", type="car", value_minor=-1)),
        "/terms/debt/collateral/0/value_minor",
    ),
    "interest from no date": (
        lambda t: t.debt.interest_terms.CopyFrom(InterestTerms(rate_basis_points=100, accrues_from="2026-00-00")),
        "/terms/debt/interest_terms/accrues_from",
    ),
    "an insurer's payment ahead": (
        lambda t: t.debt.insurance_payments.append(InsurancePayment(insurer="I", date="2027-01-01", amount_minor=1)),
        "/terms/debt/insurance_payments/0/date",
    ),
    "a bucket below zero": (
        lambda t: (
            assign(t.balance.buckets, principal_minor=12001, fees_minor=-1),
            assign(t.balance, total_minor=12000),
        ),
        "/terms/balance/buckets/fees_minor",
    ),
    "a sum that does not add up": (lambda t: assign(t.balance, total_minor=12001), "/terms/balance/total_minor"),
    "other items that do not add up": (
        lambda t: t.balance.other.append(OtherAmount(label="late", amount_minor=5)),
        "/terms/balance/buckets/other_minor",
    ),
    "an itemization ahead": (
        lambda t: (
            assign(t.itemization, itemization_date="2026-03-03"),
            assign(t.debt, last_statement_date=""),
        ),
        "/terms/itemization/itemization_date",
    ),
    "an itemization on another date than that of its type": (
        lambda t: assign(t.itemization, itemization_date="2025-12-30"),
        "/terms/itemization/itemization_date",
    ),
    "interest since below zero": (
        lambda t: (
            assign(t.itemization, interest_since_minor=-1000),
            assign(t.itemization, fees_since_minor=2000),
        ),
        "/terms/itemization/interest_since_minor",
    ),
    "an itemization that does not add up": (
        lambda t: assign(t.itemization, payments_since_minor=1),
        "/terms/itemization/current_amount_minor",
    ),
    "a payment in the past that does not add up": (
        lambda t: t.history.payments.append(PriorPayment(date="2025-01-01", total_minor=5)),
        "/terms/history/payments/0/total_minor",
    ),
    "a contact at no instant": (
        lambda t: t.history.contacts.append(PriorContact(at="2025-01-01T10:00", channel="phone", outcome="none")),
        "/terms/history/contacts/0/at",
    ),
    "a dispute on no date": (
        lambda t: t.history.disputes.append(PriorDispute(date="never", reason=words.DISPUTE_REASON_PAID)),
        "/terms/history/disputes/0/date",
    ),
    "a document without a hash": (
        lambda t: t.documents.append(PlacedDocument(document_id="1", sha256="A" * 64)),
        "/terms/documents/0/sha256",
    ),
    "a document id twice": (
        lambda t: t.documents.extend([PlacedDocument(document_id="1", sha256="a" * 64)] * 2),
        "/terms/documents/1/document_id",
    ),
    "a transfer ahead": (
        lambda t: t.creditors.chain_of_title.append(TitleTransfer(from_owner="a", to_owner="b", date="2027-01-01")),
        "/terms/creditors/chain_of_title/0/date",
    ),
    "more items than anybody has": (
        lambda t: t.history.disputes.extend([PriorDispute(date="2025-01-01")] * 101),
        "/terms/history/disputes",
    ),
}


@pytest.mark.parametrize(("change", "pointer"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_refuses_and_names_its_field(change: Change, pointer: str) -> None:
    faults = list(term_faults(changed(change), NOW.date()))
    assert pointer in [fault.pointer for fault in faults], faults
    NOTHING.when(place(changed(change))).refused(rules.PlacementInvalid)


def test_a_complete_placement_has_no_fault_no_shortcoming_and_no_warning() -> None:
    assert list(term_faults(terms(), NOW.date())) == []
    assert list(shortcomings_of(terms(), STANDING)) == []
    assert list(term_warnings(terms())) == []


def test_the_last_moment_counts_as_past() -> None:
    assert list(term_faults(terms(placement_date="2026-03-02"), NOW.date())) == []


def test_a_delinquency_before_the_opening_is_a_warning_only() -> None:
    odd = terms(debt=Debt(account_open_date="2025-02-01", date_of_first_delinquency="2025-01-01"))
    assert [each.pointer for each in term_warnings(odd)] == ["/terms/debt/date_of_first_delinquency"]
    assert types(NOTHING.when(place(odd)).facts) == ["AccountPlaced"]


SHORTCOMINGS: dict[str, tuple[Change, str]] = {
    "the creditor on the itemization date": (
        lambda t: t.creditors.ClearField("itemization_date_creditor"),
        "/terms/creditors/itemization_date_creditor",
    ),
    "the date of the itemization's type": (
        lambda t: t.debt.ClearField("last_statement_date"),
        "/terms/debt/last_statement_date",
    ),
    "a limitation": (lambda t: t.debt.ClearField("accrual_date"), "/terms/debt/accrual_date"),
    "the kind of contract": (lambda t: t.debt.ClearField("contract_kind"), "/terms/debt/contract_kind"),
    "the balance at charge-off": (
        lambda t: assign(t.debt, charge_off_date="2025-01-01"),
        "/terms/debt/charge_off_balance_minor",
    ),
    "the charge-off": (lambda t: assign(t.debt, charge_off_balance_minor=5), "/terms/debt/charge_off_date"),
    "collateral": (lambda t: assign(t.debt, debt_type=words.DEBT_TYPE_SECURED), "/terms/debt/collateral"),
    "the servicer's number": (
        lambda t: assign(t.debt, product_type=words.PRODUCT_TYPE_STUDENT_LOAN),
        "/terms/debt/servicer_account_number",
    ),
    "the date of service": (
        lambda t: assign(t.debt, product_type=words.PRODUCT_TYPE_MEDICAL),
        "/terms/debt/service_date",
    ),
    "the terms of interest": (
        lambda t: (assign(t.itemization, interest_since_minor=1), assign(t.itemization, fees_since_minor=999)),
        "/terms/debt/interest_terms",
    ),
    "the first delinquency of a reported debt": (
        lambda t: assign(t.history, negative_notice_sent=True),
        "/terms/debt/date_of_first_delinquency",
    ),
    "the classification of a reported debt": (
        lambda t: assign(t.history, negative_notice_sent=True),
        "/terms/creditors/creditor_classification",
    ),
    "the chain of title": (
        lambda t: assign(t.creditors, original_creditor_name="Other Bank"),
        "/terms/creditors/chain_of_title",
    ),
    "the charge-off of a purchased debt": (
        lambda t: assign(t.creditors, original_creditor_name="Other Bank"),
        "/terms/debt/charge_off_date",
    ),
    "a document of a purchased debt": (
        lambda t: assign(t.creditors, original_creditor_name="Other Bank"),
        "/terms/documents",
    ),
    "a link of the chain": (
        lambda t: (
            assign(t.creditors, original_creditor_name="Other Bank"),
            append(
                t.creditors.chain_of_title, TitleTransfer(from_owner="Nobody", to_owner="First Bank", date="2025-01-01")
            ),
        ),
        "/terms/creditors/chain_of_title/0/from_owner",
    ),
    "the end of the chain": (
        lambda t: (
            assign(t.creditors, original_creditor_name="Other Bank"),
            append(
                t.creditors.chain_of_title,
                TitleTransfer(from_owner="other  bank", to_owner="Nobody", date="2025-01-01"),
            ),
        ),
        "/terms/creditors/chain_of_title/0/to_owner",
    ),
}


@pytest.mark.parametrize(("change", "pointer"), SHORTCOMINGS.values(), ids=SHORTCOMINGS.keys())
def test_what_is_missing_quarantines(change: Change, pointer: str) -> None:
    outcome = NOTHING.when(place(changed(change)))
    assert types(outcome.facts) == ["PlacementQuarantined"]
    assert pointer in [each.pointer for each in outcome.state.shortcomings]


def test_a_debt_buyers_account_is_a_purchased_debt() -> None:
    buyer = commands.ClientStanding(
        registered=True, portfolio_open=True, currencies=["USD"], kind=words.CLIENT_KIND_DEBT_BUYER
    )
    assert types(NOTHING.when(place(client=buyer)).facts) == ["PlacementQuarantined"]


def complete(completed: AccountTerms, digest: str = "digest-2", **more: Any) -> commands.CompletePlacement:
    return commands.CompletePlacement(
        account_id=ACCOUNT_ID,
        terms=completed,
        debtors=more.pop("debtors", [debtor()]),
        contract=contract_terms(),
        content_digest=digest,
        client=STANDING,
        **more,
    )


def quarantined() -> Scenario[Account]:
    lacking = terms()
    lacking.debt.ClearField("accrual_date")
    return after(NOTHING, place(lacking))


def test_what_was_missing_can_be_supplied() -> None:
    outcome = quarantined().when(complete(terms()))
    assert types(outcome.facts) == ["PlacementCompleted"]
    assert (outcome.state.phase, outcome.state.shortcomings) == (states.ACCOUNT_PHASE_OPEN, ())
    assert outcome.state.workable


def test_completing_changes_the_balance_by_the_difference() -> None:
    more = terms()
    more.balance.buckets.principal_minor += 500
    more.balance.total_minor += 500
    more.itemization.amount_on_itemization_date_minor += 500
    more.itemization.current_amount_minor += 500
    outcome = after(quarantined(), payment(2000)).when(complete(more))
    assert isinstance(outcome.facts[0], events.PlacementCompleted)
    assert outcome.facts[0].difference == Buckets(principal_minor=500)
    assert outcome.state.balance.total == 10500


def test_completing_replaces_the_documents_that_came_with_the_placement_and_keeps_those_attached_since() -> None:
    first, second = (PlacedDocument(document_id=name, sha256="a" * 64) for name in ("first", "second"))
    lacking = terms(documents=[first])
    lacking.debt.ClearField("accrual_date")
    state = after(NOTHING, place(lacking), document(), complete(terms(documents=[second]))).state()
    assert [each.document_id for each in state.documents] == ["second", "DOC1"]


def test_completing_with_more_than_was_paid_in_full_is_owed_again() -> None:
    more = terms()
    more.balance.buckets.principal_minor += 500
    more.balance.total_minor += 500
    more.itemization.amount_on_itemization_date_minor += 500
    more.itemization.current_amount_minor += 500
    state = after(quarantined(), payment(12000), complete(more)).state()
    assert (state.balance.total, state.paid_in_full_date) == (500, "")


def test_completing_below_what_was_paid_is_refused() -> None:
    less = terms()
    less.balance.buckets.fees_minor -= 500
    less.balance.total_minor -= 500
    less.itemization.fees_since_minor -= 500
    less.itemization.current_amount_minor -= 500
    after(quarantined(), payment(2000)).when(complete(less)).refused(rules.CompletedBelowZero)


def test_an_account_that_still_lacks_something_stays_quarantined() -> None:
    still = terms()
    still.debt.ClearField("contract_kind")
    quarantined().when(complete(still)).refused(rules.StillIncomplete, "/terms/debt/contract_kind")


def test_completing_once_more_with_the_same_is_already_so() -> None:
    after(quarantined(), complete(terms())).when(complete(terms())).nothing()


def test_both_the_first_and_the_completed_content_are_duplicates_of_the_account() -> None:
    scenario = after(quarantined(), complete(terms()))
    scenario.when(place()).nothing()
    scenario.when(place(digest="digest-2")).nothing()


def test_only_a_quarantined_account_is_completed() -> None:
    account().when(complete(terms())).refused(rules.NotQuarantined)


@pytest.mark.parametrize("name", ["portfolio_id", "client_reference", "placement_date"])
def test_what_identifies_an_account_never_changes(name: str) -> None:
    other = terms(**{name: "2026-02-01" if name == "placement_date" else "other"})
    quarantined().when(complete(other)).refused(rules.ImmutableChanged, f"/terms/{name}")


def test_the_first_delinquency_never_changes() -> None:
    lacking = terms(debt=Debt(date_of_first_delinquency="2025-01-01"))
    lacking.debt.ClearField("accrual_date")
    other = terms(debt=Debt(date_of_first_delinquency="2025-01-02"))
    after(NOTHING, place(lacking)).when(complete(other)).refused(
        rules.ImmutableChanged, "/terms/debt/date_of_first_delinquency"
    )


def test_a_hold_that_is_known_only_when_completing_is_placed_then() -> None:
    bankrupt = debtor(bankruptcy=Bankruptcy(chapter=7))
    outcome = quarantined().when(complete(terms(), debtors=[bankrupt]))
    assert types(outcome.facts) == ["PlacementCompleted", "HoldPlaced"]
