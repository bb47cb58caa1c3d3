"""Placements and commands that tests begin with: complete ones, to be changed where a test is about something else."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.placement_pb2 import PartyName, PlacedParty, Placement, PostalAddress, Telephone
from recoup.accounts.v1.terms_pb2 import (
    AccountTerms,
    Buckets,
    ContractTerms,
    Creditors,
    Debt,
    Debtor,
    DebtorFlags,
    Itemization,
    PlacedBalance,
)

from kernel.testing import NOW

TODAY = NOW.date().isoformat()
ACCOUNT_ID = str(UUID(int=100))
ANN, BOB = str(UUID(int=1)), str(UUID(int=2))
CONTRACT = commands.Contract(
    contingency_rate_basis_points=2500,
    allocation_policy=words.ALLOCATION_POLICY_COSTS_FEES_INTEREST_PRINCIPAL,
    currencies=["USD"],
)
STANDING = commands.ClientStanding(
    registered=True, portfolio_open=True, currencies=["USD"], kind=words.CLIENT_KIND_CREDITOR
)


def terms(**changes: Any) -> AccountTerms:
    """The complete terms of a consumer's card debt of 120.00."""
    made = AccountTerms(
        client_id="first-bank",
        portfolio_id="cards",
        client_reference="4711",
        batch_reference="batch-1",
        placement_date="2026-03-01",
        currency="USD",
        creditors=Creditors(
            current_creditor_legal_name="First Bank",
            original_creditor_name="First Bank",
            itemization_date_creditor="First Bank",
        ),
        debt=Debt(
            product_type=words.PRODUCT_TYPE_CARD,
            description="a credit card",
            consumer=True,
            debt_type=words.DEBT_TYPE_UNSECURED,
            last_statement_date="2025-12-31",
            accrual_date="2025-06-01",
            contract_kind=words.CONTRACT_KIND_OPEN_ACCOUNT,
        ),
        balance=PlacedBalance(buckets=Buckets(principal_minor=10000, fees_minor=2000), total_minor=12000),
        itemization=Itemization(
            itemization_date_type=words.ITEMIZATION_DATE_TYPE_LAST_STATEMENT,
            itemization_date="2025-12-31",
            amount_on_itemization_date_minor=11000,
            interest_since_minor=0,
            fees_since_minor=1000,
            payments_since_minor=0,
            credits_since_minor=0,
            current_amount_minor=12000,
            account_number_display="XXXX4711",
        ),
    )
    made.MergeFrom(AccountTerms(**changes))
    return made


def debtor(person_id: str = ANN, role: words.DebtorRole = words.DEBTOR_ROLE_PRIMARY, **flags: Any) -> Debtor:
    """A debtor as facts name them."""
    return Debtor(
        person_id=person_id,
        role=role,
        kind=words.PARTY_KIND_PERSON,
        vault_version=1,
        vault_commitment="0" * 64,
        flags=DebtorFlags(**flags),
    )


def contract_terms(
    policy: words.AllocationPolicy = words.ALLOCATION_POLICY_COSTS_FEES_INTEREST_PRINCIPAL,
) -> ContractTerms:
    """The client's terms as an account works under them."""
    return ContractTerms(client_version=2, allocation_policy=policy, contingency_rate_basis_points=2500)


def place(
    placed: AccountTerms | None = None, *debtors: Debtor, digest: str = "digest-1", **more: Any
) -> commands.PlaceAccount:
    """The command that the edge makes of a placement."""
    return commands.PlaceAccount(
        account_id=ACCOUNT_ID,
        terms=placed or terms(),
        debtors=debtors or (debtor(),),
        contract=more.pop("contract", contract_terms()),
        content_digest=digest,
        client=more.pop("client", STANDING),
        **more,
    )


def party(**changes: Any) -> PlacedParty:
    """A party with everything that is needed."""
    made = PlacedParty(
        role=words.DEBTOR_ROLE_PRIMARY,
        kind=words.PARTY_KIND_PERSON,
        name=PartyName(first="Annabel", last="Quimby"),
        date_of_birth="1980-02-29",
        national_id="123456789",
        addresses=[PostalAddress(type="home", street="12 Elm Street", city="Springfield", state="OR", zip="97477")],
        phones=[Telephone(number="+15415550123", type="mobile")],
    )
    made.MergeFrom(PlacedParty(**changes))
    return made


def placement(*parties: PlacedParty, **changes: Any) -> Placement:
    """A placement as a creditor sends it."""
    return Placement(terms=terms(**changes), parties=parties or (party(),))
