"""One partition followed, with an owner whose log can be bent at will and the real database."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from deploy.local.databases import Database
from kernel import checkpoint, follow
from kernel.apply import Effects
from kernel.checkpoint import Connection, Place
from kernel.follow import QUEUE_RECORDS_MAX, Follower
from kernel.judge import Position, after
from kernel.listen import Listener, Source
from kernel.record import Record
from kernel.store import connect
from kernel.telemetry import HALTED, HEARD
from kernel.wire import to_kafka
from tests.kernel.ear import remember
from tests.kernel.hearing import make_ear_database
from tests.kernel.records import LOG, chained_onto, log_of, start_of

PLACE = Place("ear", "sample", 0)
RECORDS = log_of(60)


@dataclass
class Owner:
    """An owner of as many partitions as it has logs, that counts what it is asked."""

    logs: dict[int, list[Record]]
    log_id: UUID = LOG
    away: bool = False
    questions: int = 0
    asked: list[tuple[int, int]] = field(default_factory=list)

    async def read_heads(self) -> Mapping[int, Position]:
        self.questions += 1
        if self.away:
            message = "the owner is away"
            raise ConnectionError(message)
        return {p: after(log[-1]) if log else start_of(p, self.log_id) for p, log in self.logs.items()}

    async def read_log(
        self, partition: int, from_number: int, to_number: int
    ) -> AsyncGenerator[Sequence[Record], None]:
        self.asked.append((from_number, to_number))
        log = self.logs[partition][: to_number + 1]
        for start in range(from_number, len(log), 10):
            yield log[start : start + 10]


@dataclass
class Followed:
    """A running follower, its owner, and a look at its database."""

    follower: Follower
    owner: Owner
    database: Database

    def numbers(self) -> list[int]:
        with connect(self.database.url) as connection:
            rows = connection.execute("SELECT number FROM ear.effect ORDER BY seq").fetchall()
        return [number for (number,) in rows]

    def checkpoint(self) -> checkpoint.Checkpoint:
        with connect(self.database.url) as connection:
            found = checkpoint.read(connection, PLACE)
        assert found is not None
        return found

    async def until(self, last: int) -> None:
        await until(lambda: self.checkpoint().position.last == last)
        assert self.numbers() == list(range(last + 1))

    async def until_halted(self) -> str:
        await until(lambda: self.checkpoint().halted is not None)
        return str(self.checkpoint().halted)


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is awaited is in a database.
            await asyncio.sleep(0.02)


def heard(kind: str) -> float:
    return float(HEARD.labels("ear", "sample", kind)._value.get())


@pytest.fixture
def ear(database: Callable[..., Database]) -> Database:
    return make_ear_database(database)


@asynccontextmanager
async def following(
    ear: Database, owner: Owner, at: int = -1, effects: Effects | None = None
) -> AsyncIterator[Followed]:
    """A follower that has applied up to `at`."""
    with connect(ear.url) as connection:
        position = start_of() if at < 0 else after(RECORDS[at])
        checkpoint.create(connection, PLACE, position, 0)
        remember("project")(connection, RECORDS[: at + 1])
    pool: ConnectionPool[Connection] = ConnectionPool(ear.url, kwargs={"autocommit": True}, min_size=1, open=True)
    with ThreadPoolExecutor(2) as threads:
        follower = Follower(PLACE, owner, effects or Effects(remember("project")), pool, threads)
        running = asyncio.create_task(follower.run())
        try:
            yield Followed(follower, owner, ear)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
    pool.close()


async def test_facts_in_order_have_their_effect_and_nobody_is_asked(ear: Database) -> None:
    async with following(ear, Owner({0: RECORDS})) as followed:
        for record in RECORDS:
            followed.follower.offer(record)
            followed.follower.offer(record)
        await followed.until(59)
        assert followed.owner.questions == 0


async def test_a_gap_is_fetched_from_the_owner_and_no_more_than_it(ear: Database) -> None:
    async with following(ear, Owner({0: RECORDS})) as followed:
        for record in (*RECORDS[:5], *RECORDS[30:33]):
            followed.follower.offer(record)
        await followed.until(32)
        assert max(to for _from, to in followed.owner.asked) == 32


async def test_the_owners_head_is_never_passed_whatever_a_rogue_number_says(ear: Database) -> None:
    async with following(ear, Owner({0: RECORDS[:20]}), at=9) as followed:
        followed.follower.offer(replace(RECORDS[20], number=10**12))
        await followed.until(19)
        assert max(to for _from, to in followed.owner.asked) == 19
        assert followed.checkpoint().halted is None


@pytest.mark.parametrize(
    "rogue",
    [
        replace(RECORDS[10], payload=b"forged"),
        replace(RECORDS[9], chain=bytes(32)),
        replace(RECORDS[3], chain=bytes(32)),
        replace(RECORDS[10], log_id=UUID(int=78)),
        replace(RECORDS[10], partition=3),
    ],
)
async def test_an_odd_message_is_dropped_where_the_owner_agrees_with_us(ear: Database, rogue: Record) -> None:
    async with following(ear, Owner({0: RECORDS[:10]}), at=9) as followed:
        odd = heard("odd")
        followed.follower.offer(rogue)
        await until(lambda: followed.owner.questions > 0)
        followed.owner.logs[0] = RECORDS[:12]
        for record in RECORDS[10:12]:
            followed.follower.offer(record)
        await followed.until(11)
        assert followed.checkpoint().halted is None
        # Number 3 is older than this process: it is not known to be odd, only asked about.
        assert heard("odd") == odd + (rogue.number != 3)


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        (Owner({0: RECORDS[:5]}), "ends at 4"),
        (Owner({0: log_of(60, salt="another history")}), "chain at number 9"),
        (Owner({0: [*RECORDS[:9], *log_of(60, salt="x")[9:]]}), "chain at number 9"),
        (Owner({0: log_of(60, log_id=UUID(int=78))}, UUID(int=78)), "log is"),
        (Owner({1: RECORDS}), "no longer has"),
        (Owner({0: [*RECORDS[:12], *log_of(60, salt="y")[12:]]}), "does not chain"),
    ],
)
async def test_an_owner_that_contradicts_us_halts_the_partition(ear: Database, owner: Owner, words: str) -> None:
    async with following(ear, owner, at=9) as followed:
        followed.follower.offer(RECORDS[40])
        reason = await followed.until_halted()
        assert reason.startswith("fork:")
        assert words in reason
        await until(lambda: HALTED.labels("listen:ear", "sample", 0)._value.get() == 1)
        followed.follower.offer(RECORDS[10])
        await asyncio.sleep(0.3)
        # What the owner could still prove was applied; nothing after the contradiction was.
        assert followed.checkpoint().position.last in (9, 11)


async def test_a_partition_that_is_let_go_goes_on(ear: Database) -> None:
    async with following(ear, Owner({0: RECORDS[:5]}), at=9) as followed:
        followed.follower.ask(20)
        await followed.until_halted()
        followed.owner.logs[0] = RECORDS
        with connect(ear.url) as connection:
            checkpoint.release(connection, PLACE)
        followed.follower.ask(59)
        await followed.until(59)


async def test_a_full_queue_drops_and_the_owner_fills_the_gap(ear: Database) -> None:
    records = log_of(QUEUE_RECORDS_MAX + 600)
    async with following(ear, Owner({0: records})) as followed:
        dropped = heard("dropped")
        for record in records:
            followed.follower.offer(record)
        assert heard("dropped") == dropped + 600
        await until(lambda: followed.checkpoint().position.last == QUEUE_RECORDS_MAX - 1)
        followed.follower.offer(records[-1])
        await followed.until(len(records) - 1)


async def test_an_owner_that_is_away_is_asked_again_until_it_answers(ear: Database) -> None:
    async with following(ear, Owner({0: RECORDS}, away=True)) as followed:
        followed.follower.offer(RECORDS[30])
        await until(lambda: followed.owner.questions > 2)
        followed.owner.away = False
        await followed.until(30)


async def test_an_owner_that_stops_in_the_middle_of_an_answer_is_asked_for_the_rest(ear: Database) -> None:
    class Stopping(Owner):
        async def read_log(
            self, partition: int, from_number: int, to_number: int
        ) -> AsyncGenerator[Sequence[Record], None]:
            async for page in super().read_log(partition, from_number, to_number):
                yield page
                if len(self.asked) < 3:
                    message = "cut"
                    raise ConnectionError(message)

    async with following(ear, Stopping({0: RECORDS})) as followed:
        followed.follower.offer(RECORDS[59])
        await followed.until(59)


async def test_a_database_that_cuts_us_off_delays_and_loses_nothing(ear: Database) -> None:
    left = 3
    write = remember("project")

    def effect(connection: Connection, records: Sequence[Record]) -> None:
        nonlocal left
        write(connection, records)
        if left:
            left -= 1
            with psycopg.connect(ear.admin_url, autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])

    async with following(ear, Owner({0: RECORDS}), effects=Effects(effect)) as followed:
        for record in RECORDS:
            followed.follower.offer(record)
        await followed.until(59)
        assert left == 0


async def test_a_batch_that_takes_too_long_is_tried_again_in_smaller_ones(ear: Database) -> None:
    sizes: list[int] = []

    def slow(_connection: Connection, records: Sequence[Record]) -> None:
        sizes.append(len(records))
        if len(records) > 16:
            raise psycopg.errors.QueryCanceled

    async with following(ear, Owner({0: RECORDS}), effects=Effects(slow)) as followed:
        for record in RECORDS:
            followed.follower.offer(record)
        await until(lambda: followed.checkpoint().position.last == 59)
    assert sizes[0] == 60
    assert max(sizes[-4:]) <= 16


async def test_two_followers_of_one_partition_share_its_facts(ear: Database) -> None:
    owner = Owner({0: RECORDS})
    chance = random.Random(4)  # noqa: S311 - an interleaving, not a secret.
    async with following(ear, owner) as one, following(ear, owner) as two:
        for record in RECORDS:
            for followed in (one, two):
                if chance.random() < 0.6:
                    followed.follower.offer(record)
            await asyncio.sleep(0.002)
        one.follower.ask(59)
        await one.until(59)


@asynccontextmanager
async def listening(ear: Database, folder: Path, source: Source) -> AsyncIterator[Listener]:
    """A listener without a broker."""
    listener = Listener("ear", [source], database_url=ear.url, broker="127.0.0.1:9", data=folder)
    running = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        # Faust leaves the loop of a consumer that found no broker to the garbage collector.
        gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning")
async def test_a_cut_off_owner_of_another_partition_does_not_stop_this_one(ear: Database, tmp_path: Path) -> None:
    """And with no broker at all every partition is filled by the timer, also those that never said a thing."""
    logs = {0: log_of(30), 1: log_of(30, partition=1), 2: log_of(1, partition=2), 3: []}
    owner = Owner(logs)
    source = Source("sample", "nowhere", owner, Effects(remember("project")), "start")
    async with listening(ear, tmp_path, source) as listener:
        await until(lambda: lasts(ear) == {0: 29, 1: 29, 2: 0, 3: -1})
        await until(lambda: listener.faults(0) == [])
        logs[0] = logs[0][:10]
        logs[1] = log_of(40, partition=1)
        await until(lambda: lasts(ear)[1] == 39)
        await until(lambda: any("halted" in fault for fault in listener.faults(0)))
        logs[2] = log_of(2, partition=2)
        logs[3] = log_of(1, partition=3)
        await until(lambda: lasts(ear) == {0: 29, 1: 39, 2: 1, 3: 0})
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - in an event loop.


@pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning")
async def test_a_consumer_that_begins_at_the_head_owes_nothing_for_the_past(ear: Database, tmp_path: Path) -> None:
    logs = {0: log_of(30)}
    source = Source("sample", "nowhere", Owner(logs), Effects(remember("project"), remember("react")), "head")
    async with listening(ear, tmp_path, source):
        await until(lambda: lasts(ear) == {0: 29})
        logs[0] = log_of(35)
        await until(lambda: lasts(ear) == {0: 34})
    with connect(ear.url) as connection:
        rows: list[Any] = connection.execute("SELECT kind, number FROM ear.effect ORDER BY seq").fetchall()
    assert [number for kind, number in rows if kind == "project"] == list(range(35))
    assert [number for kind, number in rows if kind == "react"] == list(range(30, 35))


async def test_when_behind_many_facts_share_a_transaction(ear: Database) -> None:
    sizes: list[int] = []

    def measure(_connection: Connection, records: Sequence[Record]) -> None:
        sizes.append(len(records))

    records = log_of(1_200)
    async with following(ear, Owner({0: records}), effects=Effects(measure)) as followed:
        for record in records:
            followed.follower.offer(record)
        await until(lambda: followed.checkpoint().position.last == 1_199)
    assert sum(sizes) == 1_200
    assert max(sizes) == follow.BATCH_RECORDS_MAX
    assert len(sizes) <= 8


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        (None, None),
        ([], b""),
        ([("ce_sequence", b"1")], b"x"),
        ([("ce_sequence", b"\xff")], b"x"),
        ({"ce_sequence": b"1"}, b"x"),
        ([("ce_sequence", None)], b"x"),
    ],
)
async def test_garbage_is_counted_and_never_raised_into_the_agent(tmp_path: Path, headers: Any, value: Any) -> None:
    source = Source("sample", "nowhere", Owner({}), Effects(remember("project")), "start")
    listener = Listener("ear", [source], database_url="", broker="127.0.0.1:9", data=tmp_path)
    unreadable = heard("unreadable")
    listener._hand_over(source, 0, headers, value)
    assert heard("unreadable") == unreadable + 1


async def test_a_partition_that_the_owner_does_not_have_is_dropped(tmp_path: Path) -> None:
    source = Source("sample", "nowhere", Owner({}), Effects(remember("project")), "start")
    listener = Listener("ear", [source], database_url="", broker="127.0.0.1:9", data=tmp_path)
    dropped, message = heard("dropped"), to_kafka(RECORDS[0], "sample")
    listener._hand_over(source, 99, message.headers, message.value)
    assert heard("dropped") == dropped + 1


def lasts(ear: Database) -> dict[int, int]:
    with connect(ear.url) as connection:
        return {p: found.position.last for p, found in checkpoint.read_all(connection, "ear", "sample").items()}


def test_a_record_made_up_for_these_tests_chains() -> None:
    assert chained_onto(after(RECORDS[0]), RECORDS[1]) == RECORDS[1]
