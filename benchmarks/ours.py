"""Our side: the accounts service's own decider over PostgreSQL, with plain accounts placed beforehand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import terms_pb2 as terms
from recoup.accounts.v1 import words_pb2 as words

from deploy.local.databases import Database
from kernel.clock import RealClock
from kernel.execute import Executor, Request
from kernel.store import PostgresStore
from kernel.tenancy import Caller
from services.accounts.domain.account import ACCOUNT
from services.accounts.views import project

AGENCY: Final = uuid5(NAMESPACE_URL, "urn:recoup:benchmark")
CALLER: Final = Caller(
    AGENCY, None, "benchmark", "benchmark", frozenset({"payments:write", "accounts:read", "audit:read"})
)
CONTRACT: Final = terms.ContractTerms(
    client_version=1,
    allocation_policy=words.ALLOCATION_POLICY_PRINCIPAL_FIRST,
    contingency_rate_basis_points=2500,
)


@dataclass(frozen=True, slots=True)
class Ours:
    """What a measurement uses."""

    executor: Executor
    store: PostgresStore

    async def place(self, count: int) -> list[str]:
        """That many new accounts of $10,000,000.00 each; their ids."""
        ids = [str(uuid4()) for _ in range(count)]
        for start in range(0, count, 500):
            answers = await self.executor.execute_many([request(placement(id_)) for id_ in ids[start : start + 500]])
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
                assert answer.HasField("accepted"), answer
        return ids


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[Ours]:
    """The service's executor over a migrated database of its own."""
    clock = RealClock()
    store = await PostgresStore.open(database.url, database.reader_url, clock)
    try:
        yield Ours(Executor("accounts", [ACCOUNT], store, clock, project, b"benchmark" * 4), store)
    finally:
        await store.close()


def request(command: commands.PlaceAccount | commands.PostPayment) -> Request:
    """A command with an id of its own."""
    return Request(command, str(uuid4()), CALLER, UUID(int=1))


def payment(account_id: str, amount_minor: int = 100) -> commands.PostPayment:
    """A payment with a reference of its own."""
    return commands.PostPayment(
        account_id=account_id,
        payee=words.PAYEE_US,
        amount_minor=amount_minor,
        currency="USD",
        effective_date="2026-11-02",
        transaction_reference=str(uuid4()),
        instrument=words.INSTRUMENT_ACH,
    )


def placement(account_id: str) -> commands.PlaceAccount:
    """A business debt without persons, so that nothing but the log is measured."""
    principal = 10**9
    return commands.PlaceAccount(
        account_id=account_id,
        terms=terms.AccountTerms(
            client_id="benchmark",
            portfolio_id="plain",
            client_reference=account_id,
            batch_reference="benchmark",
            placement_date="2026-11-01",
            currency="USD",
            creditors=terms.Creditors(
                current_creditor_legal_name="Plain Credit", original_creditor_name="Plain Credit"
            ),
            debt=terms.Debt(
                product_type=words.PRODUCT_TYPE_OTHER,
                description="an invoice",
                debt_type=words.DEBT_TYPE_UNSECURED,
                out_of_statute_date="2031-01-01",
            ),
            balance=terms.PlacedBalance(buckets=terms.Buckets(principal_minor=principal), total_minor=principal),
        ),
        debtors=[
            terms.Debtor(
                person_id=str(uuid4()),
                role=words.DEBTOR_ROLE_PRIMARY,
                kind=words.PARTY_KIND_ORGANISATION,
                vault_version=1,
                vault_commitment="0" * 64,
                flags=terms.DebtorFlags(),
            )
        ],
        contract=CONTRACT,
        content_digest="0" * 64,
        client=commands.ClientStanding(
            registered=True, portfolio_open=True, currencies=["USD"], kind=words.CLIENT_KIND_CREDITOR
        ),
    )
