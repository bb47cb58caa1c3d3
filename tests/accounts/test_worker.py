"""The whole service, hearing itself over a real broker: what the policy says, end to end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import grpc.aio
import pytest
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import service_pb2 as messages
from recoup.accounts.v1.service_pb2_grpc import AccountsServiceStub
from recoup.accounts.v1.terms_pb2 import Bankruptcy, DebtorFlags

from deploy.local.databases import Database
from deploy.local.kafka import Broker
from deploy.local.ports import choose
from deploy.local.topics import create_topics, delete_topics, read_topics
from kernel.main import opened, serving
from services.accounts.__main__ import SERVICE
from tests.accounts.examples import party, placement
from tests.accounts.world import World, agency, client, metadata, settings_of

SECONDS_MAX = 30
TOPIC = "accounts.events"


@pytest.fixture
def topic(kafka: Broker) -> Iterator[str]:
    """The service's topic, fresh."""
    create_topics(kafka.address, [each for each in read_topics() if each.name == TOPIC])
    yield TOPIC
    delete_topics(kafka.address, [TOPIC])


@pytest.fixture
async def whole(database: Callable[..., Database], kafka: Broker, topic: str, tmp_path: Path) -> AsyncIterator[World]:
    """Api, relay and worker in one process."""
    port = choose(["accounts"], tmp_path / "ports.json")["accounts"]
    settings = settings_of(database("accounts"), tmp_path).model_copy(
        update={"kafka": kafka.address, "grpc_port": port, "owners": {"accounts": f"127.0.0.1:{port}"}}
    )
    async with (
        opened(SERVICE, settings) as context,
        serving(context, "all"),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield World(context, AccountsServiceStub(channel), count(1))


async def holds_of(world: World, account_id: str) -> list[str]:
    asked = messages.GetAccountRequest(account_id=account_id)
    account = (await world.stub.GetAccount(asked, metadata=metadata(agency()))).account
    return [hold.hold_id for hold in account.holds]


async def until(world: World, account_id: str, holds: int) -> list[str]:
    """The holds of an account as soon as there are so many."""
    deadline = time.monotonic() + SECONDS_MAX
    while len(found := await holds_of(world, account_id)) != holds:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)
    return found


async def test_a_bankruptcy_that_one_creditor_knows_holds_the_accounts_of_all(whole: World) -> None:
    await whole.open_client()
    await whole.open_client("second-bank")
    first = (await whole.one(client(), placement())).entity_id
    bankrupt = party(flags=DebtorFlags(bankruptcy=Bankruptcy(chapter=7)))
    second = (await whole.one(client("second-bank"), placement(bankrupt, client_id="second-bank"))).entity_id
    assert await until(whole, first, 1) == await until(whole, second, 1)
    third = (await whole.one(client(), placement(client_reference="3"))).entity_id
    (hold_id,) = await until(whole, third, 1)
    release = commands.ReleaseHold(account_id=third, hold_id=hold_id, reason="the case was dismissed")
    assert (await whole.one(agency(), release)).answer.HasField("accepted")
    for account_id in (first, second, third):
        await until(whole, account_id, 0)
