"""A commit in doubt: whatever happens to the connection around it, a command has one effect and one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import pytest
from recoup.sample.v1.sample_pb2 import OpenBook, PostEntry

from deploy.local.databases import Database
from kernel.clock import RealClock
from kernel.execute import Unavailable
from kernel.store import PostgresStore
from tests.kernel.cut_wire import Cut, wire
from tests.kernel.worlds import NORTH, World, book_id, executor_of, postgres_world, request

A = book_id(1)
KILLS_MAX = 12
ENTRIES = 60


@pytest.fixture
def database(sample_database: Callable[..., Database]) -> Database:
    return sample_database()


async def wired(database: Database, url: str) -> World:
    """A world whose writer reaches the server by another way, while all else goes straight."""
    world = await postgres_world(database, RealClock())
    store = await PostgresStore.open(url, database.reader_url, RealClock())
    await world.store.close()
    world.store, world.executor = store, executor_of(store, world.clock)
    return world


@pytest.mark.parametrize("cut", ["before", "after", "late"])
async def test_a_connection_cut_around_the_commit_leaves_one_effect_and_one_answer(
    database: Database, cut: Cut
) -> None:
    with wire(database.url) as line:
        world = await wired(database, line.url)
        await world.executor.execute(request(OpenBook(book_id=A, client="alpha")))
        line.cut = cut
        command = PostEntry(book_id=A, amount_minor=5)
        answer = await world.executor.execute(request(command, given_id="one"))
        assert line.cuts == 1
        assert answer.replayed is (cut != "before")
        again = await world.another().execute(request(command, given_id="one"))
        assert again.replayed
        assert again.accepted == answer.accepted
        assert world.rows(NORTH)[A]["balance_minor"] == 5
        assert len(await world.store.read_stream(NORTH, f"book-{A}")) == 2
        await world.store.close()


async def test_a_server_that_is_away_after_the_commit_is_unavailable_and_the_retry_gets_the_first_answer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernel.writer.RECONNECT_SECONDS", 0.01)
    with wire(database.url) as line:
        world = await wired(database, line.url)
        await world.executor.execute(request(OpenBook(book_id=A, client="alpha")))
        line.cut, line.refusing = "after", True
        command = PostEntry(book_id=A, amount_minor=5)
        with pytest.raises(Unavailable):
            await world.executor.execute(request(command, given_id="one"))
        assert world.store.alive
        line.refusing = False
        answer = await world.executor.execute(request(command, given_id="one"))
        assert answer.replayed
        assert answer.accepted.types == ["recoup.sample.v1.EntryPosted"]
        assert world.rows(NORTH)[A]["balance_minor"] == 5
        await world.store.close()


async def test_backends_terminated_again_and_again_lose_and_repeat_nothing(database: Database) -> None:
    world = await postgres_world(database, RealClock())
    books = [book_id(n) for n in range(10, 26)]
    await world.executor.execute_many([request(OpenBook(book_id=book, client="alpha")) for book in books])
    terminated = 0

    async def post(book: str) -> None:
        for n in range(ENTRIES):
            command = request(PostEntry(book_id=book, amount_minor=1), given_id=f"{book} {n}")
            while True:
                try:
                    await world.executor.execute(command)
                except Unavailable:
                    await asyncio.sleep(0.02)
                else:
                    break

    posting = asyncio.gather(*map(post, books))
    async with await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin:
        for _ in range(KILLS_MAX):
            await asyncio.sleep(0.2)
            if posting.done():
                break
            killed = await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'recoup_sample'"
            )
            terminated += len(await killed.fetchall())
    await posting
    assert terminated > 2
    assert {row["balance_minor"] for row in world.rows(NORTH).values()} == {ENTRIES}
    assert sum(head.number + 1 for head in await world.store.heads()) == 16 * (ENTRIES + 1)
    await world.store.close()
