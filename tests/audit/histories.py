"""Facts for audit's tests: one account's life in short, and records chained as a log chains them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from google.protobuf.message import Message
from recoup.accounts.v1 import events_pb2 as facts
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.commands_pb2 import Contract, Shortcoming
from recoup.accounts.v1.terms_pb2 import (
    AccountTerms,
    Buckets,
    ContractTerms,
    Creditors,
    Debt,
    Debtor,
    PlacedBalance,
    PlacedDocument,
)

from kernel.record import ZERO_HASH, Record, chain_next, chain_start, partition_of, record_hash
from kernel.roles import roles_of

LOG = UUID("0f0e0d0c-0b0a-4908-8706-050403020100")
AGENCY = UUID("11111111-1111-4111-8111-111111111111")
OTHER_AGENCY = UUID("22222222-2222-4222-8222-222222222222")
ACCOUNT = "aaaaaaaa-0000-4000-8000-000000000001"
PERSON = "bbbbbbbb-0000-4000-8000-000000000001"
PAYMENT = "cccccccc-0000-4000-8000-000000000001"
CLIENT = "northbank"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PARTITIONS = 8


def buckets(principal: int = 0, interest: int = 0, fees: int = 0) -> Buckets:
    return Buckets(principal_minor=principal, interest_minor=interest, fees_minor=fees)


def terms(account: str = ACCOUNT, client: str = CLIENT, principal: int = 80_000) -> AccountTerms:
    interest = 20_000
    return AccountTerms(
        client_id=client,
        portfolio_id="cards",
        client_reference=f"R-{account[-4:]}",
        batch_reference="B-1",
        placement_date="2026-03-01",
        currency="USD",
        creditors=Creditors(current_creditor_legal_name="North Bank", original_creditor_name="North Bank"),
        debt=Debt(product_type=words.PRODUCT_TYPE_CARD, description="a card", debt_type=words.DEBT_TYPE_UNSECURED),
        balance=PlacedBalance(buckets=buckets(principal, interest), total_minor=principal + interest),
        documents=[PlacedDocument(document_id="d-1", type=words.DOCUMENT_TYPE_CONTRACT, sha256="ab" * 32)],
    )


def debtors() -> list[Debtor]:
    return [Debtor(person_id=PERSON, role=words.DEBTOR_ROLE_PRIMARY, kind=words.PARTY_KIND_PERSON, vault_version=1)]


def contract_terms() -> ContractTerms:
    policy = words.ALLOCATION_POLICY_COSTS_FEES_INTEREST_PRINCIPAL
    return ContractTerms(client_version=2, allocation_policy=policy, contingency_rate_basis_points=2_500)


def placed(account: str = ACCOUNT, client: str = CLIENT) -> facts.AccountPlaced:
    said = terms(account, client)
    return facts.AccountPlaced(
        account_id=account,
        client_id=client,
        terms=said,
        debtors=debtors(),
        contract=contract_terms(),
        content_digest="d" * 64,
        balance_after=said.balance.buckets,
        placed_date=said.placement_date,
    )


def quarantined() -> facts.PlacementQuarantined:
    lack = Shortcoming(pointer="/terms/itemization", code="missing", message="The itemization must be given.")
    fact = facts.PlacementQuarantined(client_id=CLIENT, shortcomings=[lack])
    fact.MergeFrom(facts.PlacementQuarantined.FromString(placed().SerializeToString()))
    return fact


def payment(amount: int, applied: Buckets, after: Buckets, date: str, overpaid: int = 0) -> facts.PaymentPosted:
    return facts.PaymentPosted(
        account_id=ACCOUNT,
        client_id=CLIENT,
        payment_id=PAYMENT,
        payee=words.PAYEE_US,
        amount_minor=amount,
        effective_date=date,
        transaction_reference="T-1",
        instrument=words.INSTRUMENT_ACH,
        applied=applied,
        overpaid_minor=overpaid,
        allocation_policy=words.ALLOCATION_POLICY_COSTS_FEES_INTEREST_PRINCIPAL,
        balance_after=after,
        overpaid_after_minor=overpaid,
    )


def adjustment(difference: int, after: Buckets, date: str, reference: str = "A-1") -> facts.BalanceAdjusted:
    return facts.BalanceAdjusted(
        account_id=ACCOUNT,
        client_id=CLIENT,
        transaction_reference=reference,
        bucket=words.BUCKET_FEES,
        difference_minor=difference,
        reason=words.ADJUSTMENT_REASON_CLIENT_FEE,
        approver="user:approver",
        effective_date=date,
        balance_after=after,
    )


def contract() -> Contract:
    return Contract(
        contingency_rate_basis_points=2_505,
        allocation_policy=words.ALLOCATION_POLICY_PROPORTIONAL,
        free_demand_days=10,
        currencies=["USD", "EUR"],
    )


def stream(messages: Iterable[Message], first: int = 1) -> Iterator[tuple[int, str, bytes]]:
    """Facts as a fold reads them."""
    for version, message in enumerate(messages, first):
        yield version, str(message.DESCRIPTOR.full_name), message.SerializeToString()


class Log:
    """A log that grows: facts get places, hashes and chains as the kernel gives them, one minute apart."""

    def __init__(self, log_id: UUID = LOG, partitions: int = PARTITIONS) -> None:
        self.log_id, self.partitions = log_id, partitions
        self.records: list[Record] = []
        self._chains = {p: chain_start(log_id, p) for p in range(partitions)}
        self._numbers = dict.fromkeys(range(partitions), -1)
        self._streams: dict[tuple[UUID, str], tuple[int, bytes]] = {}

    def add(self, message: Message, tenant: UUID = AGENCY, actor: str = "user:ann") -> Record:
        """Record one fact."""
        roles = roles_of(message.DESCRIPTOR)
        entity = str(getattr(message, roles.entity or ""))
        category = {"client_id": "client", "person_id": "person", "account_id": "account"}[roles.entity or ""]
        stream = f"{category}-{entity}"
        version, previous = self._streams.get((tenant, stream), (0, ZERO_HASH))
        partition, recorded_at = partition_of(entity, self.partitions), START + timedelta(minutes=len(self.records))
        record = Record(
            log_id=self.log_id,
            partition=partition,
            number=self._numbers[partition] + 1,
            chain=b"",
            tenant=tenant,
            stream=stream,
            version=version + 1,
            event_id=uuid5(LOG, f"{tenant}|{stream}|{version}"),
            type=roles.type,
            occurred_at=roles.occurred(message, recorded_at),
            recorded_at=recorded_at,
            actor=actor,
            command_id=uuid5(LOG, f"command|{len(self.records)}"),
            correlation_id=uuid5(LOG, f"correlation|{len(self.records)}"),
            accounts=roles.accounts(message),
            previous=previous,
            payload=message.SerializeToString(),
        )
        hash_ = record_hash(record)
        record = replace(record, chain=chain_next(self._chains[partition], hash_))
        self._chains[partition], self._numbers[partition] = record.chain, record.number
        self._streams[tenant, stream] = (record.version, hash_)
        self.records.append(record)
        return record

    def of_partition(self, partition: int) -> Sequence[Record]:
        """The records of one partition, in order."""
        return [record for record in self.records if record.partition == partition]
