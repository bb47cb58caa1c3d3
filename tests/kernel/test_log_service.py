"""Heads and ranges of a log over real gRPC, from the real store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import grpc
import pytest

from deploy.local.databases import Database
from kernel.dial import CallFailed, Peer, Tokens
from kernel.judge import chained
from kernel.log_client import LogClient
from kernel.log_service import SCOPE
from kernel.record import Record
from kernel.tenancy import service_caller
from tests.kernel.ear import SECRET
from tests.kernel.hearing import Owner
from tests.kernel.records import start_of

NO_BROKER = "127.0.0.1:9"


@pytest.fixture
def owner(sample_database: Callable[..., Database]) -> Iterator[Owner]:
    owner = Owner(sample_database(), "no.topic", NO_BROKER)
    yield owner
    owner.stop()


async def read(owner: Owner, partition: int, first: int, last: int, *scopes: str) -> list[list[Record]]:
    """The pages of a range."""
    peer = Peer(owner.address, Tokens(SECRET))
    try:
        client = LogClient(peer, service_caller("ear", *(scopes or (SCOPE,))))
        return [list(page) async for page in client.read_log(partition, first, last)]
    finally:
        await peer.close()


async def test_a_range_comes_whole_and_in_order_and_chains(owner: Owner) -> None:
    await asyncio.to_thread(owner.post, 1_300, books=1)
    (head,) = [head for head in (await asyncio.to_thread(owner.heads)).values() if head.number >= 0]
    pages = await read(owner, head.partition, 0, head.number)
    assert [len(page) for page in pages] == [500, 500, 300]
    records = [record for page in pages for record in page]
    assert chained(start_of(head.partition, owner.store.log_id), head.partition, records) == records
    assert [record.number for page in await read(owner, head.partition, 3, 5) for record in page] == [3, 4, 5]


async def test_large_facts_come_in_pages_that_fit_a_message(owner: Owner) -> None:
    await asyncio.to_thread(owner.post, 1, books=1)
    for _ in range(10):
        await asyncio.to_thread(owner.post, 10, books=1, memo="x" * 250_000)
    (head,) = [head for head in (await asyncio.to_thread(owner.heads)).values() if head.number >= 0]
    pages = await read(owner, head.partition, 0, head.number)
    assert sum(map(len, pages)) == 101
    assert all(sum(len(record.payload) for record in page) <= 2 * 1024 * 1024 for page in pages)


async def test_heads_are_where_the_log_ends(owner: Owner) -> None:
    await asyncio.to_thread(owner.post, 100)
    peer = Peer(owner.address, Tokens(SECRET))
    heads = await LogClient(peer, service_caller("ear", SCOPE)).read_heads()
    await peer.close()
    stored = await asyncio.to_thread(owner.heads)
    assert {p: (head.last, head.chain) for p, head in heads.items()} == {
        p: (head.number, head.chain) for p, head in stored.items()
    }
    assert {head.log_id for head in heads.values()} == {owner.store.log_id}


@pytest.mark.parametrize(("partition", "first"), [(8, 0), (-1, 0), (0, -1)])
async def test_a_range_that_cannot_be_is_refused(owner: Owner, partition: int, first: int) -> None:
    with pytest.raises(CallFailed) as failed:
        await read(owner, partition, first, 10)
    assert failed.value.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_nobody_reads_the_log_without_the_scope(owner: Owner) -> None:
    with pytest.raises(CallFailed) as failed:
        await read(owner, 0, 0, 10, "accounts:read")
    assert failed.value.code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_range_beyond_the_head_is_empty(owner: Owner) -> None:
    assert await read(owner, 0, 10, 20) == []
