"""The real thing: accounts records, Kafka carries, audit hears; then both say the same of every account."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from google.protobuf.message import Message
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import service_pb2 as accounts
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.service_pb2_grpc import AccountsServiceStub
from recoup.audit.v1 import service_pb2 as audit
from recoup.audit.v1.service_pb2_grpc import AuditServiceStub

from deploy.local.kafka import Broker
from deploy.local.places import Places
from deploy.local.platform import Platform
from deploy.local.postgres import Server
from deploy.local.programs import PROGRAMS
from deploy.local.secrets import kept_secrets
from kernel.canonical import canonical_json
from kernel.dial import Peer, Tokens
from kernel.tenancy import Caller
from services.accounts.edge import SCOPES
from tests.accounts.examples import CONTRACT, placement

if TYPE_CHECKING:
    from recoup.accounts.v1.service_pb2_grpc import AccountsServiceAsyncStub
    from recoup.audit.v1.service_pb2_grpc import AuditServiceAsyncStub

HEARD_SECONDS_MAX = 20.0
ACCOUNTS = 12


@pytest.fixture(scope="module")
def platform(postgres: Server, kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Accounts and audit as processes, on the run's own servers."""
    folder: Path = tmp_path_factory.mktemp("audit") / "home"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RECOUP_POSTGRES_URL", postgres.url)
        environment.setenv("RECOUP_KAFKA", kafka.address)
        with Platform(Places(folder), programs=[p for p in PROGRAMS if p.service != "gateway"]) as running:
            yield running


@dataclass
class Both:
    """One agency before the two services."""

    agency: Caller
    client: Caller
    owner: Peer
    auditor: Peer

    @property
    def accounts(self) -> AccountsServiceAsyncStub:
        return AccountsServiceStub(self.owner.channel)

    @property
    def audit(self) -> AuditServiceAsyncStub:
        return AuditServiceStub(self.auditor.channel)

    async def give(self, caller: Caller, command: Message, field: str) -> str:
        """Give one command, which is accepted; the id of its entity."""
        item = accounts.AccountsCommand(given_id=str(uuid4()))
        getattr(item, field).CopyFrom(command)
        request = accounts.ExecuteRequest(commands=[item])
        (result,) = (await self.owner.ask(self.accounts.Execute, request, caller)).results
        assert result.answer.HasField("accepted"), result
        return str(result.entity_id)

    async def heard(self, accounts: int) -> None:
        """Wait until audit has heard what the owner has recorded, its reactions to so many accounts included."""
        deadline = time.monotonic() + HEARD_SECONDS_MAX
        while time.monotonic() < deadline:
            counted = await self.auditor.ask(self.audit.CountFacts, audit.CountFactsRequest(), self.agency)
            request = audit.GetProgressRequest()
            positions = (await self.auditor.ask(self.audit.GetProgress, request, self.agency)).positions
            at_heads = positions and all(position.number == position.owner_number for position in positions)
            if at_heads and counted.counts["recoup.accounts.v1.AccountLinked"] >= accounts:
                return
        raise AssertionError(positions)


@asynccontextmanager
async def both(platform: Platform) -> AsyncIterator[Both]:
    tokens = Tokens(kept_secrets(platform.places.secrets).token_secret.encode())
    tenant, scopes = uuid4(), frozenset({*SCOPES.values(), "accounts:read", "persons:read", "audit:read"})
    agency = Caller(tenant, None, "user:clerk", "clerk-credential", scopes)
    client = Caller(tenant, "first-bank", "client:first-bank", "client-credential", scopes)
    owner, auditor = (Peer(platform.addresses.grpc(name), tokens) for name in ("accounts", "audit"))
    try:
        yield Both(agency, client, owner, auditor)
    finally:
        await owner.close()
        await auditor.close()


async def live(services: Both) -> list[str]:
    """A client with accounts that are paid, adjusted and returned; a quarantined one among them."""
    day, agency, client = placement().terms.placement_date, services.agency, services.client
    registered = commands.RegisterClient(
        client_id="first-bank", legal_name="First Bank", kind=words.CLIENT_KIND_CREDITOR, contract=CONTRACT
    )
    await services.give(agency, registered, "register_client")
    opened = commands.OpenPortfolio(client_id="first-bank", portfolio_id="cards", name="Cards")
    await services.give(agency, opened, "open_portfolio")
    quarantined = placement(client_reference="Q-1")
    quarantined.terms.itemization.ClearField("fees_since_minor")
    complete = [placement(client_reference=f"R-{number}") for number in range(ACCOUNTS)]
    ids = [await services.give(client, placed, "place") for placed in [*complete, quarantined]]
    adjusted = commands.AdjustBalance(
        transaction_reference="A", bucket=words.BUCKET_FEES, difference_minor=500, currency="USD",
        reason=words.ADJUSTMENT_REASON_CLIENT_FEE, approver="user:boss", effective_date=day,
    )  # fmt: skip
    paid = commands.PostPayment(
        payee=words.PAYEE_US, currency="USD", effective_date=day, transaction_reference="T",
        instrument=words.INSTRUMENT_CARD,
    )  # fmt: skip
    for number, account_id in enumerate(ids):
        adjusted.account_id = paid.account_id = account_id
        paid.amount_minor = 1_000 * (number + 1)
        await services.give(client, adjusted, "adjust_balance")
        await services.give(client, paid, "post_payment")
    returned = commands.ReturnPayment(
        account_id=ids[0], returned_reference="T", transaction_reference="T-R", return_code="R01", effective_date=day
    )
    await services.give(client, returned, "return_payment")
    return ids


async def test_audit_hears_all_of_it_and_agrees_with_accounts_on_every_account(platform: Platform) -> None:
    async with both(platform) as services:
        ids = await live(services)
        await services.heard(ACCOUNTS + 1)
        pages = services.auditor.stream(
            services.audit.CompareAll, audit.CompareAllRequest(), services.agency, seconds=20
        )
        cases = [case async for page in pages for case in page.cases]
        assert sorted(case.account_id for case in cases) == sorted(ids)
        assert [(case.differences, case.findings) for case in cases if not case.equal or case.findings] == []

        verified = await services.auditor.ask(services.audit.VerifyLog, audit.VerifyLogRequest(), services.agency)
        assert list(verified.breaches) == []
        request = audit.CountFactsRequest()
        counts = (await services.auditor.ask(services.audit.CountFacts, request, services.agency)).counts
        assert counts["recoup.accounts.v1.AccountPlaced"] == ACCOUNTS
        assert counts["recoup.accounts.v1.PlacementQuarantined"] == 1
        assert counts["recoup.accounts.v1.AccountLinked"] == len(ids)
        assert verified.records == sum(counts.values())


async def test_audit_and_accounts_agree_as_of_an_instant_in_the_middle(platform: Platform) -> None:
    async with both(platform) as services:
        account_id = (await live(services))[0]
        await services.heard(ACCOUNTS + 1)
        told = await services.auditor.ask(
            services.audit.TellStory, audit.TellStoryRequest(account_id=account_id), services.agency
        )
        middle = told.sentences[len(told.sentences) // 2].recorded_at
        theirs = await services.owner.ask(
            services.accounts.GetAccount,
            accounts.GetAccountRequest(account_id=account_id, as_of=middle),
            services.agency,
        )
        ours = await services.auditor.ask(
            services.audit.GetCase, audit.GetCaseRequest(account_id=account_id, recorded_until=middle), services.agency
        )
        assert (ours.canonical_json, ours.not_final) == (canonical_json(theirs.account), False)
        assert 0 < ours.account.version < 6


async def test_audit_stopped_meanwhile_hears_what_it_missed(platform: Platform) -> None:
    async with both(platform) as services:
        await services.heard(0)
        platform.stop("audit")
        ids = await live(services)
        platform.start("audit")
        await services.heard(ACCOUNTS + 1)
        for account_id in ids:
            compared = await services.auditor.ask(
                services.audit.CompareCase, audit.CompareCaseRequest(account_id=account_id), services.agency
            )
            assert compared.equal, compared.differences
