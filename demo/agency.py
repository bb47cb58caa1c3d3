"""The agency's side: an operator registers the clients over gRPC and gives each an API key; and asks the auditor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import psycopg
from google.protobuf.timestamp_pb2 import Timestamp
from recoup.accounts.v1 import commands_pb2, service_pb2, words_pb2
from recoup.accounts.v1.service_pb2_grpc import AccountsServiceStub
from recoup.audit.v1 import service_pb2 as audit_pb2
from recoup.audit.v1.service_pb2_grpc import AuditServiceStub

from demo.draft import Client
from demo.rest import PAGE, Creditor
from deploy.local.platform import Platform
from kernel.canonical import canonical_json
from kernel.dial import Peer, Tokens
from kernel.tenancy import Caller
from services.gateway.keys import SCOPES, create_key

ACTOR: Final = "demo operator"
AT_ONCE: Final = 8
"""Questions to audit at the same time."""
_LONG_SECONDS: Final = 120.0


class SetUpFailed(Exception):  # noqa: N818 - named for what happened.
    """A client could not be registered; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Agency:
    """The agency's own people, with the owner's and the auditor's services at hand."""

    tenant: UUID
    caller: Caller
    accounts: Peer
    audit: Peer

    async def register(self, clients: Sequence[Client]) -> None:
        """Register clients with a contract and a portfolio each; those that exist already stay as they are."""
        stub = AccountsServiceStub(self.accounts.channel)
        request = service_pb2.ExecuteRequest()
        for client, policy in zip(clients, _policies(len(clients)), strict=True):
            request.commands.add(given_id=f"register:{client.client_id}", register_client=_registration(client, policy))
            for portfolio in client.portfolios:
                given_id = f"open:{client.client_id}:{portfolio}"
                request.commands.add(given_id=given_id, open_portfolio=_portfolio(client, portfolio))
        response: service_pb2.ExecuteResponse = await self.accounts.ask(stub.Execute, request, self.caller)
        for command, result in zip(request.commands, response.results, strict=True):
            if result.HasField("error"):
                message = f"{command.given_id}: {result.error.message}"
                raise SetUpFailed(message)
            if result.answer.HasField("refusal"):
                message = f"{command.given_id}: {result.answer.refusal.rule}: {result.answer.refusal.text}"
                raise SetUpFailed(message)

    async def states(self, clients: Iterable[str], as_of: datetime | None = None) -> dict[str, bytes]:
        """The canonical JSON of every account of these clients, by account, as accounts itself states it."""
        stub = AccountsServiceStub(self.accounts.channel)
        found: dict[str, bytes] = {}
        for client in clients:
            request = service_pb2.ListAccountsRequest(client_id=client, as_of=_timestamp(as_of), limit=PAGE)
            while True:
                page: service_pb2.ListAccountsResponse = await self.accounts.ask(
                    stub.ListAccounts, request, self.caller, seconds=_LONG_SECONDS
                )
                found.update((account.account_id, canonical_json(account)) for account in page.accounts)
                if not page.next_cursor:
                    break
                request.cursor = page.next_cursor
        return found

    async def audited(self, account_ids: Iterable[str], as_of: datetime) -> dict[str, bytes]:
        """The canonical JSON of these accounts as audit rebuilds them from what was recorded up to an instant."""
        found: dict[str, bytes] = {}
        waiting = iter(account_ids)

        async def ask() -> None:
            for account_id in waiting:
                case = await self.case(account_id, as_of)
                found[account_id] = b"not final" if case.not_final else case.canonical_json

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(ask())
        return found

    async def compare_all(self) -> list[audit_pb2.CompareCaseResponse]:
        """Audit's account of every case against the owner's."""
        stub = AuditServiceStub(self.audit.channel)
        request = audit_pb2.CompareAllRequest()
        pages: AsyncIterator[audit_pb2.CompareAllResponse] = self.audit.stream(
            stub.CompareAll, request, self.caller, seconds=_LONG_SECONDS
        )
        return [case async for page in pages for case in page.cases]

    async def verify(self) -> audit_pb2.VerifyLogResponse:
        """Every hash and chain of audit's store, computed again."""
        stub = AuditServiceStub(self.audit.channel)
        return await self.audit.ask(stub.VerifyLog, audit_pb2.VerifyLogRequest(), self.caller, seconds=_LONG_SECONDS)

    async def count_facts(self) -> dict[str, int]:
        """Facts by their full type names."""
        stub = AuditServiceStub(self.audit.channel)
        counted: audit_pb2.CountFactsResponse = await self.audit.ask(
            stub.CountFacts, audit_pb2.CountFactsRequest(), self.caller, seconds=_LONG_SECONDS
        )
        return dict(sorted(counted.counts.items()))

    async def case(self, account_id: str, recorded_until: datetime | None = None) -> audit_pb2.GetCaseResponse:
        """Audit's own fold of one case."""
        stub = AuditServiceStub(self.audit.channel)
        request = audit_pb2.GetCaseRequest(account_id=account_id, recorded_until=_timestamp(recorded_until))
        return await self.audit.ask(stub.GetCase, request, self.caller)

    async def story(self, account_id: str) -> Sequence[audit_pb2.Sentence]:
        """One case as sentences."""
        stub = AuditServiceStub(self.audit.channel)
        request = audit_pb2.TellStoryRequest(account_id=account_id)
        told: audit_pb2.TellStoryResponse = await self.audit.ask(stub.TellStory, request, self.caller)
        return told.sentences


@asynccontextmanager
async def agency_of(platform: Platform, tenant: UUID) -> AsyncIterator[Agency]:
    """The agency on this platform, as its operator: the platform's own secrets sign the credential."""
    tokens = Tokens(platform.surroundings.secrets.token_secret.encode())
    caller = Caller(tenant, None, ACTOR, f"operator:{ACTOR}", OPERATOR_SCOPES)
    accounts = Peer(platform.addresses.grpc("accounts"), tokens)
    audit = Peer(platform.addresses.grpc("audit"), tokens)
    try:
        yield Agency(tenant, caller, accounts, audit)
    finally:
        await accounts.close()
        await audit.close()


def give_keys(platform: Platform, tenant: UUID, clients: Sequence[Client]) -> list[Creditor]:
    """An API key for each client, with every scope."""
    with psycopg.connect(platform.surroundings.databases["gateway"].url) as connection:
        return [
            Creditor(
                client.client_id,
                client.legal_name,
                create_key(
                    connection,
                    tenant=tenant,
                    environment="test",
                    name="demo",
                    clients=[client.client_id],
                    scopes=SCOPES,
                ),
            )
            for client in clients
        ]


OPERATOR_SCOPES: Final = frozenset({"clients:write", "accounts:read", "audit:read"})

_POLICIES: Final = (
    words_pb2.ALLOCATION_POLICY_COSTS_FEES_INTEREST_PRINCIPAL,
    words_pb2.ALLOCATION_POLICY_INTEREST_PRINCIPAL_FEES_COSTS,
    words_pb2.ALLOCATION_POLICY_PROPORTIONAL,
)


def _policies(count: int) -> list[words_pb2.AllocationPolicy]:
    return [_POLICIES[number % len(_POLICIES)] for number in range(count)]


def _registration(client: Client, policy: words_pb2.AllocationPolicy) -> commands_pb2.RegisterClient:
    return commands_pb2.RegisterClient(
        client_id=client.client_id,
        legal_name=client.legal_name,
        kind=words_pb2.CLIENT_KIND_CREDITOR,
        contract=commands_pb2.Contract(
            contingency_rate_basis_points=2_500,
            allocation_policy=policy,
            free_demand_days=0,
            currencies=client.currencies,
        ),
    )


def _portfolio(client: Client, portfolio: str) -> commands_pb2.OpenPortfolio:
    return commands_pb2.OpenPortfolio(client_id=client.client_id, portfolio_id=portfolio, name=f"Portfolio {portfolio}")


def _timestamp(instant: datetime | None) -> Timestamp | None:
    if instant is None:
        return None
    made = Timestamp()
    made.FromDatetime(instant)
    return made
