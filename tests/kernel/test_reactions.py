"""Reactions to heard facts: executed once, in the transaction of the checkpoint, under an id of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID, uuid4

import pytest
from google.protobuf.message import Message
from recoup.event.v1.answer_pb2 import Answer
from recoup.sample.v1.sample_pb2 import BookOpened, CloseBook, EntryPosted, OpenBook, PostEntry

from deploy.local.databases import Database
from kernel import checkpoint
from kernel.apply import Effects, apply_run
from kernel.checkpoint import Connection, Place
from kernel.clock import RealClock
from kernel.decider import Heard
from kernel.judge import Position
from kernel.reactions import reactions
from kernel.record import Record, chain_start
from kernel.store import PostgresStore, connect
from tests.kernel.records import log_of, start_of
from tests.kernel.worlds import AGENCY, NORTH, World, executor_of, request

FIRST, SECOND = str(UUID(int=1)), str(UUID(int=2))


def mirror_of(book_id: str) -> str:
    """The book that a policy keeps beside another."""
    return str(UUID(int=UUID(book_id).int + 1_000))


def policy(heard: Heard) -> Sequence[Message]:
    """Every book has a mirror, which gets the same entries; an entry of one too many is not for it."""
    match heard.fact:
        case BookOpened(book_id=book_id) if UUID(book_id).int < 1_000:
            return [
                OpenBook(book_id=mirror_of(book_id), client="c"),
                PostEntry(book_id=mirror_of(book_id), amount_minor=1),
            ]
        case EntryPosted(book_id=book_id, amount_minor=amount) if UUID(book_id).int < 1_000:
            return [PostEntry(book_id=mirror_of(book_id), amount_minor=-2 if amount == 13 else amount)]
    return []


@pytest.fixture
async def world(sample_database: Callable[..., Database]) -> AsyncIterator[World]:
    database, clock = sample_database(), RealClock()
    store = await PostgresStore.open(database.url, database.reader_url, clock)
    world = World(store, executor_of(store, clock), lambda _tenant: {}, lambda: None, clock, database)
    yield world
    await store.close()


def effects_of(world: World, facts: Sequence[type[Message]] = (BookOpened, EntryPosted)) -> Effects:
    return Effects(react=reactions(world.executor, "sample", "sample", policy, facts))


async def hear(world: World, effects: Effects, consumer: str = "sample") -> None:
    """Apply what is new of every partition, until there is nothing new."""
    assert world.database is not None
    with connect(world.database.url) as connection:
        while await _hear_once(world, effects, connection, consumer):
            pass


async def _hear_once(world: World, effects: Effects, connection: Connection, consumer: str) -> bool:
    heard = False
    for head in await world.store.heads():
        place = Place(consumer, "sample", head.partition)
        start = Position(world.store.log_id, -1, chain_start(world.store.log_id, head.partition))
        checkpoint.create(connection, place, start, 0)
        found = checkpoint.read(connection, place)
        assert found is not None
        if found.position.last < head.number:
            records: list[Record] = [
                record
                async for page in world.store.read_log(head.partition, found.position.last + 1)
                for record in page
            ]
            apply_run(connection, place, effects, found.position, records)
            heard = True
    return heard


async def balance(world: World, book_id: str) -> tuple[int, int]:
    from tests.kernel.sample import BOOK  # noqa: PLC0415 - beside the one who needs it.

    state, version = await world.another().load(NORTH, BOOK, book_id)
    return state.balance_minor, version


async def test_a_fact_obliges_us_once(world: World) -> None:
    for command in (OpenBook(book_id=FIRST, client="c"), PostEntry(book_id=FIRST, amount_minor=5)):
        await world.executor.execute(request(command, AGENCY))
    await hear(world, effects_of(world))
    assert await balance(world, mirror_of(FIRST)) == (6, 3)


async def test_a_fact_that_is_heard_again_finds_what_was_done_then(world: World) -> None:
    await world.executor.execute(request(OpenBook(book_id=FIRST, client="c"), AGENCY))
    await world.executor.execute(request(PostEntry(book_id=FIRST, amount_minor=5), AGENCY))
    await hear(world, effects_of(world))
    assert world.database is not None
    with connect(world.database.admin_url) as connection:
        connection.execute("DELETE FROM log.checkpoints")
    await hear(world, effects_of(world))
    assert await balance(world, mirror_of(FIRST)) == (6, 3)


async def test_a_reaction_that_a_rule_refuses_is_recorded_and_does_not_stop_us(world: World) -> None:
    commands = (OpenBook(book_id=FIRST, client="c"), PostEntry(book_id=FIRST, amount_minor=13),
                PostEntry(book_id=FIRST, amount_minor=2), OpenBook(book_id=SECOND, client="c"))  # fmt: skip
    for command in commands:
        await world.executor.execute(request(command, AGENCY))
    await hear(world, effects_of(world))
    assert await balance(world, mirror_of(FIRST)) == (3, 3)
    assert await balance(world, mirror_of(SECOND)) == (1, 2)
    assert world.database is not None
    with connect(world.database.admin_url) as connection:
        rows = connection.execute("SELECT outcome FROM log.commands").fetchall()
        parked = connection.execute("SELECT number FROM log.parked").fetchall()
    answers = [Answer.FromString(bytes(outcome)) for (outcome,) in rows]
    assert [answer.refusal.rule for answer in answers if answer.HasField("refusal")] == ["BookOverdrawn"]
    assert parked == []


async def test_a_reaction_says_who_and_belongs_to_the_undertaking_of_its_cause(world: World) -> None:
    asked = request(OpenBook(book_id=FIRST, client="c"), AGENCY)
    await world.executor.execute(asked)
    await hear(world, effects_of(world))
    (opened, _posted) = await world.store.read_stream(NORTH, f"book-{mirror_of(FIRST)}")
    assert opened.actor == "service:sample"
    assert opened.correlation_id == asked.correlation_id


async def test_facts_of_types_that_we_do_not_know_oblige_us_to_nothing(world: World) -> None:
    await world.executor.execute(request(OpenBook(book_id=FIRST, client="c"), AGENCY))
    await hear(world, effects_of(world, (EntryPosted,)))
    assert await balance(world, mirror_of(FIRST)) == (0, 0)


async def test_a_fact_that_cannot_be_read_is_parked(world: World) -> None:
    from dataclasses import replace  # noqa: PLC0415

    from tests.kernel.records import chained_onto  # noqa: PLC0415

    assert world.database is not None
    place = Place("sample", "other", 0)
    broken = chained_onto(start_of(), replace(log_of(1)[0], payload=b"\xff\xff\xff"))
    with connect(world.database.url) as connection:
        checkpoint.create(connection, place, start_of(), 0)
        apply_run(connection, place, effects_of(world), start_of(), [broken])
        ((error,),) = connection.execute("SELECT error FROM log.parked").fetchall()
    assert error.startswith("DecodeError")


async def test_a_command_that_is_not_complete_parks_its_cause_and_records_nothing(world: World) -> None:
    def careless(_heard: Heard) -> Sequence[Message]:
        return [PostEntry(book_id=mirror_of(FIRST), amount_minor=1), CloseBook()]

    await world.executor.execute(request(OpenBook(book_id=FIRST, client="c"), AGENCY, str(uuid4())))
    await hear(world, Effects(react=reactions(world.executor, "sample", "sample", careless, (BookOpened,))))
    assert await balance(world, mirror_of(FIRST)) == (0, 0)
    assert world.database is not None
    with connect(world.database.admin_url) as connection:
        ((error,),) = connection.execute("SELECT error FROM log.parked").fetchall()
    assert error.startswith("Incomplete: /book_id")
