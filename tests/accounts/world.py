"""The accounts service over real gRPC on a real database, with callers of two agencies and their clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc.aio
from google.protobuf.message import Message
from pydantic import SecretStr
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import service_pb2 as messages
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.placement_pb2 import Placement
from recoup.accounts.v1.service_pb2_grpc import AccountsServiceStub

from deploy.local.databases import Database
from kernel.main import Context, opened, serving
from kernel.settings import Settings
from kernel.tenancy import Caller, sign
from services.accounts.__main__ import SERVICE
from services.accounts.edge import SCOPES
from tests.accounts.examples import CONTRACT

SECRET = "t" * 40
EVERYTHING = frozenset({*SCOPES.values(), "accounts:read", "persons:read"})
NORTH, SOUTH = UUID(int=0xA), UUID(int=0xB)
FIELDS = {
    field.message_type.full_name: field.name
    for field in messages.AccountsCommand.DESCRIPTOR.fields[3:]
    if field.message_type is not None
}


def agency(tenant: UUID = NORTH, actor: str = "clerk") -> Caller:
    """One of the agency's own people."""
    return Caller(tenant, None, actor, f"{actor}-credential", EVERYTHING)


def client(client_id: str = "first-bank", tenant: UUID = NORTH) -> Caller:
    """A client's key."""
    return Caller(tenant, client_id, f"{client_id}-user", f"client:{client_id}", EVERYTHING)


@dataclass(frozen=True, slots=True)
class World:
    """A running service, and how to ask it."""

    context: Context
    stub: Any
    ids: count[int]

    async def execute(
        self, caller: Caller, *given: Message, ids: Sequence[str] = (), completes: bool = False
    ) -> Sequence[messages.ExecuteResult]:
        """What became of commands; a Placement is placed, or completes."""
        request = messages.ExecuteRequest()
        for position, command in enumerate(given):
            item = request.commands.add(given_id=ids[position] if ids else f"id-{next(self.ids)}")
            placing = "complete" if completes else "place"
            name = placing if isinstance(command, Placement) else FIELDS[command.DESCRIPTOR.full_name]
            getattr(item, name).CopyFrom(command)
        response = await self.stub.Execute(request, metadata=metadata(caller))
        return list(response.results)

    async def one(
        self, caller: Caller, command: Message, given_id: str = "", *, completes: bool = False
    ) -> messages.ExecuteResult:
        """What became of one command."""
        ids = [given_id] if given_id else []
        return (await self.execute(caller, command, ids=ids, completes=completes))[0]

    async def open_client(
        self, client_id: str = "first-bank", tenant: UUID = NORTH, portfolio_id: str = "cards"
    ) -> None:
        """Register a client with one portfolio."""
        register = commands.RegisterClient(
            client_id=client_id, legal_name=f"{client_id} Inc.", kind=words.CLIENT_KIND_CREDITOR, contract=CONTRACT
        )
        portfolio = commands.OpenPortfolio(client_id=client_id, portfolio_id=portfolio_id, name=portfolio_id)
        for result in await self.execute(agency(tenant), register, portfolio):
            assert result.answer.HasField("accepted"), result


def metadata(caller: Caller) -> tuple[tuple[str, str], ...]:
    """What a call carries."""
    return (("authorization", f"Bearer {sign(caller, SECRET.encode(), 600)}"),)


def settings_of(database: Database, data: Path) -> Settings:
    """The settings of a process without Kafka: the worker and the relay do not run here."""
    return Settings(
        database_url=SecretStr(database.url),
        reader_url=SecretStr(database.reader_url),
        kafka="127.0.0.1:9",
        token_secret=SecretStr(SECRET),
        input_key=SecretStr("i" * 40),
        vault_key=SecretStr("v" * 40),
        data=data,
    )


@asynccontextmanager
async def world_of(database: Database, data: Path) -> AsyncIterator[World]:
    """The service's api on a database."""
    async with (
        opened(SERVICE, settings_of(database, data)) as context,
        serving(context, "api") as running,
        grpc.aio.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel,
    ):
        yield World(context, AccountsServiceStub(channel), count(1))
