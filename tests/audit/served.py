"""Audit over a real database and real gRPC, beside an owner whose log and states a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from recoup.accounts.v1 import service_pb2 as accounts
from recoup.accounts.v1 import service_pb2_grpc as accounts_grpc
from recoup.accounts.v1.state_pb2 import AccountState
from recoup.audit.v1 import service_pb2 as audit
from recoup.audit.v1.service_pb2_grpc import AuditServiceStub, add_AuditServiceServicer_to_server
from recoup.event.v1 import log_service_pb2 as logs
from recoup.event.v1 import log_service_pb2_grpc as logs_grpc

from deploy.local.databases import Database
from kernel import checkpoint
from kernel.apply import Effects, apply_run
from kernel.checkpoint import Place
from kernel.clock import RealClock
from kernel.dial import Peer, Tokens
from kernel.execute import NotFinal, Unknown
from kernel.judge import Position
from kernel.reads import engine_of
from kernel.record import Record, chain_start
from kernel.rpc import Server, current_call
from kernel.store import connect
from kernel.tenancy import Caller, Verifier
from services.audit.api import AuditServicer
from services.audit.domain.account import fold_account
from services.audit.owner import Owners
from services.audit.recorder import Recorder
from services.audit.views import Views
from tests.audit import histories as h

if TYPE_CHECKING:
    from recoup.audit.v1.service_pb2_grpc import AuditServiceAsyncStub

SECRET = b"0123456789abcdef0123456789abcdef"
READS = frozenset({"audit:read"})
ANN = Caller(h.AGENCY, None, "user:ann", "credential-ann", READS)
BEN = Caller(h.OTHER_AGENCY, None, "user:ben", "credential-ben", READS)
NORTH = Caller(h.AGENCY, h.CLIENT, "client:northbank", "credential-north", READS)
SOUTH = Caller(h.AGENCY, "southbank", "client:southbank", "credential-south", READS)


def hear(database: Database, log: h.Log, records: Iterable[Record] | None = None) -> None:
    """Hear records of a log as the listener does: checkpoint and effect in one transaction."""
    wanted = list(log.records if records is None else records)
    with connect(database.url) as connection:
        for partition in range(log.partitions):
            place = Place("audit", "accounts", partition)
            start = Position(log.log_id, -1, chain_start(log.log_id, partition))
            checkpoint.create(connection, place, start, 0)
            found = checkpoint.read(connection, place)
            assert found is not None
            run = [record for record in wanted if record.partition == partition]
            if run:
                apply_run(connection, place, Effects(project=Recorder("accounts")), found.position, run)


@dataclass
class Owner(accounts_grpc.AccountsServiceServicer, logs_grpc.LogServiceServicer):
    """What accounts is to audit: where its log ends, and an account's state: what its facts say, then `spoil`."""

    log: h.Log
    spoil: Callable[[AccountState], Any] = lambda _state: None
    over: bool = True
    asked: list[accounts.GetAccountRequest] = field(default_factory=list)

    async def ReadHeads(self, _request: logs.ReadHeadsRequest, _context: object) -> logs.ReadHeadsResponse:  # noqa: N802
        heads = []
        for partition in range(self.log.partitions):
            last = self.log.of_partition(partition)[-1:]
            number = last[0].number if last else -1
            chain = last[0].chain if last else chain_start(self.log.log_id, partition)
            heads.append(logs.Head(partition=partition, number=number, chain=chain))
        return logs.ReadHeadsResponse(log_id=str(self.log.log_id), heads=heads)

    async def GetAccount(  # noqa: N802
        self, request: accounts.GetAccountRequest, _context: object
    ) -> accounts.GetAccountResponse:
        self.asked.append(request)
        if request.HasField("as_of") and not self.over:
            raise NotFinal
        mine = [r for r in self.log.records if r.tenant == current_call().caller.tenant]
        records = [record for record in mine if record.stream == f"account-{request.account_id}"]
        if request.HasField("at_version"):
            records = [record for record in records if record.version <= request.at_version]
        if not records:
            message = "there is no such account"
            raise Unknown(message)
        state = fold_account((r.version, r.type, r.payload) for r in records).state()
        self.spoil(state)
        return accounts.GetAccountResponse(account=state, cut=self._cut(request))

    async def ListAccounts(  # noqa: N802
        self, request: accounts.ListAccountsRequest, _context: object
    ) -> accounts.ListAccountsResponse:
        """One account a page, so that there are several."""
        caller = current_call().caller
        mine = [record for record in self.log.records if record.tenant == caller.tenant]
        streams = sorted({record.stream for record in mine if record.stream.startswith("account-")})
        listed = []
        for stream in streams:
            state = fold_account((r.version, r.type, r.payload) for r in mine if r.stream == stream).state()
            if caller.client in (None, state.terms.client_id):
                self.spoil(state)
                listed.append(state)
        place = int(request.cursor or 0)
        after = str(place + 1) if place + 1 < len(listed) else None
        return accounts.ListAccountsResponse(accounts=listed[place : place + 1], next_cursor=after)

    def _cut(self, request: accounts.GetAccountRequest) -> accounts.LogCut:
        numbers = []
        for partition in range(self.log.partitions):
            known = [record for record in self.log.of_partition(partition) if _by(request.as_of, record)]
            numbers.append(known[-1].number if known else -1)
        return accounts.LogCut(log_id=str(self.log.log_id), numbers=numbers)


def owner_of(log: h.Log) -> Owner:
    """The owner of a log. What audit does not ask it is not answered."""
    return Owner(log)  # type: ignore[abstract]


def _by(instant: Timestamp, record: Record) -> bool:
    return record.recorded_at <= instant.ToDatetime(tzinfo=record.recorded_at.tzinfo)


@dataclass
class Served:
    """A running audit service and one client of it."""

    stub: AuditServiceAsyncStub
    peer: Peer
    address: str

    async def case(
        self, account: str = h.ACCOUNT, caller: Caller = ANN, **instants: Timestamp | None
    ) -> audit.GetCaseResponse:
        return await self.peer.ask(self.stub.GetCase, audit.GetCaseRequest(account_id=account, **instants), caller)

    async def story(
        self, account: str = h.ACCOUNT, caller: Caller = ANN, **instants: Timestamp | None
    ) -> audit.TellStoryResponse:
        return await self.peer.ask(self.stub.TellStory, audit.TellStoryRequest(account_id=account, **instants), caller)

    async def compare(self, account: str = h.ACCOUNT, caller: Caller = ANN) -> audit.CompareCaseResponse:
        return await self.peer.ask(self.stub.CompareCase, audit.CompareCaseRequest(account_id=account), caller)

    async def compare_all(self, caller: Caller = ANN) -> list[audit.CompareCaseResponse]:
        pages: AsyncIterator[audit.CompareAllResponse] = self.peer.stream(
            self.stub.CompareAll, audit.CompareAllRequest(), caller, seconds=10
        )
        return [case async for page in pages for case in page.cases]

    async def verify(self, caller: Caller = ANN) -> audit.VerifyLogResponse:
        return await self.peer.ask(self.stub.VerifyLog, audit.VerifyLogRequest(), caller)

    async def progress(self, caller: Caller = ANN) -> audit.GetProgressResponse:
        return await self.peer.ask(self.stub.GetProgress, audit.GetProgressRequest(), caller)

    async def counts(self, caller: Caller = ANN) -> dict[str, int]:
        return dict((await self.peer.ask(self.stub.CountFacts, audit.CountFactsRequest(), caller)).counts)


@asynccontextmanager
async def owning(owner: Owner) -> AsyncIterator[str]:
    """The owner's address while it runs."""
    server = Server(Verifier(SECRET), RealClock())
    server.add(lambda server: accounts_grpc.add_AccountsServiceServicer_to_server(owner, server))
    server.add(lambda server: logs_grpc.add_LogServiceServicer_to_server(owner, server))
    port = await server.start("127.0.0.1:0")
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def auditing(database: Database, owner_address: str) -> AsyncIterator[Served]:
    """A running audit service that compares with the owner at an address."""
    engine, reader = engine_of(database.url), engine_of(database.reader_url)
    owner, tokens = Peer(owner_address, Tokens(SECRET)), Tokens(SECRET)
    servicer = AuditServicer(Views(engine, reader), Owners({"accounts": owner}))
    server = Server(Verifier(SECRET), RealClock())
    server.add(lambda server: add_AuditServiceServicer_to_server(servicer, server))
    address = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
    peer = Peer(address, tokens)
    # Without retries: audit has retried before it says that an owner is away.
    channel = grpc.aio.insecure_channel(address, options=[("grpc.enable_retries", 0)])
    try:
        yield Served(AuditServiceStub(channel), peer, address)
    finally:
        await channel.close()
        await peer.close()
        await owner.close()
        await server.stop(0)
        await engine.dispose()
        await reader.dispose()


def accounts_of(number: int) -> UUID:
    """The id of an account of a test."""
    return UUID(f"aaaaaaaa-0000-4000-8000-{number:012d}")
