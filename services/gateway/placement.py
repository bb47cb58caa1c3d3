"""A placement as creditors send it, field by field, and where each field stands in the contract's Placement."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field
from recoup.accounts.v1 import words_pb2 as words

from services.gateway.shapes import (
    ITEMS_MAX,
    At,
    BasisPoints,
    Body,
    Currency,
    Date,
    Elsewhere,
    Instant,
    Money,
    PositiveMoney,
    Reference,
    Sha256,
    Short,
    SignedMoney,
    Text,
    Word,
)

METADATA_KEYS_MAX: Final = 50

Product = Annotated[str, Word(words.ProductType)]
SecuredOrNot = Annotated[str, Word(words.DebtType)]
KindOfContract = Annotated[str, Word(words.ContractKind)]
Accrual = Annotated[str, Word(words.AccrualMethod)]
DateType = Annotated[str, Word(words.ItemizationDateType)]
Role = Annotated[str, Word(words.DebtorRole)]
Kind = Annotated[str, Word(words.PartyKind)]
WhyDisputed = Annotated[str, Word(words.DisputeReason)]
DisputeEnd = Annotated[str, Word(words.DisputeOutcome)]
Paper = Annotated[str, Word(words.DocumentType)]
State = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Zip = Annotated[str, Field(pattern=r"^\d{5}(-?\d{4})?$")]
Phone = Annotated[str, Field(pattern=r"^\+[1-9]\d{6,14}$", description="E.164, for example +12025550143.")]
Verified = Annotated[str, Field(pattern="^[VNB]$", description="V verified, N not verified, B known to be bad.")]


class TitleTransfer(Body):
    """One transfer of a purchased debt."""

    from_owner: Annotated[Text, Field(alias="from")]
    to_owner: Annotated[Text, Field(alias="to")]
    date: Date
    document_id: Reference | None = None


class Creditors(Body):
    """Who is owed now, who was first, and who in between."""

    current_creditor_legal_name: Text
    original_creditor_name: Text
    itemization_date_creditor: Text | None = None
    merchant_name: Text | None = None
    affinity_brand: Text | None = None
    creditor_classification: Short | None = None
    store: Short | None = None
    chain_of_title: Annotated[list[TitleTransfer], Field(max_length=ITEMS_MAX, default_factory=list)]


class Collateral(Body):
    """What backs the debt; the identifier goes to the vault."""

    type: Short
    identifier: Annotated[Text, Elsewhere(("collateral_identifiers.*",))]
    value: Money
    lien: Short
    status: Short


class InterestTerms(Body):
    """How interest accrues."""

    rate: Annotated[int, Field(ge=0, le=100_000, description="Basis points a year.")]
    accrues_from: Date
    last_accrual_date: Date | None = None
    method: Accrual


class InsurancePayment(Body):
    """What an insurer paid."""

    insurer: Text
    date: Date
    amount: Money


class Medical(Body):
    """What a medical debt needs beside the rest."""

    guarantors: Annotated[list[Text], Field(max_length=ITEMS_MAX, default_factory=list), At("^medical_guarantors")]
    service_date: Date | None = None
    insurance_payments: Annotated[list[InsurancePayment], Field(max_length=ITEMS_MAX, default_factory=list)]


class Debt(Body):
    """The obligation."""

    product_type: Product
    description: Text
    consumer: bool
    debt_type: SecuredOrNot
    account_open_date: Date | None = None
    transaction_date: Date | None = None
    date_of_first_delinquency: Date | None = None
    default_date: Date | None = None
    due_date_original: Date | None = None
    due_date_current: Date | None = None
    charge_off_date: Date | None = None
    charge_off_balance: Money | None = None
    last_payment_date: Date | None = None
    last_payment_amount: Money | None = None
    last_charge_date: Date | None = None
    last_statement_date: Date | None = None
    out_of_statute_date: Date | None = None
    accrual_date: Date | None = None
    contract_kind: KindOfContract | None = None
    cycles_delinquent: Annotated[int, Field(ge=0, le=1200)] | None = None
    total_delinquent: Money | None = None
    judgment_date: Date | None = None
    court: Annotated[Text | None, At("^judgment_file.court")] = None
    case_number: Annotated[Short | None, At("^judgment_file.case_number")] = None
    collateral: Annotated[list[Collateral], Field(max_length=ITEMS_MAX, default_factory=list)]
    servicer_account_number: Reference | None = None
    interest_terms: InterestTerms | None = None
    medical: Annotated[Medical | None, At("")] = None


class OtherAmount(Body):
    """One named item of the bucket `other`."""

    label: Short
    amount: PositiveMoney


class Balance(Body):
    """The balance by bucket; the total is the sum of the buckets."""

    principal: Annotated[Money, At("buckets.principal_minor")]
    interest: Annotated[Money, At("buckets.interest_minor")]
    fees: Annotated[Money, At("buckets.fees_minor")]
    costs: Annotated[Money, At("buckets.costs_minor")]
    other: Annotated[list[OtherAmount], Field(max_length=ITEMS_MAX, default_factory=list)]
    total: PositiveMoney
    currency: Annotated[Currency, At("^terms.currency")]


class Itemization(Body):
    """The amounts of 12 CFR 1006.34(c)(2)(vii) and (viii): zero is allowed, absent is not."""

    itemization_date_type: DateType | None = None
    itemization_date: Date | None = None
    amount_on_itemization_date: Money | None = None
    interest_since: Money | None = None
    fees_since: Money | None = None
    payments_since: Money | None = None
    credits_since: Money | None = None
    debits_since: Money | None = None
    adjustments_since: SignedMoney | None = None
    current_amount: Money | None = None
    account_number_display: Short | None = None


class Name(Body):
    """A person's name in parts, or an organisation's."""

    prefix: Short | None = None
    first: Short | None = None
    middle: Short | None = None
    last: Short | None = None
    suffix: Short | None = None
    business_name: Text | None = None


class Address(Body):
    """A postal address."""

    type: Short
    street: Text
    city: Short
    state: State
    zip: Zip
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    verified: Verified | None = None
    source: Short | None = None
    obtained_date: Date | None = None


class Telephone(Body):
    """A telephone."""

    number: Phone
    type: Annotated[str, Field(pattern="^(home|work|mobile|fax|business)$")]
    consent: bool | None = None
    last_verified: Date | None = None


class Email(Body):
    """An email address."""

    address: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
    type: Short
    obtained: Text | None = None
    consent: bool | None = None
    employer_provided: bool | None = None


class Wishes(Body):
    """What the party asked the creditor for: it binds the collector."""

    opt_outs: Annotated[list[Text], Field(max_length=ITEMS_MAX, default_factory=list)]
    cease_date: Date | None = None
    inconvenient: Annotated[list[Text], Field(max_length=ITEMS_MAX, default_factory=list)]
    media_refused: Annotated[list[Short], Field(max_length=ITEMS_MAX, default_factory=list)]


class Representative(Body):
    """Who acts for the party."""

    kind: Annotated[str, Field(pattern="^(attorney|debt_settlement)$")]
    name: Text
    address: Text | None = None
    phone: Phone | None = None


class Bankruptcy(Body):
    """A bankruptcy as the creditor knows it; the court file goes to the vault."""

    chapter: Annotated[int, Field(ge=7, le=13, description="Absent when it is not known.")] | None = None
    case_number: Annotated[Short | None, Elsewhere(("parties.*.bankruptcy_file.case_number",))] = None
    court: Annotated[Text | None, Elsewhere(("parties.*.bankruptcy_file.court",))] = None
    filed_date: Date | None = None
    discharged: bool = False


class Flags(Body):
    """What the creditor knows that stops work."""

    deceased: bool = False
    bankruptcy: Bankruptcy | None = None
    military: bool = False
    incarcerated: bool = False
    identity_theft: bool = False
    litigious: bool = False
    represented: bool = False
    cease_date: Date | None = None


class Debtor(Body):
    """Someone who owes the debt, or stands beside it."""

    role: Role
    kind: Kind
    name: Name
    aliases: Annotated[list[Name], Field(max_length=ITEMS_MAX, default_factory=list)]
    date_of_birth: Date | None = None
    national_id: Annotated[str, Field(pattern=r"^\d{9}$")] | None = None
    addresses: Annotated[list[Address], Field(min_length=1, max_length=ITEMS_MAX)]
    phones: Annotated[list[Telephone], Field(max_length=ITEMS_MAX, default_factory=list)]
    emails: Annotated[list[Email], Field(max_length=ITEMS_MAX, default_factory=list)]
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")] | None = None
    time_zone: Annotated[str, Field(pattern=r"^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$")] | None = None
    employer: Text | None = None
    county: Short | None = None
    wishes: Wishes | None = None
    representative: Representative | None = None
    flags: Flags | None = None


class PriorPayment(Body):
    """A payment before the placement."""

    date: Date
    total: Money
    principal: Annotated[Money | None, At("applied.principal_minor")] = None
    interest: Annotated[Money | None, At("applied.interest_minor")] = None
    fees: Annotated[Money | None, At("applied.fees_minor")] = None
    costs: Annotated[Money | None, At("applied.costs_minor")] = None
    other: Annotated[Money | None, At("applied.other_minor")] = None
    code: Short | None = None


class PriorContact(Body):
    """A contact before the placement."""

    at: Instant
    channel: Short
    outcome: Short


class PriorDispute(Body):
    """A dispute before the placement; without an outcome it is still open."""

    date: Date
    reason: WhyDisputed
    outcome: DisputeEnd | None = None


class NegativeNotice(Body):
    """The notice of 15 USC 1681s-2(a)(7)."""

    sent: Annotated[bool, At("negative_notice_sent")]
    date: Annotated[Date | None, At("negative_notice_date")] = None


class History(Body):
    """What happened before the placement, as the creditor tells it."""

    payments: Annotated[list[PriorPayment], Field(max_length=ITEMS_MAX, default_factory=list)]
    contacts: Annotated[list[PriorContact], Field(max_length=ITEMS_MAX, default_factory=list)]
    disputes: Annotated[list[PriorDispute], Field(max_length=ITEMS_MAX, default_factory=list)]
    negative_notice: Annotated[NegativeNotice | None, At("")] = None


class Document(Body):
    """A document by its hash."""

    document_id: Reference | None = None
    type: Paper
    sha256: Sha256


class Origin(Body):
    """Where the credit was asked for online."""

    ip: Annotated[str, Field(max_length=45, pattern=r"^[0-9A-Fa-f:.]+$")]
    at: Instant


class Placement(Body):
    """One account to be placed, with everything that the creditor knows."""

    client_reference: Annotated[Reference, At("terms.client_reference")]
    portfolio_id: Annotated[Reference, At("terms.portfolio_id")]
    batch_reference: Annotated[Reference, At("terms.batch_reference")]
    placement_date: Annotated[Date, At("terms.placement_date")]
    placement_sequence: Annotated[Annotated[int, Field(ge=1, le=1000)] | None, At("terms.placement_sequence")] = None
    expected_recall_date: Annotated[Date | None, At("terms.expected_recall_date")] = None
    brand: Annotated[Short | None, At("terms.brand")] = None
    contingency_rate: Annotated[BasisPoints | None, At("terms.contingency_rate_basis_points")] = None
    suit_fee_rate: Annotated[BasisPoints | None, At("terms.suit_fee_rate_basis_points")] = None
    metadata: Annotated[
        dict[Short, Text], Field(max_length=METADATA_KEYS_MAX, default_factory=dict), At("terms.metadata")
    ]
    creditors: Annotated[Creditors, At("terms.creditors")]
    debt: Annotated[Debt, At("terms.debt")]
    balance: Annotated[Balance, At("terms.balance")]
    itemization: Annotated[Itemization | None, At("terms.itemization")] = None
    debtors: Annotated[list[Debtor], Field(min_length=1, max_length=ITEMS_MAX), At("parties")]
    history: Annotated[History | None, At("terms.history")] = None
    documents: Annotated[list[Document], Field(max_length=ITEMS_MAX, default_factory=list), At("terms.documents")]
    origination: Origin | None = None
